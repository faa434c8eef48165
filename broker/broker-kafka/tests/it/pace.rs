//! A request over very many elements lets other tasks of its core run in between, has its memory reserved, and reaches the
//! log and the groups in pieces: whoever sends it costs nobody else more than a piece.

use std::task::{Context, Waker};
use std::time::Duration;

use broker_kafka::{Response, code};
use broker_kafka_wire::{
    ApiKey, FetchPartition, FetchRequest, FetchTopic, GUARDED_ELEMENTS_MAX, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic, MetadataPartition, MetadataRequest, MetadataRequestTopic,
    OffsetCommitPartition, OffsetCommitRequest, OffsetCommitTopic, OffsetFetchGroup,
    OffsetFetchRequest, OffsetFetchTopic, PartitionProduceData, ProduceRequest, TopicProduceData,
    encode_guarded_request,
};
use futures_executor::block_on;
use futures_util::FutureExt;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, DescribeGroupsRequest, ListGroupsRequest,
    RequestKind, ResponseKind, TopicName,
};
use log_record::BatchBuilder;
use log_types::{Offset, PartitionId};

use crate::client::{Client, Polls, ask, text};
use crate::double::NOW_MS;

/// Each poll is a turn on the core's thread, so at least so many other turns were possible.
const TURNS_MIN: usize = 10;
const AT_ONCE: Polls = Polls { begin: 0, answer: 0 };

#[test]
fn list_offsets_of_many_partitions_yields() {
    let client = Client::with_topic();
    let polls = |count: i32| {
        let partitions = (0..count).map(|index| ListOffsetsPartition {
            partition: PartitionId(index),
            timestamp: -1,
            ..ListOffsetsPartition::default()
        });
        let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: partitions.collect() };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        client.polls(&request.encode(7, 1, None).expect("encodes"))
    };
    assert_eq!(polls(10), AT_ONCE, "a small request is answered at once");
    assert!(polls(10_000).answer > TURNS_MIN);
}

#[test]
fn a_partition_that_stands_twice_has_no_offset_looked_for() {
    let client = Client::with_topic();
    let partition = |index| ListOffsetsPartition {
        partition: PartitionId(index),
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let topic = |indexes: &[i32]| ListOffsetsTopic {
        name: "t".to_owned(),
        partitions: indexes.iter().map(|index| partition(*index)).collect(),
    };
    let topics = vec![topic(&[0, 1]), topic(&[1])];
    let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
    let response = client.list_offsets(7, &request);
    let codes = response.topics.iter().flat_map(|topic| &topic.partitions);
    let codes: Vec<_> = codes.map(|one| (one.partition.0, one.error_code)).collect();
    let refused = code::INVALID_REQUEST;
    assert_eq!(codes, [(0, 0), (1, refused), (1, refused)]);
}

#[test]
fn metadata_of_many_topics_yields() {
    let client = Client::with_topic();
    let polls = |count: usize| {
        let topics = (0..count).map(|index| MetadataRequestTopic {
            name: Some(format!("t{index}")),
            ..MetadataRequestTopic::default()
        });
        let topics = Some(topics.collect());
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        client.polls(&request.encode(9, 1, None).expect("encodes"))
    };
    assert_eq!(polls(10), AT_ONCE);
    assert!(polls(10_000).answer > TURNS_MIN);
}

/// One request that created topics kept the turn to build large answers from everybody until the last of them was durable.
#[test]
fn topics_are_created_before_a_large_answer_is_begun() {
    const COUNT: usize = 3000;
    let client = Client::with_topic();
    client.double.changed_after.take();
    let before = || client.double.changed_after.take();
    let names = |prefix: &str| (0..COUNT).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let topics = names("m")
        .into_iter()
        .map(|name| MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() });
    let request = MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() };
    client.polls(&request.encode(9, 1, None).expect("encodes"));
    // As many as one request creates.
    assert_eq!(before(), [0; 100], "created after the answer was begun");
    assert_eq!(client.double.answers.take().len(), 1);

    let topics = names("c").into_iter().map(|name| {
        let mut topic = CreatableTopic::default();
        topic.name = TopicName(text(&name));
        (topic.num_partitions, topic.replication_factor) = (1, 1);
        topic
    });
    let mut request = CreateTopicsRequest::default();
    request.topics = topics.collect();
    let request = RequestKind::CreateTopics(request);
    let frame = encode_guarded_request(ApiKey::CreateTopics, 7, 1, None, &request);
    client.polls(&frame.expect("encodes"));
    assert!(before() == vec![0; COUNT], "created after the answer was begun");
    assert_eq!(client.double.answers.take().len(), 1);
}

