//! Record batches: header, records, headers, patches; and the append rules of a partition over them.
//!
//! An input of `record-batch` is `flags ┼ batch`; of `append` it is `flags ┼ { length u16 ┼ batch }*`. A flag makes the
//! harness repair length and CRC first, since a blind mutation would hardly ever pass them.
//!
//! Promises: a batch that is accepted can be walked to its end, rebuilt record for record, and patched without
//! touching its checksum; an accepted producer batch is recognised as a duplicate when it comes again, and the
//! partition's state survives export and import.

use std::collections::BTreeMap;

use broker_core::config::{BrokerCompression, BrokerConfigs, TopicConfig};
use broker_core::fields::{FieldReader, FieldWriter};
use broker_core::partition::{AppendRules, Partition, Prepared, Verdict as Appending};
use bytes::Bytes;
use log_codec::{Compression, compress};
use log_record::{
    BATCH_HEADER_BYTES, BATCH_LENGTH_OFFSET, BatchBuilder, BatchHeader, Batches, Header,
    RecordRules, Records, compute_crc, frame_len, patched_prefix, set_log_append_time,
    validate_batch, validate_records, verify_crc,
};
use log_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::target::{Limit, Steps, Verdict};

const REPAIR: u8 = 1;
const KEY_REQUIRED: u8 = 2;
const LOG_APPEND_TIME: u8 = 4;
/// What the upper bits of the flags choose: `compression.type` of the topic.
const COMPRESSIONS: [BrokerCompression; 5] = [
    BrokerCompression::Producer,
    BrokerCompression::Producer,
    BrokerCompression::Uncompressed,
    BrokerCompression::Snappy,
    BrokerCompression::Lz4,
];
const NOW_MS: i64 = 1_700_000_000_000;

/// A compacted topic opens compressed batches: at most 64 MiB come out (`DECOMPRESSED_BYTES_MAX`), in a buffer that
/// doubles, beside the codec's own memory.
pub(super) const APPEND_MEMORY: Limit = Limit { base: (3 * 64 + 16) << 20, factor: 16 };

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\x02",
    b"\0\0\0\x31",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0\0\0\0\0",
    b"\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xfe\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\0\x1f",
];

fn builder(records: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for record in 0..records {
        let headers = [Header { key: b"h", value: Some(b"v") }, Header { key: b"h", value: None }];
        let key = (record % 2 == 0).then_some(&b"key"[..]);
        builder.push(NOW_MS + record, key, Some(b"value"), &headers).expect("small records fit");
    }
    builder
}

fn batches() -> Vec<Bytes> {
    let idempotent = |sequence| builder(3).producer(ProducerId(7), ProducerEpoch(1), sequence);
    let mut batches = vec![
        builder(1).build(),
        builder(5).build(),
        idempotent(0).build(),
        idempotent(3).build(),
        idempotent(i32::MAX - 1).build(),
        idempotent(0).transactional().build(),
        builder(1).control().build(),
    ];
    for codec in Compression::ALL.into_iter().skip(1) {
        let builder = builder(3);
        let compressed = compress(codec, builder.records()).expect("memory to memory");
        batches.push(builder.build_compressed(codec.id(), &compressed));
    }
    batches.into_iter().map(|batch| batch.expect("there are records")).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let flagged = |flags: u8| move |batch: &Bytes| [&[flags], batch.as_ref()].concat();
    let all = batches();
    let mut seeds: Vec<Vec<u8>> = all.iter().map(flagged(REPAIR)).collect();
    seeds.extend(all.iter().map(flagged(0)));
    seeds.extend(all.iter().map(flagged(REPAIR | KEY_REQUIRED)));
    seeds.push([&[0], all.concat().as_slice()].concat());
    seeds
}

pub(super) fn append_seeds() -> Vec<Vec<u8>> {
    let framed = |batch: &Bytes| {
        let length = u16::try_from(batch.len()).expect("seeds are small");
        [&length.to_be_bytes(), batch.as_ref()].concat()
    };
    let all: Vec<Vec<u8>> = batches().iter().map(framed).collect();
    let mut seeds = Vec::new();
    for flags in [REPAIR, REPAIR | KEY_REQUIRED, REPAIR | LOG_APPEND_TIME, REPAIR | 16, REPAIR | 32]
    {
        seeds.push([&[flags], all.concat().as_slice()].concat());
        seeds.extend(all.iter().map(|batch| [&[flags], batch.as_slice()].concat()));
    }
    seeds
}

