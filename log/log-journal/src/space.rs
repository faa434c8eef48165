//! What is kept for a full disk, and how space is looked for.
//!
//! ```text
//!  segment: frames … │ reserve │ footer │ trailer        reserve: only while the disk is full, its first half for
//!                                                         `append_half_reserved`, all of it for `append_reserved`
//!  checkpoint.tmp: allocated ahead, becomes the next checkpoint; the oldest checkpoint takes its place
//!  checkpoint.spare: until there is a checkpoint, the next checkpoint.tmp
//!
//!  full, and nothing in the segment being written is wanted any more:
//!      segment │ ─► bridge │ ─(two checkpoints)─► the segment's file is a spare ─► the next segment
//!                      └──── ends without records, so it is dead at once, and the bridge again ────►
//! ```
//!
//! Invariants:
//! - A segment is ended only when there is a file for the next one, so on a full disk the reserve of the segment being
//!   written is whole until entries that may use it do.
//! - Checkpoints and files for the next ones are two at least: with two, a checkpoint can always be written, see `give_up_older`.
//! - Entries that are worth the reserve and free no segment (a group is deleted) leave its second half alone: however
//!   many come first, what frees space finds that half.
//! - What frees space (a deletion, a log start) can therefore be logged, and the checkpoint that lets go of the dead
//!   segments can be written, without one free block.
//! - A journal whose only segment is full of what was deleted finds its own space again: the bridge is there before it is
//!   needed, and no records go into it, which might keep it.
//! - A journal without space takes what there is, down to a segment for one entry of the largest size.
//! - A failed attempt to get space puts the next one off, up to `PROBE_NS_MAX`: an attempt takes what is free for a moment.

use crate::append::Room;
use crate::format::{BLOCK, DATA_START, align_up};
use crate::frame::frame_len;
use crate::options::JournalOptions;
use crate::state::{Pending, Spare, State};

const SEGMENT_RESERVE_BYTES_MAX: u64 = 1 << 20;
/// Header, ring, reserve, footer, trailer and a frame.
const BRIDGE_BYTES_MIN: u64 = DATA_START + 5 * BLOCK;
const BRIDGE_BYTES_MAX: u64 = 1 << 20;
const CHECKPOINT_RESERVE_BYTES_MAX: u64 = 1 << 20;
const PROBE_NS_MIN: u64 = 200_000_000;
const PROBE_NS_MAX: u64 = 10_000_000_000;

/// The file under the name of the unfinished checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointReserve {
    Missing,
    /// It is there; neither its size nor its name was made sure of.
    Found,
    Ready,
}

impl CheckpointReserve {
    pub(crate) fn at_start(found: bool) -> Self {
        if found { Self::Found } else { Self::Missing }
    }
}

/// When to look for space again.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    delay_ns: u64,
    next_ns: u64,
}

impl Probe {
    pub(crate) fn failed(&mut self, now_ns: u64) {
        self.delay_ns = (self.delay_ns * 2).clamp(PROBE_NS_MIN, PROBE_NS_MAX);
        self.next_ns = now_ns.saturating_add(self.delay_ns);
    }

    pub(crate) fn failed_before(&self) -> bool {
        self.delay_ns > 0
    }

    fn due(&self, now_ns: u64) -> bool {
        now_ns >= self.next_ns
    }
}

/// Bytes at the end of a segment that only [`crate::Journal::append_reserved`] and
/// [`crate::Journal::append_half_reserved`] may use.
pub(crate) fn segment_reserve_bytes(segment_bytes: u64) -> u64 {
    align_up((segment_bytes / 32).clamp(2 * BLOCK, SEGMENT_RESERVE_BYTES_MAX))
}

/// The smallest segment that takes an entry of `frame_bytes_max`.
pub(crate) fn segment_bytes_least(options: &JournalOptions) -> u64 {
    let around = DATA_START + 2 * BLOCK + segment_reserve_bytes(options.segment_bytes);
    frame_len(options.frame_bytes_max, 1) + around
}

/// Size of the bridge: for some small entries, and below that of any segment that takes records.
pub(crate) fn bridge_bytes(options: &JournalOptions) -> u64 {
    let bytes = align_up((options.segment_bytes / 64).clamp(BRIDGE_BYTES_MIN, BRIDGE_BYTES_MAX));
    bytes.min(segment_bytes_least(options) - BLOCK)
}

/// How much of that an entry must leave free.
pub(crate) fn reserve_bytes_kept(segment_bytes: u64, room: Room) -> u64 {
    let reserve = segment_reserve_bytes(segment_bytes);
    match room {
        Room::Common => reserve,
        Room::HalfReserve => align_up(reserve / 2),
        Room::Reserve => 0,
    }
}

