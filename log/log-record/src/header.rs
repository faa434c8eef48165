//! The 61-byte batch header: parsed copy, CRC, and the two patches the broker makes in place.
//!
//! Invariants:
//! - A parsed [`BatchHeader`] has magic 2 and a length of at least [`BATCH_HEADER_BYTES`]; nothing else is implied.
//! - [`patched_prefix`] changes only bytes the CRC does not cover.
//! - [`set_log_append_time`] leaves a batch whose CRC is right.

use log_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::crc::crc32c;
use crate::error::BatchError;

/// Bytes before the first record.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes before the part that `batchLength` counts.
pub const BATCH_LENGTH_OFFSET: usize = 12;
/// The only supported message format.
pub const MAGIC: i8 = 2;
/// Highest compression codec number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
pub const COMPRESSION_MAX: u8 = 4;

const LENGTH_AT: usize = 8;
const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
/// Where the part begins that a batch's CRC covers, to its end.
pub const CRC_COVERS_FROM: usize = ATTRIBUTES_AT;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

const _: () = assert!(COUNT_AT + 4 == BATCH_HEADER_BYTES);
const _: () = assert!(CRC_AT + 4 == ATTRIBUTES_AT);

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer, per record.
    Create,
    /// The broker: every record has the batch's maximum timestamp.
    LogAppend,
}

/// The attribute bits of a batch. Bit 0–2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION_MASK: i16 = 0x07;
    pub(crate) const LOG_APPEND_TIME: i16 = 0x08;
    pub(crate) const TRANSACTIONAL: i16 = 0x10;
    pub(crate) const CONTROL: i16 = 0x20;
    /// With 0x40, which compaction sets where the base timestamp is the delete horizon (KIP-534).
    const KNOWN: i16 = 0x7f;

    /// Codec number, 0 to 7; valid up to [`COMPRESSION_MAX`].
    #[must_use]
    pub fn compression(self) -> u8 {
        (self.0 & Self::COMPRESSION_MASK).to_le_bytes()[0]
    }

    /// The same with another codec.
    pub(crate) fn with_compression(self, compression: u8) -> Self {
        Self(self.0 & !Self::COMPRESSION_MASK | i16::from(compression))
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::Create
        } else {
            TimestampType::LogAppend
        }
    }

    /// The batch belongs to a transaction.
    #[must_use]
    pub fn transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// The batch holds a marker, not data.
    #[must_use]
    pub fn control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The codec exists and no undefined bit is set.
    #[must_use]
    pub fn known(self) -> bool {
        self.0 & !Self::KNOWN == 0 && self.compression() <= COMPRESSION_MAX
    }
}

/// A parsed copy of a batch header. Field meanings: <https://kafka.apache.org/documentation/#recordbatch>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the batch after the length field itself; at least 49.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    /// Always [`MAGIC`] after parsing.
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    /// Milliseconds since the epoch; the delete horizon when that attribute is set.
    pub base_timestamp: i64,
    /// Milliseconds since the epoch.
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1 without a producer id.
    pub base_sequence: i32,
    pub records_count: i32,
}

#[expect(clippy::indexing_slicing, reason = "proven when it is compiled")]
fn field<const AT: usize, const N: usize>(header: &[u8; BATCH_HEADER_BYTES]) -> [u8; N] {
    const { assert!(AT + N <= BATCH_HEADER_BYTES) };
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[AT..AT + N]);
    bytes
}

