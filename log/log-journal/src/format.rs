//! Bytes on disk: encode and decode, nothing else. Normative description: `log/FORMAT.md`.
//!
//! All integers are little endian. Blocks (segment header, watermark record, trailer, checkpoint header) are 4 KiB and
//! end in a CRC-32 (IEEE) of their first 4092 bytes; frames carry a header and a payload checksum.

use log_io::BLOCK_BYTES;
use log_types::{ClusterId, Offset, Position, SegmentId, ShardId, StreamId, Term};

use crate::options::EntryKind;

pub(crate) const VERSION: u32 = 1;
pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;
/// Slots of the watermark ring, one block each, after the segment header.
pub(crate) const RING_SLOTS: u64 = 3;
/// Byte of a segment at which frames start.
pub const DATA_START: u64 = BLOCK * (1 + RING_SLOTS);
/// Bytes before a frame's payload.
pub const FRAME_HEADER_BYTES: usize = 128;
/// Bytes of one entry in a frame's directory.
pub(crate) const ENTRY_BYTES: usize = 48;
pub(crate) const RUN_BYTES: usize = 40;
pub(crate) const FOOTER_STREAM_BYTES: usize = 16;
const BLOCK_CRC_AT: usize = BLOCK_BYTES - 4;
const HEADER_CRC_AT: usize = FRAME_HEADER_BYTES - 4;

const SEGMENT_MAGIC: &[u8; 8] = b"LUMASEG1";
const WATERMARK_MAGIC: &[u8; 8] = b"LUMAWMRK";
const TRAILER_MAGIC: &[u8; 8] = b"LUMAFOOT";
const CHECKPOINT_MAGIC: &[u8; 8] = b"LUMACKPT";
const FRAME_MAGIC: &[u8; 4] = b"LFRM";

const _: () = assert!(DATA_START == 16384);

/// `len` rounded up to whole blocks.
pub(crate) fn align_up(len: u64) -> u64 {
    len.next_multiple_of(BLOCK)
}

pub(crate) fn segment_name(id: SegmentId) -> String {
    format!("segment-{:016x}.luma", id.0)
}

pub(crate) fn spare_name(number: u64) -> String {
    format!("spare-{number:016x}.luma")
}

pub(crate) fn checkpoint_name(number: u64) -> String {
    format!("checkpoint-{number:016x}.luma")
}

/// The number in `prefix-<16 hex>.luma`.
pub(crate) fn parse_name(name: &str, prefix: &str) -> Option<u64> {
    let hex = name.strip_prefix(prefix)?.strip_suffix(".luma")?;
    if hex.len() != 16 || hex.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'+') {
        return None;
    }
    u64::from_str_radix(hex, 16).ok()
}

/// Cluster and shard: what every block of a journal must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) shard: ShardId,
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    if let Some(found) = bytes.get(at..at + N) {
        value.copy_from_slice(found);
    }
    value
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(get(bytes, at))
}

pub(crate) fn get_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(get(bytes, at))
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(get(bytes, at))
}

/// Why stored bytes were not accepted: what was compared, and the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) what: &'static str,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

fn same(what: &'static str, expected: u64, found: u64) -> Result<(), Mismatch> {
    if expected == found { Ok(()) } else { Err(Mismatch { what, expected, found }) }
}

/// Positions, offsets and sequence numbers are counted up; a value from which the next one might overflow was never
/// written, whatever its checksum says.
const COUNTER_MAX: u64 = i64::MAX.cast_unsigned() - 1;
const GENERATION_MAX: u32 = u32::MAX - 1;

fn at_most(what: &'static str, max: u64, found: u64) -> Result<(), Mismatch> {
    if found <= max { Ok(()) } else { Err(Mismatch { what, expected: max, found }) }
}

fn check_generation(generation: u32) -> Result<(), Mismatch> {
    at_most("generation", u64::from(GENERATION_MAX), u64::from(generation))
}

/// Offsets of a stream that may be indexed: not negative, in order, and with a successor.
pub(crate) fn offsets_fit(base: Offset, last: Offset) -> bool {
    0 <= base.0 && base <= last && last.0 < i64::MAX
}

/// Writes the fields every 4 KiB block starts with.
fn start_block(block: &mut [u8], magic: &[u8; 8], identity: Identity) {
    assert!(block.len() == BLOCK_BYTES, "a block of {} bytes", block.len());
    block.fill(0);
    put(block, 0, *magic);
    put(block, 8, VERSION.to_le_bytes());
    put(block, 12, identity.shard.0.to_le_bytes());
    put(block, 16, identity.cluster.0);
}

fn finish_block(block: &mut [u8]) {
    let crc = crc32fast::hash(&block[..BLOCK_CRC_AT]);
    put(block, BLOCK_CRC_AT, crc.to_le_bytes());
}

