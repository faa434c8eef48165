//! Topics, partitions and records: CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords, DescribeLogDirs.

use std::task::{Context, Waker};

use broker_kafka::{Response, code};
use broker_kafka_wire::{ApiKey, ProduceRequest, encode_guarded_request};
use futures_executor::block_on;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeLogDirsRequest, InitProducerIdRequest, RequestKind, ResponseKind,
};
use log_record::BatchBuilder;
use log_types::PartitionId;
use uuid::Uuid;

use crate::client::{Client, ask, text, topic_name};
use crate::double::{NODE_ID, NOW_MS};
use broker_kafka::broker::Broker;

fn new_topic(name: &str) -> CreatableTopic {
    let mut topic = CreatableTopic::default();
    topic.name = topic_name(name);
    topic.num_partitions = -1;
    topic.replication_factor = -1;
    topic
}

fn create(client: &Client, version: i16, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let mut request = CreateTopicsRequest::default();
    request.topics = topics;
    ask!(client, CreateTopics, version, request).topics
}

fn create_one(client: &Client, topic: CreatableTopic) -> (i16, String) {
    let result = create(client, 7, vec![topic]).remove(0);
    (result.error_code, result.error_message.map(|one| one.to_string()).unwrap_or_default())
}

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    let mut assignment = CreatableReplicaAssignment::default();
    assignment.partition_index = partition;
    assignment.broker_ids = brokers.iter().copied().map(BrokerId).collect();
    assignment
}

/// Appends a batch of `count` records to partition 0 of `topic`.
pub(crate) fn produce(client: &Client, topic: &str, count: i64) {
    let mut builder = BatchBuilder::new();
    for index in 0..count {
        builder.push(NOW_MS + index, Some(b"k"), Some(b"v"), &[]).unwrap();
    }
    let request = ProduceRequest::of_batch(topic, PartitionId(0), builder.build().unwrap());
    let response = client.produce(9, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, 0, "{response:?}");
}

#[test]
fn create_topics_in_every_version() {
    for version in 2..=7 {
        let client = Client::new();
        let mut wanted = new_topic("a");
        wanted.num_partitions = 3;
        wanted.replication_factor = 1;
        let mut config = CreatableTopicConfig::default();
        (config.name, config.value) = (text("retention.ms"), Some(text("1000")));
        wanted.configs = vec![config];
        let results = create(&client, version, vec![wanted, new_topic("..")]);
        assert_eq!((results[0].error_code, &results[0].error_message), (0, &None), "v{version}");
        assert_eq!(results[1].error_code, code::INVALID_TOPIC_EXCEPTION);
        let message = results[1].error_message.as_deref();
        assert_eq!(message, Some("Topic name is invalid: '..' is not allowed"));
        let catalog = client.double.catalog();
        let topic = catalog.topic("a").expect("created");
        assert_eq!(topic.partitions.len(), 3);
        assert_eq!(topic.configs["retention.ms"], "1000");
        if version >= 5 {
            assert_eq!((results[0].num_partitions, results[0].replication_factor), (3, 1));
            let configs = results[0].configs.as_ref().expect("KIP-525");
            let retention = configs.iter().find(|config| &*config.name == "retention.ms").unwrap();
            assert_eq!(retention.value.as_deref(), Some("1000"));
            assert_eq!(retention.config_source, 1, "DYNAMIC_TOPIC_CONFIG");
            assert!(configs.len() > 20, "every config");
            assert_eq!((results[1].num_partitions, results[1].replication_factor), (-1, -1));
        }
        let id = if version >= 7 { Uuid::from_bytes(topic.id.0) } else { Uuid::nil() };
        assert_eq!(results[0].topic_id, id, "KIP-516");
    }
}

