//! One shard on its core: its journal, its partitions, its groups and, on the meta shard, the catalog.
//!
//! Invariants:
//! - State changes in the same synchronous step in which its entry is appended to the journal, so the state at the
//!   moment a frame is closed is exactly the fold up to that frame; a checkpoint is taken then.
//! - Nothing is answered before its position is durable (or its topic asks for less).
//! - Replay and live operation go through the same `apply` functions.
//!
//! ```text
//!  append ─► Partition::check ─► journal.append ─► Partition::record ─► (position) ─► durable ─► visible ─► watchers
//! ```

mod append;
mod catalog;
mod fold;
mod groups;
mod offsets;
mod producers;
mod prove;
mod publish;
mod read;
mod retention;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use broker_core::partition::Partition;
use broker_kafka::Turns;
use log_io::{Clock, Random, Slice};
use log_journal::{Journal, JournalError, JournalHooks, JournalOptions};
use log_types::{LeaderEpoch, Offset, PartitionId, Position, ShardId, StreamId, TopicId};

use broker_rt::Runtime;

pub(crate) use append::AppendItem;
use fold::Fold;
pub(crate) use groups::GroupService;
pub(crate) use prove::ShardProof;
use publish::Publishing;
pub(crate) use read::Replies;
use watch::Watchers;

use crate::stats::DurationCounter;

/// Journal entry kinds; part of the on-disk format (`log/FORMAT.md`).
pub(crate) mod kind {
    use log_journal::EntryKind;

    /// A Kafka record batch of a stream.
    pub(crate) const BATCH: EntryKind = EntryKind(0);
    /// A stream's log start moved to the entry's base offset.
    pub(crate) const LOG_START: EntryKind = EntryKind(1);
    /// A group record (`broker-core::group`).
    pub(crate) const GROUP: EntryKind = EntryKind(2);
    /// A catalog record (`broker-core::catalog`); only in the meta shard.
    pub(crate) const CATALOG: EntryKind = EntryKind(3);
    /// Time has passed for the idempotent producers of a stream (`shard::producers`).
    pub(crate) const PRODUCERS_AGED: EntryKind = EntryKind(4);
}

/// Partitions that are looked up in one go, and nanoseconds that one takes.
const RANGES_AT_ONCE: usize = 100;
const RANGE_NS: usize = 200;

/// The same of committed offsets.
const COMMITS_AT_ONCE: usize = 200;
const COMMIT_NS: usize = 300;

/// Reads from files at a time.
const COLD_READS_MAX: usize = 4;

/// Stream number under which the internal entry kinds are logged.
pub(crate) const INTERNAL_STREAM: StreamId = StreamId(0);

/// The shard that holds the catalog.
pub(crate) const META_SHARD: ShardId = ShardId(0);

/// An append that becomes visible when its frame is durable.
struct Pending {
    position: Position,
    stream: StreamId,
    end: Offset,
}

/// A shard. Used as `Rc<Shard>` on the core that owns it.
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) journal: Journal,
    clock: Rc<dyn Clock>,
    /// Wall milliseconds and monotonic nanoseconds when the shard was opened.
    opened: (i64, u64),
    random: Rc<dyn Random>,
    partitions: RefCell<BTreeMap<StreamId, Partition>>,
    pending: RefCell<VecDeque<Pending>>,
    watchers: RefCell<Watchers>,
    pub(crate) groups: GroupService,
    catalog: RefCell<broker_core::catalog::Catalog>,
    publishing: Publishing,
    disk_full: Cell<bool>,
    /// The node's shards whose disk is full.
    full_shards: Arc<AtomicU64>,
    /// Log starts that were moved while nothing could be logged.
    unlogged_starts: RefCell<BTreeMap<StreamId, Offset>>,
    /// Steady time of the last ageing step of the producers.
    aged_ms: Cell<i64>,
    /// Whose turn it is to append: a request that finds room must not overtake an earlier one of its connection that still
    /// waits for some, or an idempotent producer's sequence would break.
    turn: Turns,
    /// Reads from files under way: more at a time are no faster, and hold up whoever appends.
    cold_reads: Turns,
    /// Batches that are searched for a timestamp.
    searches: Turns,
    /// Largest batch the journal takes.
    entry_bytes_max: usize,
    pub(crate) counters: Counters,
}

/// An offset that a group has committed.
pub(crate) struct Commit {
    pub(crate) group: String,
    pub(crate) topic: String,
    /// All zeros where the client did not know it.
    pub(crate) topic_id: TopicId,
    pub(crate) partition: PartitionId,
    pub(crate) offset: Offset,
}