/// Bytes kept allocated for the next checkpoint: twice the last one's, and something before there is one.
pub(crate) fn checkpoint_reserve_bytes(options: &JournalOptions, last_bytes: u64) -> u64 {
    let least = (options.segment_bytes / 64).clamp(2 * BLOCK, CHECKPOINT_RESERVE_BYTES_MAX);
    BLOCK + align_up(least.max(2 * last_bytes))
}

impl State {
    /// An attempt to get space failed at `now_ns`, by the monotonic clock.
    pub(crate) fn space_failed(&mut self, now_ns: u64) {
        if !self.space_short {
            self.space_short = true;
            self.probe.failed(now_ns);
        }
    }

    /// Lets the flusher try to get space, when it is time to.
    pub(crate) fn probe_space(&mut self, now_ns: u64) {
        if self.probe.due(now_ns) {
            self.space_short = false;
            self.checkpoint_short = false;
        }
    }

    /// Space was given back or became free: attempts are worth making.
    pub(crate) fn space_freed(&mut self) {
        self.space_short = false;
        self.checkpoint_short = false;
        self.probe = Probe::default();
    }

    pub(crate) fn space_found(&mut self, spare: Spare) {
        self.spares.push(spare);
        self.space_freed();
        // With a seal in the queue its roll clears the flag once it is through, and the bridge is to be left first.
        if self.disk_full && !self.seal_queued() && !self.on_bridge() {
            self.disk_full = false;
            self.wake_room();
        }
    }

    /// Whether entries that may use the reserve have it: the segment being written is not ended, or the bridge follows.
    pub(crate) fn reserve_open(&self) -> bool {
        self.disk_full && (self.on_bridge() || !self.seal_queued())
    }

    /// The queue waits for a segment that there is no space for.
    pub(crate) fn waits_for_space(&self) -> bool {
        let sealing = matches!(self.queue.front(), Some(Pending::Seal(_)));
        self.disk_full && sealing && self.seal_lacks_file()
    }

    /// Whether the file for the segment after a seal in the queue has yet to be found.
    pub(crate) fn seal_lacks_file(&self) -> bool {
        let lacks = |pending: &Pending| match pending {
            Pending::Seal(seal) => seal.next.borrow().is_none(),
            Pending::Frame(_) => false,
        };
        self.queue.iter().any(lacks)
    }

    /// Whether the segment being planned takes no records: it is the bridge, or was made when segments were much smaller.
    pub(crate) fn on_bridge(&self) -> bool {
        self.plan.segment_bytes < self.segment_bytes_least
    }

    /// Notices that the disk is full and that all of the segment being written could be let go of.
    pub(crate) fn look_at_bridge(&mut self) {
        let useful = self.disk_full && self.bridge.is_some() && !self.on_bridge();
        self.bridge_helps = useful && self.index.planned_is_dead();
    }

    /// Whether to go on in the bridge now.
    pub(crate) fn bridge_due(&self) -> bool {
        self.bridge_helps
            && self.disk_full
            && !self.closing
            && self.spares.is_empty()
            && self.bridge.is_some()
            && self.plan.offset > DATA_START
    }

    pub(crate) fn bridge_missing(&self) -> bool {
        self.bridge.is_none() && !self.on_bridge() && !self.closing
    }

    /// Whether to make a bridge before anything else: not while what it takes may be what somebody lacks.
    pub(crate) fn bridge_wanted(&self) -> bool {
        self.bridge_missing() && !self.disk_full && !self.space_short && !self.anyone_pressed()
    }

    /// Sizes to try to get a spare of, one after the other. Those without space take what there is, and no more than they
    /// need while others have none.
    pub(crate) fn spare_sizes(&self) -> Vec<u64> {
        let (whole, least) = (self.options.segment_bytes, self.segment_bytes_least);
        if self.seal_queued() || !(self.pressed || self.disk_full || self.others_pressed()) {
            return vec![whole];
        }
        if self.others_pressed() {
            return vec![least];
        }
        let halves = std::iter::successors(Some(whole), |bytes| Some(bytes / 2 / BLOCK * BLOCK));
        halves.take_while(|bytes| *bytes > least).chain([least]).collect()
    }

    /// Whether a dead segment is worth more in parts: several journals can go on then.
    pub(crate) fn parts_wanted(&self) -> bool {
        self.others_pressed() && 2 * self.segment_bytes_least <= self.options.segment_bytes
    }

    /// Whether the flusher should make sure of the file for the next checkpoint.
    pub(crate) fn checkpoint_reserve_wanted(&self) -> bool {
        let wanted = match self.checkpoint_reserve {
            CheckpointReserve::Missing => self.checkpoint_spare || !self.space_short,
            CheckpointReserve::Found => true,
            CheckpointReserve::Ready => {
                self.checkpoints.is_empty() && !self.checkpoint_spare && !self.space_short
            }
        };
        wanted && !self.closing && !self.checkpoint_writing
    }
}
