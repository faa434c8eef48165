//! Fetch: whole batches and incremental sessions (KIP-227), by name and by id.

use broker_core::catalog::TopicRef;
use broker_kafka::broker::{Broker, CatalogCommand};
use broker_kafka::code;
use broker_kafka_wire::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic,
};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

use crate::client::Client;
use crate::double::EPOCH;
use crate::topics::produce;

const SESSION_VERSION_MIN: i16 = 7;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;

struct Reader<'a> {
    client: &'a Client,
    version: i16,
}

impl Reader<'_> {
    fn topic_id(&self, name: &str) -> TopicId {
        self.client.double.catalog().topic(name).map(|topic| topic.id).unwrap_or(TopicId([9; 16]))
    }

    fn wanted(&self, name: &str, offsets: &[(i32, i64)]) -> FetchTopic {
        let partitions = offsets.iter().map(|(partition, offset)| FetchPartition {
            partition: PartitionId(*partition),
            fetch_offset: Offset(*offset),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        });
        FetchTopic {
            topic: name.to_owned(),
            topic_id: self.topic_id(name),
            partitions: partitions.collect(),
        }
    }

    fn request(&self, session: (i32, i32), topics: Vec<FetchTopic>) -> FetchRequest {
        FetchRequest {
            session_id: session.0,
            session_epoch: session.1,
            max_wait_ms: 100,
            min_bytes: 1,
            topics,
            ..FetchRequest::default()
        }
    }

    fn ask(&self, session: (i32, i32), topics: Vec<FetchTopic>) -> FetchResponse {
        self.client.fetch(self.version, &self.request(session, topics))
    }
}

/// Partition, error and bytes of every partition in the response.
fn shown(response: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let shown = partitions.map(|one| {
        let bytes = one.records.0.iter().map(bytes::Bytes::len).sum();
        (one.partition.0, one.error_code, bytes)
    });
    shown.collect()
}

#[test]
fn fetch_in_every_version() {
    let client = Client::with_topic();
    produce(&client, "t", 3);
    for version in 4..=18 {
        let reader = Reader { client: &client, version };
        let both = vec![reader.wanted("t", &[(0, 1), (1, 0), (9, 0)])];
        let response = reader.ask((0, -1), both);
        let seen = shown(&response);
        assert_eq!((response.error_code, response.session_id), (0, 0), "v{version}");
        assert!(seen[0].2 > 0, "the whole batch around offset 1: {seen:?}");
        assert_eq!(seen[1..], [(1, 0, 0), (9, code::UNKNOWN_TOPIC_OR_PARTITION, 0)]);
        let topic = &response.topics[0];
        if version >= 13 {
            assert_eq!(topic.topic_id, reader.topic_id("t"), "KIP-516");
        } else {
            assert_eq!(topic.topic, "t");
        }
        assert_eq!(topic.partitions[0].high_watermark, Offset(3));
        let unknown = reader.ask((0, -1), vec![reader.wanted("gone", &[(0, 0)])]);
        let expected = if version >= 13 { code::UNKNOWN_TOPIC_ID } else { 3 };
        assert_eq!(shown(&unknown), [(0, expected, 0)]);
        let beyond = reader.ask((0, -1), vec![reader.wanted("t", &[(0, 4)])]);
        assert_eq!(shown(&beyond), [(0, code::OFFSET_OUT_OF_RANGE, 0)]);
    }
}

#[test]
fn kip_320_fetch_fences_old_leader_epochs() {
    let client = Client::with_topic();
    for version in 9..=18 {
        let reader = Reader { client: &client, version };
        let ask = |epoch| {
            let mut topic = reader.wanted("t", &[(0, 0)]);
            topic.partitions[0].current_leader_epoch = LeaderEpoch(epoch);
            shown(&reader.ask((0, -1), vec![topic]))[0].1
        };
        assert_eq!(ask(EPOCH.0), 0);
        assert_eq!(ask(EPOCH.0 - 1), code::FENCED_LEADER_EPOCH);
        assert_eq!(ask(EPOCH.0 + 1), code::UNKNOWN_LEADER_EPOCH);
    }
}

