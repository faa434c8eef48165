//! The builder against golden bytes and against the readers.

use super::*;
use crate::header::tests::GOLDEN;
use crate::records::Records;
use crate::validate::{RecordRules, validate_batch};
use proptest::prelude::*;

#[test]
fn writes_the_golden_batch() {
    let mut builder = BatchBuilder::new().at(Offset(0), LeaderEpoch(0)).producer(
        ProducerId(7),
        ProducerEpoch(3),
        11,
    );
    let headers =
        [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: Some(b"2") }];
    builder.push(1_700_000_000_000, Some(b"k1"), Some(b"v1"), &headers).unwrap();
    builder.push(1_700_000_000_005, None, None, &[]).unwrap();
    assert_eq!(builder.build().unwrap(), GOLDEN);
}

#[test]
fn flags_and_codec() {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), -1).transactional().control();
    builder.push(1, Some(b"k"), None, &[]).unwrap();
    let batch = builder.clone().build().unwrap();
    let (header, _) = validate_batch(&batch, RecordRules::default()).unwrap();
    assert!(header.attributes.transactional() && header.attributes.control());
    let batch = builder.build_compressed(4, b"zzz").unwrap();
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(header.attributes.compression(), 4);
    assert_eq!(&batch[BATCH_HEADER_BYTES..], b"zzz");
}

#[test]
fn refusals() {
    assert_eq!(BatchBuilder::new().build(), Err(BuildError::Empty));
    let mut builder = BatchBuilder::new();
    builder.push(i64::MAX, None, None, &[]).unwrap();
    assert_eq!(builder.push(-2, None, None, &[]), Err(BuildError::TimestampRange));
    assert_eq!(builder.count(), 1);
    builder.push(0, None, None, &[]).unwrap();
    validate_batch(&builder.build().unwrap(), RecordRules::default()).unwrap();
}

type Plain = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..20)
}

fn plain() -> impl Strategy<Value = Plain> {
    let nullable = || proptest::option::of(bytes());
    let headers = proptest::collection::vec((bytes(), nullable()), 0..4);
    (-1_000_000_000_000i64..4_000_000_000_000, nullable(), nullable(), headers)
}

proptest! {
    #[test]
    fn round_trip(records in proptest::collection::vec(plain(), 1..20)) {
        let mut builder = BatchBuilder::new();
        for (time, key, value, headers) in &records {
            let headers: Vec<_> =
                headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            builder.push(*time, key.as_deref(), value.as_deref(), &headers).unwrap();
        }
        let batch = builder.build().unwrap();
        let (header, summary) = validate_batch(&batch, RecordRules::default()).unwrap();
        prop_assert_eq!(summary.unwrap().max_timestamp, header.max_timestamp);
        let back: Vec<Plain> = Records::new(&batch[BATCH_HEADER_BYTES..], header.records_count)
            .map(|record| {
                let record = record.unwrap();
                let headers = record.headers
                    .map(Result::unwrap)
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect();
                let time = header.base_timestamp + record.timestamp_delta;
                (time, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers)
            })
            .collect();
        prop_assert_eq!(back, records);
    }
}
