//! ListOffsets by value: the places below zero in every version, and times that lie inside a batch.

use broker_kafka_wire::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use bytes::Bytes;
use log_record::BatchBuilder;
use log_types::PartitionId;

use crate::client::{Client, settings, start};
use crate::fetch::delete_records;

const UNSUPPORTED_VERSION: i16 = 35;

/// Where no record is found, or none is looked for.
const NOWHERE: (i16, i64, i64, i32) = (0, -1, -1, -1);

fn batch(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for timestamp in timestamps {
        builder.push(*timestamp, None, Some(b"v"), &[]).expect("a small record");
    }
    builder.build().expect("a small batch")
}

/// Error, offset, timestamp and leader epoch of partition 0 of `t`.
fn find(client: &mut Client, version: i16, timestamp: i64) -> (i16, i64, i64, i32) {
    let partition = ListOffsetsPartition {
        partition: PartitionId(0),
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
    let body = client.call(&request.encode(version, 5, None).expect("encodes"));
    let (_, response) = ListOffsetsResponse::decode(&body, version).expect("decodes");
    let found = &response.topics[0].partitions[0];
    (found.error_code, found.offset.0, found.timestamp, found.leader_epoch.0)
}

/// Offset and timestamp of the first record at or after a time.
fn at_time(client: &mut Client, timestamp: i64) -> (i64, i64) {
    let (error_code, offset, timestamp, _) = find(client, 11, timestamp);
    assert_eq!(error_code, 0);
    (offset, timestamp)
}

/// docs/kafka-semantics.md, rule 9: −1 to −6, each from the version on that has it, of a log that two leader epochs wrote and whose first
/// records are gone.
#[test]
fn semantics_9_the_places_below_zero_by_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    assert_eq!(client.produce("t", batch(&[100, 300, 200])), (0, 0));
    assert_eq!(delete_records(&mut client, 1), (0, 1));
    node.shutdown().expect("a clean stop");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    assert_eq!(client.produce("t", batch(&[150, 250])), (0, 3));
    for version in 1..=11 {
        let epoch = |epoch| if version >= 4 { epoch } else { -1 };
        let from = |version_min, found| match version >= version_min {
            true => found,
            false => (UNSUPPORTED_VERSION, -1, -1, -1),
        };
        let earliest = (0, 1, -1, epoch(1));
        for (timestamp, expected) in [
            (-1, (0, 5, -1, epoch(2))),
            (-2, earliest),
            (-3, from(7, (0, 1, 300, 1))),
            (-4, from(8, earliest)),
            (-5, from(9, NOWHERE)),
            (-6, from(11, NOWHERE)),
            (-7, from(12, NOWHERE)),
            (i64::MIN, from(12, NOWHERE)),
            (250, (0, 1, 300, epoch(1))),
            (301, NOWHERE),
        ] {
            assert_eq!(find(&mut client, version, timestamp), expected, "v{version} {timestamp}");
        }
    }
    assert_eq!(delete_records(&mut client, 5), (0, 5));
    assert_eq!(find(&mut client, 11, -2), (0, 5, -1, 2), "empty: what comes next is of this epoch");
    assert_eq!(find(&mut client, 11, -3), NOWHERE);
    assert_eq!(find(&mut client, 11, 0), NOWHERE);
    node.shutdown().expect("a clean stop");
}

/// docs/kafka-semantics.md, rule 9 and failure 2: the first *offset* whose timestamp is at least the target, be it inside a batch, also where times
/// are not in order, also when the index comes from the disk.
#[test]
fn semantics_9_the_first_offset_at_or_after_a_time_inside_a_batch() {
    let dir = tempfile::tempdir().expect("a directory");
    for restarted in [false, true] {
        let node = start(settings(&dir));
        let mut client = Client::connect(node.kafka_addr());
        client.leader_epoch("t");
        if !restarted {
            assert_eq!(client.produce("t", batch(&[100, 200, 300])), (0, 0));
            assert_eq!(client.produce("t", batch(&[250, 50, 400, 350])), (0, 3));
        }
        for (timestamp, expected) in [
            (0, (0, 100)),
            (100, (0, 100)),
            (101, (1, 200)),
            (200, (1, 200)),
            (201, (2, 300)),
            (300, (2, 300)),
            (301, (5, 400)),
            (400, (5, 400)),
            (401, (-1, -1)),
            (i64::MAX, (-1, -1)),
        ] {
            let found = at_time(&mut client, timestamp);
            assert_eq!(found, expected, "{timestamp}, restarted: {restarted}");
        }
        node.shutdown().expect("a clean stop");
    }
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for (log_start, expected) in [(1, (1, 200)), (3, (3, 250)), (4, (5, 400)), (6, (6, 350))] {
        assert_eq!(delete_records(&mut client, log_start), (0, log_start));
        assert_eq!(at_time(&mut client, 60), expected, "from {log_start}");
    }
    node.shutdown().expect("a clean stop");
}
