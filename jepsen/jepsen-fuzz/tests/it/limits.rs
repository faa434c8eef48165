//! The limits of the pure decoders: each at the limit, one above, and at 2^31 − 1, with what a refusal may allocate.

use broker_core::fields::{FieldReader, FieldWriter};
use broker_kafka_wire::{
    ApiKey, ELEMENTS_MAX, GUARDED_ELEMENTS_MAX, MetadataRequest, OffsetFetchRequest,
    ProduceRequest, RequestHeader, WireError, decode_guarded,
};
use bytes::{Bytes, BytesMut};
use jepsen_fuzz::alloc::measured;
use log_codec::{CodecError, Compression, compress, decompress};
use log_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchError, BatchHeader, Records, frame_len};
use proto_pg::codec::{Startup, decode_frame, decode_message, decode_startup};

/// What refusing may cost: an error, not a buffer.
const REFUSAL_BYTES_MAX: usize = 1024;

/// The result of a decoder that must not allocate for what it refuses.
#[track_caller]
fn cheap<T, E: std::fmt::Debug>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let (usage, result) = measured(decode);
    if result.is_err() {
        assert!(usage.peak_bytes <= REFUSAL_BYTES_MAX, "{} bytes to refuse", usage.peak_bytes);
    }
    result
}

/// Metadata 0: a count and then `present` empty names of 2 bytes each.
fn metadata(count: i32, present: usize) -> Bytes {
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 2 * present, 0);
    Bytes::from(body)
}

fn count(count: usize) -> i32 {
    i32::try_from(count).expect("a test's count")
}

#[test]
fn array_counts_of_the_own_codec() {
    let decode = |body: Bytes| cheap(|| MetadataRequest::decode(&body, 0));
    assert_eq!(decode(metadata(10, 10)).unwrap().topics.unwrap().len(), 10);
    assert_eq!(decode(metadata(11, 10)), Err(WireError::BadCount { count: 11, available: 20 }));
    let most = i32::MAX;
    assert_eq!(
        decode(metadata(most, 10)),
        Err(WireError::BadCount { count: most.into(), available: 20 })
    );
    assert_eq!(decode(metadata(-2, 10)), Err(WireError::BadLength { length: -2 }));
    assert!(decode(metadata(count(ELEMENTS_MAX), ELEMENTS_MAX)).is_ok());
    let above = ELEMENTS_MAX + 1;
    assert_eq!(decode(metadata(count(above), above)), Err(WireError::TooManyElements));
}

#[test]
fn array_counts_behind_the_guard() {
    let decode =
        |body: Bytes| cheap(|| decode_guarded(ApiKey::DescribeGroups, 0, &body).map(|_| ()));
    assert_eq!(decode(metadata(10, 10)), Ok(()));
    assert!(matches!(decode(metadata(11, 10)), Err(WireError::BadCount { count: 11, .. })));
    assert!(matches!(decode(metadata(i32::MAX, 10)), Err(WireError::BadCount { .. })));
    let most = GUARDED_ELEMENTS_MAX;
    assert_eq!(decode(metadata(count(most), most)), Ok(()));
    assert_eq!(decode(metadata(count(most + 1), most + 1)), Err(WireError::TooManyElements));
}

#[test]
fn elements_are_counted_over_the_whole_message() {
    // OffsetDelete 0: a group, then topics that each hold an array of partitions.
    let inside = GUARDED_ELEMENTS_MAX / 2;
    let body = |extra: usize| {
        let mut body = vec![0, 1, b'g'];
        body.extend_from_slice(&2i32.to_be_bytes());
        for partitions in [inside, GUARDED_ELEMENTS_MAX - inside - 2 + extra] {
            body.extend_from_slice(&[0, 1, b't']);
            body.extend_from_slice(&count(partitions).to_be_bytes());
            body.resize(body.len() + 4 * partitions, 0);
        }
        Bytes::from(body)
    };
    let decode = |body: Bytes| cheap(|| decode_guarded(ApiKey::OffsetDelete, 0, &body).map(|_| ()));
    assert_eq!(decode(body(0)), Ok(()));
    assert_eq!(decode(body(1)), Err(WireError::TooManyElements));
}

