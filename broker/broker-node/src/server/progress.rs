//! How a connection fares, and whether that is a reason to close it.

use std::cell::Cell;
use std::rc::Rc;

use broker_kafka_wire::ApiKey;

use super::Live;

/// A peer that takes nothing of a response for this long is cut off: what it holds back is memory.
const STALL_NS_MAX: u64 = 60_000_000_000;
/// A response that is not taken within this is given up when others wait for memory that its connection may hold.
const WANTED_NS_MAX: u64 = 5_000_000_000;
/// So many bytes of a request must have arrived for each millisecond after that time, where others wait for the memory that
/// it holds: 1 MB/s.
const WANTED_BYTES_PER_MS: u64 = 1000;

/// What others wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Memory that answers hold.
    pub(super) answers: bool,
    /// Memory that the bytes of requests hold, those on their way included.
    pub(super) requests: bool,
    /// Memory that the elements of requests hold.
    pub(super) elements: bool,
}

impl Wanted {
    pub(super) fn anything(self) -> bool {
        self.answers || self.requests || self.elements
    }
}

/// A request that holds memory and waits until the one before it was answered; counted until it is dropped.
pub(super) struct HeldBack(Rc<Live>);

impl HeldBack {
    pub(super) fn new(live: &Rc<Live>, now_ns: u64) -> Self {
        let (count, since_ns) = live.progress.held_back.get();
        live.progress.held_back.set((count + 1, if count == 0 { now_ns } else { since_ns }));
        Self(Rc::clone(live))
    }

    /// Its turn has come: for those behind it the time begins anew.
    pub(super) fn goes_on(self, now_ns: u64) {
        let (count, _) = self.0.progress.held_back.get();
        self.0.progress.held_back.set((count, now_ns));
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        let (count, since_ns) = self.0.progress.held_back.get();
        self.0.progress.held_back.set((count - 1, since_ns));
    }
}

/// A request on its way that has memory.
#[derive(Clone, Copy)]
struct Receiving {
    since_ns: u64,
    bytes: u64,
}

pub(crate) struct Progress {
    /// Monotonic nanoseconds of the last traffic.
    pub(crate) last_ns: Cell<u64>,
    /// Requests are in flight: waiting for them is not idleness.
    pub(crate) busy: Cell<bool>,
    /// Monotonic nanoseconds; a response is being written: then silence means that the peer does not read.
    pub(crate) writing_since_ns: Cell<Option<u64>>,
    /// Requests in flight whose answers may hold memory that others wait for.
    large: Cell<usize>,
    receiving: Cell<Option<Receiving>>,
    /// How many requests hold memory and wait for those before them, and since when one does.
    held_back: Cell<(usize, u64)>,
}

impl Progress {
    /// That of a connection which was accepted now.
    pub(super) fn since(now_ns: u64) -> Self {
        Self {
            last_ns: Cell::new(now_ns),
            busy: Cell::new(false),
            writing_since_ns: Cell::new(None),
            large: Cell::new(0),
            receiving: Cell::new(None),
            held_back: Cell::default(),
        }
    }

    /// Bytes were read.
    pub(super) fn arrived(&self, now_ns: u64, count: usize) {
        self.last_ns.set(now_ns);
        let more = |one: Receiving| Receiving { bytes: one.bytes + count as u64, ..one };
        self.receiving.set(self.receiving.get().map(more));
    }

    /// The rest of a request is waited for, with memory for all of it.
    pub(super) fn receives(&self, now_ns: u64) {
        self.receiving.set(Some(Receiving { since_ns: now_ns, bytes: 0 }));
    }

    /// It is here.
    pub(super) fn received(&self) {
        self.receiving.set(None);
    }

    /// A request was taken up whose answer may be large.
    pub(super) fn began(&self, api_key: i16) {
        self.large.set(self.large.get() + usize::from(others_wait(api_key)));
    }

    /// It was answered.
    pub(super) fn ended(&self, api_key: i16) {
        self.large.set(self.large.get() - usize::from(others_wait(api_key)));
    }

    /// Whether the connection is to be closed.
    pub(super) fn is_overdue(&self, now_ns: u64, idle_ns_max: u64, wanted: Wanted) -> bool {
        let slow = self.receiving.get().is_some_and(|request| {
            let late_ns = now_ns.saturating_sub(request.since_ns).saturating_sub(WANTED_NS_MAX);
            request.bytes < late_ns / 1_000_000 * WANTED_BYTES_PER_MS
        });
        let (count, since_ns) = self.held_back.get();
        let held = count > 0 && now_ns.saturating_sub(since_ns) > WANTED_NS_MAX;
        if (wanted.requests && slow) || ((wanted.requests || wanted.elements) && held) {
            return true;
        }
        let silent_ns = now_ns.saturating_sub(self.last_ns.get());
        let Some(since_ns) = self.writing_since_ns.get() else {
            return silent_ns > idle_ns_max && !self.busy.get();
        };
        let holds_up = wanted.answers && self.large.get() > 0;
        silent_ns > STALL_NS_MAX || (holds_up && now_ns.saturating_sub(since_ns) > WANTED_NS_MAX)
    }
}

/// Answers of records have a budget of their own, which nobody waits for: a slow consumer holds nobody up.
fn others_wait(api_key: i16) -> bool {
    api_key != ApiKey::Fetch.key()
}

#[cfg(test)]
mod tests;
