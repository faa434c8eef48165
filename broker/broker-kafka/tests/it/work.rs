//! What a hostile but valid request does between two yields, with very many elements: whoever shares the
//! core with it waits that long. It is counted in pieces of memory, of which some thousand take 100 µs.

use std::task::{Context, Poll, Waker};

use broker_kafka_wire::{
    ApiKey, DescribableLogDirTopic, DescribeLogDirsRequest, ELEMENTS_MAX, FetchPartition,
    FetchRequest, FetchTopic, Frame, GUARDED_ELEMENTS_MAX, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic, MetadataRequest, MetadataRequestTopic,
    OffsetCommitPartition, OffsetCommitRequest, OffsetCommitTopic, OffsetFetchGroup,
    OffsetFetchRequest, OffsetFetchTopic, PartitionProduceData, ProduceRequest, TopicProduceData,
    encode_guarded_request,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteGroupsRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    ListGroupsRequest, RequestKind,
};
use log_record::BatchBuilder;
use log_types::{Offset, PartitionId};

use crate::allocation::work;
use crate::client::{Client, text, topic_name};
use crate::double::NOW_MS;

/// The most that one poll of a request may do; some 100 µs. What makes it so much is the double, which appends 256 batches in
/// one go, and the third-party codec.
const WORK_MAX: usize = 6000;

/// The most that one poll of the request does, in pieces of memory that it takes or gives back.
fn largest_poll(client: &Client, frame: &Frame) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut largest = 0;
    let mut begin = Box::pin(client.begin(frame.to_bytes().slice(4..)));
    let begun = loop {
        let (done, polled) = work(|| begin.as_mut().poll(&mut cx));
        largest = largest.max(done);
        if let Poll::Ready(begun) = polled {
            break begun;
        }
    };
    let mut answering = begun.expect("the request parses").answering;
    loop {
        let (done, polled) = work(|| answering.as_mut().poll(&mut cx));
        largest = largest.max(done);
        if polled.is_ready() {
            break;
        }
    }
    largest.max(work(|| drop(answering)).0)
}

fn count(most: usize) -> i32 {
    i32::try_from(most).expect("a small number")
}

#[test]
fn between_two_yields_little_is_done() {
    let client = Client::new();
    client.create("t", 34_000, &[]);
    // The double makes its logs when they are first named.
    client.polls(&fetch());
    let own = [("Fetch", fetch()), ("Produce", produce())];
    let all = own.into_iter().chain(topics()).chain(offsets()).chain(guarded());
    for (name, frame) in all {
        let done = largest_poll(&client, &frame);
        assert!(done <= WORK_MAX, "{name}: {done}");
    }
}

/// A part of what is allowed: what grows with the request shows, and the test is a short one.
const MOST: usize = ELEMENTS_MAX / 3;

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..count(MOST)).map(PartitionId)
}

fn fetch() -> Frame {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 1,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: "t".to_owned(),
        partitions: partitions().map(partition).collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest { topics: vec![topic], ..FetchRequest::default() };
    request.encode(11, 1, None).expect("encodes")
}

fn produce() -> Frame {
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, None, Some(b"v"), &[]).expect("a small record");
    let batch = builder.build().expect("a small batch");
    let partition = |partition| PartitionProduceData { partition, records: Some(batch.clone()) };
    let topic = TopicProduceData {
        name: "t".to_owned(),
        partitions: partitions().map(partition).collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest { acks: -1, topics: vec![topic], ..ProduceRequest::default() };
    request.encode(9, 1, None).expect("encodes")
}

