//! The journal's mutable state: what is planned, written and durable. Borrowed briefly, never across an await.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;

use log_io::{Disk, File};
use log_types::{Position, SegmentId};

use crate::append::Room;
use crate::checkpoint::{Kept, PendingCheckpoint};
use crate::error::JournalError;
use crate::format::{BLOCK, DATA_START, EntryHead, Identity, align_up};
use crate::frame::{OpenFrame, frame_len};
use crate::index::{Footer, Index};
use crate::options::{JournalOptions, JournalStats};
use crate::reader::Caches;
use crate::space::{CheckpointReserve, Probe, reserve_bytes_kept, segment_bytes_least};
use crate::tail::{CLASS_MIN, Tail};

/// An open segment file. Readers hold it while they read, which keeps it from being recycled.
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) file: Rc<dyn File>,
}

pub(crate) struct SegmentMeta {
    pub(crate) base: Position,
    /// Last frame; meaningful once `sealed`.
    pub(crate) last: Position,
    pub(crate) segment_bytes: u64,
    /// When it was made, by the wall clock: see `SegmentHeader`.
    pub(crate) created_ms: i64,
    /// No frame will be planned into it any more.
    pub(crate) sealed: bool,
    /// Opened at first use.
    pub(crate) file: Option<Rc<SegmentFile>>,
}

/// A file that can become the next segment.
pub(crate) struct Spare {
    pub(crate) name: String,
    pub(crate) file: Rc<dyn File>,
    /// What is allocated: the size of the segment that it will be.
    pub(crate) bytes: u64,
    /// Bytes known to be written at least once: overwriting them needs no metadata update.
    pub(crate) filled: u64,
}

/// Where the next frame goes.
pub(crate) struct Plan {
    pub(crate) segment: SegmentId,
    pub(crate) base: Position,
    pub(crate) segment_bytes: u64,
    /// Start of the open frame, or of the next one when none is open.
    pub(crate) offset: u64,
    /// Position of the open frame, or of the next one.
    pub(crate) position: Position,
}

/// A planned end of a segment.
pub(crate) struct Seal {
    pub(crate) segment: SegmentId,
    pub(crate) base: Position,
    pub(crate) last: Position,
    pub(crate) segment_bytes: u64,
    pub(crate) frames_end: u64,
    pub(crate) footer: Rc<Footer>,
    /// The file of the next segment, of the size that was planned; `None`: it has to be made.
    pub(crate) next: RefCell<Option<Spare>>,
    pub(crate) next_bytes: u64,
}

pub(crate) enum Pending {
    Frame(OpenFrame),
    Seal(Rc<Seal>),
}

pub(crate) struct State {
    pub(crate) options: JournalOptions,
    /// Segments below this size take no records.
    pub(crate) segment_bytes_least: u64,
    pub(crate) identity: Identity,
    pub(crate) generation: u32,
    pub(crate) plan: Plan,
    pub(crate) open: Option<OpenFrame>,
    pub(crate) queue: VecDeque<Pending>,
    pub(crate) pending_bytes: usize,
    pub(crate) seal_requested: bool,
    pub(crate) block_class: usize,
    pub(crate) entry_pool: Vec<Vec<EntryHead>>,

    pub(crate) written: Position,
    pub(crate) durable: Position,
    /// Highest frame whose write was not durable by itself.
    pub(crate) last_volatile: Position,
    /// A sync must cover everything up to here.
    pub(crate) sync_target: Position,

    /// The file frames are being written to; may be older than `plan.segment` while a seal is queued.
    pub(crate) current: Rc<SegmentFile>,
    pub(crate) current_segment: SegmentId,
    /// End of the last frame of the current segment whose write completed.
    pub(crate) written_end: u64,
    pub(crate) segments: BTreeMap<SegmentId, SegmentMeta>,
    pub(crate) spares: Vec<Spare>,
    /// The small file through which a full disk is left (`space.rs`).
    pub(crate) bridge: Option<Spare>,
    /// Going on in the bridge lets go of the segment being written.
    pub(crate) bridge_helps: bool,
    pub(crate) spare_number: u64,
    /// The last attempt to get space failed; cleared by `retry_space`, by freed segments and, in time, by ticks.
    pub(crate) space_short: bool,
    pub(crate) probe: Probe,
    /// What the other journals of the file system know of this one, and what this one has seen of them (`shared_space.rs`).
    pub(crate) pressed: bool,
    pub(crate) given_back_seen: u64,
    pub(crate) disk_full: bool,
    pub(crate) watermark_sequence: u64,
    pub(crate) watermark_recorded: Position,
    pub(crate) watermark_wanted: bool,

