//! What a consumer is given at which offset, over real segments.

use broker_kafka_wire::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use bytes::Bytes;
use log_record::{BatchBuilder, Batches};
use log_types::{Offset, PartitionId};

use crate::client::{Client, batch, produce_request, settings, start};

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A batch of three records.
fn three() -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in [b"a", b"b", b"c"] {
        builder.push(1_000, None, Some(value), &[]).expect("a small record");
    }
    builder.build().expect("a small batch")
}

/// First and last offset of every batch from `offset` on, as far as `bytes_max` goes, and the error code.
fn fetch(client: &mut Client, offset: i64, bytes_max: i32) -> (i16, Vec<(i64, i64)>) {
    let partition = FetchPartition {
        partition: PartitionId(0),
        fetch_offset: Offset(offset),
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: "t".to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request =
        FetchRequest { topics: vec![topic], max_bytes: bytes_max, ..FetchRequest::default() };
    let body = client.call(&request.encode(11, 3, None).expect("encodes"));
    let (_, response) = FetchResponse::decode(&body, 11).expect("decodes");
    let partition = &response.topics[0].partitions[0];
    let bytes = partition.records.0.concat();
    let batches = Batches::strict(&bytes).map(|batch| {
        let (header, _) = batch.expect("whole batches");
        (header.base_offset.0, header.last_offset().0)
    });
    (partition.error_code, batches.collect())
}

/// DeleteRecords 0 for partition 0 of `t`, by hand: the error code and the new log start.
pub(crate) fn delete_records(client: &mut Client, before: i64) -> (i16, i64) {
    let mut request = vec![0, 21, 0, 0, 0, 0, 0, 4, 0xff, 0xff];
    request.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    request.extend(before.to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    let size = u32::try_from(request.len()).expect("a small frame");
    client.send(&[&size.to_be_bytes()[..], &request].concat());
    let answer = client.receive().expect("an answer");
    // Correlation id, throttle time, one topic `t`, one partition 0: then the start and the code.
    let outcome = &answer[4 + 4 + 4 + 3 + 4 + 4..];
    let log_start = i64::from_be_bytes(outcome[..8].try_into().expect("eight bytes"));
    (i16::from_be_bytes(outcome[8..10].try_into().expect("two bytes")), log_start)
}

/// docs/kafka-semantics.md, rule 10 and failure 8: the client trims; a batch is never cut, nor left out because it is larger than the limit.
#[test]
fn semantics_10_the_whole_batch_around_the_offset_is_returned() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    assert_eq!(client.produce("t", three()), (0, 0));
    assert_eq!(client.produce("t", three()), (0, 3));
    let large = 1 << 20;
    for (offset, bytes_max, batches) in [
        (0, large, vec![(0, 2), (3, 5)]),
        (2, large, vec![(0, 2), (3, 5)]),
        (4, large, vec![(3, 5)]),
        (0, 1, vec![(0, 2)]),
        (1, 1, vec![(0, 2)]),
        (5, 1, vec![(3, 5)]),
    ] {
        assert_eq!(fetch(&mut client, offset, bytes_max), (0, batches), "{offset}, {bytes_max}");
    }
    node.shutdown().expect("a clean stop");
}

/// docs/kafka-semantics.md, rules 13 and 24: out of range is below the log start or above the end, and the start holds over a restart.
#[test]
fn semantics_13_24_out_of_range_and_a_log_start_that_lasts() {
    let dir = tempfile::tempdir().expect("a directory");
    let out_of_range = (OFFSET_OUT_OF_RANGE, vec![]);
    for restarted in [false, true] {
        let node = start(settings(&dir));
        let mut client = Client::connect(node.kafka_addr());
        client.leader_epoch("t");
        if !restarted {
            assert_eq!(client.produce("t", three()), (0, 0));
            assert_eq!(client.produce("t", three()), (0, 3));
            assert_eq!(fetch(&mut client, 0, 1), (0, vec![(0, 2)]));
            assert_eq!(delete_records(&mut client, 4), (0, 4));
        }
        assert_eq!(fetch(&mut client, 3, 1), out_of_range, "restarted: {restarted}");
        assert_eq!(fetch(&mut client, 4, 1), (0, vec![(3, 5)]), "restarted: {restarted}");
        assert_eq!(fetch(&mut client, 6, 1), (0, vec![]), "the end is in range");
        assert_eq!(fetch(&mut client, 7, 1), out_of_range);
        assert_eq!(fetch(&mut client, -1, 1), out_of_range);
        node.shutdown().expect("a clean stop");
    }
}

/// A fetch of the first partitions of `t`, each from offset 0.
fn waiting(partitions: i32, min_bytes: usize, max_wait_ms: i32) -> FetchRequest {
    let partitions = (0..partitions).map(|partition| FetchPartition {
        partition: PartitionId(partition),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topic = FetchTopic {
        topic: "t".to_owned(),
        partitions: partitions.collect(),
        ..FetchTopic::default()
    };
    let min_bytes = i32::try_from(min_bytes).expect("a small number");
    let topics = vec![topic];
    FetchRequest { topics, min_bytes, max_wait_ms, max_bytes: 1 << 20, ..FetchRequest::default() }
}

/// Partition, error and number of bytes of each partition in an answer.
fn answered(client: &mut Client) -> Vec<(i32, i16, usize)> {
    let body = client.receive().expect("an answer");
    let (_, response) = FetchResponse::decode(&body, 11).expect("decodes");
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|one| (one.partition.0, one.error_code, one.records.len())).collect()
}

/// Longer than any test may take: whoever answers in time was not waiting for this.
const FOR_EVER_MS: i32 = i32::MAX;

/// docs/kafka-semantics.md, rule 10: a fetch waits until there are `min_bytes`, over all its partitions, and not for less.
#[test]
fn semantics_10_a_fetch_waits_for_min_bytes_over_its_partitions() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.broker.insert("num.partitions".to_owned(), "2".to_owned());
    let node = start(settings);
    let mut producer = Client::connect(node.kafka_addr());
    producer.leader_epoch("t");
    let one = three().len();
    for round in 0..2 {
        let mut consumer = Client::connect(node.kafka_addr());
        let before = round * 2;
        let request = waiting(2, one * (before + 2), FOR_EVER_MS);
        consumer.send(&request.encode(11, 3, None).expect("encodes").to_bytes());
        // Had the first of these been enough, the answer would have it alone.
        assert_eq!(producer.produce("t", three()).0, 0);
        assert_eq!(producer.produce("t", three()).0, 0);
        let bytes: usize = answered(&mut consumer).iter().map(|(_, _, bytes)| bytes).sum();
        assert_eq!(bytes, one * (before + 2));
    }
    node.shutdown().expect("a clean stop");
}

/// docs/kafka-semantics.md, rule 10: after `max_wait` what is there is the answer, be it nothing; an error is answered at once.
#[test]
fn semantics_10_a_fetch_ends_with_max_wait_and_with_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let mut ask = |partitions, min_bytes, max_wait_ms| {
        let request = waiting(partitions, min_bytes, max_wait_ms);
        client.send(&request.encode(11, 3, None).expect("encodes").to_bytes());
        answered(&mut client)
    };
    assert_eq!(ask(1, 1, 1), [(0, 0, 0)], "nothing, in the end");
    assert_eq!(ask(1, 0, FOR_EVER_MS), [(0, 0, 0)], "nothing is enough");
    assert_eq!(ask(2, 1, FOR_EVER_MS), [(0, 0, 0), (1, 3, 0)], "no such partition: at once");
    let mut producer = Client::connect(node.kafka_addr());
    assert_eq!(producer.produce("t", three()), (0, 0));
    let one = three().len();
    assert_eq!(ask(1, 10 * one, 1), [(0, 0, one)], "less than wanted, in the end");
    assert_eq!(ask(1, one, FOR_EVER_MS), [(0, 0, one)], "what is there is enough");
    node.shutdown().expect("a clean stop");
}