impl BatchHeader {
    /// Parses the header at the start of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// `Truncated` below 61 bytes, `BadLength`, `UnsupportedMagic`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = bytes
            .first_chunk::<BATCH_HEADER_BYTES>()
            .ok_or(BatchError::Truncated { needed: BATCH_HEADER_BYTES, available: bytes.len() })?;
        let parsed = Self {
            base_offset: Offset(i64::from_be_bytes(field::<0, 8>(header))),
            batch_length: i32::from_be_bytes(field::<LENGTH_AT, 4>(header)),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(field::<EPOCH_AT, 4>(header))),
            magic: i8::from_be_bytes(field::<MAGIC_AT, 1>(header)),
            crc: u32::from_be_bytes(field::<CRC_AT, 4>(header)),
            attributes: Attributes(i16::from_be_bytes(field::<ATTRIBUTES_AT, 2>(header))),
            last_offset_delta: i32::from_be_bytes(field::<LAST_OFFSET_DELTA_AT, 4>(header)),
            base_timestamp: i64::from_be_bytes(field::<BASE_TIMESTAMP_AT, 8>(header)),
            max_timestamp: i64::from_be_bytes(field::<MAX_TIMESTAMP_AT, 8>(header)),
            producer_id: ProducerId(i64::from_be_bytes(field::<PRODUCER_ID_AT, 8>(header))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field::<PRODUCER_EPOCH_AT, 2>(
                header,
            ))),
            base_sequence: i32::from_be_bytes(field::<BASE_SEQUENCE_AT, 4>(header)),
            records_count: i32::from_be_bytes(field::<COUNT_AT, 4>(header)),
        };
        if parsed.magic != MAGIC {
            return Err(BatchError::UnsupportedMagic { magic: parsed.magic });
        }
        whole_len(parsed.batch_length)?;
        Ok(parsed)
    }

    /// Bytes of the whole batch, header included.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(BATCH_LENGTH_OFFSET)
    }

    /// Offset of the last record. Saturates: offsets near 2^63 come only from hostile input.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// Offset that follows this batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The batch carries a producer id, so its sequence numbers count.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// Sequence number of the last record; wraps from `i32::MAX` to 0. −1 without a producer.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        i32::try_from(sum & i64::from(i32::MAX)).unwrap_or(0)
    }
}

fn whole_len(batch_length: i32) -> Result<usize, BatchError> {
    let minimum = BATCH_HEADER_BYTES - BATCH_LENGTH_OFFSET;
    match usize::try_from(batch_length) {
        Ok(length) if length >= minimum => Ok(length + BATCH_LENGTH_OFFSET),
        _ => Err(BatchError::BadLength { batch_length }),
    }
}

/// Length in bytes of the whole batch that `bytes` start with; needs only its first 12 bytes.
///
/// # Errors
/// `Truncated` when the length field or the batch is not all there, `BadLength`.
pub fn frame_len(bytes: &[u8]) -> Result<usize, BatchError> {
    let length = bytes
        .get(LENGTH_AT..)
        .and_then(|rest| rest.first_chunk::<4>())
        .ok_or(BatchError::Truncated { needed: BATCH_LENGTH_OFFSET, available: bytes.len() })?;
    let needed = whole_len(i32::from_be_bytes(*length))?;
    if bytes.len() < needed {
        return Err(BatchError::Truncated { needed, available: bytes.len() });
    }
    Ok(needed)
}

/// CRC-32C (Castagnoli, RFC 3720) of the covered part of one whole batch.
///
/// # Errors
/// `Truncated` when `batch` ends before the covered part.
pub fn compute_crc(batch: &[u8]) -> Result<u32, BatchError> {
    let covered = batch
        .get(ATTRIBUTES_AT..)
        .ok_or(BatchError::Truncated { needed: ATTRIBUTES_AT, available: batch.len() })?;
    Ok(crc32c(covered))
}

/// Checks the CRC of `batch`, which must be exactly one batch.
///
/// # Errors
/// `Truncated`, `BadLength`, `TrailingBytes`, `BadCrc`.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let needed = frame_len(batch)?;
    if batch.len() > needed {
        return Err(BatchError::TrailingBytes { count: batch.len() - needed });
    }
    let stored = batch
        .get(CRC_AT..)
        .and_then(|rest| rest.first_chunk::<4>())
        .ok_or(BatchError::Truncated { needed: ATTRIBUTES_AT, available: batch.len() })?;
    let expected = u32::from_be_bytes(*stored);
    let computed = compute_crc(batch)?;
    if expected == computed { Ok(()) } else { Err(BatchError::BadCrc { expected, computed }) }
}