#[test]
fn semantics_31_create_topics_defaults_and_errors() {
    let client = Client::new();
    client.double.fixed.borrow_mut().insert("num.partitions".to_owned(), "4".to_owned());
    assert_eq!(create_one(&client, new_topic("a")), (0, String::new()));
    assert_eq!(client.double.catalog().topic("a").unwrap().partitions.len(), 4, "KIP-464");
    let with = |change: &dyn Fn(&mut CreatableTopic)| {
        let mut topic = new_topic("b");
        change(&mut topic);
        create_one(&client, topic)
    };
    assert_eq!(
        create_one(&client, new_topic("a")),
        (code::TOPIC_ALREADY_EXISTS, "Topic 'a' already exists.".to_owned())
    );
    assert_eq!(with(&|topic| topic.num_partitions = 0).0, code::INVALID_PARTITIONS);
    assert_eq!(with(&|topic| topic.num_partitions = i32::MAX).0, code::INVALID_PARTITIONS);
    assert_eq!(with(&|topic| topic.replication_factor = 0).0, code::INVALID_REPLICATION_FACTOR);
    let (error, message) = with(&|topic| topic.replication_factor = 3);
    assert_eq!(error, code::INVALID_REPLICATION_FACTOR);
    assert!(message.contains("only 1 broker(s) are registered"), "{message}");
    let bad_config = |name: &str, value: Option<&str>| {
        with(&|topic| {
            let mut config = CreatableTopicConfig::default();
            (config.name, config.value) = (text(name), value.map(text));
            topic.configs = vec![config];
        })
        .0
    };
    assert_eq!(bad_config("no.such", Some("1")), 40, "INVALID_CONFIG");
    assert_eq!(bad_config("retention.ms", Some("soon")), 40, "INVALID_CONFIG");
    assert_eq!(bad_config("retention.ms", None), code::INVALID_REQUEST);
    assert_eq!(create_one(&client, new_topic("x.y")).0, 0);
    assert_eq!(create_one(&client, new_topic("x_y")).0, code::INVALID_TOPIC_EXCEPTION, "collides");
    client.double.disk_full.set(true);
    assert_eq!(create_one(&client, new_topic("b")).0, code::KAFKA_STORAGE_ERROR);
}

#[test]
fn semantics_31_duplicates_in_one_request_fail_together() {
    let client = Client::new();
    let results = create(&client, 7, vec![new_topic("a"), new_topic("b"), new_topic("a")]);
    assert_eq!(results.len(), 2);
    assert_eq!(results[0].error_code, code::INVALID_REQUEST);
    assert_eq!(results[1].error_code, 0);
    assert!(client.double.catalog().topic("a").is_none());
}

#[test]
fn semantics_31_manual_assignments_name_this_broker_only() {
    let client = Client::new();
    let manual = |assignments: Vec<CreatableReplicaAssignment>| {
        let mut topic = new_topic("m");
        topic.assignments = assignments;
        create_one(&client, topic).0
    };
    let bad = code::INVALID_REPLICA_ASSIGNMENT;
    assert_eq!(manual(vec![assignment(0, &[NODE_ID + 1])]), bad, "unknown broker");
    assert_eq!(manual(vec![assignment(0, &[])]), bad, "no replica");
    assert_eq!(manual(vec![assignment(0, &[NODE_ID, NODE_ID])]), bad, "twice");
    assert_eq!(manual(vec![assignment(1, &[NODE_ID])]), bad, "not from 0");
    assert_eq!(manual(vec![assignment(0, &[NODE_ID]), assignment(0, &[NODE_ID])]), bad, "repeated");
    let mut counted = new_topic("m");
    counted.num_partitions = 2;
    counted.assignments = vec![assignment(0, &[NODE_ID])];
    assert_eq!(create_one(&client, counted).0, code::INVALID_REQUEST, "both ways of counting");
    assert_eq!(manual(vec![assignment(1, &[NODE_ID]), assignment(0, &[NODE_ID])]), 0);
    assert_eq!(client.double.catalog().topic("m").unwrap().partitions.len(), 2);
}

