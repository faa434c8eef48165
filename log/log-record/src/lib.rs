//! Kafka record batches, version 2 (magic 2): views, checks, in-place patches and a builder.
//!
//! Place: the bytes that producers send, that the journal stores and that consumers receive are these batches, byte
//! for byte. Everything here reads borrowed slices and allocates nothing per record.
//!
//! ```text
//! byte 0        8            12                    16    17    21    23               27
//!      ├ baseOffset i64 ┼ batchLength i32 ┼ leaderEpoch i32 ┼ magic ┼ crc u32 ┼ attributes i16 ┼ lastOffsetDelta i32 ┤
//!      27              35             43           51              53             57             61
//!      ├ baseTimestamp i64 ┼ maxTimestamp i64 ┼ producerId i64 ┼ producerEpoch i16 ┼ baseSequence i32 ┼ count i32 ┼ records…
//! ```
//!
//! Invariants:
//! - `batchLength` counts the bytes after itself; a whole batch has `12 + batchLength` bytes.
//! - The CRC-32C covers byte 21 (attributes) to the end, so base offset and leader epoch are patched without it.
//! - Input is untrusted: every failure is a value, nothing is indexed or allocated by a length that was not checked.
//!
//! Deliberately absent: message formats 0 and 1 (magic 0 and 1), compression (`log-codec`), I/O.
//!
//! Source: <https://kafka.apache.org/documentation/#recordbatch>, KIP-98, KIP-467, KIP-534.

// What strangers send is decoded here: an index or a certainty that they could break would end the process.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod batches;
mod builder;
mod crc;
mod error;
mod header;
mod records;
mod validate;
mod varint;

pub use batches::Batches;
pub use builder::{BatchBuilder, put_header};
pub use crc::{crc32c, crc32c_combine, crc32c_extend};
pub use error::{BatchError, BuildError, RecordError};
pub use header::{
    Attributes, BATCH_HEADER_BYTES, BATCH_LENGTH_OFFSET, BatchHeader, COMPRESSION_MAX,
    CRC_COVERS_FROM, MAGIC, TimestampType, compute_crc, frame_len, patched_prefix, put_crc,
    set_log_append_time, verify_crc,
};
pub use records::{Header, Headers, Record, Records};
pub use validate::{
    BatchSummary, InvalidBatch, RecordCheck, RecordRules, validate_batch, validate_header,
    validate_records,
};
pub use varint::{
    VARINT_BYTES_MAX, VARLONG_BYTES_MAX, read_uvarint, read_varint, read_varlong, write_uvarint,
    write_varint, write_varlong,
};
