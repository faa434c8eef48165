//! Compression of record batches: the codecs 1 to 4 of Kafka's batch attributes, in memory.
//!
//! Place: the broker keeps batches as they came; it decompresses only to look inside (compacted topics, timestamps,
//! SQL) or to store them in their topic's codec. Its cores do both in slices ([`Decoder`], [`Encoder`]); whoever has a thread
//! of its own does it in one go ([`decompress`], [`compress`]).
//!
//! Invariants:
//! - Output is capped by the caller's absolute limit; declared lengths only ever lower what is allocated.
//! - Memory beyond the output is bounded per codec: gzip 32 KiB, snappy none, lz4 about 12 MiB, zstd an 8 MiB window.
//! - Input is untrusted: every failure is a value.
//!
//! Deliberately absent: dictionaries, the broken lz4 framing of message formats 0 and 1, parallelism.

// What strangers send is decoded here: an index or a certainty that they could break would end the process.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod error;
mod lz4;
mod run;
mod slices;
mod snappy;

pub use error::CodecError;
pub use slices::{Decoder, Encoder, SLICE_BYTES};

use std::io::Read;

/// Largest zstd window accepted: 2^23 bytes, what levels up to 19 write.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// The `bytes_max` to use for one batch unless something smaller is known: 64 MiB, above what any client sends.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// Level of compression with zstd; Kafka's default.
const ZSTD_LEVEL: i32 = 3;
/// How a lz4 frame begins. The library also takes the legacy format, whose blocks of 8 MiB no Kafka client writes.
const LZ4_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// A codec, numbered as in the batch attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Compression {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number of the batch attributes.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Number in the batch attributes, 0 to 4.
    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Name in Kafka's configuration (`compression.type`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Decompresses the records section of a batch to at most `bytes_max` bytes ([`BATCH_BYTES_MAX`] for want of a better
/// one). Concatenated frames are read to the end. A lz4 frame cut off at a block's end reads as ended: compare the
/// record count.
///
/// # Errors
/// `OutputLimit` as soon as more than `bytes_max` bytes come out, `Malformed` when the input is not of this codec,
/// is cut off, or fails its own checksum.
pub fn decompress(
    compression: Compression,
    input: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, CodecError> {
    match compression {
        Compression::None => {
            if input.len() > bytes_max {
                return Err(CodecError::OutputLimit { bytes_max });
            }
            Ok(input.to_vec())
        }
        Compression::Gzip => {
            read_capped(compression, flate2::bufread::MultiGzDecoder::new(input), bytes_max)
        }
        Compression::Snappy => snappy::decompress(input, bytes_max),
        Compression::Lz4 => lz4_decompress(input, bytes_max),
        Compression::Zstd => zstd_decompress(input, bytes_max),
    }
}

fn zstd_decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let malformed = |source| CodecError::Malformed { compression: Compression::Zstd, source };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(malformed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
    read_capped(Compression::Zstd, decoder, bytes_max)
}

fn lz4_decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut decoder = lz4_flex::frame::FrameDecoder::new(input);
    let mut output = Vec::new();
    // The decoder stops at each frame's end; what follows must be a frame again.
    loop {
        let before = decoder.get_ref().len();
        if before > 0 && !decoder.get_ref().starts_with(&LZ4_MAGIC) {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "not a lz4 frame");
            return Err(CodecError::Malformed { compression: Compression::Lz4, source });
        }
        append_capped(Compression::Lz4, &mut decoder, bytes_max, &mut output)?;
        let left = decoder.get_ref().len();
        if left == 0 {
            return Ok(output);
        }
        if left == before {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidData);
            return Err(CodecError::Malformed { compression: Compression::Lz4, source });
        }
    }
}

fn read_capped(
    compression: Compression,
    mut reader: impl Read,
    bytes_max: usize,
) -> Result<Vec<u8>, CodecError> {
    let mut output = Vec::new();
    append_capped(compression, &mut reader, bytes_max, &mut output)?;
    Ok(output)
}

/// Reads to the end, growing with what really arrives; one byte above the cap tells "too long" from "just fits".
fn append_capped(
    compression: Compression,
    reader: &mut dyn Read,
    bytes_max: usize,
    output: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let room = bytes_max.saturating_sub(output.len());
    let cap = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(cap)
        .read_to_end(output)
        .map_err(|source| CodecError::Malformed { compression, source })?;
    if output.len() > bytes_max {
        return Err(CodecError::OutputLimit { bytes_max });
    }
    Ok(())
}

/// Compresses `input` in one go, as [`Encoder`] does.
///
/// # Errors
/// As [`Encoder::push`].
pub fn compress(compression: Compression, input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut encoder = Encoder::new(compression)?;
    encoder.push(input)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
