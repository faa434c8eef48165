//! Metadata: which topics it names, makes and refuses (docs/kafka-semantics.md, rule 29).

use broker_kafka::broker::Broker;
use broker_kafka::code;
use broker_kafka_wire::{
    AUTHORIZED_OPERATIONS_OMITTED, MetadataRequest, MetadataRequestTopic, MetadataResponse,
};

use log_types::{LeaderEpoch, NodeId};

use crate::client::Client;
use crate::double::{EPOCH, NODE_ID};

const VERSION_MAX: i16 = 13;

fn named(names: &[&str]) -> Option<Vec<MetadataRequestTopic>> {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned()),
        ..MetadataRequestTopic::default()
    };
    Some(names.iter().map(topic).collect())
}

fn codes(response: &MetadataResponse) -> Vec<(&str, i16)> {
    let topics = response.topics.iter();
    topics.map(|topic| (topic.name.as_deref().unwrap_or("-"), topic.error_code)).collect()
}

#[test]
fn semantics_29_null_is_all_and_empty_is_none_but_in_version_0() {
    let client = Client::with_topic();
    for version in 0..=VERSION_MAX {
        let ask = |topics| MetadataRequest { topics, ..MetadataRequest::default() };
        let empty = client.metadata(version, &ask(Some(Vec::new())));
        assert_eq!(empty.topics.len(), usize::from(version == 0), "v{version}");
        if version > 0 {
            assert_eq!(codes(&client.metadata(version, &ask(None))), [("t", 0)], "v{version}");
        }
        if version >= 1 {
            assert_eq!(empty.controller_id.0, NODE_ID, "v{version}");
        }
        if version >= 2 {
            assert_eq!(empty.cluster_id.as_deref(), Some("abcdefghijklmnopqrstuv"));
        }
    }
}

#[test]
fn semantics_29_topics_are_made_only_where_both_sides_want_it() {
    for version in 0..=VERSION_MAX {
        let client = Client::new();
        let unknown = code::UNKNOWN_TOPIC_OR_PARTITION;
        let ask = |names: &[&str], allow| MetadataRequest {
            topics: named(names),
            allow_auto_topic_creation: allow,
            ..MetadataRequest::default()
        };
        // Before version 4 a client cannot say that it does not want a topic made.
        if version >= 4 {
            let response = client.metadata(version, &ask(&["new"], false));
            assert_eq!(codes(&response), [("new", unknown)], "v{version}");
        }
        let invalid = code::INVALID_TOPIC_EXCEPTION;
        let response = client.metadata(version, &ask(&["not/valid"], true));
        assert_eq!(codes(&response), [("not/valid", invalid)], "v{version}");
        assert!(client.double.catalog().topics.is_empty(), "nothing was made, v{version}");
        let response = client.metadata(version, &ask(&["new"], true));
        assert_eq!(codes(&response), [("new", 0)], "v{version}");
        assert_eq!(client.double.catalog().topics.len(), 1);
    }
}

#[test]
fn semantics_29_authorized_operations_only_on_request() {
    let client = Client::with_topic();
    for version in 8..=VERSION_MAX {
        let mut request = MetadataRequest { topics: named(&["t"]), ..MetadataRequest::default() };
        let silent = client.metadata(version, &request);
        assert_eq!(silent.cluster_authorized_operations, AUTHORIZED_OPERATIONS_OMITTED);
        assert_eq!(silent.topics[0].topic_authorized_operations, AUTHORIZED_OPERATIONS_OMITTED);
        request.include_cluster_authorized_operations = true;
        request.include_topic_authorized_operations = true;
        let told = client.metadata(version, &request);
        // From version 11 the cluster's are DescribeCluster's to tell (KIP-700).
        assert_eq!(told.cluster_authorized_operations > 0, version <= 10, "v{version}");
        assert!(told.topics[0].topic_authorized_operations > 0, "v{version}");
    }
}

/// The story: a request of a mebibyte named 100,000 topics, and the node went on creating them, one synced write each, for
/// minutes after its client had gone.
#[test]
fn one_request_creates_a_hundred_topics_and_the_client_asks_again_for_the_rest() {
    let client = Client::new();
    let names: Vec<_> = (0..250).map(|index| format!("t{index:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let request = MetadataRequest {
        topics: named(&names),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    for made in [100, 200, 250] {
        let response = client.metadata(VERSION_MAX, &request);
        let expect = names.iter().enumerate().map(|(index, name)| {
            (*name, if index < made { code::NONE } else { code::LEADER_NOT_AVAILABLE })
        });
        assert_eq!(codes(&response), expect.collect::<Vec<_>>());
        assert_eq!(client.double.catalog().topics.len(), made);
    }
}

/// Groups and transactions have no topics of their own, so a topic of Kafka's name for them is like any other. The one replica
/// of a partition answers, so it is not offline.
#[test]
fn semantics_29_no_topic_is_internal_and_no_replica_offline() {
    let client = Client::new();
    client.create("__consumer_offsets", 2, &[]);
    let id = client.double.catalog().topic("__consumer_offsets").unwrap().id;
    for version in 0..=VERSION_MAX {
        let topics = named(&["__consumer_offsets"]);
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        let response = client.metadata(version, &request);
        let [topic] = &*response.topics else { panic!("{response:?}") };
        assert_eq!((topic.error_code, topic.is_internal), (0, false), "v{version}");
        assert_eq!(topic.topic_id == id, version >= 10, "KIP-516");
        let partitions: Vec<i32> = topic.partitions.iter().map(|one| one.partition.0).collect();
        assert_eq!(partitions, [0, 1]);
        for one in &topic.partitions {
            assert_eq!((one.error_code, one.leader_id), (0, NodeId(NODE_ID)));
            assert_eq!(one.replica_nodes, [NodeId(NODE_ID)]);
            assert_eq!((&one.isr_nodes, &*one.offline_replicas), (&one.replica_nodes, &[][..]));
            let epoch = if version >= 7 { EPOCH } else { LeaderEpoch(-1) };
            assert_eq!(one.leader_epoch, epoch, "v{version}");
        }
    }
}

#[test]
fn nothing_is_created_for_a_client_that_has_gone() {
    let client = Client::with_topic();
    client.leave();
    let request = MetadataRequest {
        topics: named(&["t", "new"]),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    let response = client.metadata(VERSION_MAX, &request);
    assert_eq!(codes(&response), [("t", 0), ("new", code::LEADER_NOT_AVAILABLE)]);
    assert_eq!(client.double.catalog().topics.len(), 1);
}
