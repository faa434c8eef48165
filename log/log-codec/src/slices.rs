//! Decompression and compression in slices, for whoever must not be busy for long: the core that serves connections.
//!
//! ```text
//!  input ──Decoder::step──► at most SLICE_BYTES more of output ─► … ─► done
//!  plain ──Encoder::push──► …                                    ──finish──► compressed
//! ```
//!
//! Invariants:
//! - A step takes in and gives out some [`SLICE_BYTES`] at most, whatever the input says of itself. What yields nothing (empty
//!   members, empty frames) counts too, by the work it makes.
//! - The outcome is that of [`crate::decompress`], byte for byte, as a test and a fuzz target compare, but for two kinds of odd
//!   frames that are refused here alone: lz4 with a block that holds nothing, which nobody writes, and zstd that ends with an
//!   empty block before it has the size it declares.
//! - lz4 and snappy are decoded here and not by their libraries, which decode a block of any size in one go.

use std::io::{self, BufRead, Read, Write};

use crate::snappy::{self, BlockEncoder};
use crate::{CodecError, Compression, ZSTD_LEVEL, ZSTD_WINDOW_LOG_MAX, lz4};

/// What one step takes in or gives out at most, in bytes: below 100 µs for every codec. (zstd decodes and encodes its
/// blocks of 128 KiB whole, once in several steps.)
pub const SLICE_BYTES: usize = 32 << 10;

/// Decompresses the records section of a batch, step by step.
pub struct Decoder<'a> {
    compression: Compression,
    bytes_max: usize,
    source: Source<'a>,
    taken: usize,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Sips<'a>>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(Box<lz4::Frames<'a>>),
    Zstd(zstd::stream::read::Decoder<'static, Sips<'a>>),
}

impl<'a> Decoder<'a> {
    /// To at most `bytes_max` bytes of output.
    ///
    /// # Errors
    /// `Malformed` when the library cannot be set up.
    pub fn new(
        compression: Compression,
        input: &'a [u8],
        bytes_max: usize,
    ) -> Result<Self, CodecError> {
        let malformed = |source| CodecError::Malformed { compression, source };
        let (aside_cost, cost) = match compression {
            Compression::Gzip => (GZIP_ASIDE_COST, 1),
            _ => (ZSTD_COST, ZSTD_COST),
        };
        let sips = Sips { rest: input, allowance: 0, aside_cost, cost };
        let source = match compression {
            Compression::None => Source::Plain(input),
            Compression::Gzip => Source::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(sips))),
            Compression::Snappy => Source::Snappy(snappy::Blocks::new(input)),
            Compression::Lz4 => Source::Lz4(Box::new(lz4::Frames::new(input))),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(sips);
                let mut decoder = decoder.map_err(malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
                Source::Zstd(decoder)
            }
        };
        Ok(Self { compression, bytes_max, source, taken: input.len().min(SLICE_BYTES) })
    }

    /// Appends the next slice to `output`, which holds those before and nothing else; `true` when that was the last one.
    ///
    /// # Errors
    /// As [`crate::decompress`]. The decoder is of no use afterwards.
    pub fn step(&mut self, output: &mut Vec<u8>) -> Result<bool, CodecError> {
        let (compression, bytes_max) = (self.compression, self.bytes_max);
        // One byte above the cap tells "too long" from "just fits".
        let room = SLICE_BYTES.min((bytes_max - output.len()).saturating_add(1));
        let ended = match &mut self.source {
            Source::Plain(rest) => {
                let (slice, tail) = rest.split_at(room.min(rest.len()));
                output.extend_from_slice(slice);
                *rest = tail;
                Ok(tail.is_empty())
            }
            Source::Gzip(decoder) => {
                decoder.get_mut().allowance = SLICE_BYTES;
                let ended = read_slice(decoder, room, output);
                self.taken = SLICE_BYTES - decoder.get_ref().allowance;
                ended
            }
            Source::Zstd(decoder) => {
                decoder.get_mut().allowance = SLICE_BYTES;
                let ended = read_slice(decoder, room, output);
                self.taken = SLICE_BYTES - decoder.get_ref().allowance;
                ended
            }
            Source::Snappy(blocks) => blocks.step(output, room),
            Source::Lz4(frames) => frames.step(output, room),
        };
        let ended = ended.map_err(|source| CodecError::Malformed { compression, source })?;
        if output.len() > bytes_max {
            return Err(CodecError::OutputLimit { bytes_max });
        }
        Ok(ended)
    }

    /// What the last step took in, in bytes of input that take as long; at most [`SLICE_BYTES`].
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }
}

