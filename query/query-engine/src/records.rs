//! Record batches as the log stores them, one record at a time.
//!
//! Invariants:
//! - Decompression is bounded by [`BATCH_BYTES_MAX`]; a batch over it is an error, never an allocation.
//! - Control batches (transaction markers) hold no records for SQL.
//! - Offsets ascend, within those that the batch's header claims.

use std::borrow::Cow;

use log_codec::Compression;
use log_record::{BatchHeader, Headers, Records, TimestampType};

/// Largest decompressed batch; what the broker accepts at most.
pub(crate) const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A record with its place resolved.
pub(crate) struct LogRecord<'a> {
    pub(crate) offset: i64,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

/// Takes records; returns false to stop.
pub(crate) trait RecordSink {
    fn record(&mut self, record: &LogRecord<'_>) -> bool;
}

/// Gives each record of one whole batch to `sink`.
///
/// # Errors
/// What is wrong with the batch; records before the fault were given.
pub(crate) fn each(batch: &[u8], sink: &mut impl RecordSink) -> Result<(), String> {
    let header = BatchHeader::parse(batch).map_err(|error| error.to_string())?;
    if header.attributes.control() {
        return Ok(());
    }
    let body = batch.get(log_record::BATCH_HEADER_BYTES..).unwrap_or_default();
    let body = decompressed(&header, body)?;
    let mut deltas = 0..=header.last_offset_delta;
    let append_time = header.attributes.timestamp_type() == TimestampType::LogAppend;
    for record in Records::new(&body, header.records_count) {
        let record = record.map_err(|error| error.to_string())?;
        if !deltas.contains(&record.offset_delta) {
            return Err(format!("a record has offset delta {}", record.offset_delta));
        }
        deltas = record.offset_delta.saturating_add(1)..=header.last_offset_delta;
        let timestamp_ms = if append_time {
            header.max_timestamp
        } else {
            header.base_timestamp.saturating_add(record.timestamp_delta)
        };
        let resolved = LogRecord {
            offset: header.base_offset.0.saturating_add(i64::from(record.offset_delta)),
            timestamp_ms,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        if !sink.record(&resolved) {
            break;
        }
    }
    Ok(())
}

fn decompressed<'a>(header: &BatchHeader, body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let id = header.attributes.compression();
    let codec = Compression::from_id(id).ok_or_else(|| format!("unknown compression {id}"))?;
    if codec == Compression::None {
        return Ok(Cow::Borrowed(body));
    }
    log_codec::decompress(codec, body, BATCH_BYTES_MAX)
        .map(Cow::Owned)
        .map_err(|error| error.to_string())
}

/// How many records of the batch are in [`start`, `end`), from the header alone; `None` when only the records tell.
pub(crate) fn count_in(batch: &[u8], start: i64, end: i64) -> Option<usize> {
    let header = BatchHeader::parse(batch).ok()?;
    if header.attributes.control() {
        return Some(0);
    }
    if header.last_offset().0 < start || header.base_offset.0 >= end {
        return Some(0);
    }
    let inside = header.base_offset.0 >= start && header.last_offset().0 < end;
    if inside { usize::try_from(header.records_count).ok() } else { None }
}
