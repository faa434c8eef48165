//! Plain counters of each core, summed when the operations endpoints ask.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Connections and requests of one core.
#[derive(Default)]
pub(crate) struct ConnectionCounters {
    pub(crate) active: Cell<usize>,
    pub(crate) accepted: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) requests: RefCell<BTreeMap<i16, DurationCounter>>,
    pub(crate) per_ip: RefCell<BTreeMap<IpAddr, usize>>,
    refusals: Rarely,
}

impl ConnectionCounters {
    /// Counts a connection that is refused, and tells the operator now and then which limit it met.
    pub(crate) fn refuse(&self, address: IpAddr, limit: &'static str, now_ns: u64) {
        self.refused.set(self.refused.get() + 1);
        if let Some(refused) = self.refusals.due(now_ns) {
            tracing::warn!(%address, limit, refused, "connections refused: a limit is reached");
        }
    }
}

/// Lets a line be logged at most once in a while, with how often it was due since.
#[derive(Default)]
struct Rarely {
    last_ns: Cell<Option<u64>>,
    since: Cell<u64>,
}

impl Rarely {
    const PAUSE_NS: u64 = 10_000_000_000;

    /// Counts one; how many there were since the last line when it is time for one.
    fn due(&self, now_ns: u64) -> Option<u64> {
        self.since.set(self.since.get() + 1);
        if self.last_ns.get().is_some_and(|last| now_ns.saturating_sub(last) < Self::PAUSE_NS) {
            return None;
        }
        self.last_ns.set(Some(now_ns));
        Some(self.since.replace(0))
    }
}

/// Upper bounds of the duration histograms, in microseconds.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000,
    10_000_000,
];

/// How long something took, each time it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationCounter {
    pub count: u64,
    pub duration_us_sum: u64,
    /// Times per bucket of [`DURATION_BOUNDS_US`], the last one beyond all bounds.
    pub buckets: [u64; DURATION_BOUNDS_US.len() + 1],
}

impl DurationCounter {
    pub(crate) fn observe(&mut self, duration_us: u64) {
        self.count += 1;
        self.duration_us_sum += duration_us;
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| *bound < duration_us);
        self.buckets[bucket] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.duration_us_sum += other.duration_us_sum;
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }
}

/// The node's counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct NodeStats {
    pub topics: u64,
    pub partitions: u64,
    pub groups: u64,
    pub connections_active: u64,
    pub connections_accepted: u64,
    pub connections_refused: u64,
    pub request_memory_bytes: u64,
    /// Records on their way to consumers.
    pub answer_memory_bytes: u64,
    pub produced_bytes: u64,
    pub produced_batches: u64,
    pub fetched_bytes: u64,
    /// Partitions of fetches that were read from memory, and those that were not.
    pub tail_hits: u64,
    pub tail_misses: u64,
    pub journal: JournalTotals,
    /// Frames written through, and `fdatasync` calls.
    pub syncs: DurationCounter,
    /// By Kafka API key.
    pub requests: BTreeMap<i16, DurationCounter>,
}

/// Sums over the journals of all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalTotals {
    pub frames: u64,
    pub bytes: u64,
    pub syncs: u64,
    pub checkpoints_rejected: u64,
    pub segments: u64,
    pub spare_segments: u64,
    pub tail_bytes: u64,
}

impl NodeStats {
    /// Adds what another core counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.groups += other.groups;
        self.connections_active += other.connections_active;
        self.connections_accepted += other.connections_accepted;
        self.connections_refused += other.connections_refused;
        self.request_memory_bytes += other.request_memory_bytes;
        self.answer_memory_bytes += other.answer_memory_bytes;
        self.produced_bytes += other.produced_bytes;
        self.produced_batches += other.produced_batches;
        self.fetched_bytes += other.fetched_bytes;
        self.tail_hits += other.tail_hits;
        self.tail_misses += other.tail_misses;
        self.journal.frames += other.journal.frames;
        self.journal.bytes += other.journal.bytes;
        self.journal.syncs += other.journal.syncs;
        self.journal.checkpoints_rejected += other.journal.checkpoints_rejected;
        self.journal.segments += other.journal.segments;
        self.journal.spare_segments += other.journal.spare_segments;
        self.journal.tail_bytes += other.journal.tail_bytes;
        self.syncs.add(&other.syncs);
        for (api, counter) in &other.requests {
            self.requests.entry(*api).or_default().add(counter);
        }
    }
}

#[cfg(test)]
mod tests;
