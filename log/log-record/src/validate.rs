//! What a leader checks before it appends a producer's batch (Kafka's `LogValidator`).
//!
//! Invariants:
//! - A batch that passes is whole, has a right CRC, known attributes, `lastOffsetDelta == count − 1`, `count > 0`.
//! - Uncompressed records are walked; compressed ones only by a caller who decompresses and calls
//!   [`validate_records`].
//!
//! Deliberately absent: policy. Whether control batches, a codec, a size or a timestamp is allowed is the caller's
//! decision, from the returned header.

use crate::error::{BatchError, RecordError};
use crate::header::{BATCH_HEADER_BYTES, BatchHeader, verify_crc};
use crate::records::{Headers, Record, Records};
use std::fmt;

/// What the topic demands of each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordRules {
    /// The topic is compacted: a record without key is refused (INVALID_RECORD, KIP-467).
    pub key_required: bool,
}

/// What the walk over the records found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// Largest record timestamp in milliseconds; the header's claim may differ, as Kafka tolerates.
    pub max_timestamp: i64,
    /// Smallest record timestamp in milliseconds.
    pub min_timestamp: i64,
    /// Offset delta of the first record that has `max_timestamp`.
    pub max_timestamp_delta: i32,
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBatch {
    /// The batch as a whole.
    Batch(BatchError),
    /// One record: `index` from 0 is what `record_errors` of the Produce response reports (KIP-467).
    Record { index: i32, error: RecordError },
}

impl From<BatchError> for InvalidBatch {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(error) => error.fmt(f),
            Self::Record { index, error } => write!(f, "record {index}: {error}"),
        }
    }
}

impl std::error::Error for InvalidBatch {}

/// Checks that `batch` is exactly one appendable batch. Its records are walked (and the summary given) only when they
/// are not compressed.
///
/// # Errors
/// The first defect found, in the order: length, magic, CRC, attributes, counts, producer, records.
pub fn validate_batch(
    batch: &[u8],
    rules: RecordRules,
) -> Result<(BatchHeader, Option<BatchSummary>), InvalidBatch> {
    let header = BatchHeader::parse(batch)?;
    verify_crc(batch)?;
    validate_header(&header)?;
    if header.attributes.compression() != 0 {
        return Ok((header, None));
    }
    let records = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let summary = validate_records(&header, records, rules)?;
    Ok((header, Some(summary)))
}

/// Checks what the header alone says: attributes, counts, producer.
///
/// # Errors
/// The first defect found.
pub fn validate_header(header: &BatchHeader) -> Result<(), BatchError> {
    if !header.attributes.known() {
        return Err(BatchError::BadAttributes { attributes: header.attributes.0 });
    }
    let (records_count, last_offset_delta) = (header.records_count, header.last_offset_delta);
    if records_count <= 0 || last_offset_delta != records_count - 1 {
        return Err(BatchError::BadCount { records_count, last_offset_delta });
    }
    validate_producer(header)
}

fn validate_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let (id, epoch, sequence) =
        (header.producer_id.0, header.producer_epoch.0, header.base_sequence);
    // Markers carry a producer id without a sequence; clients may not send them anyway.
    let sequence_fits = sequence >= 0 || header.attributes.control();
    let fits =
        if id < 0 { !header.attributes.transactional() } else { epoch >= 0 && sequence_fits };
    if fits {
        return Ok(());
    }
    Err(BatchError::BadProducer { producer_id: id, producer_epoch: epoch, base_sequence: sequence })
}

/// Checks the decompressed records section of the batch with this header: lengths, offset deltas 0, 1, 2, …,
/// headers, keys where required, timestamps that fit.
///
/// # Errors
/// The first bad record with its index.
pub fn validate_records(
    header: &BatchHeader,
    records: &[u8],
    rules: RecordRules,
) -> Result<BatchSummary, InvalidBatch> {
    let (mut summary, mut index) = (NOTHING_SEEN, 0i32);
    for record in Records::new(records, header.records_count) {
        let at = |error| InvalidBatch::Record { index, error };
        let record = record.map_err(at)?;
        check_record(&record, index, header.base_timestamp, rules, &mut summary).map_err(at)?;
        for header in record.headers {
            header.map_err(at)?;
        }
        index = index.saturating_add(1);
    }
    Ok(summary)
}

const NOTHING_SEEN: BatchSummary =
    BatchSummary { max_timestamp: i64::MIN, min_timestamp: i64::MAX, max_timestamp_delta: 0 };

/// Everything but the headers.
#[inline(always)]
fn check_record(
    record: &Record<'_>,
    index: i32,
    base_timestamp: i64,
    rules: RecordRules,
    summary: &mut BatchSummary,
) -> Result<(), RecordError> {
    if record.offset_delta != index {
        let found = record.offset_delta;
        return Err(RecordError::BadOffsetDelta { expected: index, found });
    }
    if rules.key_required && record.key.is_none() {
        return Err(RecordError::MissingKey);
    }
    let timestamp =
        base_timestamp.checked_add(record.timestamp_delta).ok_or(RecordError::TimestampOverflow)?;
    if timestamp > summary.max_timestamp || index == 0 {
        summary.max_timestamp = timestamp;
        summary.max_timestamp_delta = index;
    }
    summary.min_timestamp = summary.min_timestamp.min(timestamp);
    Ok(())
}

/// The same check in pieces, for whoever must not be busy for long.
pub struct RecordCheck<'a> {
    base_timestamp: i64,
    rules: RecordRules,
    records: Records<'a>,
    /// Those of the present record that were not looked at.
    headers: Headers<'a>,
    /// Of the next record.
    index: i32,
    summary: BatchSummary,
}

impl<'a> RecordCheck<'a> {
    #[must_use]
    pub fn new(header: &BatchHeader, records: &'a [u8], rules: RecordRules) -> Self {
        Self {
            base_timestamp: header.base_timestamp,
            rules,
            records: Records::new(records, header.records_count),
            headers: Headers::default(),
            index: 0,
            summary: NOTHING_SEEN,
        }
    }

    /// Looks at up to `count` more records and record headers; gives the summary after the last.
    ///
    /// # Errors
    /// As [`validate_records`].
    pub fn step(&mut self, count: usize) -> Result<Option<BatchSummary>, InvalidBatch> {
        for _ in 0..count {
            if let Some(header) = self.headers.next() {
                let index = self.index - 1;
                header.map_err(|error| InvalidBatch::Record { index, error })?;
                continue;
            }
            match self.next_record()? {
                Some(headers) => self.headers = headers,
                None => return Ok(Some(self.summary)),
            }
        }
        Ok(None)
    }

    fn next_record(&mut self) -> Result<Option<Headers<'a>>, InvalidBatch> {
        let index = self.index;
        let at = |error| InvalidBatch::Record { index, error };
        let Some(record) = self.records.next() else { return Ok(None) };
        let record = record.map_err(at)?;
        check_record(&record, index, self.base_timestamp, self.rules, &mut self.summary)
            .map_err(at)?;
        self.index = index.saturating_add(1);
        Ok(Some(record.headers))
    }
}

#[cfg(test)]
mod tests;
