//! Snappy in the two shapes Kafka clients send: xerial-framed (Java) and one raw block (librdkafka, Go).
//!
//! ```text
//! xerial = 82 'SNAPPY' 00 ┼ version i32 ┼ compatible version i32 ┼ { length i32 ┼ raw block }*
//! ```
//!
//! Invariants:
//! - A block's declared length is believed only up to 64 times its size: no element of the format expands more.
//! - The version fields are not checked: some producers write them little-endian. A repeated header between blocks
//!   is skipped, as snappy-java does.

use crate::run::Run;
use crate::{CodecError, Compression};
use std::io;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const EXPANSION_MAX: usize = 64;
/// Bytes per block when compressing, snappy-java's default.
const BLOCK_BYTES: usize = 32 * 1024;

fn malformed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CodecError {
    let source = io::Error::new(io::ErrorKind::InvalidData, reason);
    CodecError::Malformed { compression: Compression::Snappy, source }
}

pub(crate) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut output = Vec::new();
    if !input.starts_with(&MAGIC) {
        append_block(input, bytes_max, &mut output)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest.get(HEADER_BYTES..).ok_or_else(|| malformed("xerial header cut off"))?;
            continue;
        }
        let (length, tail) =
            rest.split_first_chunk::<4>().ok_or_else(|| malformed("block length cut off"))?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(malformed)?;
        let (block, tail) =
            tail.split_at_checked(length).ok_or_else(|| malformed("block cut off"))?;
        append_block(block, bytes_max, &mut output)?;
        rest = tail;
    }
    Ok(output)
}

fn append_block(block: &[u8], bytes_max: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
    let declared = snap::raw::decompress_len(block).map_err(malformed)?;
    if declared > bytes_max.saturating_sub(output.len()) {
        return Err(CodecError::OutputLimit { bytes_max });
    }
    if declared > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(malformed("block declares more than it can hold"));
    }
    let start = output.len();
    output.resize(start + declared, 0);
    let target = output.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, target).map_err(malformed)?;
    if written == declared { Ok(()) } else { Err(malformed("block is shorter than it declares")) }
}

/// The blocks of a batch, decoded in slices.
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    xerial: bool,
    block: Option<Block<'a>>,
}

/// The raw block that is being decoded.
struct Block<'a> {
    rest: &'a [u8],
    run: Run<'a>,
    /// Lengths of the output at its beginning and its end.
    start: usize,
    end: usize,
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, xerial: input.starts_with(&MAGIC), block: None }
    }

    /// Appends up to `room` bytes, and takes in about as many at most; `true` at the end.
    pub(crate) fn step(&mut self, output: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        let (output_before, input_before) = (output.len(), self.rest.len());
        loop {
            let produced = output.len() - output_before;
            if let Some(block) = &mut self.block {
                if !block.step(output, room - produced)? {
                    return Ok(false);
                }
                self.block = None;
            }
            if self.rest.is_empty() && self.xerial {
                return Ok(true);
            }
            if output.len() - output_before >= room || input_before - self.rest.len() > room {
                return Ok(false);
            }
            if let Some(block) = self.next()? {
                self.block = Some(Block::begin(block, output.len())?);
            }
        }
    }

    /// The next raw block; `None` after a header.
    fn next(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.xerial {
            // The one block there is. What is left looks like the framing's end, where no more is taken.
            self.xerial = true;
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        if self.rest.starts_with(&MAGIC) {
            let tail = self.rest.get(HEADER_BYTES..);
            self.rest = tail.ok_or_else(|| invalid("xerial header cut off"))?;
            return Ok(None);
        }
        let cut_off = || invalid("block cut off");
        let (length, tail) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| cut_off())?;
        let (block, tail) = tail.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = tail;
        Ok(Some(block))
    }
}