#[test]
fn describe_configs_of_many_resources_yields() {
    let client = Client::with_topic();
    let polls = |count: usize| {
        let resources = (0..count).map(|index| {
            let mut resource = DescribeConfigsResource::default();
            resource.resource_type = 2;
            resource.resource_name = text(&format!("t{index}"));
            resource
        });
        let mut request = DescribeConfigsRequest::default();
        request.resources = resources.collect();
        let request = RequestKind::DescribeConfigs(request);
        let frame = encode_guarded_request(ApiKey::DescribeConfigs, 4, 1, None, &request);
        client.polls(&frame.expect("encodes"))
    };
    assert_eq!(polls(10), AT_ONCE);
    assert!(polls(500).answer > TURNS_MIN);
}

fn produce(count: i32) -> ProduceRequest {
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, None, Some(b"v"), &[]).expect("a small record");
    let batch = builder.build().expect("a small batch");
    let partitions = (0..count).map(|index| PartitionProduceData {
        partition: PartitionId(index % 2),
        records: Some(batch.clone()),
    });
    let topic = TopicProduceData {
        name: "t".to_owned(),
        partitions: partitions.collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, topics: vec![topic], ..ProduceRequest::default() }
}

#[test]
fn produce_to_many_partitions_yields_and_is_appended_in_pieces() {
    let client = Client::with_topic();
    let polls = |count| client.polls(&produce(count).encode(9, 1, None).expect("encodes"));
    assert_eq!(polls(10), AT_ONCE);
    client.double.appends.take();
    let polls = polls(10_000);
    assert!(polls.begin > TURNS_MIN && polls.answer > TURNS_MIN, "{polls:?}");
    let appends = client.double.appends.take();
    assert_eq!((appends.iter().sum::<usize>(), appends.iter().max()), (10_000, Some(&256)));
}

/// The story: a batch that its topic wants in another codec was compressed by the core in one go, 30 ms and more for a
/// mebibyte. It is done before the connection's next request begins, which keeps their order, and in slices.
#[test]
fn a_batch_is_recompressed_in_slices_before_the_next_request_begins() {
    let client = Client::new();
    client.create("t", 1, &[("compression.type", "gzip"), ("max.message.bytes", "10000000")]);
    let request = |bytes: usize| {
        let mut builder = BatchBuilder::new();
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let value: Vec<u8> = noise.take(bytes).collect();
        builder.push(NOW_MS, None, Some(&value), &[]).expect("fits");
        let records = Some(builder.build().expect("a batch"));
        let partitions = vec![PartitionProduceData { partition: PartitionId(0), records }];
        let topic = TopicProduceData { name: "t".to_owned(), partitions, ..Default::default() };
        ProduceRequest { acks: -1, topics: vec![topic], ..ProduceRequest::default() }
    };
    let polls = |bytes| client.polls(&request(bytes).encode(9, 1, None).expect("encodes"));
    assert_eq!(polls(1000), AT_ONCE);
    let large = polls(1 << 20);
    assert!(large.begin > 200 && large.answer == 0, "{large:?}");
    // Several of one request are appended before they hold much.
    let mut three = request(600 << 10);
    let one = three.topics[0].partitions[0].clone();
    three.topics[0].partitions.extend([one.clone(), one]);
    client.double.appends.take();
    let answers = client.produce(9, &three).topics;
    let offsets: Vec<_> = answers[0].partitions.iter().map(|one| one.base_offset.0).collect();
    assert_eq!((offsets, client.double.appends.take()), (vec![2, 3, 4], vec![2, 1]));
}

#[test]
fn the_pieces_of_a_produce_request_are_answered_each_in_its_place() {
    let client = Client::with_topic();
    let mut request = produce(1000);
    // A partition that does not exist, in the middle of a piece.
    request.topics[0].partitions[300].partition = PartitionId(7);
    let response = client.produce(9, &request);
    let answers = &response.topics[0].partitions;
    assert_eq!(answers.len(), 1000);
    let mut ends = [0, 0];
    for (index, (asked, answer)) in request.topics[0].partitions.iter().zip(answers).enumerate() {
        assert_eq!(answer.partition, asked.partition, "{index}");
        if index == 300 {
            assert_eq!(answer.error_code, code::UNKNOWN_TOPIC_OR_PARTITION);
            continue;
        }
        let end = &mut ends[usize::try_from(asked.partition.0).expect("0 or 1")];
        assert_eq!((answer.error_code, answer.base_offset.0), (0, *end), "{index}");
        *end += 1;
    }
}

