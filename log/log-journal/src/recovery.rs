//! Opening: newest valid checkpoint, then every frame after it, then the torn tail.
//!
//! ```text
//!  checkpoint ─► segment s: header, ring ─► frame … frame ─► segment s+1 … ─► last segment ─► first invalid frame
//!                                                                                              │
//!       position ≤ W, or a later frame proves it was durable ─► Corrupt, nothing changed ◄─────┤
//!       otherwise ─► torn: zero its first block, record W and the new generation, sync ◄───────┘
//! ```
//!
//! W is the highest of: the ring's records, `durable` of every valid frame, and base − 1 of the segment (a segment
//! exists only after everything before it was durable). A segment that is not the last must end exactly where the next
//! one begins.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, Disk, Durability};
use log_record::crc32c;
use log_types::{Position, SegmentId};

use crate::checkpoint::{self, Kept, Loaded};
use crate::error::JournalError;
use crate::format::{
    BLOCK, DATA_START, ENTRY_BYTES, EntryHead, FRAME_HEADER_BYTES, FrameHeader, Identity, Mismatch,
    RING_SLOTS, SegmentHeader, Trailer, Watermark, parse_name, segment_name, spare_name,
};
use crate::index::Index;
use crate::options::{EntryKind, JournalOptions, Recovery, ReplaySink};
use crate::roll;
use crate::space::{bridge_bytes, segment_bytes_least};
use crate::state::{Opened, Plan, SegmentFile, SegmentMeta, Spare, State, check_options};
use crate::verify::Finding;

const READ_BYTES: usize = 1 << 20;

/// The files of a journal, by kind.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) segments: BTreeSet<SegmentId>,
    pub(crate) spares: BTreeSet<u64>,
    pub(crate) checkpoints: BTreeSet<u64>,
    /// Whether there is a `checkpoint.tmp`, and a `checkpoint.spare`.
    pub(crate) reserves: (bool, bool),
}

/// Reads one segment file piece by piece.
pub(crate) struct Scanner {
    pub(crate) file: Rc<SegmentFile>,
    pub(crate) identity: Identity,
    pub(crate) segment: SegmentId,
    pub(crate) header: SegmentHeader,
    pub(crate) ring: Vec<Watermark>,
    buffer: Bytes,
    buffer_at: u64,
}

/// A frame whose every checksum is right.
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    pub(crate) bytes: Bytes,
}

/// Why the frame at an offset is not one.
pub(crate) enum Invalid {
    /// Nothing usable at the frame's start.
    Header(Mismatch),
    /// The header is right, the rest is not.
    Payload(FrameHeader, Mismatch),
}

impl Invalid {
    pub(crate) fn mismatch(&self) -> Mismatch {
        match self {
            Self::Header(mismatch) | Self::Payload(_, mismatch) => *mismatch,
        }
    }
}

pub(crate) fn corrupt(file: &str, offset: u64, mismatch: Mismatch) -> JournalError {
    JournalError::Corrupt {
        file: file.to_owned(),
        offset,
        what: mismatch.what,
        expected: mismatch.expected,
        found: mismatch.found,
    }
}

pub(crate) async fn list(disk: &dyn Disk) -> Result<Names, JournalError> {
    let mut names = Names::default();
    for name in disk
        .list()
        .await
        .map_err(|error| JournalError::io("list", "the journal directory", error))?
    {
        if let Some(id) = parse_name(&name, "segment-") {
            names.segments.insert(SegmentId(id));
        } else if let Some(number) = parse_name(&name, "spare-") {
            names.spares.insert(number);
        } else if let Some(number) = parse_name(&name, "checkpoint-") {
            names.checkpoints.insert(number);
        } else if name == checkpoint::TEMPORARY {
            names.reserves.0 = true;
        } else if name == checkpoint::SPARE {
            names.reserves.1 = true;
        }
    }
    Ok(names)
}

