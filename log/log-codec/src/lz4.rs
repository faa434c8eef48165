//! lz4 frames, decoded in slices.
//!
//! ```text
//! frame    = 04 22 4d 18 ┼ flags u8 ┼ block size u8 ┼ [content size u64] ┼ check u8 ┼ block* ┼ 0 u32 ┼ [content check u32]
//! block    = length u32 (top bit: not compressed) ┼ bytes ┼ [check u32]
//! sequence = token u8 ┼ [literal length…] ┼ literals ┼ distance u16 ┼ [repeat length…]        the last one ends with its literals
//! ```
//!
//! Source: the LZ4 frame format 1.6.4 and the block format, both in <https://github.com/lz4/lz4/tree/dev/doc>; all numbers are
//! little-endian. Deliberately absent: dictionaries, skippable frames and the legacy format, which no Kafka client writes.

use std::hash::Hasher as _;
use std::io;

use twox_hash::XxHash32;

use crate::LZ4_MAGIC;
use crate::run::Run;

/// Version 01 in the two top bits.
const VERSION: u8 = 0x40;
const VERSION_MASK: u8 = 0xc0;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKS: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECK: u8 = 0x04;
/// A reserved bit, and the one of dictionaries.
const NOT_TAKEN: u8 = 0x03;
const NOT_COMPRESSED: u32 = 1 << 31;
/// A length of so much in a token goes on in the bytes that follow.
const LENGTH_GOES_ON: usize = 15;
const REPEAT_MIN: usize = 4;

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Takes so many bytes off the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, tail) = rest.split_at_checked(count).ok_or_else(|| malformed("cut off"))?;
    *rest = tail;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk().ok_or_else(|| malformed("cut off"))?;
    *rest = tail;
    Ok(*taken)
}

fn take_u32(rest: &mut &[u8]) -> io::Result<u32> {
    take_array(rest).map(u32::from_le_bytes)
}

/// 32 bits of the hasher's 64.
#[expect(clippy::expect_used, reason = "a hash of 32 bits, whatever it is returned in")]
fn digest(hasher: &XxHash32) -> u32 {
    u32::try_from(hasher.finish()).expect("a hash of 32 bits")
}

fn check(hasher: &XxHash32, rest: &mut &[u8]) -> io::Result<()> {
    if take_u32(rest)? == digest(hasher) { Ok(()) } else { Err(malformed("checksum mismatch")) }
}

/// Frames that follow each other.
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
    frame: Option<Frame<'a>>,
}

struct Frame<'a> {
    flags: u8,
    block_bytes_max: usize,
    content_bytes: Option<u64>,
    content: XxHash32,
    /// Length of the output where it began.
    start: usize,
    block: Option<Block<'a>>,
}

/// The block that is being decoded.
struct Block<'a> {
    rest: &'a [u8],
    run: Run<'a>,
    /// Of the bytes as they came.
    check: Option<XxHash32>,
    compressed: bool,
    /// Nothing follows the run.
    last: bool,
    /// Length of the output up to which repeats reach back.
    reach: usize,
    start: usize,
    bytes_max: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, frame: None }
    }

    /// Appends up to `room` bytes, and takes in about as many at most; `true` at the end.
    pub(crate) fn step(&mut self, output: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        let (output_before, input_before) = (output.len(), self.rest.len());
        loop {
            let Some(frame) = &mut self.frame else {
                // A magic number and nothing after it reads as the end.
                if self.rest.is_empty() || self.rest == LZ4_MAGIC {
                    return Ok(true);
                }
                self.frame = Some(Frame::begin(&mut self.rest, output.len())?);
                continue;
            };
            let produced = output.len() - output_before;
            if produced >= room || input_before - self.rest.len() > room {
                return Ok(false);
            }
            let Some(block) = &mut frame.block else {
                // Cut off at a block's end, which reads as the frame's: the record count tells.
                if self.rest.len() < 4 {
                    return Ok(true);
                }
                if !frame.next_block(&mut self.rest, output.len())? {
                    self.frame = None;
                }
                continue;
            };
            let from = output.len();
            let ended = block.step(output, room - produced)?;
            if frame.flags & CONTENT_CHECK != 0 {
                frame.content.write(output.get(from..).unwrap_or_default());
            }
            if ended {
                block.end(&mut self.rest, output.len())?;
                frame.block = None;
            }
        }
    }
}