/// Offsets of `count` partitions, of which `t` has the first two.
fn commit(count: i32, metadata: &str) -> OffsetCommitRequest {
    let partitions = (0..count).map(|index| OffsetCommitPartition {
        partition: PartitionId(index % 2),
        offset: Offset(i64::from(index)),
        metadata: Some(metadata.to_owned()),
        ..OffsetCommitPartition::default()
    });
    let topic = OffsetCommitTopic {
        name: "t".to_owned(),
        partitions: partitions.collect(),
        ..OffsetCommitTopic::default()
    };
    OffsetCommitRequest {
        group_id: "g".to_owned(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

fn fetch_offsets(count: i32) -> OffsetFetchRequest {
    let partition_indexes = (0..count).map(|index| PartitionId(index % 3)).collect();
    let topic = OffsetFetchTopic {
        name: "t".to_owned(),
        partitions: partition_indexes,
        ..OffsetFetchTopic::default()
    };
    OffsetFetchRequest {
        group_id: "g".to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    }
}

#[test]
fn commits_of_many_partitions_yield_and_come_to_the_group_in_pieces() {
    let client = Client::with_topic();
    let polls = |count| client.polls(&commit(count, "m").encode(8, 1, None).expect("encodes"));
    assert_eq!(polls(10), AT_ONCE);
    client.double.calls.take();
    // All but the last piece before the next request of the connection begins: a later commit is never overtaken.
    let polls = polls(10_000);
    assert!(polls.begin > TURNS_MIN, "{polls:?}");
    let calls = client.double.calls.take();
    assert_eq!((calls.iter().sum::<usize>(), calls.iter().max()), (10_000, Some(&256)));
    // Metadata of 4 KiB: fewer partitions at once.
    let response = client.commit(8, &commit(1000, &"m".repeat(4096)));
    assert!(response.topics[0].partitions.iter().all(|one| one.error_code == 0));
    let calls = client.double.calls.take();
    assert_eq!((calls.iter().sum::<usize>(), calls.iter().max()), (1000, Some(&64)));
    let fetched = client.committed(7, &fetch_offsets(2));
    let offsets = fetched.topics[0].partitions.iter().map(|one| one.offset.0);
    assert_eq!(offsets.collect::<Vec<_>>(), [998, 999], "the last of each stands");
}

#[test]
fn offsets_of_many_partitions_are_fetched_in_pieces() {
    let client = Client::with_topic();
    client.commit(8, &commit(2, "m"));
    let polls = |count| client.polls(&fetch_offsets(count).encode(7, 1, None).expect("encodes"));
    assert_eq!(polls(10), AT_ONCE);
    client.double.calls.take();
    let polls = polls(10_000);
    assert!(polls.begin > TURNS_MIN && polls.answer > TURNS_MIN, "{polls:?}");
    let calls = client.double.calls.take();
    assert_eq!((calls.iter().sum::<usize>(), calls.iter().max()), (10_000, Some(&256)));
    let fetched = client.committed(7, &fetch_offsets(1000));
    for (index, one) in (0..).zip(&fetched.topics[0].partitions) {
        let expect = [0, 1, -1][index % 3];
        assert_eq!(
            (one.partition.0, one.offset.0),
            (i32::try_from(index % 3).expect("small"), expect)
        );
    }
}

#[test]
fn everything_that_a_group_has_committed_is_fetched_in_pages() {
    let client = Client::new();
    client.create("a", 600, &[]);
    client.create("b", 1, &[]);
    let mut request = commit(600, "m");
    for (index, partition) in (0..).zip(&mut request.topics[0].partitions) {
        partition.partition = PartitionId(index);
    }
    for (name, count) in [("a", 600), ("b", 1)] {
        request.topics[0].name = name.to_owned();
        request.topics[0].partitions.truncate(count);
        client.commit(8, &request);
    }
    let everything = OffsetFetchRequest { topics: None, ..fetch_offsets(0) };
    let fetched = client.committed(7, &everything);
    let found = fetched.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|one| (&*topic.name, one.partition.0, one.offset.0))
    });
    let expect = (0..600).map(|index| ("a", index, i64::from(index))).chain([("b", 0, 0)]);
    assert!(found.eq(expect), "each once, in order");
}