#[test]
fn semantics_31_validate_only_creates_nothing() {
    let client = Client::with_topic();
    let mut request = CreateTopicsRequest::default();
    request.validate_only = true;
    request.topics = vec![new_topic("a"), new_topic("t")];
    let response = ask!(client, CreateTopics, 7, request);
    assert_eq!(response.topics[0].error_code, 0);
    assert_eq!(response.topics[0].num_partitions, 1);
    assert_eq!(response.topics[0].topic_id, Uuid::nil());
    assert_eq!(response.topics[1].error_code, code::TOPIC_ALREADY_EXISTS);
    assert!(client.double.catalog().topic("a").is_none());
}

/// The story: a request of many thousand topics went on for minutes after its client had given it up.
#[test]
fn no_more_topics_are_created_for_a_client_that_has_gone() {
    let client = Client::new();
    let names: Vec<String> = (0..200).map(|index| format!("t{index:03}")).collect();
    let topics = names.iter().map(|name| new_topic(name)).collect();
    let request = CreateTopicsRequest::default().with_topics(topics);
    let request = RequestKind::CreateTopics(request);
    let frame = encode_guarded_request(ApiKey::CreateTopics, 7, 1, None, &request).unwrap();
    let begun = block_on(client.begin(frame.to_bytes().slice(4..)));
    let mut answering = begun.ok().unwrap().answering;
    let created = || client.double.catalog().topics.keys().cloned().collect::<Vec<_>>();
    let mut context = Context::from_waker(Waker::noop());
    while created().len() < 3 {
        assert!(answering.as_mut().poll(&mut context).is_pending());
    }
    let before = created();
    client.leave();
    assert!(matches!(block_on(answering), Response::Close));
    assert_eq!(created(), before, "those stay, and none is added");
    assert!(before.len() < names.len() && names.starts_with(&before));
}

#[test]
fn delete_topics_in_every_version() {
    for version in 1..=6 {
        let client = Client::with_topic();
        let mut request = DeleteTopicsRequest::default();
        if version < 6 {
            request.topic_names = vec![topic_name("t"), topic_name("gone")];
        } else {
            request.topics = ["t", "gone"].map(|name| state(Some(name), Uuid::nil())).to_vec();
        }
        let response = ask!(client, DeleteTopics, version, request);
        let codes: Vec<i16> = response.responses.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [0, code::UNKNOWN_TOPIC_OR_PARTITION], "v{version}");
        assert_eq!(response.responses[1].error_message.is_some(), version >= 5);
        assert_eq!(response.responses[0].name, Some(topic_name("t")));
        assert_eq!(response.responses[0].topic_id.is_nil(), version < 6);
        assert!(client.double.catalog().topic("t").is_none());
    }
}

fn state(name: Option<&str>, id: Uuid) -> DeleteTopicState {
    let mut state = DeleteTopicState::default();
    state.name = name.map(topic_name);
    state.topic_id = id;
    state
}

#[test]
fn kip_516_topics_are_deleted_by_id() {
    let client = Client::with_topic();
    client.create("u", 1, &[]);
    let id = |name: &str| Uuid::from_bytes(client.double.catalog().topic(name).unwrap().id.0);
    let mut request = DeleteTopicsRequest::default();
    request.topics = vec![
        state(None, id("t")),
        state(None, Uuid::from_u128(99)),
        state(Some("u"), id("u")),
        state(None, Uuid::nil()),
    ];
    let response = ask!(client, DeleteTopics, 6, request);
    let codes: Vec<i16> = response.responses.iter().map(|one| one.error_code).collect();
    let invalid = code::INVALID_REQUEST;
    assert_eq!(codes, [0, code::UNKNOWN_TOPIC_ID, invalid, invalid]);
    assert_eq!(response.responses[0].name, Some(topic_name("t")));
    assert!(client.double.catalog().topic("u").is_some(), "name and id together delete nothing");
}