fn check_block(block: &[u8], magic: &[u8; 8], identity: Identity) -> Result<(), Mismatch> {
    same("block length", BLOCK, block.len() as u64)?;
    same("block magic", u64::from_le_bytes(*magic), get_u64(block, 0))?;
    let crc = crc32fast::hash(&block[..BLOCK_CRC_AT]);
    same("block checksum", u64::from(get_u32(block, BLOCK_CRC_AT)), u64::from(crc))?;
    same("format version", u64::from(VERSION), u64::from(get_u32(block, 8)))?;
    same("shard", u64::from(identity.shard.0), u64::from(get_u32(block, 12)))?;
    check_cluster(identity.cluster, get(block, 16))
}

fn check_cluster(expected: ClusterId, found: [u8; 16]) -> Result<(), Mismatch> {
    same("cluster id (first half)", get_u64(&expected.0, 0), get_u64(&found, 0))?;
    same("cluster id (second half)", get_u64(&expected.0, 8), get_u64(&found, 8))
}

/// The nearest size a segment may have: whole blocks, room for a trailer, below 4 GiB.
pub(crate) fn segment_size(claimed: u64) -> u64 {
    let max = u64::from(u32::MAX) / BLOCK * BLOCK;
    (claimed / BLOCK * BLOCK).clamp(DATA_START + BLOCK, max)
}

/// First block of a segment file. FORMAT.md "Segment header".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) segment: SegmentId,
    /// Position of the first frame.
    pub(crate) base: Position,
    /// Size of the file as laid out: the trailer is its last block.
    pub(crate) segment_bytes: u64,
    pub(crate) generation: u32,
    /// Wall clock, ms since the epoch: everything in the segments before was written by then.
    pub(crate) created_ms: i64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self, identity: Identity, block: &mut [u8]) {
        start_block(block, SEGMENT_MAGIC, identity);
        put(block, 32, self.segment.0.to_le_bytes());
        put(block, 40, self.base.0.to_le_bytes());
        put(block, 48, self.segment_bytes.to_le_bytes());
        put(block, 56, self.generation.to_le_bytes());
        put(block, 128, self.created_ms.to_le_bytes());
        finish_block(block);
    }

    pub(crate) fn decode(
        block: &[u8],
        identity: Identity,
        segment: SegmentId,
    ) -> Result<Self, Mismatch> {
        check_block(block, SEGMENT_MAGIC, identity)?;
        same("segment id", segment.0, get_u64(block, 32))?;
        same("key slot", 0, u64::from(get_u32(block, 60)))?;
        let segment_bytes = get_u64(block, 48);
        same("segment size", segment_size(segment_bytes), segment_bytes)?;
        at_most("base position", COUNTER_MAX, get_u64(block, 40))?;
        check_generation(get_u32(block, 56))?;
        Ok(Self {
            segment,
            base: Position(get_u64(block, 40)),
            segment_bytes,
            generation: get_u32(block, 56),
            created_ms: get_i64(block, 128),
        })
    }
}

/// "Synced up to": one slot of the ring. FORMAT.md "Watermark record".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) segment: SegmentId,
    /// +1 per record; the slot is `sequence % RING_SLOTS`.
    pub(crate) sequence: u64,
    pub(crate) durable: Position,
    pub(crate) generation: u32,
    /// Nothing after `durable` was ever written: the journal was closed.
    pub(crate) closed: bool,
}

impl Watermark {
    pub(crate) fn encode(&self, identity: Identity, block: &mut [u8]) {
        start_block(block, WATERMARK_MAGIC, identity);
        put(block, 32, self.segment.0.to_le_bytes());
        put(block, 40, self.sequence.to_le_bytes());
        put(block, 48, self.durable.0.to_le_bytes());
        put(block, 56, self.generation.to_le_bytes());
        put(block, 60, u32::from(self.closed).to_le_bytes());
        finish_block(block);
    }

    pub(crate) fn decode(
        block: &[u8],
        identity: Identity,
        segment: SegmentId,
    ) -> Result<Self, Mismatch> {
        check_block(block, WATERMARK_MAGIC, identity)?;
        same("segment id", segment.0, get_u64(block, 32))?;
        at_most("sequence", COUNTER_MAX, get_u64(block, 40))?;
        at_most("durable position", COUNTER_MAX, get_u64(block, 48))?;
        check_generation(get_u32(block, 56))?;
        Ok(Self {
            segment,
            sequence: get_u64(block, 40),
            durable: Position(get_u64(block, 48)),
            generation: get_u32(block, 56),
            closed: get_u32(block, 60) == 1,
        })
    }

    /// Byte of the segment file at which this record belongs.
    pub(crate) fn file_offset(&self) -> u64 {
        BLOCK * (1 + self.sequence % RING_SLOTS)
    }
}

