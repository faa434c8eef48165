//! What happened, folded into one number, and the last notable events in words.
//!
//! Two runs of a seed must give the same number; the words are for whoever looks at a failing seed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Notes kept.
const NOTES_MAX: usize = 400;

/// Kinds of events; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Poll = 1,
    Timer = 2,
    PacketSent = 3,
    PacketDelivered = 4,
    ConnectionOpened = 5,
    ConnectionEnded = 6,
    DiskStarted = 7,
    DiskEnded = 8,
    Crash = 9,
    Note = 10,
}

/// The running hash of a run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Cell<u64>,
    events: Cell<u64>,
    notes: RefCell<VecDeque<String>>,
}

impl Trace {
    pub(crate) fn fold(&self, event: Event, a: u64, b: u64) {
        self.events.set(self.events.get() + 1);
        let mut hash = self.hash.get();
        for word in [event as u64, a, b] {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        self.hash.set(hash);
    }

    pub(crate) fn note(&self, text: String) {
        self.fold(Event::Note, u64::from(crc32fast::hash(text.as_bytes())), 0);
        let mut notes = self.notes.borrow_mut();
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back(text);
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// Events folded so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// The last notes, oldest first.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().iter().cloned().collect()
    }
}