/// A name that meant one topic when the request came may mean another when it is carried out: the id decides.
#[test]
fn kip_516_an_id_never_deletes_the_topic_that_took_its_name() {
    let client = Client::with_topic();
    let old = Uuid::from_bytes(client.double.catalog().topic("t").unwrap().id.0);
    let before = client.double.catalog();
    let mut by_name = DeleteTopicsRequest::default();
    by_name.topics = vec![state(Some("t"), Uuid::nil())];
    assert_eq!(ask!(client, DeleteTopics, 6, by_name).responses[0].error_code, 0);
    client.create("t", 1, &[]);
    let new = client.double.catalog().topic("t").unwrap().id;
    // A core that has not heard of the deletion yet resolves the old id to the name.
    client.double.show_catalog(Some(before));
    let mut by_id = DeleteTopicsRequest::default();
    by_id.topics = vec![state(None, old)];
    let response = ask!(client, DeleteTopics, 6, by_id);
    assert_eq!(response.responses[0].error_code, code::UNKNOWN_TOPIC_ID);
    client.double.show_catalog(None);
    assert_eq!(client.double.catalog().topic("t").map(|topic| topic.id), Some(new));
}

#[test]
fn f5_a_full_disk_refuses_producer_ids_without_closing_the_connection() {
    let client = Client::new();
    client.double.disk_full.set(true);
    let mut request = InitProducerIdRequest::default();
    request.transactional_id = None;
    for version in 0..=5 {
        let response = ask!(client, InitProducerId, version, request);
        let given = (response.error_code, response.producer_id.0, response.producer_epoch);
        assert_eq!(given, (code::KAFKA_STORAGE_ERROR, -1, -1), "v{version}");
    }
    client.double.disk_full.set(false);
    let response = ask!(client, InitProducerId, 5, request);
    assert_eq!((response.error_code, response.producer_epoch), (0, 0));
}

#[test]
fn kip_322_topic_deletion_can_be_disabled() {
    let client = Client::with_topic();
    client.double.fixed.borrow_mut().insert("delete.topic.enable".to_owned(), "false".to_owned());
    let mut request = DeleteTopicsRequest::default();
    request.topic_names = vec![topic_name("t")];
    let code = |version| ask!(client, DeleteTopics, version, request).responses[0].error_code;
    assert_eq!((code(2), code(3)), (code::INVALID_REQUEST, code::TOPIC_DELETION_DISABLED));
}

fn grow(
    client: &Client,
    version: i16,
    topics: &[(&str, i32, Option<&[i32]>)],
    validate: bool,
) -> Vec<i16> {
    let topics = topics.iter().map(|(name, count, brokers)| {
        let mut topic = CreatePartitionsTopic::default();
        topic.name = topic_name(name);
        topic.count = *count;
        topic.assignments = brokers.map(|brokers| {
            let mut assignment = CreatePartitionsAssignment::default();
            assignment.broker_ids = brokers.iter().copied().map(BrokerId).collect();
            vec![assignment]
        });
        topic
    });
    let mut request = CreatePartitionsRequest::default();
    request.topics = topics.collect();
    request.validate_only = validate;
    let response = ask!(client, CreatePartitions, version, request);
    response.results.iter().map(|result| result.error_code).collect()
}

#[test]
fn findings_3_create_partitions_results_are_never_empty() {
    let invalid = code::INVALID_PARTITIONS;
    for version in 0..=3 {
        let client = Client::with_topic();
        let ask = |topics, validate| grow(&client, version, topics, validate);
        let count = || client.double.catalog().topic("t").unwrap().partitions.len();
        assert_eq!(ask(&[("t", 5, None)], true), [0]);
        assert_eq!(count(), 2, "validate_only");
        assert_eq!(ask(&[("t", 5, None), ("gone", 9, None)], false), [0, 3]);
        assert_eq!(count(), 5);
        assert_eq!(ask(&[("t", 5, None)], false), [invalid], "the same");
        assert_eq!(ask(&[("t", 4, None)], false), [invalid], "fewer");
        assert_eq!(ask(&[("t", -1, None)], false), [invalid], "negative");
        assert_eq!(ask(&[("t", i32::MAX, None)], false), [invalid], "beyond the limit");
        assert_eq!(ask(&[("t", 6, None), ("t", 7, None)], false), [code::INVALID_REQUEST]);
        let bad = code::INVALID_REPLICA_ASSIGNMENT;
        assert_eq!(ask(&[("t", 7, Some(&[NODE_ID]))], false), [bad], "one assignment for two");
        assert_eq!(ask(&[("t", 6, Some(&[NODE_ID + 1]))], false), [bad]);
        assert_eq!(ask(&[("t", 6, Some(&[NODE_ID]))], false), [0]);
        assert_eq!(count(), 6);
    }
}

