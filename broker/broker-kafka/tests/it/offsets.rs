//! OffsetCommit and OffsetFetch, by name and (version 10) by id.

use broker_kafka::broker::Broker;
use broker_kafka::code;
use broker_kafka_wire::ApiKey;
use broker_kafka_wire::{
    OffsetCommitPartition, OffsetCommitRequest, OffsetCommitTopic, OffsetFetchGroup,
    OffsetFetchPartitionResponse, OffsetFetchRequest, OffsetFetchTopic, OffsetFetchTopicResponse,
};
use kafka_protocol::messages::{DeleteTopicsRequest, RequestKind, ResponseKind};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

use crate::client::{Client, ask, topic_name};

const BY_ID: i16 = 10;
const GONE: TopicId = TopicId([7; 16]);

fn id(client: &Client) -> TopicId {
    client.double.catalog().topic("t").unwrap().id
}

fn to_commit(partition: i32, offset: i64) -> OffsetCommitPartition {
    OffsetCommitPartition {
        partition: PartitionId(partition),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(5),
        metadata: Some("note".to_owned()),
    }
}

fn commit_request(topics: Vec<OffsetCommitTopic>) -> OffsetCommitRequest {
    OffsetCommitRequest { group_id: "g".to_owned(), topics, ..Default::default() }
}

/// A request for the partitions of topics, by both name and id: the version picks.
fn fetch_request(version: i16, topics: Option<Vec<OffsetFetchTopic>>) -> OffsetFetchRequest {
    if version < 8 {
        return OffsetFetchRequest { group_id: "g".to_owned(), topics, ..Default::default() };
    }
    let group = OffsetFetchGroup { group_id: "g".to_owned(), topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

fn fetched(
    client: &Client,
    version: i16,
    topics: Option<Vec<OffsetFetchTopic>>,
) -> Vec<OffsetFetchTopicResponse> {
    let response = client.committed(version, &fetch_request(version, topics));
    assert_eq!(response.error_code, 0);
    if version < 8 {
        return response.topics;
    }
    assert_eq!((&*response.groups[0].group_id, response.groups[0].error_code), ("g", 0));
    response.groups[0].topics.clone()
}

fn place(partition: &OffsetFetchPartitionResponse) -> (i32, i64, &str, i16) {
    let metadata = partition.metadata.as_deref().unwrap();
    (partition.partition.0, partition.offset.0, metadata, partition.error_code)
}

/// docs/kafka-semantics.md, failure 4: the metadata string comes back, in every version.
#[test]
fn a_commit_is_fetched_in_every_version() {
    for version in 1..=BY_ID {
        let client = Client::with_topic();
        let topic_id = id(&client);
        let topic = OffsetCommitTopic {
            name: "t".to_owned(),
            topic_id,
            partitions: vec![to_commit(1, 42), to_commit(9, 1)],
        };
        let response = client.commit(version.max(2), &commit_request(vec![topic]));
        let codes =
            response.topics[0].partitions.iter().map(|one| (one.partition.0, one.error_code));
        assert_eq!(codes.collect::<Vec<_>>(), [(1, 0), (9, code::UNKNOWN_TOPIC_OR_PARTITION)]);
        let asked = OffsetFetchTopic {
            name: "t".to_owned(),
            topic_id,
            partitions: [1, 0, 9].map(PartitionId).to_vec(),
        };
        let topics = fetched(&client, version, Some(vec![asked]));
        let places: Vec<_> = topics[0].partitions.iter().map(place).collect();
        assert_eq!(places, [(1, 42, "note", 0), (0, -1, "", 0), (9, -1, "", 0)], "v{version}");
        let epoch = if version >= 6 { 5 } else { -1 };
        assert_eq!(topics[0].partitions[0].leader_epoch, LeaderEpoch(epoch), "KIP-320");
        let named = if version < BY_ID { ("t", TopicId::default()) } else { ("", topic_id) };
        assert_eq!((&*topics[0].name, topics[0].topic_id), named, "v{version}");
        if version >= 2 {
            let all = fetched(&client, version, None);
            assert_eq!(all.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [1]);
            assert_eq!((&*all[0].name, all[0].topic_id), named, "all, v{version}");
        }
    }
}

#[test]
fn kip_848_an_unknown_topic_id_is_refused_alone() {
    let client = Client::with_topic();
    let topic_id = id(&client);
    let topic = |topic_id, offset| OffsetCommitTopic {
        topic_id,
        partitions: vec![to_commit(0, offset)],
        ..Default::default()
    };
    let topics = vec![topic(GONE, 1), topic(topic_id, 2), topic(TopicId::default(), 3)];
    let response = client.commit(BY_ID, &commit_request(topics));
    let outcomes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.topic_id, topic.partitions[0].error_code))
        .collect();
    let unknown = code::UNKNOWN_TOPIC_ID;
    assert_eq!(outcomes, [(GONE, unknown), (topic_id, 0), (TopicId::default(), unknown)]);
    let asked = [GONE, topic_id].map(|topic_id| OffsetFetchTopic {
        topic_id,
        partitions: vec![PartitionId(0)],
        ..Default::default()
    });
    let topics = fetched(&client, BY_ID, Some(asked.to_vec()));
    let places: Vec<_> =
        topics.iter().map(|topic| (topic.topic_id, place(&topic.partitions[0]))).collect();
    assert_eq!(places, [(GONE, (0, -1, "", unknown)), (topic_id, (0, 2, "note", 0))]);
}