/// Plain counters, summed by the operations endpoints.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) appended_bytes: Cell<u64>,
    pub(crate) appended_batches: Cell<u64>,
    pub(crate) read_bytes: Cell<u64>,
    /// Partitions of fetches that were read from memory, and those that were not.
    pub(crate) tail_hits: Cell<u64>,
    pub(crate) tail_misses: Cell<u64>,
    pub(crate) syncs: RefCell<DurationCounter>,
}

pub(crate) fn add(counter: &Cell<u64>, count: usize) {
    counter.set(counter.get().wrapping_add(count as u64));
}

/// What a shard is opened with.
pub(crate) struct ShardOptions {
    pub(crate) journal: JournalOptions,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) groups: broker_core::group::GroupConfig,
    pub(crate) full_shards: Arc<AtomicU64>,
}

/// Why a shard does not open.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShardError {
    Directory(std::io::Error),
    Journal(JournalError),
    /// An entry passed its checksum and does not decode: a newer version wrote it.
    Replay {
        position: Position,
        what: String,
    },
}

impl std::fmt::Display for ShardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(error) => write!(f, "cannot open the directory: {error}"),
            Self::Journal(error) => {
                error.fmt(f)?;
                match std::error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            Self::Replay { position, what } => write!(f, "cannot replay frame {position}: {what}"),
        }
    }
}

impl std::error::Error for ShardError {}

