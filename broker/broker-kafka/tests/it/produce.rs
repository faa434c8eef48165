//! Produce: what is refused before the log sees it.

use broker_kafka::broker::Broker;
use broker_kafka::code;
use broker_kafka_wire::{PartitionProduceData, ProduceRequest, TopicProduceData};
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

/// Error and base offset of a batch for partition 0 of `topic`.
fn produce(client: &Client, version: i16, acks: i16, topic: &str, batch: Bytes) -> (i16, i64) {
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
    let response = client.produce(version, &request);
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.base_offset.0)
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