#[test]
fn the_largest_amplification_is_bounded() {
    // OffsetFetch 8: groups of 3 bytes on the wire (empty id, no topics, no tags) are the worst that a request holds.
    let body = |groups: u32| {
        let mut body = Vec::new();
        log_record::write_uvarint(&mut body, groups + 1);
        (0..groups).for_each(|_| body.extend_from_slice(&[1, 1, 0]));
        body.extend_from_slice(&[0, 0]);
        Bytes::from(body)
    };
    let most = u32::try_from(ELEMENTS_MAX).unwrap();
    for groups in [10_000, most] {
        let body = body(groups);
        let (usage, decoded) = measured(|| OffsetFetchRequest::decode(&body, 8).map(drop));
        assert_eq!(decoded, Ok(()));
        assert!(usage.peak_bytes <= 64 * body.len(), "{} for {}", usage.peak_bytes, body.len());
        eprintln!("{groups} groups: {} bytes of {}", usage.peak_bytes, body.len());
    }
    let body = body(most + 1);
    let refused = cheap(|| OffsetFetchRequest::decode(&body, 8).map(drop));
    assert_eq!(refused, Err(WireError::TooManyElements));
}

#[test]
fn strings_of_a_request_header() {
    let request = |length: i16, present: usize| {
        let mut request = vec![0, 18, 0, 0, 0, 0, 0, 7];
        request.extend_from_slice(&length.to_be_bytes());
        request.resize(request.len() + present, b'c');
        Bytes::from(request)
    };
    let parse = |request: Bytes| cheap(|| RequestHeader::parse(&request).map(|(header, _)| header));
    let longest = usize::from(i16::MAX.cast_unsigned());
    assert_eq!(parse(request(i16::MAX, longest)).unwrap().client_id.unwrap().len(), longest);
    assert!(matches!(parse(request(i16::MAX, longest - 1)), Err(WireError::Truncated { .. })));
    assert_eq!(parse(request(-2, 4)), Err(WireError::BadLength { length: -2 }));
}

#[test]
fn compact_strings_and_counts() {
    // FindCoordinator 3: a compact key, a key type, tags. Lengths are stored plus one.
    let body = |stored: &[u8], present: usize| {
        let mut body = stored.to_vec();
        body.resize(body.len() + present, b'k');
        body.extend_from_slice(&[0, 0]);
        Bytes::from(body)
    };
    let decode =
        |body: Bytes| cheap(|| decode_guarded(ApiKey::FindCoordinator, 3, &body).map(|_| ()));
    assert_eq!(decode(body(&[0x80, 0x80, 0x02], 0x7fff)), Ok(()));
    assert_eq!(
        decode(body(&[0x81, 0x80, 0x02], 0x8000)),
        Err(WireError::BadLength { length: 0x8000 })
    );
    let most = [0xff, 0xff, 0xff, 0xff, 0x07];
    assert_eq!(decode(body(&most, 10)), Err(WireError::BadLength { length: 0x7fff_fffe }));
    let beyond = [0xff, 0xff, 0xff, 0xff, 0x1f];
    assert_eq!(decode(body(&beyond, 10)), Err(WireError::BadVarint));
}

#[test]
fn records_of_a_produce_request() {
    // Produce 3 without transactional id: acks, timeout, one topic "t" with one partition 0.
    let body = |length: i32, present: usize| {
        let mut body = vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1];
        body.extend_from_slice(&[0, 0, 0, 0]);
        body.extend_from_slice(&length.to_be_bytes());
        body.resize(body.len() + present, 0);
        Bytes::from(body)
    };
    let decode = |body: Bytes| measured(|| ProduceRequest::decode(&body, 3).map(|_| ()));
    assert_eq!(decode(body(1_000_000, 1_000_000)).1, Ok(()));
    for claimed in [1_000_001, i32::MAX] {
        let (usage, result) = decode(body(claimed, 1_000_000));
        assert!(matches!(result, Err(WireError::Truncated { .. })), "{result:?}");
        assert!(usage.peak_bytes <= REFUSAL_BYTES_MAX, "{} bytes", usage.peak_bytes);
    }
}

#[test]
fn batch_lengths_and_record_counts() {
    let mut builder = BatchBuilder::new();
    for _ in 0..10 {
        builder.push(1, None, Some(b"v"), &[]).unwrap();
    }
    let batch = builder.build().unwrap();
    let with_length = |length: i32| {
        let mut batch = batch.to_vec();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch
    };
    let exact = count(batch.len() - 12);
    assert_eq!(frame_len(&with_length(exact)), Ok(batch.len()));
    for claimed in [exact + 1, i32::MAX] {
        assert!(matches!(frame_len(&with_length(claimed)), Err(BatchError::Truncated { .. })));
    }
    assert_eq!(frame_len(&with_length(48)), Err(BatchError::BadLength { batch_length: 48 }));
    let header = BatchHeader::parse(&batch).unwrap();
    let records = &batch[BATCH_HEADER_BYTES..];
    let read =
        |claimed: i32| cheap(|| Records::new(records, claimed).try_for_each(|r| r.map(|_| ())));
    assert_eq!(read(header.records_count), Ok(()));
    for claimed in [9, 11, i32::MAX, 0, -1] {
        assert!(read(claimed).is_err(), "{claimed} records");
    }
}