impl From<JournalError> for ShardError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Shard {
    /// Opens the journal in `dir` and folds it.
    ///
    /// # Errors
    /// I/O errors and corruption below the durable watermark.
    pub(crate) async fn open(
        runtime: &dyn Runtime,
        dir: &Path,
        options: ShardOptions,
    ) -> Result<Rc<Self>, ShardError> {
        let disk = runtime.disk(dir).map_err(ShardError::Directory)?;
        let id = options.journal.shard;
        let entry_bytes_max = options.journal.frame_bytes_max;
        let mut fold = Fold::new(options.epoch, options.groups);
        let clock = runtime.clock();
        let (journal, recovery) =
            Journal::open(disk, Rc::clone(&clock), options.journal, &mut fold).await?;
        fold.finish()?;
        for (stream, partition) in &fold.partitions {
            journal.set_log_start(*stream, partition.log_start());
        }
        for finding in &recovery.rejected {
            let log_journal::Finding { file, offset, what, expected, found } = finding;
            tracing::warn!(
                shard = id.0,
                %file,
                offset,
                what,
                expected,
                found,
                "damaged checkpoint not used: an older one and the frames since gave the same state"
            );
        }
        tracing::info!(
            shard = id.0,
            position = recovery.position.0,
            frames = recovery.frames,
            "shard open"
        );
        Ok(Rc::new(Self {
            id,
            epoch: options.epoch,
            journal,
            aged_ms: Cell::new(clock.wall_ms()),
            opened: (clock.wall_ms(), clock.mono_ns()),
            clock,
            random: runtime.random(),
            partitions: RefCell::new(fold.partitions),
            pending: RefCell::default(),
            watchers: RefCell::default(),
            groups: GroupService::new(fold.groups, fold.unlogged.groups),
            catalog: RefCell::new(fold.catalog),
            publishing: Publishing::new(),
            disk_full: Cell::new(false),
            full_shards: options.full_shards,
            unlogged_starts: RefCell::new(fold.unlogged.log_starts),
            turn: Turns::new(1),
            cold_reads: Turns::new(COLD_READS_MAX),
            searches: Turns::new(1),
            entry_bytes_max,
            counters: Counters::default(),
        }))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Wall time as of the opening plus what has really passed since: for deadlines, which a wall clock that is set
    /// back would move into a far future and one that is set forward would all bring about at once.
    pub(crate) fn steady_ms(&self) -> i64 {
        let (wall_ms, mono_ns) = self.opened;
        let passed_ms = self.clock.mono_ns().saturating_sub(mono_ns) / 1_000_000;
        wall_ms.saturating_add(i64::try_from(passed_ms).unwrap_or(i64::MAX))
    }

    pub(crate) fn random_u128(&self) -> u128 {
        (u128::from(self.random.next_u64()) << 64) | u128::from(self.random.next_u64())
    }

    /// Makes exactly these streams exist here: what the catalog places in this shard.
    pub(crate) fn reconcile(&self, streams: impl Iterator<Item = StreamId>) {
        let mut wanted: BTreeMap<StreamId, Partition> =
            streams.map(|stream| (stream, Partition::default())).collect();
        let mut partitions = self.partitions.borrow_mut();
        for (stream, partition) in std::mem::take(&mut *partitions) {
            match wanted.get_mut(&stream) {
                Some(slot) => *slot = partition,
                None => self.journal.remove_stream(stream),
            }
        }
        *partitions = wanted;
    }

    pub(crate) fn add_stream(&self, stream: StreamId) {
        self.partitions.borrow_mut().entry(stream).or_default();
    }

    pub(crate) fn remove_stream(&self, stream: StreamId) {
        self.unlogged_starts.borrow_mut().remove(&stream);
        if self.partitions.borrow_mut().remove(&stream).is_some() {
            self.journal.remove_stream(stream);
            self.watchers.borrow_mut().wake(stream);
        }
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.state().count()
    }

    /// What groups have committed here, at most `count_max` of it, with yields in between.
    pub(crate) async fn commits(self: Rc<Self>, count_max: usize) -> Vec<Commit> {
        let (mut commits, mut slice) = (Vec::new(), Slice::default());
        // Named again after each yield: what was read from may be gone.
        let mut next = self.groups.state().id_after(None);
        while let Some(group) = next.take() {
            let before = commits.len();
            let asked = COMMITS_AT_ONCE.min(count_max - before);
            self.add_commits(&group, &mut commits, asked);
            slice.worked((1 + commits.len() - before) * COMMIT_NS).await;
            if commits.len() == count_max {
                break;
            }
            let rest = commits.len() - before == asked;
            next = if rest { Some(group) } else { self.groups.state().id_after(Some(&group)) };
        }
        commits
    }

    /// Adds what the group has committed beyond the last that is there.
    fn add_commits(&self, group: &str, commits: &mut Vec<Commit>, count_max: usize) {
        let groups = self.groups.state();
        let last = commits.last().filter(|last| last.group == group);
        let after = last.map(|last| (last.topic.clone(), last.partition));
        let after = after.as_ref().map(|(topic, partition)| (topic.as_str(), *partition));
        let more = groups.committed_after(group, after).take(count_max);
        commits.extend(more.map(|(topic, partition, committed)| Commit {
            group: group.to_owned(),
            topic: topic.to_owned(),
            topic_id: committed.topic_id,
            partition,
            offset: committed.offset,
        }));
    }

    /// Log start and high watermark per stream; an unknown one is empty.
    pub(crate) async fn ranges(self: Rc<Self>, streams: Vec<StreamId>) -> Vec<(i64, i64)> {
        let (mut ranges, mut slice) = (Vec::with_capacity(streams.len()), Slice::default());
        for streams in streams.chunks(RANGES_AT_ONCE) {
            {
                let partitions = self.partitions.borrow();
                ranges.extend(streams.iter().map(|stream| match partitions.get(stream) {
                    Some(partition) => (partition.log_start().0, partition.visible().0),
                    None => (0, 0),
                }));
            }
            slice.worked(streams.len() * RANGE_NS).await;
        }
        ranges
    }
}

impl JournalHooks for Shard {
    fn on_durable(&self, position: Position) {
        let mut pending = self.pending.borrow_mut();
        let mut partitions = self.partitions.borrow_mut();
        let mut watchers = self.watchers.borrow_mut();
        while let Some(first) = pending.front()
            && first.position <= position
        {
            if let Some(partition) = partitions.get_mut(&first.stream) {
                partition.raise_visible(first.end);
                watchers.wake(first.stream);
            }
            pending.pop_front();
        }
        self.groups.release(position);
    }

    fn on_synced(&self, duration_ns: u64) {
        self.counters.syncs.borrow_mut().observe(duration_ns / 1000);
    }

    fn checkpoint_state(&self, _position: Position) -> Vec<u8> {
        let unlogged = fold::Unlogged {
            groups: self.groups.backlog(),
            log_starts: self.unlogged_starts.borrow().clone(),
        };
        let partitions = self.partitions.borrow();
        fold::export(&partitions, &self.groups.state(), &self.catalog.borrow(), &unlogged)
    }

    fn on_disk_full(&self, full: bool) {
        if self.disk_full.replace(full) != full {
            if full {
                self.full_shards.fetch_add(1, Ordering::Relaxed);
                tracing::error!(shard = self.id.0, "disk full: writes fail, reads go on");
            } else {
                self.full_shards.fetch_sub(1, Ordering::Relaxed);
                tracing::info!(shard = self.id.0, "disk space is back: writes go on");
            }
        }
    }
}

#[cfg(test)]
mod tests;
