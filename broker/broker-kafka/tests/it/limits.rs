//! Limits of what a request may ask for, at the limit, one above and at 2^31−1. What has a test with its API is not here again.

use std::time::Duration;

use broker_kafka_wire::{FetchPartition, FetchRequest, FetchTopic};
use log_types::PartitionId;

use crate::client::Client;

/// A fetch by name of so many partitions of `topic`, which waits for a first byte.
fn fetch(topic: &str, partitions: i32) -> FetchRequest {
    let one = |partition| FetchPartition {
        partition: PartitionId(partition),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: (0..partitions).map(one).collect(),
        ..FetchTopic::default()
    };
    FetchRequest { session_epoch: -1, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() }
}

const BY_NAME: i16 = 12;

#[test]
fn a_fetch_reads_55_mebibytes_at_most() {
    let client = Client::with_topic();
    let limit = 55 << 20;
    for (max_bytes, expected) in
        [(limit - 1, limit - 1), (limit, limit), (limit + 1, limit), (i32::MAX, limit), (-1, 0)]
    {
        client.fetch(BY_NAME, &FetchRequest { max_bytes, ..fetch("t", 1) });
        let asked = client.double.read_bytes_max.take();
        assert_eq!(asked.first().copied(), usize::try_from(expected).ok(), "{max_bytes}");
    }
}

/// Of more than 1024 partitions a fetch holds memory that is in no budget, so it waits for a second only.
#[test]
fn a_fetch_waits_for_five_minutes_at_most_and_a_large_one_for_a_second() {
    let client = Client::new();
    client.create("t", 1025, &[]);
    for (partitions, limit) in [(1, 300_000), (1024, 300_000), (1025, 1000)] {
        for (max_wait_ms, expected) in
            [(limit - 1, limit - 1), (limit, limit), (limit + 1, limit), (i32::MAX, limit)]
        {
            client.fetch(BY_NAME, &FetchRequest { max_wait_ms, ..fetch("t", partitions) });
            let expected = Duration::from_millis(u64::try_from(expected).unwrap());
            assert_eq!(client.double.slept.take(), [expected], "{partitions}: {max_wait_ms}");
        }
        client.fetch(BY_NAME, &FetchRequest { max_wait_ms: -1, ..fetch("t", partitions) });
        assert!(client.double.slept.take().is_empty(), "a wait below zero is none");
    }
}

/// Names are kept per partition: what cannot be a topic's closes the connection.
#[test]
fn a_name_longer_than_any_topics_closes_the_connection() {
    let client = Client::new();
    for (bytes, answered) in [(249, true), (250, false), (32_767, false)] {
        let frame = fetch(&"x".repeat(bytes), 1).encode(BY_NAME, 1, None).unwrap();
        let response = client.send(frame.to_bytes().slice(4..)).unwrap();
        let sent = matches!(response, broker_kafka::Response::Send(..));
        assert_eq!(sent, answered, "{bytes}");
    }
}
