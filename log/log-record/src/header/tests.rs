//! Header golden bytes (written by an independent implementation), CRC vectors, patches.

use super::*;
use crate::builder::BatchBuilder;

/// Two records, the first with two headers of one key: written by kafka-python 3.0.12's batch builder.
pub(crate) const GOLDEN: &[u8] = &[
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x4b, 0x00, 0x00, 0x00, 0x00,
    0x02, 0xb6, 0x7a, 0xa8, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x01, 0x8b, 0xcf,
    0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x07, 0x00, 0x03, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x02, 0x24, 0x00, 0x00,
    0x00, 0x04, 0x6b, 0x31, 0x04, 0x76, 0x31, 0x04, 0x02, 0x68, 0x02, 0x31, 0x02, 0x68, 0x02, 0x32,
    0x0c, 0x00, 0x0a, 0x02, 0x01, 0x01, 0x00,
];

#[test]
fn golden_header() {
    let header = BatchHeader::parse(GOLDEN).unwrap();
    assert_eq!(
        header,
        BatchHeader {
            base_offset: Offset(0),
            batch_length: 75,
            partition_leader_epoch: LeaderEpoch(0),
            magic: 2,
            crc: 0xb67a_a81f,
            attributes: Attributes(0),
            last_offset_delta: 1,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_005,
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(3),
            base_sequence: 11,
            records_count: 2,
        }
    );
    assert_eq!(frame_len(GOLDEN), Ok(GOLDEN.len()));
    assert_eq!(header.frame_len(), GOLDEN.len());
    assert_eq!(header.next_offset(), Offset(2));
    assert_eq!(header.last_sequence(), 12);
    verify_crc(GOLDEN).unwrap();
    let mut written = Vec::new();
    write_header(&header, &mut written);
    assert_eq!(written, &GOLDEN[..BATCH_HEADER_BYTES]);
}

#[test]
fn crc32c_vectors() {
    // RFC 3720 B.4 and the catalogue's check value.
    let ascending: Vec<u8> = (0..32).collect();
    for (input, expect) in [
        (&b"123456789"[..], 0xe306_9283u32),
        (&[0u8; 32], 0x8a91_36aa),
        (&[0xffu8; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
    ] {
        let mut padded = vec![0u8; ATTRIBUTES_AT];
        padded.extend_from_slice(input);
        assert_eq!(compute_crc(&padded), Ok(expect));
    }
    // Every length around the SIMD block sizes agrees with the bitwise definition.
    let data: Vec<u8> = (0..1200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for len in ATTRIBUTES_AT..data.len() {
        assert_eq!(
            compute_crc(&data[..len]),
            Ok(bitwise(&data[ATTRIBUTES_AT..len])),
            "length {len}"
        );
    }
}

fn bitwise(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn every_truncation_is_an_error() {
    for len in 0..GOLDEN.len() {
        let cut = &GOLDEN[..len];
        assert!(matches!(frame_len(cut), Err(BatchError::Truncated { .. })), "length {len}");
        assert!(matches!(verify_crc(cut), Err(BatchError::Truncated { .. })), "length {len}");
        assert_eq!(BatchHeader::parse(cut).is_ok(), len >= BATCH_HEADER_BYTES);
    }
}

#[test]
fn every_flipped_bit_is_found_by_crc_or_length() {
    for at in LENGTH_AT..GOLDEN.len() {
        // Leader epoch and magic are outside the CRC; parse checks the magic.
        if (EPOCH_AT..CRC_AT).contains(&at) {
            continue;
        }
        for bit in 0..8 {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= 1 << bit;
            assert!(verify_crc(&bytes).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn bad_lengths() {
    for length in [i32::MIN, -1, 0, 48] {
        let mut bytes = GOLDEN.to_vec();
        bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(frame_len(&bytes), Err(BatchError::BadLength { batch_length: length }));
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::BadLength { batch_length: length }));
    }
    let mut bytes = GOLDEN.to_vec();
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    let needed = i32::MAX as usize + 12;
    assert_eq!(frame_len(&bytes), Err(BatchError::Truncated { needed, available: GOLDEN.len() }));
}

#[test]
fn other_magics_are_refused() {
    for magic in [-1i8, 0, 1, 3, i8::MAX] {
        let mut bytes = GOLDEN.to_vec();
        bytes[MAGIC_AT] = magic.to_be_bytes()[0];
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::UnsupportedMagic { magic }));
    }
}

#[test]
fn prefix_patch_keeps_the_crc() {
    let prefix = patched_prefix(GOLDEN, Offset(0x0102_0304_0506), LeaderEpoch(9)).unwrap();
    let mut patched = GOLDEN.to_vec();
    patched[..16].copy_from_slice(&prefix);
    verify_crc(&patched).unwrap();
    let header = BatchHeader::parse(&patched).unwrap();
    assert_eq!(header.base_offset, Offset(0x0102_0304_0506));
    assert_eq!(header.partition_leader_epoch, LeaderEpoch(9));
    assert_eq!(header.batch_length, 75);
    assert!(patched_prefix(&GOLDEN[..15], Offset(0), LeaderEpoch(0)).is_err());
}

#[test]
fn log_append_time() {
    let mut batch = GOLDEN.to_vec();
    set_log_append_time(&mut batch, 42).unwrap();
    verify_crc(&batch).unwrap();
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppend);
    assert_eq!((header.max_timestamp, header.base_timestamp), (42, 1_700_000_000_000));

    let mut long = GOLDEN.to_vec();
    long.push(0);
    let before = long.clone();
    assert_eq!(set_log_append_time(&mut long, 1), Err(BatchError::TrailingBytes { count: 1 }));
    assert!(set_log_append_time(&mut long[..60], 1).is_err());
    assert_eq!(long, before);
}

#[test]
fn attribute_bits() {
    let all = Attributes(0x7f);
    assert!(all.transactional() && all.control());
    assert_eq!(all.compression(), 7);
    assert!(!all.known() && !Attributes(0x80).known() && !Attributes(i16::MIN).known());
    assert!(Attributes(0x78 | 4).known() && !Attributes(5).known());
}

#[test]
fn sequences_wrap() {
    // Kafka: DefaultRecordBatch.incrementSequence wraps to 0 after i32::MAX.
    let mut builder = BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), i32::MAX - 1);
    for _ in 0..4 {
        builder.push(0, None, None, &[]).unwrap();
    }
    let batch = builder.build().unwrap();
    assert_eq!(BatchHeader::parse(&batch).unwrap().last_sequence(), 1);
}
