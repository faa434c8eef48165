//! The evil batches of the bad-input list: each is refused for its own reason.

use super::*;
use crate::builder::BatchBuilder;
use crate::header::tests::GOLDEN;
use crate::header::{TimestampType, seal, set_log_append_time};
use crate::records::Header;
use log_types::{ProducerEpoch, ProducerId};
use proptest::prelude::*;

const LOOSE: RecordRules = RecordRules { key_required: false };
const COMPACTED: RecordRules = RecordRules { key_required: true };

/// Overwrites `bytes` at `at` in the golden batch and makes the CRC right again.
fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = GOLDEN.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut batch);
    batch
}

fn check_batch(batch: &[u8], expect: BatchError) {
    assert_eq!(validate_batch(batch, LOOSE), Err(InvalidBatch::Batch(expect)));
}

#[test]
fn golden_passes() {
    let (header, summary) = validate_batch(GOLDEN, LOOSE).unwrap();
    assert_eq!(header.records_count, 2);
    assert_eq!(
        summary.unwrap(),
        BatchSummary {
            max_timestamp: 1_700_000_000_005,
            min_timestamp: 1_700_000_000_000,
            max_timestamp_delta: 1
        }
    );
}

#[test]
fn key_required_names_the_record() {
    // KIP-467: the answer says which record of the batch is bad.
    assert_eq!(
        validate_batch(GOLDEN, COMPACTED),
        Err(InvalidBatch::Record { index: 1, error: RecordError::MissingKey })
    );
}

#[test]
fn counts() {
    for (count, delta) in [(0, -1), (-1, -2), (3, 1), (2, 2), (i32::MIN, i32::MAX), (2, -1)] {
        let mut batch = GOLDEN.to_vec();
        batch[57..61].copy_from_slice(&i32::to_be_bytes(count));
        batch[23..27].copy_from_slice(&i32::to_be_bytes(delta));
        seal(&mut batch);
        check_batch(
            &batch,
            BatchError::BadCount { records_count: count, last_offset_delta: delta },
        );
    }
}

#[test]
fn count_that_agrees_with_itself_only() {
    let mut batch = GOLDEN.to_vec();
    batch[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
    batch[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    seal(&mut batch);
    assert_eq!(
        validate_batch(&batch, LOOSE),
        Err(InvalidBatch::Record { index: 2, error: RecordError::Truncated })
    );
}

#[test]
fn attributes_and_crc() {
    check_batch(&forged(21, &[0x00, 0x05]), BatchError::BadAttributes { attributes: 5 });
    check_batch(&forged(21, &[0x80, 0x00]), BatchError::BadAttributes { attributes: i16::MIN });
    let mut batch = GOLDEN.to_vec();
    batch[70] ^= 1;
    assert!(matches!(
        validate_batch(&batch, LOOSE),
        Err(InvalidBatch::Batch(BatchError::BadCrc { expected: 0xb67a_a81f, .. }))
    ));
    let two = [GOLDEN, GOLDEN].concat();
    check_batch(&two, BatchError::TrailingBytes { count: GOLDEN.len() });
}

#[test]
fn producers() {
    let bad = |id, epoch, sequence| BatchError::BadProducer {
        producer_id: id,
        producer_epoch: epoch,
        base_sequence: sequence,
    };
    check_batch(&forged(53, &(-1i32).to_be_bytes()), bad(7, 3, -1));
    check_batch(&forged(51, &(-1i16).to_be_bytes()), bad(7, -1, 11));
    let mut transactional = BatchBuilder::new().transactional();
    transactional.push(0, None, None, &[]).unwrap();
    check_batch(&transactional.build().unwrap(), bad(-1, -1, -1));
    let mut marker =
        BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), -1).transactional().control();
    marker.push(0, Some(b"\0\0\0\x01"), Some(b"\0\0\0\0\0\0"), &[]).unwrap();
    assert!(validate_batch(&marker.build().unwrap(), LOOSE).is_ok());
}

#[test]
fn offset_deltas_must_count_up() {
    // Second record's offset delta: last record is `0c 00 0a 02 01 01 00`.
    let at = GOLDEN.len() - 4;
    assert_eq!(GOLDEN[at], 0x02);
    assert_eq!(
        validate_batch(&forged(at, &[0x04]), LOOSE),
        Err(InvalidBatch::Record {
            index: 1,
            error: RecordError::BadOffsetDelta { expected: 1, found: 2 }
        })
    );
}

#[test]
fn timestamps_that_overflow() {
    assert_eq!(
        validate_batch(&forged(27, &i64::MAX.to_be_bytes()), LOOSE),
        Err(InvalidBatch::Record { index: 1, error: RecordError::TimestampOverflow })
    );
    // A lying maximum is the caller's business: the summary tells the truth.
    let (header, summary) = validate_batch(&forged(35, &i64::MIN.to_be_bytes()), LOOSE).unwrap();
    assert_eq!(header.max_timestamp, i64::MIN);
    assert_eq!(summary.unwrap().max_timestamp, 1_700_000_000_005);
}

#[test]
fn compressed_batches_are_left_to_the_caller() {
    let batch = forged(21, &[0x00, 0x04]);
    assert_eq!(validate_batch(&batch, COMPACTED).unwrap().1, None);
}

#[test]
fn log_append_time_batch_passes() {
    let mut batch = GOLDEN.to_vec();
    set_log_append_time(&mut batch, 5).unwrap();
    let (header, _) = validate_batch(&batch, LOOSE).unwrap();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppend);
}

proptest! {
    #[test]
    fn resealed_noise_never_panics(at in 8usize..GOLDEN.len(), noise in proptest::collection::vec(any::<u8>(), 1..9)) {
        let mut batch = GOLDEN.to_vec();
        for (byte, new) in batch[at..].iter_mut().zip(&noise) {
            *byte = *new;
        }
        seal(&mut batch);
        let _ = validate_batch(&batch, COMPACTED);
        let _ = validate_batch(&batch, LOOSE);
    }
}

/// Pieces of any size find what one go finds.
#[test]
fn pieces_give_what_one_go_gives() {
    let two = [Header { key: b"a", value: None }, Header { key: b"b", value: Some(b"1") }];
    let mut builder = BatchBuilder::new();
    for (timestamp, headers) in [(5, &two[..]), (9, &[]), (9, &two[..1]), (1, &two[..])] {
        builder.push(timestamp, None, Some(b"v"), headers).unwrap();
    }
    let batch = builder.build().unwrap();
    let header = BatchHeader::parse(&batch).unwrap();
    let whole = batch[BATCH_HEADER_BYTES..].to_vec();
    // With each byte damaged as well: the record that is bad is the same, and so is what is wrong with it.
    for at in 0..=whole.len() {
        let mut records = whole.clone();
        if let Some(byte) = records.get_mut(at) {
            *byte ^= 0x11;
        }
        for rules in [LOOSE, COMPACTED] {
            let expect = validate_records(&header, &records, rules);
            for count in [1, 2, 3, 100] {
                let mut check = RecordCheck::new(&header, &records, rules);
                let found = loop {
                    if let Some(found) = check.step(count).transpose() {
                        break found;
                    }
                };
                assert_eq!(found, expect, "damaged at {at}, by {count}");
            }
        }
    }
}