/// Makes length and checksum right, where there is a header.
fn repaired(batch: &[u8], flags: u8) -> Vec<u8> {
    let mut batch = batch.to_vec();
    if flags & REPAIR == 0 || batch.len() < BATCH_HEADER_BYTES {
        return batch;
    }
    let length = i32::try_from(batch.len() - BATCH_LENGTH_OFFSET).expect("inputs are small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = compute_crc(&batch).expect("there is a header");
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

pub(super) fn batch(input: &[u8], steps: &Steps) -> Verdict {
    let Some((&flags, batch)) = input.split_first() else { return Verdict::Refused };
    let batch = repaired(batch, flags);
    for tolerant in [false, true] {
        let split = if tolerant { Batches::tolerant(&batch) } else { Batches::strict(&batch) };
        let mut bytes = 0;
        for (header, piece) in split.flatten() {
            steps.step();
            assert_eq!(frame_len(piece), Ok(header.frame_len()), "a piece is one batch");
            bytes += piece.len();
        }
        assert!(bytes <= batch.len(), "batches come from the input");
    }
    if let Ok(header) = BatchHeader::parse(&batch) {
        walk(&header, batch.get(BATCH_HEADER_BYTES..).unwrap_or_default(), steps);
    }
    let rules = RecordRules { key_required: flags & KEY_REQUIRED != 0 };
    let valid = steps.decoding(|| validate_batch(&batch, rules));
    if let Ok((header, summary)) = valid {
        check_patches(&batch, &header);
        if summary.is_some() {
            check_rebuild(&header, &batch[BATCH_HEADER_BYTES..]);
        }
    }
    Verdict::of(&valid)
}

fn walk(header: &BatchHeader, records: &[u8], steps: &Steps) {
    assert!(header.next_offset() >= header.base_offset || header.last_offset_delta < 0);
    let mut bytes = 0;
    for record in Records::new(records, header.records_count).flatten() {
        steps.step();
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        for header in record.headers.flatten() {
            steps.step();
            bytes += header.key.len() + header.value.map_or(0, <[u8]>::len);
        }
    }
    assert!(bytes <= records.len(), "keys and values come from the input");
}

fn check_patches(batch: &[u8], header: &BatchHeader) {
    let prefix = patched_prefix(batch, Offset(i64::MAX), LeaderEpoch(7)).expect("it is valid");
    let mut patched = batch.to_vec();
    patched[..prefix.len()].copy_from_slice(&prefix);
    verify_crc(&patched).expect("the checksum covers neither offset nor epoch");
    set_log_append_time(&mut patched, NOW_MS).expect("it is valid");
    verify_crc(&patched).expect("it was recomputed");
    let stamped = BatchHeader::parse(&patched).expect("it is valid");
    assert_eq!(stamped.max_timestamp, NOW_MS);
    assert_eq!(stamped.records_count, header.records_count);
}

/// Record for record into a new batch, and compared there.
fn check_rebuild(header: &BatchHeader, records: &[u8]) {
    let mut builder = BatchBuilder::new();
    let originals: Vec<_> =
        Records::new(records, header.records_count).map(|record| record.expect("valid")).collect();
    for record in &originals {
        let headers: Vec<Header<'_>> =
            record.headers.map(|header| header.expect("valid")).collect();
        let timestamp = header.base_timestamp + record.timestamp_delta;
        // Timestamps half a range apart do not fit one batch that starts with another of them.
        if builder.push(timestamp, record.key, record.value, &headers).is_err() {
            return;
        }
    }
    let rebuilt = builder.build().expect("there are records");
    let (again, _) = validate_batch(&rebuilt, RecordRules::default()).expect("just built");
    let records = rebuilt.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    validate_records(&again, records, RecordRules::default()).expect("just built");
    for (record, original) in Records::new(records, again.records_count).zip(&originals) {
        let record = record.expect("just built");
        assert_eq!((record.key, record.value), (original.key, original.value));
        assert!(record.headers.eq(original.headers), "headers are kept, duplicates included");
    }
}

pub(super) fn append(input: &[u8], steps: &Steps) -> Verdict {
    let Some((&flags, mut rest)) = input.split_first() else { return Verdict::Refused };
    let config = TopicConfig::resolve(&BTreeMap::new(), &BrokerConfigs::default());
    let mut rules = AppendRules::from(&config);
    rules.log_append_time = flags & LOG_APPEND_TIME != 0;
    rules.key_required = flags & KEY_REQUIRED != 0;
    rules.compression = COMPRESSIONS[usize::from(flags >> 3) % COMPRESSIONS.len()];
    let mut partition = Partition::default();
    let mut verdict = Verdict::Refused;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        steps.step();
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (batch, tail) = tail.split_at(length);
        rest = tail;
        let batch = Bytes::from(repaired(batch, flags));
        let checked = steps.decoding(|| partition.check_append(&batch, &rules, NOW_MS));
        if let Ok(Appending::Append(prepared)) = checked {
            record(&mut partition, &prepared, &batch, &rules);
            verdict = Verdict::Accepted;
        }
    }
    let mut exported = FieldWriter::new();
    partition.export(&mut exported);
    let exported = exported.finish();
    let back = Partition::import(&mut FieldReader::new(&exported)).expect("just exported");
    assert_eq!((back.log_start(), back.end()), (partition.log_start(), partition.end()));
    let mut again = FieldWriter::new();
    back.export(&mut again);
    assert_eq!(again.finish(), exported, "import is the inverse of export");
    verdict
}

fn record(partition: &mut Partition, prepared: &Prepared, batch: &Bytes, rules: &AppendRules) {
    let base = partition.end();
    let count = i64::from(prepared.header.records_count);
    partition.record_append(&prepared.header, base, LeaderEpoch(1));
    assert_eq!(partition.end(), base.plus(count), "an append moves the end by its records");
    partition.raise_visible(partition.end());
    if prepared.header.has_producer() {
        let again = partition.check_append(batch, rules, NOW_MS);
        let same =
            matches!(again, Ok(Appending::Duplicate { base_offset, .. }) if base_offset == base);
        assert!(same, "the same batch again is a duplicate: {again:?}");
    }
}
