//! What a consumer is given at which offset, over real segments.

use broker_kafka_wire::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use bytes::Bytes;
use log_record::{BatchBuilder, Batches};
use log_types::{Offset, PartitionId};

use crate::client::{Client, settings, start};

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
fn delete_records(client: &mut Client, before: i64) -> (i16, i64) {
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

/// kafka.md §7.10 and §9.8: the client trims; a batch is never cut, nor left out because it is larger than the limit.
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

/// kafka.md §7.13 and §7.24: out of range is below the log start or above the end, and the start holds over a restart.
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