#[test]
fn a_group_that_is_named_twice_is_looked_up_once() {
    let client = Client::with_topic();
    client.commit(8, &commit(2, "m"));
    let group_id = "g".to_owned();
    let group = OffsetFetchGroup { group_id, topics: None, ..OffsetFetchGroup::default() };
    let groups = vec![group; 3];
    let fetched =
        client.committed(8, &OffsetFetchRequest { groups, ..OffsetFetchRequest::default() });
    let found = fetched.groups.iter().map(|group| (group.error_code, group.topics.len()));
    let refused = (code::INVALID_REQUEST, 0);
    assert_eq!(found.collect::<Vec<_>>(), [(0, 1), refused, refused]);
}

#[test]
fn what_is_named_twice_is_described_once() {
    let client = Client::with_topic();
    let topic =
        MetadataRequestTopic { name: Some("t".to_owned()), ..MetadataRequestTopic::default() };
    let topics = Some(vec![topic; 3]);
    let described = client.metadata(9, &MetadataRequest { topics, ..MetadataRequest::default() });
    assert_eq!(described.topics.len(), 1);
    let mut groups = DescribeGroupsRequest::default();
    groups.groups = vec![text("g").into(); 3];
    assert_eq!(ask!(client, DescribeGroups, 5, groups).groups.len(), 1);
    let mut resource = DescribeConfigsResource::default();
    resource.resource_type = 2;
    resource.resource_name = text("t");
    let mut configs = DescribeConfigsRequest::default();
    configs.resources = vec![resource; 3];
    assert_eq!(ask!(client, DescribeConfigs, 4, configs).results.len(), 1);
}

#[test]
fn fetches_of_many_partitions_yield_and_hold_what_they_take() {
    let client = Client::with_topic();
    let polls = |count: i32| {
        let partitions = (0..count).map(|index| FetchPartition {
            partition: PartitionId(index),
            partition_max_bytes: 1,
            ..FetchPartition::default()
        });
        let topic = FetchTopic {
            topic: "t".to_owned(),
            partitions: partitions.collect(),
            ..FetchTopic::default()
        };
        let request = FetchRequest { topics: vec![topic], ..FetchRequest::default() };
        client.polls(&request.encode(11, 1, None).expect("encodes"))
    };
    assert_eq!(polls(10), AT_ONCE);
    assert!(client.double.reserved.take().is_empty(), "small requests reserve nothing");
    let polls = polls(10_000);
    assert!(polls.begin > TURNS_MIN && polls.answer > TURNS_MIN, "{polls:?}");
    let reserved = client.double.reserved.take();
    assert!(matches!(reserved[..], [_, fetched] if fetched >= 10_000 * 512), "{reserved:?}");
}

#[test]
fn what_is_decoded_in_one_go_is_decoded_rarely() {
    let client = Client::with_topic();
    let describe = |count: usize| {
        let mut request = DescribeGroupsRequest::default();
        request.groups = vec![text("group").into(); count];
        client.double.slept.take();
        ask!(client, DescribeGroups, 5, request);
        client.double.slept.take()
    };
    assert!(describe(1000).is_empty(), "some 100 µs are no delay to others");
    assert_eq!(describe(1001), [Duration::from_micros(10_010)]);
    assert_eq!(describe(GUARDED_ELEMENTS_MAX), [Duration::from_millis(200)]);
}

/// Two clients that each had the next request ready had every turn between them: whoever waited was woken, and found the turn
/// taken again.
#[test]
fn who_waits_to_be_decoded_in_one_go_comes_before_who_asks_later() {
    let client = Client::with_topic();
    let begin = |count: usize| {
        let mut request = DescribeGroupsRequest::default();
        request.groups = vec![text("group").into(); count];
        let request = RequestKind::DescribeGroups(request);
        let frame = encode_guarded_request(ApiKey::DescribeGroups, 5, 1, None, &request);
        Box::pin(client.begin(frame.expect("encodes").to_bytes().slice(4..)))
    };
    let slept_ms = || {
        let slept = client.double.slept.borrow();
        slept.iter().map(Duration::as_millis).collect::<Vec<_>>()
    };
    let wake_next = || {
        let mut sleepers = client.double.sleepers.borrow_mut();
        let sleeper = sleepers.as_mut().expect("the test wakes").remove(0);
        sleeper.send(()).expect("it sleeps");
    };
    client.double.sleepers.replace(Some(Vec::new()));
    let mut first = begin(2000);
    assert!((&mut first).now_or_never().is_none());
    let (mut gone, mut waiting) = (begin(1100), begin(1500));
    assert!((&mut gone).now_or_never().is_none() && (&mut waiting).now_or_never().is_none());
    wake_next();
    assert!(first.now_or_never().expect("it had its turn").is_ok());
    drop(gone);
    let mut later = begin(3000);
    assert!((&mut later).now_or_never().is_none());
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(slept_ms(), [20, 15], "the turn is theirs who came first and are still there");
    wake_next();
    assert!(waiting.now_or_never().expect("it had its turn").is_ok());
    assert!((&mut later).now_or_never().is_none());
    assert_eq!(slept_ms(), [20, 15, 30]);
}