impl Scanner {
    /// Opens a segment and reads its header and ring.
    pub(crate) async fn open(
        disk: &dyn Disk,
        identity: Identity,
        segment: SegmentId,
    ) -> Result<Self, JournalError> {
        let name = segment_name(segment);
        let file =
            disk.open(&name).await.map_err(|error| JournalError::io("open", &name, error))?;
        let file = Rc::new(SegmentFile { name, file });
        let len = usize::try_from(DATA_START).expect("a small constant");
        let start = file.file.read_at(0, len).await;
        let start = start.map_err(|error| JournalError::io("read", &file.name, error))?;
        let first = start.get(..BLOCK_BYTES).unwrap_or(&start);
        let header = SegmentHeader::decode(first, identity, segment)
            .map_err(|mismatch| foreign(&file.name, mismatch))?;
        let slot = |slot: u64| {
            let at = usize::try_from(BLOCK * (1 + slot)).expect("a small constant");
            Watermark::decode(start.get(at..at + BLOCK_BYTES)?, identity, segment).ok()
        };
        let ring = (0..RING_SLOTS).filter_map(slot).collect();
        Ok(Self { file, identity, segment, header, ring, buffer: Bytes::new(), buffer_at: 0 })
    }

    /// The record in a slot of the ring, or why there is none; `found` is 0 when the slot was never written.
    pub(crate) async fn ring_slot(
        &self,
        slot: u64,
    ) -> Result<Result<Watermark, Mismatch>, JournalError> {
        let read = self.file.file.read_at(BLOCK * (1 + slot), BLOCK_BYTES).await;
        let block = read.map_err(|error| JournalError::io("read", &self.file.name, error))?;
        if block.iter().all(|byte| *byte == 0) {
            let what = "watermark record";
            return Ok(Err(Mismatch { what, expected: 1, found: 0 }));
        }
        let record = Watermark::decode(&block, self.identity, self.segment);
        Ok(record.map_err(|mismatch| Mismatch { found: mismatch.found.max(1), ..mismatch }))
    }

    /// Up to `len` bytes at `at`; less only at the end of the file.
    async fn bytes(&mut self, at: u64, len: usize) -> Result<Bytes, JournalError> {
        let inside = |at: u64, buffer_at: u64| usize::try_from(at.checked_sub(buffer_at)?).ok();
        if let Some(start) = inside(at, self.buffer_at)
            && let Some(end) = start.checked_add(len)
            && end <= self.buffer.len()
        {
            return Ok(self.buffer.slice(start..end));
        }
        let read = self.file.file.read_at(at, len.max(READ_BYTES)).await;
        self.buffer = read.map_err(|error| JournalError::io("read", &self.file.name, error))?;
        self.buffer_at = at;
        Ok(self.buffer.slice(..len.min(self.buffer.len())))
    }

    /// The frame at `at` if it is valid and has `position`.
    pub(crate) async fn frame(
        &mut self,
        at: u64,
        position: Position,
        generation_min: u32,
    ) -> Result<Result<Frame, Invalid>, JournalError> {
        let start = self.bytes(at, BLOCK_BYTES).await?;
        let header = match FrameHeader::decode(&start, self.identity, self.segment, at) {
            Ok(header) => header,
            Err(mismatch) => return Ok(Err(Invalid::Header(mismatch))),
        };
        let unequal =
            |what, expected, found| Ok(Err(Invalid::Header(Mismatch { what, expected, found })));
        if header.position != position {
            return unequal("frame position", position.0, header.position.0);
        }
        if header.generation < generation_min {
            return unequal(
                "frame generation",
                u64::from(generation_min),
                u64::from(header.generation),
            );
        }
        let end_max = self.header.segment_bytes - BLOCK;
        if at + u64::from(header.frame_bytes) > end_max {
            return unequal("end of the frame", end_max, at + u64::from(header.frame_bytes));
        }
        let len = header.frame_bytes as usize;
        let bytes = self.bytes(at, len).await?;
        let crc = crc32c(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default());
        let mismatch = if bytes.len() != len {
            Some(Mismatch {
                what: "frame length in the file",
                expected: len as u64,
                found: bytes.len() as u64,
            })
        } else if crc != header.payload_crc {
            let (expected, found) = (u64::from(header.payload_crc), u64::from(crc));
            Some(Mismatch { what: "frame payload checksum", expected, found })
        } else {
            check_directory(&header, &bytes)
        };
        Ok(match mismatch {
            Some(mismatch) => Err(Invalid::Payload(header, mismatch)),
            None => Ok(Frame { header, bytes }),
        })
    }

