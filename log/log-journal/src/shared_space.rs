//! What the journals of one file system tell each other about its space.
//!
//! ```text
//!  pressed: no spare, none to be had, the segment ends soon ─► the others give their spares back and keep none
//!  given back ─► who waits for space looks for it at its next tick
//! ```
//!
//! Invariants:
//! - While several are pressed, what becomes free is shared out in the smallest segments that do, so that all can go on.
//! - A journal whose own segment ends soon keeps one spare, so that none is passed to and fro: who gets one uses it.
//! - Who looks for space again does it while nobody else does: a file system that takes block by block (tmpfs) refuses two
//!   at a time where one would have its file, and journals of one age look at the same moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::roll::spares_max;
use crate::state::State;

/// Shared by the journals whose directories are in one file system; any thread. A journal alone has one of its own.
#[derive(Debug, Default)]
pub struct SharedSpace {
    /// Journals that need a segment and find no space for it.
    pressed: AtomicU64,
    /// How often files were given back.
    given_back: AtomicU64,
    /// Segments that are being allocated.
    attempts: AtomicU64,
}

/// A segment is being allocated.
pub(crate) struct Attempt(Arc<SharedSpace>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.attempts.fetch_sub(1, Ordering::AcqRel);
    }
}

impl SharedSpace {
    pub(crate) fn gave_back(&self) {
        self.given_back.fetch_add(1, Ordering::AcqRel);
    }

    /// `None`: it was to be the only one, and is not.
    fn begin(self: &Arc<Self>, alone: bool) -> Option<Attempt> {
        let begin = |count| (!alone || count == 0).then_some(count + 1);
        let begun = self.attempts.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin);
        begun.ok().map(|_| Attempt(Arc::clone(self)))
    }
}

impl State {
    /// Brings what the others are told up to date.
    pub(crate) fn tell_pressed(&mut self) {
        let starved = self.spares.is_empty() && self.segment_ends_soon() && self.spare_wanted();
        // Until there is a spare: not while it is only being looked for again.
        self.set_pressed(starved && (self.pressed || self.space_short));
    }

    pub(crate) fn set_pressed(&mut self, pressed: bool) {
        let count = &self.options.space.pressed;
        match (self.pressed, pressed) {
            (false, true) => count.fetch_add(1, Ordering::AcqRel),
            (true, false) => count.fetch_sub(1, Ordering::AcqRel),
            _ => return,
        };
        self.pressed = pressed;
    }

    /// Looks for space when someone has given some back.
    pub(crate) fn notice_given_back(&mut self) {
        let given_back = self.options.space.given_back.load(Ordering::Acquire);
        if given_back != self.given_back_seen {
            self.given_back_seen = given_back;
            self.space_freed();
        }
    }

    /// Whether a spare is to be allocated now: not before the one that was there has become a segment.
    pub(crate) fn spare_due(&self) -> bool {
        self.spares.is_empty()
            && !self.space_short
            && (!self.seal_queued() || self.seal_lacks_file())
            && self.spare_wanted()
            && self.spares_kept_max() > 0
    }

    /// Spares that are not given back.
    pub(crate) fn spares_kept_max(&self) -> usize {
        if self.others_pressed() {
            return usize::from(self.segment_ends_soon());
        }
        spares_max(&self.options)
    }

    pub(crate) fn others_pressed(&self) -> bool {
        self.options.space.pressed.load(Ordering::Acquire) > u64::from(self.pressed)
    }

    pub(crate) fn anyone_pressed(&self) -> bool {
        self.options.space.pressed.load(Ordering::Acquire) > 0
    }

    /// Whether spares are to be given back; not what a roll is about to take.
    pub(crate) fn spares_surplus(&self) -> bool {
        self.spares.len() > self.spares_kept_max() && !self.seal_queued()
    }

    /// `None`: not now, others are at it.
    pub(crate) fn begin_attempt(&self) -> Option<Attempt> {
        let space = &self.options.space;
        let scarce = self.probe.failed_before() || self.anyone_pressed();
        space.begin(scarce)
    }

    /// Whether a spare will be needed in a moment.
    fn segment_ends_soon(&self) -> bool {
        let far = self.plan.offset >= self.plan.segment_bytes / 4 * 3;
        far || self.disk_full || self.seal_requested || self.on_bridge()
    }
}