/// Metadata about everything.
fn everything(client: &Client) -> impl Future<Output = Response> {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let frame = request.encode(9, 1, None).expect("encodes");
    let begun = client.begin(frame.to_bytes().slice(4..)).now_or_never();
    begun.expect("a small request").expect("it parses").answering
}

#[test]
fn large_answers_hold_what_they_take_until_they_are_sent() {
    let client = Client::with_topic();
    let Response::Send(_, held) = block_on(everything(&client)) else { panic!("answered") };
    assert!(held.is_none() && client.double.answers.borrow().is_empty(), "a small one");
    client.create("many", 5000, &[]);
    let Response::Send(frame, held) = block_on(everything(&client)) else { panic!("answered") };
    assert!(held.is_some());
    let bytes: usize = frame.iter().map(bytes::Bytes::len).sum();
    let answers = client.double.answers.take();
    let [grown] = &answers[..] else { panic!("one large answer: {answers:?}") };
    assert_eq!(grown.last(), Some(&bytes), "as large as it is, once that is known");
    let built = 5000 * (size_of::<MetadataPartition>() + 2 * size_of::<i32>());
    assert!(grown[0] > built + bytes, "{grown:?}: the pieces and the whole");
}

#[test]
fn one_large_answer_is_built_at_a_time() {
    let client = Client::new();
    client.create("many", 5000, &[]);
    let (mut first, mut second) = (Box::pin(everything(&client)), Box::pin(everything(&client)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending()
    );
    let building = || client.double.answers.borrow().len();
    assert_eq!(building(), 1, "the second waits before it takes memory");
    let Response::Send(..) = block_on(first) else { panic!("answered") };
    let Response::Send(..) = block_on(second) else { panic!("answered") };
    assert_eq!(building(), 2);
}

/// The request had everything that it could ask for reserved at once: from some 4,000 resources on all there is.
#[test]
fn descriptions_of_configs_take_memory_as_they_grow() {
    let client = Client::with_topic();
    let mut request = DescribeConfigsRequest::default();
    for index in 0..300 {
        client.create(&format!("c{index}"), 1, &[]);
        let mut resource = DescribeConfigsResource::default();
        resource.resource_type = 2;
        resource.resource_name = text(&format!("c{index}"));
        resource.configuration_keys = None;
        request.resources.push(resource);
    }
    request.include_synonyms = true;
    let answered = ask!(client, DescribeConfigs, 4, request);
    assert!(answered.results.iter().all(|one| one.error_code == 0 && one.configs.len() > 20));
    assert!(client.double.reserved.take().is_empty());
    let answers = client.double.answers.take();
    let [grown] = &answers[..] else { panic!("one large answer: {answers:?}") };
    assert!(grown.len() > 100 && grown.is_sorted(), "{grown:?}");
}

#[test]
fn groups_are_listed_in_pages_each_once() {
    let client = Client::with_topic();
    for index in 0..600 {
        let group_id = format!("g{index:03}");
        client.commit(8, &OffsetCommitRequest { group_id, ..commit(1, "m") });
    }
    let listed = ask!(client, ListGroups, 5, ListGroupsRequest::default());
    let ids: Vec<String> = listed.groups.iter().map(|group| group.group_id.to_string()).collect();
    assert!(ids.len() == 600 && ids.is_sorted() && ids[599] == "g599");
}

#[test]
fn many_elements_reserve_more_than_they_take() {
    let client = Client::with_topic();
    // The smallest elements, for which a request costs the largest multiple of its size.
    let group = OffsetFetchGroup { topics: None, ..OffsetFetchGroup::default() };
    let request =
        OffsetFetchRequest { groups: vec![group; 50_000], ..OffsetFetchRequest::default() };
    let frame = request.encode(8, 1, None).expect("encodes");
    client.polls(&frame);
    let reserved = client.double.reserved.take();
    let decoded = 50_000 * size_of::<OffsetFetchGroup>();
    assert!(matches!(reserved[..], [bytes] if bytes > decoded), "{reserved:?}");
}