    /// The trailer, when the segment was sealed.
    pub(crate) async fn trailer(&mut self) -> Result<Result<Trailer, Mismatch>, JournalError> {
        let at = self.header.segment_bytes - BLOCK;
        let read = self.file.file.read_at(at, BLOCK_BYTES).await;
        let block = read.map_err(|error| JournalError::io("read", &self.file.name, error))?;
        Ok(Trailer::decode(&block, self.identity, self.segment))
    }

    /// Whether a frame header after `at` proves that `position` was durable.
    pub(crate) async fn later_proof(
        &mut self,
        at: u64,
        position: Position,
    ) -> Result<Option<FrameHeader>, JournalError> {
        let end = self.header.segment_bytes - BLOCK;
        let mut at = at;
        while at < end {
            let start = self.bytes(at, BLOCK_BYTES).await?;
            if start.len() < BLOCK_BYTES {
                break;
            }
            if let Ok(header) = FrameHeader::decode(&start, self.identity, self.segment, at)
                && header.position > position
                && header.durable >= position
            {
                return Ok(Some(header));
            }
            at += BLOCK;
        }
        Ok(None)
    }
}

fn foreign(file: &str, mismatch: Mismatch) -> JournalError {
    if mismatch.what == "shard"
        || mismatch.what == "format version"
        || mismatch.what.starts_with("cluster")
    {
        return JournalError::Foreign {
            file: file.to_owned(),
            what: mismatch.what,
            expected: format!("{:x}", mismatch.expected),
            found: format!("{:x}", mismatch.found),
        };
    }
    corrupt(file, 0, mismatch)
}

/// Entries must tile the data area in order.
fn check_directory(header: &FrameHeader, bytes: &Bytes) -> Option<Mismatch> {
    let mut at = FRAME_HEADER_BYTES as u64;
    for head in entries(header, bytes) {
        if u64::from(head.frame_offset) != at {
            return Some(Mismatch {
                what: "entry offset in the frame",
                expected: at,
                found: head.frame_offset.into(),
            });
        }
        at += u64::from(head.len);
    }
    let end = header.directory_at() as u64;
    (at != end).then_some(Mismatch { what: "end of the frame's entries", expected: end, found: at })
}

/// The directory of a frame whose length was checked.
pub(crate) fn entries(header: &FrameHeader, bytes: &Bytes) -> impl Iterator<Item = EntryHead> {
    let directory = bytes.get(header.directory_at()..).unwrap_or_default();
    let directory = directory.get(..header.entry_count as usize * ENTRY_BYTES).unwrap_or_default();
    directory.chunks_exact(ENTRY_BYTES).map(EntryHead::decode)
}

impl Frame {
    pub(crate) fn payload(&self, head: &EntryHead) -> &[u8] {
        let start = head.frame_offset as usize;
        self.bytes.get(start..start + head.len as usize).unwrap_or_default()
    }
}

/// Everything the scan learns; nothing is changed on disk until it is complete.
struct Scan<'a> {
    identity: Identity,
    index: Index,
    segments: BTreeMap<SegmentId, SegmentMeta>,
    position: Position,
    generation: u32,
    watermark: Position,
    frames: u64,
    bytes: u64,
    /// The checkpoint that was used.
    checkpoint: Option<Kept>,
    replay: &'a mut dyn ReplaySink,
}

impl Scan<'_> {
    /// The frames that follow are those after this checkpoint.
    fn begin_with(&mut self, loaded: Loaded) {
        let header = &loaded.header;
        self.replay.checkpoint(header.position, &loaded.state);
        self.checkpoint = Some(Kept {
            number: header.number,
            position: header.position,
            segment: header.segment,
            referenced: Some(loaded.index.live_segments().collect()),
        });
        self.position = header.position;
        self.watermark = header.position;
        self.generation = header.generation;
        self.index = loaded.index;
        self.segments = loaded.segments;
    }
}

/// Where the last segment ends.
struct LastSegment {
    file: Rc<SegmentFile>,
    segment: SegmentId,
    base: Position,
    segment_bytes: u64,
    offset: u64,
    torn_bytes: u64,
    clean: bool,
    sequence: u64,
    sealed: bool,
}

