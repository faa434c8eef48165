//! Building batches: for internal logs, the command line and tests. Producers' batches are never rebuilt with it.
//!
//! Invariants:
//! - Offset deltas are 0, 1, 2, …; timestamps are relative to the first record's.
//! - A built batch passes [`crate::validate_batch`].

use crate::error::BuildError;
use crate::header::{
    Attributes, BATCH_HEADER_BYTES, BATCH_LENGTH_OFFSET, BatchHeader, COMPRESSION_MAX, MAGIC, seal,
    write_header,
};
use crate::records::Header;
use crate::varint::{write_varint, write_varlong};
use bytes::Bytes;
use log_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Collects records, then makes one batch of them.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    records: Vec<u8>,
    /// Body of the record being written: its length must be known first.
    scratch: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// No records, base offset 0, no producer, leader epoch −1 (unknown, as clients send it).
    #[must_use]
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: Offset(0),
            batch_length: 0,
            partition_leader_epoch: LeaderEpoch(-1),
            magic: MAGIC,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: ProducerId(-1),
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            records_count: 0,
        };
        Self { header, records: Vec::new(), scratch: Vec::new() }
    }

    /// Sets what the leader assigns: the first record's offset and the leader epoch.
    #[must_use]
    pub fn at(mut self, base_offset: Offset, epoch: LeaderEpoch) -> Self {
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Makes the batch idempotent: `base_sequence` is the first record's sequence number, from 0.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes.0 |= Attributes::TRANSACTIONAL;
        self
    }

    /// Marks the batch as a control batch (transaction markers).
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes.0 |= Attributes::CONTROL;
        self
    }

    /// Appends a record; `timestamp_ms` since the epoch.
    ///
    /// # Errors
    /// `TooLarge` or `TimestampRange`; the builder is unchanged then.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let first = self.header.records_count == 0;
        let base = if first { timestamp_ms } else { self.header.base_timestamp };
        let delta = timestamp_ms.checked_sub(base).ok_or(BuildError::TimestampRange)?;
        let count = self.header.records_count.checked_add(1).ok_or(BuildError::TooLarge)?;

        self.scratch.clear();
        self.scratch.push(0);
        write_varlong(&mut self.scratch, delta);
        write_varint(&mut self.scratch, self.header.records_count);
        write_nullable(&mut self.scratch, key)?;
        write_nullable(&mut self.scratch, value)?;
        write_varint(&mut self.scratch, len_i32(headers.len())?);
        for header in headers {
            write_nullable(&mut self.scratch, Some(header.key))?;
            write_nullable(&mut self.scratch, header.value)?;
        }
        let length = len_i32(self.scratch.len())?;
        let room = crate::varint::VARINT_BYTES_MAX + BATCH_HEADER_BYTES;
        len_i32(self.records.len().saturating_add(self.scratch.len()).saturating_add(room))?;

        write_varint(&mut self.records, length);
        self.records.extend_from_slice(&self.scratch);
        self.header.base_timestamp = base;
        self.header.max_timestamp =
            if first { timestamp_ms } else { self.header.max_timestamp.max(timestamp_ms) };
        self.header.last_offset_delta = self.header.records_count;
        self.header.records_count = count;
        Ok(())
    }

    /// Records pushed so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.header.records_count
    }

    /// The uncompressed records section, for a caller that compresses it.
    #[must_use]
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// The uncompressed batch.
    ///
    /// # Errors
    /// `Empty`, `TooLarge`.
    pub fn build(self) -> Result<Bytes, BuildError> {
        finish(self.header, &self.records)
    }

    /// The batch with `compressed` in place of the records section; `compression` is the codec number, 1 to 4.
    ///
    /// # Errors
    /// `Empty`, `TooLarge`.
    ///
    /// # Panics
    /// When `compression` is not a codec number: the caller's bug.
    pub fn build_compressed(self, compression: u8, compressed: &[u8]) -> Result<Bytes, BuildError> {
        assert!(compression <= COMPRESSION_MAX, "codec {compression}");
        let mut header = self.header;
        header.attributes.0 |= i16::from(compression);
        finish(header, compressed)
    }
}

/// Writes the header of a batch whose records section is in another codec now (by number, 0 to 4) and stands in `batch` behind
/// room for the header, with the largest timestamp of its records. The checksum is missing then, see [`put_crc`].
///
/// # Errors
/// `Empty`, `TooLarge`.
///
/// # Panics
/// When `compression` is not a codec number, or there is no room: the caller's bug.
///
/// [`put_crc`]: crate::put_crc
pub fn put_header(
    header: &BatchHeader,
    max_timestamp: i64,
    compression: u8,
    batch: &mut [u8],
) -> Result<(), BuildError> {
    assert!(compression <= COMPRESSION_MAX, "codec {compression}");
    if header.records_count == 0 {
        return Err(BuildError::Empty);
    }
    let attributes = header.attributes.with_compression(compression);
    let batch_length = len_i32(batch.len() - BATCH_LENGTH_OFFSET)?;
    let header = BatchHeader { batch_length, attributes, max_timestamp, ..*header };
    assert_eq!(batch.len(), header.frame_len(), "built length");
    let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES);
    write_header(&header, &mut bytes);
    #[expect(clippy::expect_used, reason = "whoever built the batch left room for its header")]
    let room = batch.get_mut(..BATCH_HEADER_BYTES).expect("room for the header");
    room.copy_from_slice(&bytes);
    Ok(())
}

fn finish(mut header: BatchHeader, records: &[u8]) -> Result<Bytes, BuildError> {
    if header.records_count == 0 {
        return Err(BuildError::Empty);
    }
    let len = records.len().checked_add(BATCH_HEADER_BYTES).ok_or(BuildError::TooLarge)?;
    header.batch_length = len_i32(len - BATCH_LENGTH_OFFSET)?;
    let mut batch = Vec::with_capacity(len);
    write_header(&header, &mut batch);
    batch.extend_from_slice(records);
    seal(&mut batch);
    assert_eq!(batch.len(), header.frame_len(), "built length");
    Ok(Bytes::from(batch))
}

fn len_i32(len: usize) -> Result<i32, BuildError> {
    i32::try_from(len).map_err(|_| BuildError::TooLarge)
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), BuildError> {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, len_i32(bytes.len())?);
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