    pub(crate) index: Index,
    pub(crate) tail: Tail,
    pub(crate) caches: Caches,
    pub(crate) checkpoint_pending: Option<PendingCheckpoint>,
    pub(crate) checkpoint_writing: bool,
    pub(crate) checkpoint_reserve: CheckpointReserve,
    /// A second file to write a checkpoint into.
    pub(crate) checkpoint_spare: bool,
    /// The last checkpoint found no space; none is taken for the sake of dead segments until space is looked for again.
    pub(crate) checkpoint_short: bool,
    /// Checkpoints to take outside of a seal.
    pub(crate) checkpoint_wanted: u32,
    pub(crate) checkpoints: Vec<Kept>,
    pub(crate) checkpoint_number: u64,
    pub(crate) checkpoint_bytes_last: u64,
    pub(crate) bytes_since_checkpoint: u64,
    pub(crate) position_at_checkpoint: Position,
    pub(crate) free_check: bool,

    pub(crate) waiters: BTreeMap<(Position, u64), Waker>,
    pub(crate) ticket: u64,
    pub(crate) room_waiters: Vec<Waker>,
    pub(crate) room_epoch: u64,
    /// An append got `Full` since room was last made.
    pub(crate) refused: bool,
    pub(crate) flusher: Option<Waker>,
    pub(crate) running: bool,
    pub(crate) failed: bool,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) stats: JournalStats,
}

/// What `open` knows when it builds the state.
pub(crate) struct Opened {
    pub(crate) options: JournalOptions,
    pub(crate) generation: u32,
    pub(crate) plan: Plan,
    pub(crate) current: Rc<SegmentFile>,
    pub(crate) segments: BTreeMap<SegmentId, SegmentMeta>,
    pub(crate) spares: Vec<Spare>,
    pub(crate) bridge: Option<Spare>,
    pub(crate) spare_number: u64,
    pub(crate) index: Index,
    pub(crate) watermark_sequence: u64,
    pub(crate) checkpoints: Vec<Kept>,
    /// Whether there is a `checkpoint.tmp`, and a `checkpoint.spare`.
    pub(crate) reserves: (bool, bool),
    pub(crate) checkpoint_number: u64,
    pub(crate) checkpoint_bytes_last: u64,
    pub(crate) bytes_since_checkpoint: u64,
    pub(crate) position_at_checkpoint: Position,
}

impl State {
    pub(crate) fn new(opened: Opened) -> Self {
        let last = Position(opened.plan.position.0 - 1);
        let caches = Caches::new(opened.options.chunk_cache_bytes_max, opened.options.footers_max);
        let mut index = opened.index;
        index.set_term(opened.options.term);
        Self {
            identity: Identity { cluster: opened.options.cluster, shard: opened.options.shard },
            segment_bytes_least: segment_bytes_least(&opened.options),
            options: opened.options,
            generation: opened.generation,
            current_segment: opened.plan.segment,
            written_end: opened.plan.offset,
            plan: opened.plan,
            open: None,
            queue: VecDeque::new(),
            pending_bytes: 0,
            seal_requested: false,
            block_class: CLASS_MIN,
            entry_pool: Vec::new(),
            written: last,
            durable: last,
            last_volatile: Position(0),
            sync_target: Position(0),
            current: opened.current,
            segments: opened.segments,
            spares: opened.spares,
            bridge: opened.bridge,
            bridge_helps: false,
            spare_number: opened.spare_number,
            space_short: false,
            probe: Probe::default(),
            pressed: false,
            given_back_seen: 0,
            disk_full: false,
            watermark_sequence: opened.watermark_sequence,
            watermark_recorded: last,
            watermark_wanted: false,
            index,
            tail: Tail::default(),
            caches,
            checkpoint_pending: None,
            checkpoint_writing: false,
            checkpoint_reserve: CheckpointReserve::at_start(opened.reserves.0),
            checkpoint_spare: opened.reserves.1,
            checkpoint_short: false,
            checkpoint_wanted: 0,
            checkpoints: opened.checkpoints,
            checkpoint_number: opened.checkpoint_number,
            checkpoint_bytes_last: opened.checkpoint_bytes_last,
            bytes_since_checkpoint: opened.bytes_since_checkpoint,
            position_at_checkpoint: opened.position_at_checkpoint,
            free_check: true,
            waiters: BTreeMap::new(),
            ticket: 0,
            room_waiters: Vec::new(),
            room_epoch: 0,
            refused: false,
            flusher: None,
            running: false,
            failed: false,
            closing: false,
            closed: false,
            stats: JournalStats::default(),
        }
    }

    /// Whether a frame of `frame_bytes` with `entries` entries leaves room for footer and trailer, and for the reserve
    /// unless it may use that.
    pub(crate) fn segment_fits(&self, frame_bytes: u64, entries: usize, room: Room) -> bool {
        let footer = align_up(self.index.footer_bytes_max(entries));
        let reserve = reserve_bytes_kept(self.plan.segment_bytes, room);
        self.plan.offset + frame_bytes + footer + BLOCK + reserve <= self.plan.segment_bytes
    }