#[test]
fn decompressed_sizes() {
    for codec in Compression::ALL {
        let packed = compress(codec, &vec![7; 100_000]).unwrap();
        assert_eq!(decompress(codec, &packed, 100_000).unwrap().len(), 100_000, "{codec}");
        let refused = decompress(codec, &packed, 99_999);
        assert!(matches!(refused, Err(CodecError::OutputLimit { bytes_max: 99_999 })), "{codec}");
        // A generous cap is a permission, not a size: no more is allocated than comes out, and the codec's own.
        let most = usize::try_from(i32::MAX).unwrap();
        let (usage, result) = measured(|| decompress(codec, &packed, most));
        assert_eq!(result.unwrap().len(), 100_000, "{codec}");
        assert!(usage.peak_bytes < 16 << 20, "{codec}: {} bytes", usage.peak_bytes);
    }
}

#[test]
fn counts_in_internal_records() {
    let with = |claimed: u32| {
        let mut out = FieldWriter::new();
        out.u32(claimed).raw(&[0; 120]);
        out.finish()
    };
    let read = |claimed: u32| FieldReader::new(&with(claimed)).count(12, "places");
    assert_eq!(read(10), Ok(10));
    for claimed in [11, i32::MAX.cast_unsigned(), u32::MAX] {
        assert!(read(claimed).is_err(), "{claimed} places");
    }
}

#[test]
fn startup_packets() {
    let limit = 10_000;
    let packet = |length: u32, present: usize| {
        let mut packet = length.to_be_bytes().to_vec();
        packet.extend_from_slice(b"\0\x03\0\0user\0");
        packet.resize(present.max(14) - 2, b'u');
        packet.extend_from_slice(&[0, 0]);
        BytesMut::from(packet.as_slice())
    };
    let longest = u32::try_from(limit + 4).unwrap();
    let decoded = decode_startup(&mut packet(longest, limit + 4), limit).unwrap();
    assert!(matches!(decoded, Some(Startup::Start { .. })), "{decoded:?}");
    for claimed in [longest + 1, i32::MAX.cast_unsigned(), u32::MAX, 7, 0] {
        let mut buf = packet(claimed, limit + 5);
        let report = cheap(|| decode_startup(&mut buf, limit)).unwrap_err();
        assert_eq!((report.severity.word(), &*report.sqlstate), ("FATAL", "08P01"), "{claimed}");
    }
}

#[test]
fn messages_of_a_session() {
    let limit = 1 << 20;
    let head = |tag: u8, length: u32| {
        BytesMut::from([&[tag][..], &length.to_be_bytes()].concat().as_slice())
    };
    // Queries may be as long as the limit says, messages without user data as PostgreSQL says.
    for (tag, longest) in [(b'Q', 1 << 20), (b'S', 10_000u32)] {
        assert_eq!(decode_frame(&mut head(tag, longest), limit), Ok(None), "waits for the rest");
        for claimed in [longest + 1, i32::MAX.cast_unsigned(), u32::MAX, 3] {
            let mut buf = head(tag, claimed);
            let report = cheap(|| decode_frame(&mut buf, limit)).unwrap_err();
            assert_eq!(
                (report.severity.word(), &*report.sqlstate),
                ("FATAL", "08P01"),
                "{claimed}"
            );
        }
    }
    // Parse: the counts are 16 bits, and bounded by the bytes that follow.
    let parse = |claimed: u16, present: usize| {
        let mut body = b"\0SELECT 1\0".to_vec();
        body.extend_from_slice(&claimed.to_be_bytes());
        body.resize(body.len() + 4 * present, 0);
        let length = u32::try_from(body.len() + 4).unwrap();
        let mut buf = head(b'P', length);
        buf.extend_from_slice(&body);
        let frame = decode_frame(&mut buf, limit).unwrap().unwrap();
        decode_message(frame)
    };
    assert!(parse(u16::MAX, 65_535).is_ok());
    for (claimed, present) in [(11, 10), (u16::MAX, 65_534), (u16::MAX, 0), (10, 11)] {
        let report = parse(claimed, present).unwrap_err();
        assert_eq!((report.severity.word(), &*report.sqlstate), ("ERROR", "08P01"), "{claimed}");
    }
}