/// Kafka does not trouble the coordinator with a request that has nothing to commit.
#[test]
fn a_commit_of_unknown_topics_makes_no_group() {
    let client = Client::with_topic();
    let topic = OffsetCommitTopic {
        name: "gone".to_owned(),
        partitions: vec![to_commit(0, 1)],
        ..Default::default()
    };
    client.double.unavailable.set(true);
    let response = client.commit(9, &commit_request(vec![topic]));
    assert_eq!(response.topics[0].partitions[0].error_code, code::UNKNOWN_TOPIC_OR_PARTITION);
}

/// A full disk: librdkafka and Java look for the coordinator anew after any other error that they repeat, and send no
/// heartbeats meanwhile.
#[test]
fn a_commit_that_cannot_be_logged_leaves_the_client_its_coordinator() {
    let client = Client::with_topic();
    client.double.unavailable.set(true);
    let partitions = vec![to_commit(0, 1)];
    let topic = OffsetCommitTopic { name: "t".to_owned(), partitions, ..Default::default() };
    let response = client.commit(9, &commit_request(vec![topic]));
    let error_code = response.topics[0].partitions[0].error_code;
    assert_eq!(error_code, code::COORDINATOR_LOAD_IN_PROGRESS);
}

/// OffsetCommit 9: a member of a group that does not exist learns so; before, its generation is wrong.
#[test]
fn a_member_of_an_unknown_group_by_version() {
    let client = Client::with_topic();
    for version in 2..=BY_ID {
        let topic = OffsetCommitTopic {
            name: "t".to_owned(),
            topic_id: id(&client),
            partitions: vec![to_commit(0, 1)],
        };
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 3,
            member_id: "m".to_owned(),
            ..commit_request(vec![topic])
        };
        let response = client.commit(version, &request);
        let expected = if version < 9 { 22 } else { 69 };
        assert_eq!(response.topics[0].partitions[0].error_code, expected, "v{version}");
    }
}

/// docs/kafka-semantics.md, rule 16: a commit belongs to the topic it was made for, not to the next one of that name.
#[test]
fn semantics_16_commits_of_an_earlier_topic_do_not_count() {
    let client = Client::with_topic();
    let topic = OffsetCommitTopic {
        name: "t".to_owned(),
        partitions: vec![to_commit(0, 42)],
        ..Default::default()
    };
    client.commit(8, &commit_request(vec![topic]));
    let offsets = |version| -> Vec<i64> {
        let topics = fetched(&client, version, None);
        topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.offset.0).collect()
    };
    assert_eq!((offsets(9), offsets(BY_ID)), (vec![42], vec![42]));
    let mut delete = DeleteTopicsRequest::default();
    delete.topic_names = vec![topic_name("t")];
    assert_eq!(ask!(client, DeleteTopics, 4, delete).responses[0].error_code, 0);
    // The double does not forget offsets: this is what a crash between the two leaves behind.
    assert_eq!((offsets(9), offsets(BY_ID)), (vec![42], vec![]), "the topic has no id any more");
    client.create("t", 2, &[]);
    assert_eq!((offsets(9), offsets(BY_ID)), (vec![], vec![]));
    let asked = |version| {
        let topic = OffsetFetchTopic {
            name: "t".to_owned(),
            topic_id: id(&client),
            partitions: vec![PartitionId(0)],
        };
        place(&fetched(&client, version, Some(vec![topic]))[0].partitions[0]).1
    };
    assert_eq!((asked(1), asked(BY_ID)), (-1, -1));
}