fn topics() -> Vec<(&'static str, Frame)> {
    let metadata = |topics| {
        let (allow_auto_topic_creation, default) = (false, MetadataRequest::default());
        let request = MetadataRequest { topics, allow_auto_topic_creation, ..default };
        request.encode(9, 1, None).expect("encodes")
    };
    let named = |index| MetadataRequestTopic {
        name: Some(format!("t{index}")),
        ..MetadataRequestTopic::default()
    };
    let latest = |partition| ListOffsetsPartition {
        partition,
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let (name, latest) = ("t".to_owned(), partitions().map(latest).collect());
    let list = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic { name, partitions: latest }],
        ..ListOffsetsRequest::default()
    };
    let log_dirs = |topics| DescribeLogDirsRequest { topics }.encode(2, 1, None).expect("encodes");
    let topic =
        DescribableLogDirTopic { topic: "t".to_owned(), partitions: partitions().collect() };
    vec![
        ("Metadata of names", metadata(Some((0..MOST).map(named).collect()))),
        ("Metadata of one name", metadata(Some(vec![named(0); MOST]))),
        ("Metadata of everything", metadata(None)),
        ("ListOffsets", list.encode(7, 1, None).expect("encodes")),
        ("DescribeLogDirs", log_dirs(Some(vec![topic]))),
        ("DescribeLogDirs of everything", log_dirs(None)),
    ]
}

fn offsets() -> Vec<(&'static str, Frame)> {
    let partition = |partition| OffsetCommitPartition {
        partition,
        offset: Offset(1),
        metadata: Some("m".to_owned()),
        ..OffsetCommitPartition::default()
    };
    let topic = OffsetCommitTopic {
        name: "t".to_owned(),
        partitions: partitions().map(partition).collect(),
        ..OffsetCommitTopic::default()
    };
    let group_id = "g".to_owned();
    let commit =
        OffsetCommitRequest { group_id, topics: vec![topic], ..OffsetCommitRequest::default() };
    let fetch = |topics, version: i16| {
        let group_id = "g".to_owned();
        let request = OffsetFetchRequest { group_id, topics, ..OffsetFetchRequest::default() };
        request.encode(version, 1, None).expect("encodes")
    };
    let topic = OffsetFetchTopic {
        name: "t".to_owned(),
        partitions: partitions().collect(),
        ..OffsetFetchTopic::default()
    };
    let group = |index| OffsetFetchGroup {
        group_id: format!("g{index}"),
        topics: None,
        ..OffsetFetchGroup::default()
    };
    let groups = (0..MOST).map(group).collect();
    let groups = OffsetFetchRequest { groups, ..OffsetFetchRequest::default() };
    vec![
        ("OffsetCommit", commit.encode(8, 1, None).expect("encodes")),
        ("OffsetFetch", fetch(Some(vec![topic]), 7)),
        ("OffsetFetch of everything", fetch(None, 7)),
        ("OffsetFetch of groups", groups.encode(8, 1, None).expect("encodes")),
    ]
}

fn guarded() -> Vec<(&'static str, Frame)> {
    let most = GUARDED_ELEMENTS_MAX / 2;
    let encode = |api, version, request: RequestKind| {
        encode_guarded_request(api, version, 1, None, &request).expect("encodes")
    };
    let mut create = CreateTopicsRequest::default();
    create.validate_only = true;
    create.topics = (0..most)
        .map(|index| {
            let mut topic = CreatableTopic::default();
            (topic.name, topic.num_partitions, topic.replication_factor) =
                (topic_name(&format!("new{index}")), 1, 1);
            topic
        })
        .collect();
    let mut configs = DescribeConfigsRequest::default();
    configs.resources = (0..most)
        .map(|index| {
            let mut resource = DescribeConfigsResource::default();
            resource.resource_type = 2;
            resource.resource_name = text(&format!("t{index}"));
            resource.configuration_keys = None;
            resource
        })
        .collect();
    let group = |index| text(&format!("g{index}")).into();
    let mut describe = DescribeGroupsRequest::default();
    describe.groups = (0..most).map(group).collect();
    let mut delete = DeleteGroupsRequest::default();
    delete.groups_names = (0..most).map(group).collect();
    vec![
        ("CreateTopics", encode(ApiKey::CreateTopics, 7, RequestKind::CreateTopics(create))),
        (
            "DescribeConfigs",
            encode(ApiKey::DescribeConfigs, 4, RequestKind::DescribeConfigs(configs)),
        ),
        (
            "DescribeGroups",
            encode(ApiKey::DescribeGroups, 5, RequestKind::DescribeGroups(describe)),
        ),
        ("DeleteGroups", encode(ApiKey::DeleteGroups, 2, RequestKind::DeleteGroups(delete))),
        (
            "ListGroups",
            encode(ApiKey::ListGroups, 4, RequestKind::ListGroups(ListGroupsRequest::default())),
        ),
    ]
}
