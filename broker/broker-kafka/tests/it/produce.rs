//! Produce: what is refused before the log sees it.

use broker_kafka::broker::Broker;
use broker_kafka::code;
use broker_kafka_wire::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use bytes::Bytes;
use log_codec::Compression;
use log_record::{BatchBuilder, Header};
use log_types::PartitionId;

use crate::client::Client;
use crate::double::NOW_MS;

fn builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, Some(b"k"), Some(b"v"), &[]).unwrap();
    builder
}

fn compressed(compression: Compression) -> Bytes {
    let records = log_codec::compress(compression, builder().records()).unwrap();
    builder().build_compressed(compression.id(), &records).unwrap()
}

/// The answer to a batch for partition 0 of `topic`.
fn ask(
    client: &Client,
    version: i16,
    acks: i16,
    topic: &str,
    batch: Bytes,
) -> PartitionProduceResponse {
    let request = ProduceRequest {
        acks,
        topics: vec![TopicProduceData {
            name: topic.to_owned(),
            topic_id: client.double.catalog().topic(topic).unwrap().id,
            partitions: vec![PartitionProduceData {
                partition: PartitionId(0),
                records: Some(batch),
            }],
        }],
        ..ProduceRequest::default()
    };
    client.produce(version, &request).topics.remove(0).partitions.remove(0)
}

/// Error and base offset.
fn produce(client: &Client, version: i16, acks: i16, topic: &str, batch: Bytes) -> (i16, i64) {
    let partition = ask(client, version, acks, topic, batch);
    (partition.error_code, partition.base_offset.0)
}

/// KIP-467: the records that are to blame, as Kafka 4.3.1 names them in the answer to the same batch. Compressed and not.
#[test]
fn kip_467_records_without_a_key_are_named_to_the_producer() {
    let client = Client::new();
    client.create("compacted", 1, &[("cleanup.policy", "compact")]);
    let message =
        "Compacted topic cannot accept message without key in topic partition compacted-0";
    let keyless = || {
        let mut builder = BatchBuilder::new();
        for key in [Some(&b"k"[..]), None, None] {
            builder.push(NOW_MS, key, Some(b"v"), &[]).unwrap();
        }
        builder
    };
    let gzip = log_codec::compress(Compression::Gzip, keyless().records()).unwrap();
    let gzip = keyless().build_compressed(Compression::Gzip.id(), &gzip).unwrap();
    for version in 8..=13 {
        for batch in [keyless().build().unwrap(), gzip.clone()] {
            let answer = ask(&client, version, -1, "compacted", batch);
            assert_eq!((answer.error_code, answer.base_offset.0), (87, -1), "INVALID_RECORD");
            let errors = answer.record_errors.iter();
            let errors: Vec<_> =
                errors.map(|one| (one.batch_index, one.message.as_deref())).collect();
            assert_eq!(errors, [(1, Some(message)), (2, Some(message))], "v{version}");
            let whole = answer.error_message.expect("from version 8 on");
            assert!(whole.starts_with("One or more records have been rejected"), "{whole}");
        }
    }
    let keyed = ask(&client, 13, -1, "compacted", builder().build().unwrap());
    assert_eq!((keyed.error_code, keyed.base_offset.0), (0, 0), "nothing else was appended");
    assert!(keyed.record_errors.is_empty() && keyed.error_message.is_none());
}

/// docs/kafka-semantics.md, rule 4, KIP-110: a client that sends zstd below version 7 is of a time when nobody could read it back.
#[test]
fn semantics_4_zstd_needs_produce_7() {
    let client = Client::with_topic();
    let mut next = 0;
    for version in 3..=13 {
        for id in 1..=4 {
            let compression = Compression::from_id(id).unwrap();
            let outcome = produce(&client, version, -1, "t", compressed(compression));
            if compression == Compression::Zstd && version < 7 {
                assert_eq!(outcome, (code::UNSUPPORTED_COMPRESSION_TYPE, -1), "v{version}");
            } else {
                assert_eq!(outcome, (0, next), "v{version} {}", compression.name());
                next += 1;
            }
        }
    }
}

/// The story: a record with 8 million headers was checked in one go where it is appended, which took 54 ms. A batch that may
/// have so many is looked at before, with yields, and others are not.
#[test]
fn what_may_have_very_many_headers_is_looked_at_before_it_is_appended() {
    let client = Client::with_topic();
    let with_headers = |count| {
        let mut builder = BatchBuilder::new();
        let headers = vec![Header { key: b"", value: None }; count];
        builder.push(NOW_MS, Some(b"k"), None, &headers).unwrap();
        builder.build().unwrap()
    };
    assert_eq!(produce(&client, 13, -1, "t", with_headers(9000)), (0, 0));
    assert_eq!(produce(&client, 13, -1, "t", with_headers(200_000)), (0, 1));
    assert_eq!(*client.double.seen.borrow(), [false, true]);
    assert_eq!(produce(&client, 13, -1, "t", with_headers(600_000)), (code::MESSAGE_TOO_LARGE, -1));
    assert_eq!(client.double.seen.borrow().len(), 2, "nor is it given to the log");
}

/// docs/kafka-semantics.md, rule 6: with one replica, `acks=all` cannot be what a topic of `min.insync.replicas` 2 promises; nothing is
/// appended then. Other acks do not ask for it.
#[test]
fn semantics_6_too_few_replicas_for_acks_all_append_nothing() {
    let client = Client::new();
    client.create("two", 1, &[("min.insync.replicas", "2")]);
    for (next, version) in (0..).zip(3..=13) {
        let produce = |acks| produce(&client, version, acks, "two", builder().build().unwrap());
        assert_eq!(produce(-1), (code::NOT_ENOUGH_REPLICAS, -1), "v{version}");
        assert_eq!(produce(1), (0, next), "v{version}: and nothing was appended before");
    }
}

/// docs/kafka-semantics.md, rule 6: acks is −1, 0 or 1.
#[test]
fn semantics_6_other_acks_are_refused_and_append_nothing() {
    let client = Client::with_topic();
    for (next, version) in (0..).zip(3..=13) {
        let produce = |acks| produce(&client, version, acks, "t", builder().build().unwrap());
        for acks in [i16::MIN, -2, 2, i16::MAX] {
            assert_eq!(produce(acks), (code::INVALID_REQUIRED_ACKS, -1), "v{version} {acks}");
        }
        assert_eq!(produce(1), (0, next), "v{version}: and nothing was appended before");
    }
}