impl Scan<'_> {
    /// Replays the frames of one segment from `offset` on. Returns the offset of the first invalid frame, and why.
    async fn frames(
        &mut self,
        scanner: &mut Scanner,
        offset: u64,
    ) -> Result<(u64, Invalid), JournalError> {
        let mut at = offset;
        loop {
            let frame = match scanner.frame(at, self.position.next(), self.generation).await? {
                Ok(frame) => frame,
                Err(invalid) => return Ok((at, invalid)),
            };
            self.position = frame.header.position;
            self.generation = frame.header.generation;
            self.watermark = self.watermark.max(frame.header.durable);
            self.frames += 1;
            self.bytes += u64::from(frame.header.frame_bytes);
            self.index.set_term(frame.header.term);
            for head in entries(&frame.header, &frame.bytes) {
                if head.kind == EntryKind::BATCH {
                    if !self.index.accepts(&head) {
                        let last = self
                            .index
                            .streams
                            .get(&head.stream)
                            .and_then(crate::index::StreamIndex::last);
                        let expected = last.map_or(0, |last| last.0.cast_unsigned() + 1);
                        let found = head.base_offset.0.cast_unsigned();
                        let mismatch =
                            Mismatch { what: "base offset of an entry", expected, found };
                        return Err(corrupt(&scanner.file.name, at, mismatch));
                    }
                    self.index.push(at, &head);
                }
                self.replay.entry(frame.header.position, &head, frame.payload(&head));
            }
            at += u64::from(frame.header.frame_bytes);
        }
    }

    /// A segment that is followed by another must be whole.
    async fn sealed_segment(
        &mut self,
        mut scanner: Scanner,
        offset: u64,
        last: Position,
    ) -> Result<(), JournalError> {
        let (at, invalid) = self.frames(&mut scanner, offset).await?;
        if self.position != last {
            return Err(corrupt(&scanner.file.name, at, invalid.mismatch()));
        }
        self.index.seal(scanner.segment);
        self.add_segment(&scanner, last, true);
        Ok(())
    }

    fn add_segment(&mut self, scanner: &Scanner, last: Position, sealed: bool) {
        let meta = SegmentMeta {
            base: scanner.header.base,
            last,
            segment_bytes: scanner.header.segment_bytes,
            created_ms: scanner.header.created_ms,
            sealed,
            file: (!sealed).then(|| Rc::clone(&scanner.file)),
        };
        self.segments.insert(scanner.segment, meta);
    }

    /// Tells a torn tail from corruption.
    async fn last_segment(
        &mut self,
        mut scanner: Scanner,
        offset: u64,
    ) -> Result<LastSegment, JournalError> {
        let newest =
            scanner.ring.iter().max_by_key(|record| record.sequence).copied().unwrap_or_default();
        for record in &scanner.ring {
            self.watermark = self.watermark.max(record.durable);
        }
        let (at, invalid) = self.frames(&mut scanner, offset).await?;
        self.generation = self.generation.max(newest.generation).max(scanner.header.generation);
        let trailer = scanner.trailer().await?.ok();
        if let Some(trailer) = &trailer {
            self.watermark = self.watermark.max(trailer.last);
        }
        let invalid_position = self.position.next();
        if self.watermark >= invalid_position {
            return Err(corrupt(&scanner.file.name, at, invalid.mismatch()));
        }
        let clean = newest.closed && newest.durable == self.position;
        let sealed = trailer.is_some();
        let mut torn_bytes = 0;
        if !clean && !sealed {
            if let Some(proof) = scanner.later_proof(at + BLOCK, invalid_position).await? {
                self.watermark = self.watermark.max(proof.durable);
                return Err(corrupt(&scanner.file.name, at, invalid.mismatch()));
            }
            torn_bytes = torn_len(&mut scanner, at, &invalid).await?;
        }
        let sequence = scanner.ring.iter().map(|record| record.sequence).max().unwrap_or(0);
        let last = LastSegment {
            file: Rc::clone(&scanner.file),
            segment: scanner.segment,
            base: scanner.header.base,
            segment_bytes: scanner.header.segment_bytes,
            offset: at,
            torn_bytes,
            clean,
            sequence,
            sealed,
        };
        self.add_segment(&scanner, Position(0), false);
        Ok(last)
    }
}