#[test]
fn delete_records_in_every_version() {
    for version in 0..=2 {
        let client = Client::with_topic();
        client.create("c", 1, &[("cleanup.policy", "compact")]);
        produce(&client, "t", 10);
        let delete = |topic: &str, partition: i32, offset: i64| {
            let mut wanted = DeleteRecordsPartition::default();
            (wanted.partition_index, wanted.offset) = (partition, offset);
            let mut of = DeleteRecordsTopic::default();
            of.name = topic_name(topic);
            of.partitions = vec![wanted];
            let mut request = DeleteRecordsRequest::default();
            request.topics = vec![of];
            let response = ask!(client, DeleteRecords, version, request);
            let result = &response.topics[0].partitions[0];
            (result.error_code, result.low_watermark)
        };
        assert_eq!(delete("t", 0, 4), (0, 4));
        assert_eq!(delete("t", 0, 2), (0, 4), "below the log start: nothing to do");
        assert_eq!(delete("t", 0, 11), (code::OFFSET_OUT_OF_RANGE, -1));
        assert_eq!(delete("t", 0, -2), (code::OFFSET_OUT_OF_RANGE, -1));
        assert_eq!(delete("t", 0, -1), (0, 10), "the high watermark");
        assert_eq!(delete("t", 2, 0), (code::UNKNOWN_TOPIC_OR_PARTITION, -1));
        assert_eq!(delete("gone", 0, 0), (code::UNKNOWN_TOPIC_OR_PARTITION, -1));
        assert_eq!(delete("c", 0, 0), (code::POLICY_VIOLATION, -1), "compacted only");
    }
}

#[test]
fn describe_log_dirs_in_every_version() {
    for version in 1..=4 {
        let client = Client::with_topic();
        produce(&client, "t", 3);
        let mut request = DescribeLogDirsRequest::default();
        request.topics = None;
        let response = ask!(client, DescribeLogDirs, version, request);
        let dir = &response.results[0];
        assert_eq!((&*dir.log_dir, dir.error_code), ("/data", 0));
        let partitions = &dir.topics[0].partitions;
        assert_eq!(partitions.len(), 2);
        assert!(partitions[0].partition_size > 0 && partitions[1].partition_size == 0);
        let volume = if version >= 4 { (1000, 400) } else { (-1, -1) };
        assert_eq!((dir.total_bytes, dir.usable_bytes), volume, "KIP-827");
        let own =
            client.log_dirs(version, &broker_kafka_wire::DescribeLogDirsRequest { topics: None });
        assert_eq!(own.results[0].total_bytes, dir.total_bytes, "both codecs read the same");
        let mut wanted = DescribableLogDirTopic::default();
        wanted.topic = topic_name("t");
        wanted.partitions = vec![1, 7];
        request.topics = Some(vec![wanted]);
        let response = ask!(client, DescribeLogDirs, version, request);
        let partitions = &response.results[0].topics[0].partitions;
        assert_eq!(partitions.iter().map(|one| one.partition_index).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn kip_1066_the_log_dir_is_not_cordoned() {
    let client = Client::with_topic();
    produce(&client, "t", 3);
    let request = broker_kafka_wire::DescribeLogDirsRequest { topics: None };
    let response = client.log_dirs(5, &request);
    let [dir] = &response.results[..] else { panic!("{response:?}") };
    assert_eq!((dir.error_code, &*dir.log_dir, dir.is_cordoned), (0, "/data", false));
    assert_eq!((dir.total_bytes, dir.usable_bytes), (1000, 400));
    let sizes: Vec<bool> = dir.topics[0].partitions.iter().map(|one| one.size > 0).collect();
    assert_eq!((&*dir.topics[0].name, sizes), ("t", vec![true, false]));
}