/// Header of a frame. FORMAT.md "Frame".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub segment: SegmentId,
    /// Byte of the segment file at which the frame starts.
    pub file_offset: u64,
    pub position: Position,
    pub term: Term,
    /// Highest position known durable when the frame was assembled.
    pub durable: Position,
    /// Wall clock of the leader; orders nothing.
    pub wall_ms: i64,
    /// Number of the opening that wrote the frame.
    pub generation: u32,
    pub entry_count: u32,
    /// Bytes of the entries, without directory and padding.
    pub data_bytes: u32,
    /// Whole frame with header, directory and padding: a multiple of 4 KiB.
    pub frame_bytes: u32,
    /// CRC-32C of everything after the header, padding included.
    pub payload_crc: u32,
}

impl FrameHeader {
    /// Start of the directory within the frame.
    pub(crate) fn directory_at(&self) -> usize {
        FRAME_HEADER_BYTES + self.data_bytes as usize
    }

    pub(crate) fn encode(&self, cluster: ClusterId, shard: ShardId, bytes: &mut [u8]) {
        let bytes = &mut bytes[..FRAME_HEADER_BYTES];
        bytes.fill(0);
        put(bytes, 0, *FRAME_MAGIC);
        put(bytes, 4, VERSION.to_le_bytes());
        put(bytes, 8, cluster.0);
        put(bytes, 24, shard.0.to_le_bytes());
        put(bytes, 28, self.generation.to_le_bytes());
        put(bytes, 32, self.segment.0.to_le_bytes());
        put(bytes, 40, self.file_offset.to_le_bytes());
        put(bytes, 48, self.position.0.to_le_bytes());
        put(bytes, 56, self.term.0.to_le_bytes());
        put(bytes, 64, self.durable.0.to_le_bytes());
        put(bytes, 72, self.wall_ms.to_le_bytes());
        put(bytes, 80, self.entry_count.to_le_bytes());
        put(bytes, 84, self.data_bytes.to_le_bytes());
        put(bytes, 88, self.frame_bytes.to_le_bytes());
        put(bytes, 92, self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        put(bytes, HEADER_CRC_AT, crc.to_le_bytes());
    }

    /// Decodes a header that claims to lie at `file_offset` of `segment`. Position and generation are the caller's to check.
    pub(crate) fn decode(
        bytes: &[u8],
        identity: Identity,
        segment: SegmentId,
        file_offset: u64,
    ) -> Result<Self, Mismatch> {
        same("frame magic", u64::from(get_u32(FRAME_MAGIC, 0)), u64::from(get_u32(bytes, 0)))?;
        let Some(bytes) = bytes.get(..FRAME_HEADER_BYTES) else {
            return Err(Mismatch {
                what: "frame header length",
                expected: 128,
                found: bytes.len() as u64,
            });
        };
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        same("frame header checksum", u64::from(get_u32(bytes, HEADER_CRC_AT)), u64::from(crc))?;
        same("frame version", u64::from(VERSION), u64::from(get_u32(bytes, 4)))?;
        check_cluster(identity.cluster, get(bytes, 8))?;
        same("frame shard", u64::from(identity.shard.0), u64::from(get_u32(bytes, 24)))?;
        same("frame segment id", segment.0, get_u64(bytes, 32))?;
        same("frame file offset", file_offset, get_u64(bytes, 40))?;
        at_most("durable position", COUNTER_MAX, get_u64(bytes, 64))?;
        check_generation(get_u32(bytes, 28))?;
        let header = Self {
            segment,
            file_offset,
            position: Position(get_u64(bytes, 48)),
            term: Term(get_u64(bytes, 56)),
            durable: Position(get_u64(bytes, 64)),
            wall_ms: get_i64(bytes, 72),
            generation: get_u32(bytes, 28),
            entry_count: get_u32(bytes, 80),
            data_bytes: get_u32(bytes, 84),
            frame_bytes: get_u32(bytes, 88),
            payload_crc: get_u32(bytes, 92),
        };
        let directory = u64::from(header.entry_count) * ENTRY_BYTES as u64;
        let needed = FRAME_HEADER_BYTES as u64 + u64::from(header.data_bytes) + directory;
        same("frame length", align_up(needed), u64::from(header.frame_bytes))?;
        Ok(header)
    }
}

/// One entry of a frame's directory. FORMAT.md "Entry".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    pub stream: StreamId,
    pub kind: EntryKind,
    pub base_offset: Offset,
    /// Inclusive.
    pub last_offset: Offset,
    /// Milliseconds since the epoch.
    pub max_timestamp: i64,
    /// Start of the entry's bytes within the frame.
    pub frame_offset: u32,
    /// Length of the entry's bytes.
    pub len: u32,
}

