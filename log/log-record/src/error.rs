//! Errors of batches and records, as data. `Display` is written by hand: `log-*` uses no proc macros.

use std::fmt;

/// Why bytes are not a usable record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// Fewer bytes than the header or than its length field claims.
    Truncated { needed: usize, available: usize },
    /// The length field is negative or smaller than a header without records.
    BadLength { batch_length: i32 },
    /// More bytes follow the batch where exactly one was expected.
    TrailingBytes { count: usize },
    /// Not message format 2.
    UnsupportedMagic { magic: i8 },
    /// Stored and computed CRC-32C differ.
    BadCrc { expected: u32, computed: u32 },
    /// Codec number above 4, or attribute bits that no version defines.
    BadAttributes { attributes: i16 },
    /// The record count is not positive, or disagrees with the last offset delta.
    BadCount { records_count: i32, last_offset_delta: i32 },
    /// Producer id, epoch and sequence do not go together.
    BadProducer { producer_id: i64, producer_epoch: i16, base_sequence: i32 },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, available } => {
                write!(f, "record batch needs {needed} bytes, {available} available")
            }
            Self::BadLength { batch_length } => {
                write!(f, "record batch has impossible length {batch_length}")
            }
            Self::TrailingBytes { count } => write!(f, "record batch is followed by {count} bytes"),
            Self::UnsupportedMagic { magic } => {
                write!(f, "record batch has unsupported magic {magic}")
            }
            Self::BadCrc { expected, computed } => {
                write!(f, "record batch crc is {computed:#010x}, its header says {expected:#010x}")
            }
            Self::BadAttributes { attributes } => {
                write!(f, "record batch has unknown attributes {attributes:#06x}")
            }
            Self::BadCount { records_count, last_offset_delta } => write!(
                f,
                "record batch claims {records_count} records and last offset delta {last_offset_delta}"
            ),
            Self::BadProducer { producer_id, producer_epoch, base_sequence } => write!(
                f,
                "record batch has producer id {producer_id}, epoch {producer_epoch}, sequence {base_sequence}"
            ),
        }
    }
}

impl std::error::Error for BatchError {}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// A variable-length integer is longer than its type or does not fit it.
    BadVarint,
    /// The bytes end inside a record.
    Truncated,
    /// A length field is negative where none may be, or below −1.
    BadLength { length: i32 },
    /// The record's own length disagrees with what it contains.
    LengthMismatch { unread: usize },
    /// Bytes remain after the last record of the batch.
    TrailingBytes { count: usize },
    /// Offset deltas must be 0, 1, 2, …
    BadOffsetDelta { expected: i32, found: i32 },
    /// The topic is compacted and the record has no key. Said as Kafka says it: it is shown to whoever produced the record.
    MissingKey,
    /// Base timestamp plus delta leaves `i64`.
    TimestampOverflow,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadVarint => write!(f, "record has an overlong variable-length integer"),
            Self::Truncated => write!(f, "record ends early"),
            Self::BadLength { length } => write!(f, "record has impossible length {length}"),
            Self::LengthMismatch { unread } => {
                write!(f, "record has {unread} bytes after its headers")
            }
            Self::TrailingBytes { count } => write!(f, "last record is followed by {count} bytes"),
            Self::BadOffsetDelta { expected, found } => {
                write!(f, "record has offset delta {found} where {expected} is due")
            }
            Self::MissingKey => write!(f, "Compacted topic cannot accept message without key"),
            Self::TimestampOverflow => write!(f, "record timestamp does not fit 64 bits"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Why a batch cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A length, the count or the whole batch would not fit its 32-bit field.
    TooLarge,
    /// A timestamp's distance to the first one leaves `i64`.
    TimestampRange,
    /// A batch without records cannot be written.
    Empty,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "record batch would exceed 2^31 - 1 bytes or records"),
            Self::TimestampRange => write!(f, "record timestamps are more than 2^63 ms apart"),
            Self::Empty => write!(f, "record batch has no records"),
        }
    }
}

impl std::error::Error for BuildError {}
