//! The plain data of the journal's interface: options, entries, hooks, statistics.

use std::sync::Arc;

use bytes::Bytes;
use log_io::Durability;
use log_types::{ClusterId, Offset, Position, ShardId, StreamId, Term};

use crate::format::EntryHead;
use crate::shared_space::SharedSpace;
use crate::verify::Finding;

/// Identity, sizes and limits of one journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    pub cluster: ClusterId,
    pub shard: ShardId,
    /// Written into every frame, and the leader epoch that every batch appended carries; a new one for every opening, from 1.
    pub term: Term,
    /// Size of a segment file, a multiple of 4 KiB. Holds at least one frame of `frame_bytes_max`. Default 64 MiB. On a full
    /// disk there are smaller ones.
    pub segment_bytes: u64,
    /// A second frame is started while one is in flight only when this much waits. Default 128 KiB.
    pub frame_bytes_target: usize,
    /// Largest entry, in bytes. Default 8 MiB.
    pub frame_bytes_max: usize,
    /// Bytes accepted but not yet being written before `append` says `Full`. Default 16 MiB.
    pub pending_bytes_max: usize,
    /// Memory of written frames kept for readers. Default 64 MiB.
    pub tail_bytes_max: usize,
    /// Memory for chunks read back from segment files. Default 32 MiB.
    pub chunk_cache_bytes_max: usize,
    /// Footers of sealed segments kept in memory. Default 64.
    pub footers_max: usize,
    /// Files of sealed segments kept open. Default 256. The current segment and spare ones come on top.
    pub files_max: usize,
    /// A seal takes a checkpoint when this much was written since the last one (or 16 times the size of the last
    /// one, if that is more). Default 256 MiB.
    pub checkpoint_bytes: u64,
    /// Sum of the sizes of all segment files, spare ones included, but for the small file that is kept for a full disk;
    /// `None`: what the disk holds.
    pub segments_max_bytes: Option<u64>,
    /// The same for all journals whose directories share a file system: who has spare segments gives them back while another
    /// one has no space left, and those without share what becomes free. Default: this journal is alone.
    pub space: Arc<SharedSpace>,
}

impl JournalOptions {
    /// The defaults for one shard of one cluster.
    #[must_use]
    pub fn new(cluster: ClusterId, shard: ShardId) -> Self {
        Self {
            cluster,
            shard,
            term: Term(1),
            segment_bytes: 64 << 20,
            frame_bytes_target: 128 << 10,
            frame_bytes_max: 8 << 20,
            pending_bytes_max: 16 << 20,
            tail_bytes_max: 64 << 20,
            chunk_cache_bytes_max: 32 << 20,
            footers_max: 64,
            files_max: 256,
            checkpoint_bytes: 256 << 20,
            segments_max_bytes: None,
            space: Arc::default(),
        }
    }
}

/// What an entry holds. 0 is one or more whole Kafka record batches; other numbers mean something to the owner only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKind(pub u8);

impl EntryKind {
    /// Kafka record batches: indexed by stream and offset, readable with `read`.
    pub const BATCH: Self = Self(0);
}

/// One append: a piece of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub stream: StreamId,
    pub kind: EntryKind,
    pub base_offset: Offset,
    /// Inclusive.
    pub last_offset: Offset,
    /// Highest timestamp in the entry, milliseconds since the epoch.
    pub max_timestamp: i64,
    pub durability: Durability,
    /// Gathered into the frame buffer in this order; the only copy.
    pub parts: &'a [&'a [u8]],
    /// CRC-32C of the last part where the caller has checked it against the bytes: the frame's checksum is then put
    /// together from it, without another pass.
    pub last_part_crc: Option<u32>,
}

/// What `open` feeds the owner to rebuild its state.
pub trait ReplaySink {
    /// The newest valid checkpoint, before any entry: `state` is what `checkpoint_state` returned for `position`.
    fn checkpoint(&mut self, position: Position, state: &[u8]);
    /// Every entry of every frame after the checkpoint, in order.
    fn entry(&mut self, position: Position, head: &EntryHead, payload: &[u8]);
}

/// What the flusher tells the owner. Called from `run`, never from within another method of the journal.
pub trait JournalHooks {
    /// Everything up to `position` is on stable storage.
    fn on_durable(&self, position: Position);
    /// The device took this long to make a frame durable: a write through, or an `fdatasync`. For measuring only.
    fn on_synced(&self, duration_ns: u64) {
        let _ = duration_ns;
    }
    /// The owner's state as the fold of every entry appended so far, which is every entry up to `position`.
    /// Called synchronously while no append can happen: an owner applies an entry in the same turn as it appends it.
    fn checkpoint_state(&self, position: Position) -> Vec<u8>;
    /// Appends fail for lack of space (`true`), or work again.
    fn on_disk_full(&self, full: bool);
}

/// What `open` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Last valid frame; 0 when there is none.
    pub position: Position,
    /// Position of the checkpoint used, 0 when none.
    pub checkpoint: Position,
    /// Frames replayed after the checkpoint.
    pub frames: u64,
    /// Size of the torn frame that was cut off, as far as its header told; at least one block when there was one.
    pub torn_bytes_truncated: u64,
    /// Segment files with data.
    pub segments: u64,
    /// The previous owner closed the journal.
    pub clean: bool,
    /// Newer checkpoints that are damaged, newest first: more had to be replayed than they would have needed, and
    /// nothing was lost. They stay until newer ones replace them.
    pub rejected: Vec<Finding>,
}

/// Whole batches of one stream.
#[derive(Clone, Debug, Default)]
pub struct ReadBatches {
    /// In offset order; each holds one or more whole, contiguous batches.
    pub batches: Vec<Bytes>,
    /// Where the next read continues; `from` when nothing was found.
    pub next: Offset,
}

/// One stream's share of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentInfo {
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: i64,
    pub bytes: u64,
    /// The wall clock, ms since the epoch, when all of it had been written for some time or just then; `None`: not known.
    pub written_ms: Option<i64>,
    /// The share lies in a sealed segment.
    pub sealed: bool,
}

/// Counters since open and current sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    pub frames: u64,
    /// Bytes of frames written, headers and padding included.
    pub bytes: u64,
    /// Bytes of entries accepted.
    pub entry_bytes: u64,
    pub entries: u64,
    /// Frame writes that were durable by themselves.
    pub synced_writes: u64,
    /// Separate `fdatasync` calls.
    pub syncs: u64,
    pub checkpoints: u64,
    pub seals: u64,
    pub segments: u64,
    pub spare_segments: u64,
    pub tail_bytes: u64,
    pub pending_bytes: u64,
    pub chunk_bytes: u64,
    pub cold_reads: u64,
    pub streams: u64,
    /// Damaged checkpoints met at open ([`Recovery::rejected`]).
    pub checkpoints_rejected: u64,
    pub disk_full: bool,
}