impl EntryHead {
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..ENTRY_BYTES];
        bytes.fill(0);
        put(bytes, 0, self.stream.0.to_le_bytes());
        put(bytes, 8, self.base_offset.0.to_le_bytes());
        put(bytes, 16, self.last_offset.0.to_le_bytes());
        put(bytes, 24, self.max_timestamp.to_le_bytes());
        put(bytes, 32, self.frame_offset.to_le_bytes());
        put(bytes, 36, self.len.to_le_bytes());
        put(bytes, 40, [self.kind.0]);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            stream: StreamId(get_u64(bytes, 0)),
            base_offset: Offset(get_i64(bytes, 8)),
            last_offset: Offset(get_i64(bytes, 16)),
            max_timestamp: get_i64(bytes, 24),
            frame_offset: get_u32(bytes, 32),
            len: get_u32(bytes, 36),
            kind: EntryKind(get::<1>(bytes, 40)[0]),
        }
    }
}

/// Last block of a sealed segment. FORMAT.md "Footer".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) segment: SegmentId,
    pub(crate) base: Position,
    pub(crate) last: Position,
    /// End of the last frame and start of the footer's body.
    pub(crate) frames_end: u64,
    /// Bytes of the body without padding.
    pub(crate) footer_bytes: u32,
    pub(crate) stream_count: u32,
    pub(crate) generation: u32,
    /// CRC-32 of the body, padding included.
    pub(crate) footer_crc: u32,
}

impl Trailer {
    pub(crate) fn encode(&self, identity: Identity, block: &mut [u8]) {
        start_block(block, TRAILER_MAGIC, identity);
        put(block, 32, self.segment.0.to_le_bytes());
        put(block, 40, self.base.0.to_le_bytes());
        put(block, 48, self.last.0.to_le_bytes());
        put(block, 56, self.frames_end.to_le_bytes());
        put(block, 64, self.footer_bytes.to_le_bytes());
        put(block, 68, self.stream_count.to_le_bytes());
        put(block, 72, self.generation.to_le_bytes());
        put(block, 76, self.footer_crc.to_le_bytes());
        finish_block(block);
    }

    pub(crate) fn decode(
        block: &[u8],
        identity: Identity,
        segment: SegmentId,
    ) -> Result<Self, Mismatch> {
        check_block(block, TRAILER_MAGIC, identity)?;
        same("segment id", segment.0, get_u64(block, 32))?;
        at_most("last position", COUNTER_MAX, get_u64(block, 48))?;
        Ok(Self {
            segment,
            base: Position(get_u64(block, 40)),
            last: Position(get_u64(block, 48)),
            frames_end: get_u64(block, 56),
            footer_bytes: get_u32(block, 64),
            stream_count: get_u32(block, 68),
            generation: get_u32(block, 72),
            footer_crc: get_u32(block, 76),
        })
    }
}

/// First block of a checkpoint file. FORMAT.md "Checkpoint".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointHeader {
    pub(crate) number: u64,
    pub(crate) position: Position,
    /// Where the frame after `position` starts.
    pub(crate) segment: SegmentId,
    pub(crate) file_offset: u64,
    pub(crate) index_bytes: u64,
    pub(crate) state_bytes: u64,
    pub(crate) generation: u32,
    /// CRC-32 of index and state.
    pub(crate) body_crc: u32,
}

impl CheckpointHeader {
    pub(crate) fn encode(&self, identity: Identity, block: &mut [u8]) {
        start_block(block, CHECKPOINT_MAGIC, identity);
        put(block, 32, self.number.to_le_bytes());
        put(block, 40, self.position.0.to_le_bytes());
        put(block, 48, self.segment.0.to_le_bytes());
        put(block, 56, self.file_offset.to_le_bytes());
        put(block, 64, self.index_bytes.to_le_bytes());
        put(block, 72, self.state_bytes.to_le_bytes());
        put(block, 80, self.generation.to_le_bytes());
        put(block, 84, self.body_crc.to_le_bytes());
        finish_block(block);
    }

    pub(crate) fn decode(block: &[u8], identity: Identity, number: u64) -> Result<Self, Mismatch> {
        check_block(block, CHECKPOINT_MAGIC, identity)?;
        same("checkpoint number", number, get_u64(block, 32))?;
        at_most("position", COUNTER_MAX, get_u64(block, 40))?;
        at_most("segment id", COUNTER_MAX, get_u64(block, 48))?;
        at_most("file offset", u64::from(u32::MAX), get_u64(block, 56))?;
        check_generation(get_u32(block, 80))?;
        Ok(Self {
            number,
            position: Position(get_u64(block, 40)),
            segment: SegmentId(get_u64(block, 48)),
            file_offset: get_u64(block, 56),
            index_bytes: get_u64(block, 64),
            state_bytes: get_u64(block, 72),
            generation: get_u32(block, 80),
            body_crc: get_u32(block, 84),
        })
    }
}