/// How much of a torn frame is there: what its header says, or one block when that is not all zero.
async fn torn_len(scanner: &mut Scanner, at: u64, invalid: &Invalid) -> Result<u64, JournalError> {
    if let Invalid::Payload(header, _) = invalid {
        return Ok(u64::from(header.frame_bytes));
    }
    let block = scanner.bytes(at, BLOCK_BYTES).await?;
    Ok(if block.iter().any(|&byte| byte != 0) { BLOCK } else { 0 })
}

/// The newest checkpoint that is whole, and the findings about those newer ones that are not.
async fn newest_checkpoint(
    disk: &dyn Disk,
    identity: Identity,
    names: &Names,
) -> Result<(Option<Loaded>, Vec<Finding>), JournalError> {
    let mut rejected = Vec::new();
    for &number in names.checkpoints.iter().rev() {
        match checkpoint::load(disk, identity, number).await {
            Ok(loaded) => {
                // A process that was killed may have left it under a name that a power cut takes back, and segments that
                // only it can do without are freed from now on.
                let synced = disk.sync_dir().await;
                synced.map_err(|error| JournalError::io("sync", "the journal directory", error))?;
                return Ok((Some(loaded), rejected));
            }
            Err(JournalError::Corrupt { file, offset, what, expected, found }) => {
                rejected.push(Finding { file, offset, what, expected, found });
            }
            Err(error) => return Err(error),
        }
    }
    match rejected.first() {
        // Without any checkpoint only a journal that still has its first segment can be rebuilt.
        Some(newest) if !names.segments.contains(&SegmentId(1)) => Err(newest.clone().into()),
        _ => Ok((None, rejected)),
    }
}

pub(crate) async fn open(
    disk: &Rc<dyn Disk>,
    options: JournalOptions,
    wall_ms: i64,
    replay: &mut dyn ReplaySink,
) -> Result<(State, Recovery), JournalError> {
    check_options(&options)?;
    let disk = disk.as_ref();
    let identity = Identity { cluster: options.cluster, shard: options.shard };
    let names = list(disk).await?;
    let (loaded, rejected) = newest_checkpoint(disk, identity, &names).await?;
    if loaded.is_none() && names.segments.is_empty() {
        return create(disk, options, &names, wall_ms).await;
    }
    let mut scan = Scan {
        identity,
        index: Index::default(),
        segments: BTreeMap::new(),
        position: Position(0),
        generation: 0,
        watermark: Position(0),
        frames: 0,
        bytes: 0,
        checkpoint: None,
        replay,
    };
    let mut start = (SegmentId(1), DATA_START);
    let mut checkpoint_position = Position(0);
    let mut checkpoint_bytes = 0;
    if let Some(loaded) = loaded {
        check_segments(&names, &loaded)?;
        start = (loaded.header.segment, loaded.header.file_offset);
        checkpoint_position = loaded.header.position;
        checkpoint_bytes = loaded.header.index_bytes + loaded.header.state_bytes;
        scan.begin_with(loaded);
    }
    let last = scan_segments(disk, &mut scan, &names, start).await?;
    let leftover: Vec<SegmentId> =
        names.segments.iter().copied().filter(|id| !scan.segments.contains_key(id)).collect();
    let generation = scan.generation + 1;
    repair(disk, identity, &last, scan.position, generation).await?;
    let spares = collect_spares(disk, &options, &names, &leftover).await?;
    let recovery = Recovery {
        position: scan.position,
        checkpoint: checkpoint_position,
        frames: scan.frames,
        torn_bytes_truncated: last.torn_bytes,
        segments: scan.segments.len() as u64,
        clean: last.clean,
        rejected,
    };
    let mut state = build_state(options, scan, &last, generation, &names, spares, checkpoint_bytes);
    state.stats.checkpoints_rejected = recovery.rejected.len() as u64;
    Ok((state, recovery))
}

