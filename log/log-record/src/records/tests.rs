//! Record decoding: golden bytes, nulls, duplicate headers, hostile lengths.

use super::*;
use crate::header::BATCH_HEADER_BYTES;
use crate::header::tests::GOLDEN;
use crate::varint::write_varint;
use proptest::prelude::*;

#[test]
fn golden_records() {
    let records: Vec<_> =
        Records::new(&GOLDEN[BATCH_HEADER_BYTES..], 2).map(Result::unwrap).collect();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].key, records[0].value), (Some(&b"k1"[..]), Some(&b"v1"[..])));
    // Duplicate header keys are allowed and keep their order.
    let headers: Vec<_> = records[0].headers.map(Result::unwrap).collect();
    assert_eq!(
        headers,
        [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: Some(b"2") }]
    );
    assert_eq!((records[1].key, records[1].value), (None, None));
    assert_eq!((records[1].offset_delta, records[1].timestamp_delta), (1, 5));
    assert_eq!(records[1].headers.count(), 0);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = &GOLDEN[BATCH_HEADER_BYTES..];
    for len in 0..bytes.len() {
        assert!(Records::new(&bytes[..len], 2).any(|record| record.is_err()), "length {len}");
    }
}

#[test]
fn counts_that_lie() {
    let bytes = &GOLDEN[BATCH_HEADER_BYTES..];
    assert!(matches!(Records::new(bytes, 3).last(), Some(Err(RecordError::Truncated))));
    assert!(matches!(Records::new(bytes, i32::MAX).last(), Some(Err(RecordError::Truncated))));
    assert!(matches!(
        Records::new(bytes, 1).last(),
        Some(Err(RecordError::TrailingBytes { count: 7 }))
    ));
    assert_eq!(Records::new(bytes, -1).count(), 1);
    assert_eq!(Records::new(&[], i32::MIN).count(), 0);
}

/// A record whose body is `body`.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, i32::try_from(body.len()).unwrap());
    out.extend_from_slice(body);
    out
}

fn check_error(record: &[u8], expect: RecordError) {
    assert_eq!(Records::new(record, 1).next().unwrap().unwrap_err(), expect);
}

#[test]
fn hostile_lengths() {
    check_error(&[0x01], RecordError::BadLength { length: -1 });
    check_error(&[0xfe, 0xff, 0xff, 0xff, 0x0f], RecordError::Truncated);
    check_error(&framed(&[]), RecordError::Truncated);
    // Key length −2.
    check_error(&framed(&[0, 0, 0, 0x03, 1, 0]), RecordError::BadLength { length: -2 });
    // Key longer than the record, though the buffer has the bytes.
    let mut long_key = framed(&[0, 0, 0, 0x08, b'k']);
    long_key.extend_from_slice(&[b'x'; 20]);
    check_error(&long_key, RecordError::Truncated);
    // Header count 2^31−1, −1, and one more than fits.
    check_error(
        &framed(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        RecordError::BadLength { length: i32::MAX },
    );
    check_error(&framed(&[0, 0, 0, 1, 1, 0x01]), RecordError::BadLength { length: -1 });
    check_error(&framed(&[0, 0, 0, 1, 1, 0x04, 0, 1, 0]), RecordError::BadLength { length: 2 });
    // Bytes after the last header, or after no header.
    check_error(&framed(&[0, 0, 0, 1, 1, 0, 9]), RecordError::LengthMismatch { unread: 1 });
}

#[test]
fn header_errors_belong_to_the_header_iterator() {
    let record = framed(&[0, 0, 0, 1, 1, 0x02, 0, 1, 9, 9]);
    let mut headers = Records::new(&record, 1).next().unwrap().unwrap().headers;
    assert_eq!(headers.next().unwrap(), Err(RecordError::LengthMismatch { unread: 2 }));
    assert!(headers.next().is_none());
    // A null header key is not allowed.
    let record = framed(&[0, 0, 0, 1, 1, 0x02, 1, 1]);
    let mut headers = Records::new(&record, 1).next().unwrap().unwrap().headers;
    assert_eq!(headers.next().unwrap(), Err(RecordError::BadLength { length: -1 }));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in any::<i32>()) {
        for record in Records::new(&bytes, count).flatten() {
            prop_assert!(record.headers.take(1000).count() <= bytes.len());
        }
    }
}