impl<'a> Frame<'a> {
    fn begin(rest: &mut &'a [u8], start: usize) -> io::Result<Self> {
        if take_array(rest)? != LZ4_MAGIC {
            return Err(malformed("not a lz4 frame"));
        }
        let described = *rest;
        let [flags, size] = take_array(rest)?;
        if flags & VERSION_MASK != VERSION || flags & NOT_TAKEN != 0 || size & 0x8f != 0 {
            return Err(malformed("flags that are not taken"));
        }
        let block_bytes_max = match size >> 4 {
            exponent @ 4..=7 => 1 << (8 + 2 * exponent),
            _ => return Err(malformed("unknown block size")),
        };
        let content_bytes = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(take_array(rest)?)),
        };
        let mut hasher = XxHash32::with_seed(0);
        hasher.write(described.get(..described.len() - rest.len()).unwrap_or_default());
        let [found] = take_array(rest)?;
        if found != digest(&hasher).to_le_bytes()[1] {
            return Err(malformed("checksum mismatch"));
        }
        let content = XxHash32::with_seed(0);
        Ok(Self { flags, block_bytes_max, content_bytes, content, start, block: None })
    }

    /// `false` at the frame's end.
    fn next_block(&mut self, rest: &mut &'a [u8], at: usize) -> io::Result<bool> {
        let length = take_u32(rest)?;
        if length == 0 {
            if self.content_bytes.is_some_and(|bytes| bytes != (at - self.start) as u64) {
                return Err(malformed("length mismatch"));
            }
            if self.flags & CONTENT_CHECK != 0 {
                check(&self.content, rest)?;
            }
            return Ok(false);
        }
        let bytes = usize::try_from(length & !NOT_COMPRESSED).unwrap_or(usize::MAX);
        if bytes > self.block_bytes_max {
            return Err(malformed("block too large"));
        }
        self.block = Some(Block {
            rest: take(rest, bytes)?,
            run: Run::default(),
            check: (self.flags & BLOCK_CHECKS != 0).then(|| XxHash32::with_seed(0)),
            compressed: length & NOT_COMPRESSED == 0,
            last: false,
            reach: if self.flags & INDEPENDENT != 0 { at } else { self.start },
            start: at,
            bytes_max: self.block_bytes_max,
        });
        Ok(true)
    }
}

impl<'a> Block<'a> {
    /// Appends up to `room` bytes; `true` at the block's end.
    fn step(&mut self, output: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        let (before, came) = (output.len(), self.rest);
        let mut ended = false;
        while !ended && output.len() - before < room {
            if self.run.is_done() {
                ended = self.next_run(output.len())?;
            }
            self.run.copy(output, room - (output.len() - before));
        }
        if let Some(hasher) = &mut self.check {
            hasher.write(came.get(..came.len() - self.rest.len()).unwrap_or_default());
        }
        Ok(ended)
    }

    /// Reads a sequence; `true` when there is none any more.
    fn next_run(&mut self, at: usize) -> io::Result<bool> {
        if self.last {
            return Ok(true);
        }
        if !self.compressed {
            (self.run.literals, self.last) = (std::mem::take(&mut self.rest), true);
            return Ok(false);
        }
        let [token] = take_array(&mut self.rest)?;
        let left = self.bytes_max - (at - self.start);
        let literals = self.length(usize::from(token >> 4), left)?;
        self.run.literals = take(&mut self.rest, literals)?;
        if self.rest.is_empty() {
            self.last = true;
            return Ok(false);
        }
        let distance = usize::from(u16::from_le_bytes(take_array(&mut self.rest)?));
        let repeated = REPEAT_MIN + self.length(usize::from(token & 0xf), left)?;
        if distance == 0 || distance > at + literals - self.reach || literals + repeated > left {
            return Err(malformed("repeat out of bounds"));
        }
        (self.run.distance, self.run.repeated) = (distance, repeated);
        Ok(false)
    }

    /// A length that a token begins; more than `max` is refused before all of its bytes are looked at.
    fn length(&mut self, token: usize, max: usize) -> io::Result<usize> {
        let (mut length, mut goes_on) = (token, token == LENGTH_GOES_ON);
        while goes_on {
            let [more] = take_array(&mut self.rest)?;
            length += usize::from(more);
            goes_on = more == u8::MAX && length <= max;
        }
        if length > max { Err(malformed("length out of bounds")) } else { Ok(length) }
    }

    /// After the last of it.
    fn end(&self, rest: &mut &[u8], at: usize) -> io::Result<()> {
        if at == self.start {
            // Nobody writes such a block, and very many would be work without any output.
            return Err(malformed("empty block"));
        }
        self.check.as_ref().map_or(Ok(()), |hasher| check(hasher, rest))
    }
}