fn build_state(
    options: JournalOptions,
    scan: Scan<'_>,
    last: &LastSegment,
    generation: u32,
    names: &Names,
    found: FoundSpares,
    checkpoint_bytes: u64,
) -> State {
    let position = scan.position;
    let checkpoint_number = names.checkpoints.last().copied().unwrap_or(0);
    // What an older one needs is not known without reading it: until newer ones have replaced it nothing is freed.
    let kept = |&number: &u64| match &scan.checkpoint {
        Some(used) if used.number == number => used.clone(),
        _ => Kept { number, position: Position(0), segment: SegmentId(0), referenced: None },
    };
    let checkpoints = names.checkpoints.iter().map(kept).collect();
    let mut state = State::new(Opened {
        options,
        generation,
        plan: Plan {
            segment: last.segment,
            base: last.base,
            segment_bytes: last.segment_bytes,
            offset: last.offset,
            position: position.next(),
        },
        current: Rc::clone(&last.file),
        segments: scan.segments,
        spares: found.spares,
        bridge: found.bridge,
        spare_number: found.number,
        index: scan.index,
        watermark_sequence: last.sequence + 1,
        checkpoints,
        reserves: names.reserves,
        checkpoint_number,
        checkpoint_bytes_last: checkpoint_bytes,
        bytes_since_checkpoint: scan.bytes,
        position_at_checkpoint: Position(position.0 - scan.frames),
    });
    if last.sealed {
        // The crash came between footer and next segment: do the rest of the roll, with the file that was meant for it.
        let next = state.spares.pop().or_else(|| state.bridge.take());
        state.plan_next_segment(next);
    }
    state
}

/// Every sealed segment that the checkpoint's extents name must be there, and the one it continues in.
fn check_segments(names: &Names, loaded: &Loaded) -> Result<(), JournalError> {
    let named = loaded.index.live_segments().chain([loaded.header.segment]);
    for segment in named {
        if !names.segments.contains(&segment) {
            let mismatch = Mismatch { what: "segment file", expected: segment.0, found: 0 };
            return Err(corrupt(&segment_name(segment), 0, mismatch));
        }
    }
    Ok(())
}

async fn scan_segments(
    disk: &dyn Disk,
    scan: &mut Scan<'_>,
    names: &Names,
    start: (SegmentId, u64),
) -> Result<LastSegment, JournalError> {
    scan.segments.retain(|id, _| names.segments.contains(id));
    let mut segment = start.0;
    let mut offset = start.1;
    let last = names.segments.last().copied().unwrap_or(segment);
    loop {
        if !names.segments.contains(&segment) {
            let mismatch = Mismatch { what: "segment file", expected: segment.0, found: 0 };
            return Err(corrupt(&segment_name(segment), 0, mismatch));
        }
        let scanner = Scanner::open(disk, scan.identity, segment).await?;
        let base_expected = scan.position.next();
        if offset == DATA_START && scanner.header.base != base_expected {
            let (expected, found) = (base_expected.0, scanner.header.base.0);
            let mismatch = Mismatch { what: "base position of the segment", expected, found };
            return Err(corrupt(&scanner.file.name, 40, mismatch));
        }
        scan.watermark = scan.watermark.max(Position(scanner.header.base.0.saturating_sub(1)));
        if segment == last {
            return scan.last_segment(scanner, offset).await;
        }
        let next = Scanner::open(disk, scan.identity, SegmentId(segment.0 + 1)).await;
        let next = match next {
            Ok(next) => next,
            Err(JournalError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                let missing = SegmentId(segment.0 + 1);
                let mismatch = Mismatch { what: "segment file", expected: missing.0, found: 0 };
                return Err(corrupt(&segment_name(missing), 0, mismatch));
            }
            Err(error) => return Err(error),
        };
        let ends_at = Position(next.header.base.0.saturating_sub(1));
        scan.sealed_segment(scanner, offset, ends_at).await?;
        segment = SegmentId(segment.0 + 1);
        offset = DATA_START;
    }
}

/// Makes the end of the journal definite before anything is appended: what was found is synced, the torn frame's first
/// block is zeroed, and the new generation is on record, so that nothing left behind can ever follow a new frame.
async fn repair(
    disk: &dyn Disk,
    identity: Identity,
    last: &LastSegment,
    durable: Position,
    generation: u32,
) -> Result<(), JournalError> {
    let error = |doing| move |error| JournalError::io(doing, &segment_name(last.segment), error);
    let file = &last.file.file;
    file.sync_data().await.map_err(error("sync"))?;
    if last.torn_bytes > 0 && last.offset + BLOCK < last.segment_bytes {
        let zeros = Block::from(disk.alloc(BLOCK_BYTES));
        file.write_at(last.offset, zeros, BLOCK_BYTES, Durability::Synced)
            .await
            .map_err(error("truncate"))?;
    }
    let record = Watermark {
        segment: last.segment,
        sequence: last.sequence + 1,
        durable,
        generation,
        closed: false,
    };
    let mut memory = disk.alloc(BLOCK_BYTES);
    record.encode(identity, memory.bytes_mut());
    let block = Block::from(memory);
    let write = file.write_at(record.file_offset(), block, BLOCK_BYTES, Durability::Synced);
    write.await.map_err(error("record the watermark in"))
}