impl<'a> Block<'a> {
    fn begin(block: &'a [u8], start: usize) -> io::Result<Self> {
        let declared = snap::raw::decompress_len(block).map_err(io::Error::other)?;
        if block.is_empty() || declared > block.len().saturating_mul(EXPANSION_MAX) {
            return Err(invalid("block declares more than it can hold"));
        }
        let length_bytes = 1 + block.iter().take_while(|byte| **byte & 0x80 != 0).count();
        let rest = block.get(length_bytes..).unwrap_or_default();
        Ok(Self { rest, run: Run::default(), start, end: start + declared })
    }

    /// Appends up to `room` bytes; `true` at the block's end.
    fn step(&mut self, output: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        let until = output.len() + room;
        while output.len() < until {
            if self.run.is_done() {
                if self.rest.is_empty() {
                    break;
                }
                self.next_run(output.len())?;
            }
            self.run.copy(output, until - output.len());
        }
        let ended = self.run.is_done() && self.rest.is_empty();
        if ended && output.len() != self.end {
            return Err(invalid("block is shorter than it declares"));
        }
        Ok(ended)
    }

    /// Reads an element: a tag, whose two low bits say of which kind, and what follows it.
    fn next_run(&mut self, at: usize) -> io::Result<()> {
        let tag = usize::try_from(self.number(1)?).unwrap_or(usize::MAX);
        let length = match tag & 3 {
            0 => {
                let length = match tag >> 2 {
                    length @ ..60 => length + 1,
                    more => usize::try_from(self.number(more - 59)?).unwrap_or(usize::MAX) + 1,
                };
                self.run.literals = self.take(length)?;
                length
            }
            1 => self.repeat(at, (tag >> 5) << 8, 1, (tag >> 2 & 7) + 4)?,
            2 => self.repeat(at, 0, 2, (tag >> 2) + 1)?,
            _ => self.repeat(at, 0, 4, (tag >> 2) + 1)?,
        };
        if length > self.end - at {
            return Err(invalid("block is longer than it declares"));
        }
        Ok(())
    }

    fn repeat(&mut self, at: usize, high: usize, bytes: usize, length: usize) -> io::Result<usize> {
        let low = usize::try_from(self.number(bytes)?).unwrap_or(usize::MAX);
        let distance = high | low;
        if distance == 0 || distance > at - self.start {
            return Err(invalid("repeat out of bounds"));
        }
        (self.run.distance, self.run.repeated) = (distance, length);
        Ok(length)
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let taken = self.rest.split_at_checked(count);
        let (taken, tail) = taken.ok_or_else(|| invalid("block cut off"))?;
        self.rest = tail;
        Ok(taken)
    }

    /// A little-endian number of one to four bytes.
    fn number(&mut self, bytes: usize) -> io::Result<u32> {
        let digits = self.take(bytes)?.iter().rev();
        Ok(digits.fold(0, |number, digit| number << 8 | u32::from(*digit)))
    }
}

/// Compresses to xerial framing, block by block.
pub(crate) struct BlockEncoder {
    encoder: snap::raw::Encoder,
    /// Less than a block.
    pending: Vec<u8>,
    output: Vec<u8>,
}

impl BlockEncoder {
    /// Writes behind `output`.
    pub(crate) fn after(mut output: Vec<u8>) -> Self {
        output.extend_from_slice(&MAGIC);
        output.extend_from_slice(&1i32.to_be_bytes());
        output.extend_from_slice(&1i32.to_be_bytes());
        Self { encoder: snap::raw::Encoder::new(), pending: Vec::new(), output }
    }

    pub(crate) fn push(&mut self, mut plain: &[u8]) -> io::Result<()> {
        while !plain.is_empty() {
            let count = plain.len().min(BLOCK_BYTES - self.pending.len());
            let (now, later) = plain.split_at(count);
            self.pending.extend_from_slice(now);
            plain = later;
            if self.pending.len() == BLOCK_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let block = self.encoder.compress_vec(&self.pending).map_err(io::Error::other)?;
        self.pending.clear();
        let length = i32::try_from(block.len()).map_err(io::Error::other)?;
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(&block);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.output.len()
    }

    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.pending.is_empty() {
            self.end_block()?;
        }
        Ok(self.output)
    }
}