/// Reads at most `room` bytes; `true` at the end.
fn read_slice(reader: &mut dyn Read, room: usize, output: &mut Vec<u8>) -> io::Result<bool> {
    let start = output.len();
    output.resize(start + room, 0);
    let read = reader.read(output.get_mut(start..).unwrap_or_default());
    output.truncate(start + read.as_ref().copied().unwrap_or(0));
    match read {
        Ok(count) => Ok(count == 0),
        // The sip is taken: the decoders take up where they were.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// A byte of a gzip member's header or trailer counts as so many: with 18 of them a member counts as 1152, which is the 3 µs
/// that a decoder takes to begin anew. Only those are read with `read`; what is inflated is taken where it lies.
const GZIP_ASIDE_COST: usize = 64;

/// A byte of zstd counts as so many: frames without content are 9 of them and take 80 ns.
const ZSTD_COST: usize = 4;

/// Input of which no more is to be had for now than `allowance` pays for.
struct Sips<'a> {
    rest: &'a [u8],
    allowance: usize,
    /// What a byte costs that is copied, and one that is taken where it lies.
    aside_cost: usize,
    cost: usize,
}

impl Sips<'_> {
    /// The first bytes, which are paid for at so much each; the last one with what is left.
    fn affordable(&self, cost: usize) -> io::Result<&[u8]> {
        if self.allowance == 0 && !self.rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.rest.get(..self.allowance.div_ceil(cost)).unwrap_or(self.rest))
    }

    fn pay(&mut self, count: usize, cost: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.allowance = self.allowance.saturating_sub(count.saturating_mul(cost));
    }
}

impl Read for Sips<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.affordable(self.aside_cost)?.read(buf)?;
        self.pay(count, self.aside_cost);
        Ok(count)
    }
}

impl BufRead for Sips<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.affordable(self.cost)
    }

    fn consume(&mut self, count: usize) {
        self.pay(count, self.cost);
    }
}

/// Compresses the records section of a batch, piece by piece, the way Java's client does: snappy in xerial framing, lz4 in
/// independent 64 KiB blocks.
pub struct Encoder {
    compression: Compression,
    target: Target,
}

enum Target {
    Plain(Vec<u8>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Snappy(Box<BlockEncoder>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// # Errors
    /// `Failed` when the library cannot be set up.
    pub fn new(compression: Compression) -> Result<Self, CodecError> {
        Self::after(Vec::new(), compression)
    }

    /// Writes behind `head`, so that what must stand before the result is not put there by a copy.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn after(head: Vec<u8>, compression: Compression) -> Result<Self, CodecError> {
        let failed = |source| CodecError::Failed { compression, source };
        let target = match compression {
            Compression::None => Target::Plain(head),
            Compression::Gzip => {
                let level = flate2::Compression::default();
                Target::Gzip(Box::new(flate2::write::GzEncoder::new(head, level)))
            }
            Compression::Snappy => Target::Snappy(Box::new(BlockEncoder::after(head))),
            Compression::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                let encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, head);
                Target::Lz4(Box::new(encoder))
            }
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(head, ZSTD_LEVEL);
                Target::Zstd(encoder.map_err(failed)?)
            }
        };
        Ok(Self { compression, target })
    }

    /// Compresses one more piece.
    ///
    /// # Errors
    /// `Failed` when the codec reports one; with memory as source and target that is a defect of the library.
    pub fn push(&mut self, plain: &[u8]) -> Result<(), CodecError> {
        let compression = self.compression;
        let pushed = match &mut self.target {
            Target::Plain(output) => output.write_all(plain),
            Target::Gzip(encoder) => encoder.write_all(plain),
            Target::Snappy(encoder) => encoder.push(plain),
            Target::Lz4(encoder) => encoder.write_all(plain),
            Target::Zstd(encoder) => encoder.write_all(plain),
        };
        pushed.map_err(|source| CodecError::Failed { compression, source })
    }

    /// What came out so far, in bytes, with the head.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.target {
            Target::Plain(output) => output.len(),
            Target::Gzip(encoder) => encoder.get_ref().len(),
            Target::Snappy(encoder) => encoder.bytes(),
            Target::Lz4(encoder) => encoder.get_ref().len(),
            Target::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// The whole with the head, after the last piece.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn finish(self) -> Result<Vec<u8>, CodecError> {
        let compression = self.compression;
        let finished = match self.target {
            Target::Plain(output) => Ok(output),
            Target::Gzip(encoder) => encoder.finish(),
            Target::Snappy(encoder) => encoder.finish(),
            Target::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
            Target::Zstd(encoder) => encoder.finish(),
        };
        finished.map_err(|source| CodecError::Failed { compression, source })
    }
}

#[cfg(test)]
mod tests;