/// KIP-595: the field exists from version 12 on, and is an answer of its own: nothing else is waited for, nor sent.
#[test]
fn kip_595_divergence_is_answered_from_version_12_on() {
    let client = Client::with_topic();
    produce(&client, "t", 3);
    for version in 4..=18 {
        let reader = Reader { client: &client, version };
        let ask = |last_fetched_epoch, offset| {
            let mut topic = reader.wanted("t", &[(0, offset)]);
            topic.partitions[0].last_fetched_epoch = LeaderEpoch(last_fetched_epoch);
            let response = reader.ask((0, -1), vec![topic]);
            let partition = &response.topics[0].partitions[0];
            assert_eq!(partition.error_code, 0, "v{version}");
            let EpochEndOffset { epoch, end_offset } = partition.diverging_epoch;
            (epoch.0, end_offset.0, !partition.records.is_empty())
        };
        // An epoch from before the log's first one ended where the log begins.
        let older = if version >= 12 { (EPOCH.0 - 1, 0, false) } else { (-1, -1, true) };
        assert_eq!(ask(EPOCH.0 - 1, 1), older, "v{version}");
        assert_eq!(ask(EPOCH.0, 1), (-1, -1, true), "v{version}: the same epoch");
        assert_eq!(ask(-1, 1), (-1, -1, true), "v{version}: a client that does not say");
    }
}

#[test]
fn kip_227_a_session_answers_only_with_news() {
    for version in SESSION_VERSION_MIN..=18 {
        let client = Client::with_topic();
        produce(&client, "t", 3);
        let reader = Reader { client: &client, version };
        let first = reader.ask((0, 0), vec![reader.wanted("t", &[(0, 0), (1, 0)])]);
        assert_ne!(first.session_id, 0, "v{version}");
        assert_eq!(shown(&first).len(), 2, "a full fetch names everything");
        let id = first.session_id;
        // The consumer has read up to 3 now.
        let quiet = reader.ask((id, 1), vec![reader.wanted("t", &[(0, 3)])]);
        assert_eq!((quiet.error_code, quiet.session_id, shown(&quiet).len()), (0, id, 0));
        produce(&client, "t", 2);
        let news = reader.ask((id, 2), Vec::new());
        assert!(matches!(shown(&news)[..], [(0, 0, bytes)] if bytes > 0), "{news:?}");
        let mut forget = reader.request((id, 3), Vec::new());
        forget.forgotten_topics = vec![ForgottenTopic {
            topic: "t".to_owned(),
            topic_id: reader.topic_id("t"),
            partitions: vec![PartitionId(0)],
        }];
        let forgotten = client.fetch(version, &forget);
        assert_eq!((forgotten.session_id, shown(&forgotten).len()), (id, 0), "forgotten");
        let again = reader.ask((id, 4), vec![reader.wanted("t", &[(0, 3)])]);
        assert_eq!(shown(&again).len(), 1, "added again");
    }
}

#[test]
fn kip_227_session_errors_and_closing() {
    for version in SESSION_VERSION_MIN..=18 {
        let client = Client::with_topic();
        let reader = Reader { client: &client, version };
        let open = || reader.ask((0, 0), vec![reader.wanted("t", &[(0, 0)])]).session_id;
        let error = |session| {
            let response = reader.ask(session, Vec::new());
            (response.error_code, response.session_id, response.topics.len())
        };
        let id = open();
        let (no_session, bad_epoch) = (FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH);
        assert_eq!(error((id + 1000, 1)), (no_session, 0, 0), "v{version}");
        assert_eq!(error((id, 2)), (bad_epoch, 0, 0), "skips one");
        assert_eq!(error((id, 1)).0, 0);
        assert_eq!(error((id, 1)), (bad_epoch, 0, 0), "repeats one");
        let closed = reader.ask((id, -1), Vec::new());
        assert_eq!((closed.error_code, closed.session_id), (0, 0));
        assert_eq!(error((id, 2)), (no_session, 0, 0), "closed");
        let (old, new) = (open(), open());
        assert_ne!(old, new);
        let replaced = reader.ask((old, 0), vec![reader.wanted("t", &[(0, 0)])]);
        assert_ne!(replaced.session_id, old, "a full fetch closes the session it names");
        assert_eq!(error((old, 1)).0, no_session);
        assert_eq!(error((new, 1)).0, 0);
    }
}

