//! The door to a node from other threads: reads and writes of the query side, statistics, stopping.
//!
//! Everything is a job on the core that owns the data; what comes back is owned and `Send`.

mod follow;
mod ingest;
mod lag;
mod partitions;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::catalog::{Catalog, PartitionPlace};
use broker_kafka::broker::{CatalogCommand, CatalogFailure, Fatal};
use query_api::{Error, ErrorKind};

use crate::core::{CoreBroker, Shared};
use crate::disk_space::{self, DiskSpace};
pub use lag::GroupLag;
pub use partitions::PartitionRange;

use crate::stats::{JournalTotals, NodeStats};
use broker_kafka::broker::Broker;
use log_types::ShardId;

/// A handle to a running node; `Send + Sync`, shared by `Arc`.
pub struct NodeHandle {
    shared: Arc<Shared>,
    /// The catalog as last seen, for questions that cannot wait.
    last_catalog: Mutex<Arc<Catalog>>,
}

/// The core has stopped: the node is going down.
fn stopped<E>(_: E) -> Error {
    Error::new(ErrorKind::Unavailable, "the node is stopping").with_sqlstate("57P01")
}

impl NodeHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, last_catalog: Mutex::default() }
    }

    /// Kafka's cluster id string.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.shared.cluster_id
    }

    /// Threads that run shards and connections.
    #[must_use]
    pub fn core_count(&self) -> usize {
        self.shared.router.core_count()
    }

    /// Shards that cannot write because the disk is full.
    #[must_use]
    pub fn full_shards(&self) -> u64 {
        self.shared.full_shards.load(Ordering::Relaxed)
    }

    /// What the data directory takes of its file system, and what is left. Asks the file system for each file.
    ///
    /// # Errors
    /// I/O errors.
    pub fn disk_space(&self) -> std::io::Result<DiskSpace> {
        disk_space::of(&self.shared.settings.data_dir)
    }

    /// Tells every core to stop.
    pub(crate) fn stop(&self) {
        self.shared.router.stop();
    }

    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, Error> {
        let catalog = self.shared.router.submit(0, |core| {
            let catalog = core.catalog();
            Box::pin(async move { catalog })
        });
        let catalog = catalog.await.map_err(stopped)?;
        *self.last_catalog() = Arc::clone(&catalog);
        Ok(catalog)
    }

    fn last_catalog(&self) -> MutexGuard<'_, Arc<Catalog>> {
        // Every value ever stored is a whole catalog, so a poisoned lock is as good as any.
        self.last_catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable ranges (log start, high watermark) of the places, in their order.
    pub(crate) async fn ranges(
        &self,
        places: Vec<PartitionPlace>,
    ) -> Result<Vec<(i64, i64)>, Error> {
        let mut ranges = vec![(0, 0); places.len()];
        for shard in (0..self.shared.router.shard_count()).map(ShardId) {
            let here: Vec<_> =
                places.iter().enumerate().filter(|(_, place)| place.shard == shard).collect();
            if here.is_empty() {
                continue;
            }
            let streams: Vec<_> = here.iter().map(|(_, place)| place.stream).collect();
            let found = self.shared.router.submit(self.shared.router.core_of(shard), move |core| {
                let shard = core.shards.get(&shard).cloned();
                Box::pin(async move {
                    match shard {
                        Some(shard) => shard.ranges(streams).await,
                        None => Vec::new(),
                    }
                })
            });
            for ((index, _), range) in here.iter().zip(found.await.map_err(stopped)?) {
                ranges[*index] = range;
            }
        }
        Ok(ranges)
    }

    pub(crate) async fn change_catalog(&self, command: CatalogCommand) -> Result<(), Error> {
        let changing =
            self.shared.router.submit(0, move |core| CoreBroker(core).change_catalog(command));
        match changing.await.map_err(stopped)? {
            Ok(_) => Ok(()),
            Err(CatalogFailure::Refused(error)) => Err(ingest::refused(&error)),
            Err(CatalogFailure::DiskFull) => Err(disk_full()),
            Err(CatalogFailure::Fatal) => Err(stopped(Fatal)),
        }
    }

    /// Counters of all cores.
    ///
    /// # Errors
    /// `Unavailable` when the node is stopping.
    pub async fn stats(&self) -> Result<NodeStats, Error> {
        let catalog = self.catalog().await?;
        let mut stats = NodeStats {
            topics: catalog.topics.len() as u64,
            partitions: catalog.topics.values().map(|topic| topic.partitions.len() as u64).sum(),
            ..NodeStats::default()
        };
        for core in 0..self.shared.router.core_count() {
            let counted = self.shared.router.submit(core, |core| {
                let counted = core.stats();
                Box::pin(async move { counted })
            });
            stats.add(&counted.await.map_err(stopped)?);
        }
        Ok(stats)
    }
}

pub(crate) fn disk_full() -> Error {
    Error::new(ErrorKind::Unavailable, "cannot write: the disk of the data directory is full")
        .with_sqlstate("53100")
        .with_hint("free space or shorten retention; reads go on meanwhile")
}

impl crate::core::Core {
    fn stats(&self) -> NodeStats {
        let connections = &self.connections;
        let mut stats = NodeStats {
            connections_active: connections.active.get() as u64,
            connections_accepted: connections.accepted.get(),
            connections_refused: connections.refused.get(),
            request_memory_bytes: (self.memory.used() + self.opening.used()) as u64,
            answer_memory_bytes: (self.answers.used() + self.listings.used()) as u64,
            requests: connections.requests.borrow().clone(),
            ..NodeStats::default()
        };
        for shard in self.shards.values() {
            let journal = shard.journal.stats();
            stats.groups += shard.group_count() as u64;
            stats.produced_bytes += shard.counters.appended_bytes.get();
            stats.produced_batches += shard.counters.appended_batches.get();
            stats.fetched_bytes += shard.counters.read_bytes.get();
            stats.tail_hits += shard.counters.tail_hits.get();
            stats.tail_misses += shard.counters.tail_misses.get();
            stats.syncs.add(&shard.counters.syncs.borrow());
            let totals = &mut stats.journal;
            *totals = JournalTotals {
                frames: totals.frames + journal.frames,
                bytes: totals.bytes + journal.bytes,
                syncs: totals.syncs + journal.syncs + journal.synced_writes,
                checkpoints_rejected: totals.checkpoints_rejected + journal.checkpoints_rejected,
                segments: totals.segments + journal.segments,
                spare_segments: totals.spare_segments + journal.spare_segments,
                tail_bytes: totals.tail_bytes + journal.tail_bytes,
            };
        }
        stats
    }
}
