//! How a connection fares, and whether that is a reason to close it.

use std::cell::Cell;

use broker_kafka_wire::ApiKey;

/// A peer that takes nothing of a response for this long is cut off: what it holds back is memory.
const STALL_NS_MAX: u64 = 60_000_000_000;
/// A response that is not taken within this is given up when others wait for memory that its connection may hold.
const WANTED_NS_MAX: u64 = 5_000_000_000;

pub(crate) struct Progress {
    /// Monotonic nanoseconds of the last traffic.
    pub(crate) last_ns: Cell<u64>,
    /// Requests are in flight: waiting for them is not idleness.
    pub(crate) busy: Cell<bool>,
    /// Monotonic nanoseconds; a response is being written: then silence means that the peer does not read.
    pub(crate) writing_since_ns: Cell<Option<u64>>,
    /// Requests in flight whose answers may hold memory that others wait for.
    large: Cell<usize>,
}

impl Progress {
    /// That of a connection which was accepted now.
    pub(super) fn since(now_ns: u64) -> Self {
        Self {
            last_ns: Cell::new(now_ns),
            busy: Cell::new(false),
            writing_since_ns: Cell::new(None),
            large: Cell::new(0),
        }
    }

    /// A request was taken up whose answer may be large.
    pub(super) fn began(&self, api_key: i16) {
        self.large.set(self.large.get() + usize::from(others_wait(api_key)));
    }

    /// It was answered.
    pub(super) fn ended(&self, api_key: i16) {
        self.large.set(self.large.get() - usize::from(others_wait(api_key)));
    }

    /// Whether the connection is to be closed. `wanted`: others wait for memory that answers hold.
    pub(super) fn is_overdue(&self, now_ns: u64, idle_ns_max: u64, wanted: bool) -> bool {
        let silent_ns = now_ns.saturating_sub(self.last_ns.get());
        let Some(since_ns) = self.writing_since_ns.get() else {
            return silent_ns > idle_ns_max && !self.busy.get();
        };
        let holds_up = wanted && self.large.get() > 0;
        silent_ns > STALL_NS_MAX || (holds_up && now_ns.saturating_sub(since_ns) > WANTED_NS_MAX)
    }
}

/// Answers of records have a budget of their own, which nobody waits for: a slow consumer holds nobody up.
fn others_wait(api_key: i16) -> bool {
    api_key != ApiKey::Fetch.key()
}

#[cfg(test)]
mod tests;