    /// Whether too little is left for another frame worth writing.
    pub(crate) fn segment_nearly_full(&self) -> bool {
        if self.plan.offset == DATA_START {
            return false;
        }
        let least = (self.plan.segment_bytes / 32).clamp(BLOCK, 1 << 20);
        !self.segment_fits(least, 64, Room::Common)
    }

    /// Whether the segment being planned should be ended: somebody asked for it, nearly nothing goes into it any more, or it
    /// takes no records and there is a better one.
    pub(crate) fn seal_wanted(&self) -> bool {
        let full = self.open.is_none() && self.segment_nearly_full();
        self.seal_requested || full || (self.on_bridge() && !self.spares.is_empty())
    }

    /// Puts a frame without entries into a segment without a frame, which could not be ended else.
    pub(crate) fn fill_empty_segment(&mut self, disk: &dyn Disk) {
        if self.plan.offset > DATA_START {
            return;
        }
        let block = self.tail.take_block(disk, CLASS_MIN);
        let entries = self.entry_pool.pop().unwrap_or_default();
        self.queue.push_back(Pending::Frame(OpenFrame::new(block, entries, &self.plan)));
        self.plan.offset += frame_len(0, 0);
        self.plan.position = self.plan.position.next();
    }

    /// Whether nothing was refused since the flusher last made room.
    pub(crate) fn has_room(&self) -> bool {
        !self.refused && !self.disk_full
    }

    /// Moves the open frame to the queue.
    pub(crate) fn close_open(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.plan.offset += open.len();
        self.plan.position = self.plan.position.next();
        self.queue.push_back(Pending::Frame(open));
    }

    /// The highest position that any accepted entry has.
    pub(crate) fn appended(&self) -> Position {
        if self.open.is_some() { self.plan.position } else { Position(self.plan.position.0 - 1) }
    }

    pub(crate) fn seal_queued(&self) -> bool {
        self.queue.iter().any(|pending| matches!(pending, Pending::Seal(_)))
    }

    /// Size classes follow the traffic, so that small frames do not hold large blocks.
    pub(crate) fn adapt_class(&mut self, used: usize) {
        let class = self.block_class;
        if used * 2 > class {
            self.block_class = (class * 2).min(crate::tail::CLASS_MAX);
        } else if used * 8 < class {
            self.block_class = (class / 2).max(CLASS_MIN);
        }
    }

    pub(crate) fn wake_flusher(&mut self) {
        if let Some(waker) = self.flusher.take() {
            waker.wake();
        }
    }

    pub(crate) fn wake_room(&mut self) {
        self.room_epoch += 1;
        self.refused = false;
        for waker in self.room_waiters.drain(..) {
            waker.wake();
        }
    }

    /// Wakes everyone who waited for `durable` or less, lowest position first.
    pub(crate) fn wake_durable(&mut self) {
        while let Some(entry) = self.waiters.first_entry() {
            if entry.key().0 > self.durable {
                break;
            }
            entry.remove().wake();
        }
    }

    pub(crate) fn wake_all(&mut self) {
        while let Some((_, waker)) = self.waiters.pop_first() {
            waker.wake();
        }
        self.wake_room();
    }

    /// Closes files of sealed segments that nobody reads, oldest first, until no more than `files_max` are open.
    pub(crate) fn close_files(&mut self) {
        let sealed = self.segments.range_mut(..self.current_segment);
        let mut open: Vec<_> = sealed.filter(|(_, meta)| meta.file.is_some()).collect();
        let mut excess = open.len().saturating_sub(self.options.files_max);
        for (_, meta) in &mut open {
            if excess == 0 {
                return;
            }
            if meta.file.as_ref().is_some_and(|file| Rc::strong_count(file) == 1) {
                meta.file = None;
                excess -= 1;
            }
        }
    }

    /// Sum of the sizes of segment files and spares, without the bridge.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let segments: u64 = self.segments.values().map(|meta| meta.segment_bytes).sum();
        segments + self.spares.iter().map(|spare| spare.bytes).sum::<u64>()
    }
}

/// Refuses options no journal can work with.
pub(crate) fn check_options(options: &JournalOptions) -> Result<(), JournalError> {
    let error = |what| Err(JournalError::Options { what });
    if !options.segment_bytes.is_multiple_of(BLOCK) {
        return error("segment_bytes is not a multiple of 4096");
    }
    if u32::try_from(options.segment_bytes).is_err() {
        return error("segment_bytes is 4 GiB or more");
    }
    if options.frame_bytes_max == 0 || options.pending_bytes_max == 0 {
        return error("frame_bytes_max and pending_bytes_max must be positive");
    }
    if u32::try_from(options.frame_bytes_max).is_err()
        || segment_bytes_least(options) > options.segment_bytes
    {
        return error("a frame of frame_bytes_max does not fit into a segment");
    }
    Ok(())
}