/// KIP-74: `max_bytes` holds over all partitions; only the first batch of all may be larger.
#[test]
fn semantics_10_max_bytes_holds_over_the_partitions() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.broker.insert("num.partitions".to_owned(), "2".to_owned());
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for partition in [0, 1] {
        let mut request = produce_request("t", three(), -1);
        request.topics[0].partitions[0].partition = PartitionId(partition);
        client.call(&request.encode(9, 2, None).expect("encodes"));
    }
    let one = three().len();
    for (max_bytes, expected) in [
        (1, [(0, 0, one), (1, 0, 0)]),
        (2 * one - 1, [(0, 0, one), (1, 0, 0)]),
        (2 * one, [(0, 0, one), (1, 0, one)]),
    ] {
        let mut request = waiting(2, 1, FOR_EVER_MS);
        request.max_bytes = i32::try_from(max_bytes).expect("a small number");
        client.send(&request.encode(11, 3, None).expect("encodes").to_bytes());
        assert_eq!(answered(&mut client), expected, "{max_bytes}");
    }
    node.shutdown().expect("a clean stop");
}

/// docs/kafka-semantics.md, rule 8: segments roll by size, records span them without a gap, the one in use is not deleted: offsets go on after
/// everything was, also over a restart.
#[test]
fn semantics_8_offsets_go_on_over_rolls_deletions_and_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let segment = || {
        let mut settings = settings(&dir);
        settings.segment_bytes = 1 << 20;
        settings
    };
    let value = vec![b'x'; 100 << 10];
    let node = start(segment());
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for offset in 0..40 {
        assert_eq!(client.produce("t", batch(&value)), (0, offset));
    }
    let mut next = 0;
    while next < 40 {
        let (code, batches) = fetch(&mut client, next, 1 << 20);
        assert_eq!((code, batches.first().map(|(base, _)| *base)), (0, Some(next)));
        for (base, last) in batches {
            assert_eq!(base, next, "no gap and nothing twice");
            next = last + 1;
        }
    }
    assert_eq!(delete_records(&mut client, 40), (0, 40));
    assert_eq!(fetch(&mut client, 39, 1), (OFFSET_OUT_OF_RANGE, vec![]));
    assert_eq!(fetch(&mut client, 40, 1), (0, vec![]));
    node.shutdown().expect("a clean stop");
    let node = start(segment());
    let mut client = Client::connect(node.kafka_addr());
    assert_eq!(client.produce("t", batch(&value)), (0, 40), "and not from 0");
    assert_eq!(fetch(&mut client, 40, 1), (0, vec![(40, 40)]));
    assert_eq!(fetch(&mut client, 39, 1), (OFFSET_OUT_OF_RANGE, vec![]));
    node.shutdown().expect("a clean stop");
}