#[test]
fn kip_227_a_partition_that_failed_is_news_until_it_works() {
    let client = Client::with_topic();
    let reader = Reader { client: &client, version: 12 };
    let first = reader.ask((0, 0), vec![reader.wanted("later", &[(0, 0)])]);
    assert_eq!(shown(&first), [(0, code::UNKNOWN_TOPIC_OR_PARTITION, 0)]);
    let id = first.session_id;
    let again = reader.ask((id, 1), Vec::new());
    assert_eq!(shown(&again), [(0, code::UNKNOWN_TOPIC_OR_PARTITION, 0)]);
    client.create("later", 1, &[]);
    let works = reader.ask((id, 2), Vec::new());
    assert_eq!(shown(&works), [(0, 0, 0)]);
    assert!(reader.ask((id, 3), Vec::new()).topics.is_empty());
}

#[test]
fn kip_516_a_session_by_name_refuses_ids() {
    let client = Client::with_topic();
    let old = Reader { client: &client, version: 12 };
    let id = old.ask((0, 0), vec![old.wanted("t", &[(0, 0)])]).session_id;
    let new = Reader { client: &client, version: 13 };
    assert_eq!(new.ask((id, 1), Vec::new()).error_code, 106, "FETCH_SESSION_TOPIC_ID_ERROR");
}

#[test]
fn semantics_16_a_recreated_topic_is_not_read_with_the_old_id() {
    let client = Client::with_topic();
    let reader = Reader { client: &client, version: 13 };
    let wanted = reader.wanted("t", &[(0, 0)]);
    let id = reader.ask((0, 0), vec![wanted]).session_id;
    let deletion = CatalogCommand::DeleteTopic(TopicRef::Name("t".to_owned()));
    let deleting = client.double.change_catalog(deletion);
    futures_executor::block_on(deleting).expect("deleted");
    client.create("t", 1, &[]);
    assert_eq!(shown(&reader.ask((id, 1), Vec::new())), [(0, code::UNKNOWN_TOPIC_ID, 0)]);
}

#[test]
fn kip_110_topics_in_zstd_are_refused_to_clients_that_cannot_read_them() {
    let client = Client::new();
    client.create("z", 1, &[("compression.type", "zstd")]);
    produce(&client, "z", 3);
    for version in 4..=18 {
        let reader = Reader { client: &client, version };
        let seen = shown(&reader.ask((0, -1), vec![reader.wanted("z", &[(0, 0)])]));
        let expected = if version < 10 { code::UNSUPPORTED_COMPRESSION_TYPE } else { 0 };
        assert_eq!(seen[0].1, expected, "v{version}");
    }
}

/// docs/kafka-semantics.md, rule 15, as far as it applies without replicas: a consumer that names its rack is served here, and sent nowhere
/// else.
#[test]
fn semantics_15_a_rack_has_no_preferred_replica() {
    let client = Client::with_topic();
    produce(&client, "t", 3);
    for version in 11..=18 {
        let reader = Reader { client: &client, version };
        let mut request = reader.request((0, -1), vec![reader.wanted("t", &[(0, 0)])]);
        request.rack_id = "rack".to_owned();
        let response = client.fetch(version, &request);
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.preferred_read_replica, log_types::NodeId(-1), "v{version}");
        assert!(shown(&response)[0].2 > 0, "v{version}");
    }
}