/// Files that can become segments.
struct FoundSpares {
    spares: Vec<Spare>,
    bridge: Option<Spare>,
    /// The highest number that one has.
    number: u64,
}

/// Spare files of a size to work with, and segment files that the checkpoint no longer knows.
async fn collect_spares(
    disk: &dyn Disk,
    options: &JournalOptions,
    names: &Names,
    leftover: &[SegmentId],
) -> Result<FoundSpares, JournalError> {
    let mut number = names.spares.last().copied().unwrap_or(0);
    let mut found: Vec<String> = names.spares.iter().map(|&number| spare_name(number)).collect();
    for &segment in leftover {
        number += 1;
        let (from, to) = (segment_name(segment), spare_name(number));
        disk.rename(&from, &to)
            .await
            .map_err(|error| JournalError::io("rename to a spare", &from, error))?;
        found.push(to);
    }
    let (mut spares, mut bridge) = (Vec::new(), None);
    let records = segment_bytes_least(options)..=options.segment_bytes;
    for name in found {
        let error = |doing| {
            let name = name.clone();
            move |error| JournalError::io(doing, &name, error)
        };
        let file = disk.open(&name).await.map_err(error("open"))?;
        let len = file.len().await.map_err(error("read the length of"))?;
        // How much of it was ever written is not known; treating it as filled only costs speed.
        let (bytes, filled) = (len, len);
        let whole = len.is_multiple_of(BLOCK);
        if whole && records.contains(&len) && spares.len() < roll::spares_max(options) {
            spares.push(Spare { name, file, bytes, filled });
        } else if len == bridge_bytes(options) && bridge.is_none() {
            bridge = Some(Spare { name, file, bytes, filled });
        } else {
            drop(file);
            disk.remove(&name).await.map_err(error("remove"))?;
        }
    }
    Ok(FoundSpares { spares, bridge, number })
}

/// A journal that has no file yet.
async fn create(
    disk: &dyn Disk,
    options: JournalOptions,
    names: &Names,
    created_ms: i64,
) -> Result<(State, Recovery), JournalError> {
    let identity = Identity { cluster: options.cluster, shard: options.shard };
    let FoundSpares { mut spares, bridge, number } =
        collect_spares(disk, &options, names, &[]).await?;
    let spare = match spares.pop() {
        Some(spare) => spare,
        None => roll::create_spare(disk, spare_name(number + 1), options.segment_bytes).await?,
    };
    let segment_bytes = spare.bytes;
    let header = SegmentHeader {
        segment: SegmentId(1),
        base: Position(1),
        segment_bytes,
        generation: 1,
        created_ms,
    };
    let file = roll::make_segment(disk, identity, spare, header).await?;
    let meta = SegmentMeta {
        base: Position(1),
        last: Position(0),
        segment_bytes,
        created_ms,
        sealed: false,
        file: Some(Rc::clone(&file)),
    };
    let state = State::new(Opened {
        options,
        generation: 1,
        plan: Plan {
            segment: SegmentId(1),
            base: Position(1),
            segment_bytes,
            offset: DATA_START,
            position: Position(1),
        },
        current: file,
        segments: BTreeMap::from([(SegmentId(1), meta)]),
        spares,
        bridge,
        spare_number: number + 1,
        index: Index::default(),
        watermark_sequence: 0,
        checkpoints: Vec::new(),
        reserves: names.reserves,
        checkpoint_number: names.checkpoints.last().copied().unwrap_or(0),
        checkpoint_bytes_last: 0,
        bytes_since_checkpoint: 0,
        position_at_checkpoint: Position(0),
    });
    Ok((state, Recovery { segments: 1, ..Recovery::default() }))
}
