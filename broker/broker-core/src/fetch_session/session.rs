//! One fetch session, and which of its partitions have news.

use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Limits of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSessionConfig {
    /// `max.incremental.fetch.session.cache.slots`; Kafka: 1000.
    pub slots_max: usize,
    /// How long a session is safe from eviction; Kafka: 120,000 ms.
    pub eviction_ms: i64,
    /// Partitions over all sessions: bounds the cache's memory, about 120 bytes each.
    pub partitions_max: usize,
    /// Partitions of one session: bounds the time of its requests, which may be tiny. Clients with more are answered
    /// without a session.
    pub session_partitions_max: usize,
}

impl Default for FetchSessionConfig {
    fn default() -> Self {
        Self {
            slots_max: 1000,
            eviction_ms: 120_000,
            partitions_max: 1_000_000,
            session_partitions_max: 4096,
        }
    }
}

/// A topic as the request names it: by name before version 13, by id from then on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchTopic {
    Name(Arc<str>),
    Id(TopicId),
}

/// A partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchKey {
    pub topic: FetchTopic,
    pub partition: PartitionId,
}

/// What to read from a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    pub key: FetchKey,
    pub fetch_offset: Offset,
    /// −1 for consumers.
    pub log_start: Offset,
    /// `partition_max_bytes`.
    pub bytes_max: i32,
    /// −1: not checked.
    pub leader_epoch: LeaderEpoch,
    /// −1: not given.
    pub last_fetched_epoch: LeaderEpoch,
}

/// The outcome for a partition, as far as it decides whether the response holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchResult {
    pub key: FetchKey,
    /// Kafka error code, 0 for none.
    pub error: i16,
    pub high_watermark: Offset,
    pub log_start: Offset,
    /// Bytes of records.
    pub records_bytes: usize,
    /// A preferred read replica or a diverging epoch is set.
    pub redirected: bool,
}

/// Why an incremental request is refused; the client falls back to a full fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchSessionError {
    /// 70.
    SessionIdNotFound,
    /// 71.
    InvalidSessionEpoch,
    /// 106: ids in a session by names, or the reverse.
    TopicId,
}

impl FetchSessionError {
    /// The Kafka error code.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::SessionIdNotFound => 70,
            Self::InvalidSessionEpoch => 71,
            Self::TopicId => 106,
        }
    }
}

impl fmt::Display for FetchSessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionIdNotFound => "the fetch session does not exist",
            Self::InvalidSessionEpoch => "the fetch session epoch is invalid",
            Self::TopicId => "the fetch session mixes topic names and topic ids",
        })
    }
}

impl std::error::Error for FetchSessionError {}

/// A partition with what the client last heard of it.
#[derive(Clone, Debug)]
struct Cached {
    wanted: FetchPartition,
    high_watermark: Offset,
    log_start: Offset,
}

impl Cached {
    fn new(wanted: FetchPartition) -> Self {
        Self { wanted, high_watermark: Offset(-1), log_start: Offset(-1) }
    }

    /// Whether the client must hear of `result`; remembers it as heard.
    fn has_news(&mut self, result: &FetchResult) -> bool {
        let news = result.error != 0
            || result.records_bytes > 0
            || result.redirected
            || self.high_watermark != result.high_watermark
            || self.log_start != result.log_start;
        // After an error the next good answer is news whatever it says.
        self.high_watermark = if result.error == 0 { result.high_watermark } else { Offset(-1) };
        self.log_start = result.log_start;
        news
    }
}

/// A session; owned by the cache.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) epoch: i32,
    pub(super) privileged: bool,
    pub(super) by_id: bool,
    pub(super) created_ms: i64,
    pub(super) used_ms: i64,
    /// In the order in which they are read.
    order: BTreeMap<u64, Cached>,
    index: BTreeMap<FetchKey, u64>,
    next: u64,
}

impl Session {
    pub(super) fn new(now_ms: i64, privileged: bool, by_id: bool) -> Self {
        Self {
            epoch: 1,
            privileged,
            by_id,
            created_ms: now_ms,
            used_ms: now_ms,
            order: BTreeMap::new(),
            index: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn contains(&self, key: &FetchKey) -> bool {
        self.index.contains_key(key)
    }

    /// Adds a partition at the end, or changes what is read from it.
    pub(super) fn upsert(&mut self, wanted: FetchPartition) {
        if let Some(cached) = self.index.get(&wanted.key).and_then(|at| self.order.get_mut(at)) {
            cached.wanted = wanted;
            return;
        }
        self.index.insert(wanted.key.clone(), self.next);
        self.order.insert(self.next, Cached::new(wanted));
        self.next += 1;
    }

    pub(super) fn forget(&mut self, key: &FetchKey) {
        if let Some(at) = self.index.remove(key) {
            self.order.remove(&at);
        }
    }

    pub(super) fn partitions(&self) -> Vec<FetchPartition> {
        self.order.values().map(|cached| cached.wanted.clone()).collect()
    }

    /// Whether the response holds the partition; one with records goes to the end of the order.
    pub(super) fn answer(&mut self, result: &FetchResult) -> bool {
        let Some(at) = self.index.get_mut(&result.key) else { return true };
        let Some(cached) = self.order.get_mut(at) else { return true };
        let news = cached.has_news(result);
        if result.records_bytes > 0
            && let Some(cached) = self.order.remove(at)
        {
            *at = self.next;
            self.order.insert(self.next, cached);
            self.next += 1;
        }
        news
    }
}

/// The epoch after `epoch`: 1 follows the largest, since 0 and −1 have meanings of their own.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}
