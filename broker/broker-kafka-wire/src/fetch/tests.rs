//! The scatter list: batches are passed on as the slices they are, lengths are right up front.

use super::*;
use crate::WireError;
use bytes::Bytes;

fn response(slices: Vec<Bytes>) -> FetchResponse {
    let partition = FetchPartitionResponse {
        partition: PartitionId(2),
        high_watermark: Offset(10),
        records: BatchSlices(slices),
        ..Default::default()
    };
    let topic = FetchTopicResponse {
        topic: "t".to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchResponse { topics: vec![topic], ..Default::default() }
}

#[test]
fn golden_version_4_and_no_copy() {
    let slices = vec![Bytes::from(vec![1u8; 3]), Bytes::from(vec![2u8; 2])];
    let frame = response(slices.clone()).encode(4, 6).unwrap();
    let expect: &[u8] = &[
        0, 0, 0, 54, 0, 0, 0, 6, 0, 0, 0, 0, // size, correlation id, throttle
        0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, // one topic, one partition
        0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, // partition, error, high watermark
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // last stable offset
        0xff, 0xff, 0xff, 0xff, // no aborted transactions
        0, 0, 0, 5, 1, 1, 1, 2, 2, // records
    ];
    assert_eq!(frame.to_bytes(), expect);
    assert_eq!(frame.len(), frame.to_bytes().len());
    let segments = frame.into_segments();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[1].as_ptr(), slices[0].as_ptr());
    assert_eq!(segments[2].as_ptr(), slices[1].as_ptr());
}

#[test]
fn flexible_versions_have_bytes_after_the_records() {
    for version in [12, 13, 18] {
        let frame = response(vec![Bytes::from(vec![7u8; 200])]).encode(version, 6).unwrap();
        assert_eq!(frame.segments().len(), 3);
        let (id, back) = FetchResponse::decode(&frame.to_bytes().slice(4..), version).unwrap();
        assert_eq!((id, back.topics[0].partitions[0].records.len()), (6, 200));
    }
}

#[test]
fn too_large_for_the_size_field() {
    // 2 GiB made of one megabyte passed on 2048 times: nothing is copied, so the test is cheap.
    let megabyte = Bytes::from(vec![0u8; 1 << 20]);
    let error = response(vec![megabyte; 2048]).encode(4, 0).unwrap_err();
    assert!(matches!(error, WireError::TooLarge { .. }));
    let long = "x".repeat(40_000);
    let request = FetchRequest { rack_id: long, ..Default::default() };
    for version in [11, 12] {
        assert_eq!(
            request.encode(version, 0, None).unwrap_err(),
            WireError::TooLarge { length: 40_000 }
        );
    }
}