/// The first 16 bytes of `batch` with base offset and leader epoch replaced; the length field is kept.
/// The CRC covers neither, so the rest of the batch is used as it is.
///
/// # Errors
/// `Truncated` below 16 bytes.
pub fn patched_prefix(
    batch: &[u8],
    base_offset: Offset,
    epoch: LeaderEpoch,
) -> Result<[u8; 16], BatchError> {
    let mut prefix = *batch
        .first_chunk::<16>()
        .ok_or(BatchError::Truncated { needed: 16, available: batch.len() })?;
    prefix[..LENGTH_AT].copy_from_slice(&base_offset.0.to_be_bytes());
    prefix[EPOCH_AT..].copy_from_slice(&epoch.0.to_be_bytes());
    Ok(prefix)
}

/// Turns `batch` (exactly one) into a LogAppendTime batch: sets the timestamp-type bit and the maximum timestamp to
/// `now_ms`, and recomputes the CRC. Record timestamps stay: readers ignore them under this type.
///
/// # Errors
/// As [`BatchHeader::parse`] and [`frame_len`]; the batch is unchanged then.
pub fn set_log_append_time(batch: &mut [u8], now_ms: i64) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    let needed = frame_len(batch)?;
    if batch.len() > needed {
        return Err(BatchError::TrailingBytes { count: batch.len() - needed });
    }
    let attributes = header.attributes.0 | Attributes::LOG_APPEND_TIME;
    put(batch, ATTRIBUTES_AT, &attributes.to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, &now_ms.to_be_bytes());
    let crc = compute_crc(batch)?;
    put(batch, CRC_AT, &crc.to_be_bytes());
    Ok(())
}

/// Overwrites header bytes of a batch already known to hold a whole header.
#[expect(clippy::indexing_slicing, reason = "every caller has parsed the header before")]
fn put(batch: &mut [u8], at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    assert!(end <= BATCH_HEADER_BYTES, "header field ends at {end}");
    batch[at..end].copy_from_slice(bytes);
}

/// Appends the 61 bytes of `header` as they stand, CRC included.
pub(crate) fn write_header(header: &BatchHeader, out: &mut Vec<u8>) {
    out.extend_from_slice(&header.base_offset.0.to_be_bytes());
    out.extend_from_slice(&header.batch_length.to_be_bytes());
    out.extend_from_slice(&header.partition_leader_epoch.0.to_be_bytes());
    out.extend_from_slice(&header.magic.to_be_bytes());
    out.extend_from_slice(&header.crc.to_be_bytes());
    out.extend_from_slice(&header.attributes.0.to_be_bytes());
    out.extend_from_slice(&header.last_offset_delta.to_be_bytes());
    out.extend_from_slice(&header.base_timestamp.to_be_bytes());
    out.extend_from_slice(&header.max_timestamp.to_be_bytes());
    out.extend_from_slice(&header.producer_id.0.to_be_bytes());
    out.extend_from_slice(&header.producer_epoch.0.to_be_bytes());
    out.extend_from_slice(&header.base_sequence.to_be_bytes());
    out.extend_from_slice(&header.records_count.to_be_bytes());
}

/// Computes and stores the CRC of a batch built here.
#[expect(clippy::indexing_slicing, reason = "what is built here is longer, and that is asserted")]
pub(crate) fn seal(batch: &mut [u8]) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "sealing {} bytes", batch.len());
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    put_crc(batch, crc);
}

/// Stores the checksum of a whole batch, which is that of its bytes from [`CRC_COVERS_FROM`] on.
///
/// # Panics
/// When it is no whole batch: the caller's bug.
pub fn put_crc(batch: &mut [u8], crc: u32) {
    put(batch, CRC_AT, &crc.to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests;
