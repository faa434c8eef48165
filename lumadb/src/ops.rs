//! The node's counters as `proto-http` wants them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker_kafka_wire::ApiKey;
use broker_node::{DURATION_BOUNDS_US, DiskSpace, DurationCounter, NodeHandle, NodeStats};
use proto_http::{
    ApiStats, GroupLag, Histogram, HttpCounters, JournalStats, LagsFuture, LogStats, Ops,
    PartitionRange, PartitionsFuture, ProtocolStats, Readiness, SqlStats, Stats, StatsFuture,
    StorageStats,
};
use proto_pg::PgCounters;
use query_engine::Engine;

use crate::metered::SqlMeter;

/// How long a page waits for the file system before it shows what was last heard of it: a disk that hangs must not hide the
/// other figures.
const DISK_ANSWER_MAX: Duration = Duration::from_millis(500);

/// The file system's figures as last heard, asked for on a thread that may block.
#[derive(Default)]
pub(crate) struct Storage {
    last: Mutex<Option<DiskSpace>>,
    asking: AtomicBool,
}

impl Storage {
    /// `None` until the file system has answered for the first time.
    async fn ask(self: &Arc<Self>, node: &Arc<NodeHandle>) -> Option<StorageStats> {
        if !self.asking.swap(true, Ordering::SeqCst) {
            let (storage, node) = (Arc::clone(self), Arc::clone(node));
            let asked = tokio::task::spawn_blocking(move || {
                match node.disk_space() {
                    Ok(space) => *storage.lock() = Some(space),
                    Err(error) => tracing::warn!(%error, "cannot ask how full the disk is"),
                }
                storage.asking.store(false, Ordering::SeqCst);
            });
            // Late or never: the page shows what was heard before.
            let _ = tokio::time::timeout(DISK_ANSWER_MAX, asked).await;
        }
        let last = *self.lock();
        last.map(|DiskSpace { used_bytes, free_bytes, total_bytes }| StorageStats {
            used_bytes,
            free_bytes,
            total_bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<DiskSpace>> {
        // Plain numbers: whole whoever panicked.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers for a running node.
pub(crate) struct NodeOps {
    pub(crate) node: Arc<NodeHandle>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) pg: Arc<PgCounters>,
    pub(crate) http: Arc<HttpCounters>,
    pub(crate) meter: Arc<SqlMeter>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) reactor: String,
    pub(crate) started: Instant,
    /// True from when clients are served until shutdown begins.
    pub(crate) serving: Arc<AtomicBool>,
}

impl Ops for NodeOps {
    fn stats(&self) -> StatsFuture<'_> {
        Box::pin(async move {
            // A node that is stopping has no counters any more; the page then shows zeros for a moment.
            let node = self.node.stats().await.unwrap_or_default();
            let uptime = self.started.elapsed();
            Stats {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                reactor: self.reactor.clone(),
                cores: self.node.core_count() as u64,
                uptime,
                started_at_ms: started_at_ms(uptime),
                topics: node.topics,
                partitions: node.partitions,
                groups: node.groups,
                request_memory_bytes: node.request_memory_bytes,
                answer_memory_bytes: node.answer_memory_bytes,
                protocols: self.protocols(&node),
                kafka_apis: node
                    .requests
                    .iter()
                    .map(|(&api, counter)| api_stats(api, counter))
                    .collect(),
                log: LogStats {
                    produced_bytes: node.produced_bytes,
                    produced_batches: node.produced_batches,
                    fetched_bytes: node.fetched_bytes,
                    tail_hits: node.tail_hits,
                    tail_misses: node.tail_misses,
                    segments: node.journal.segments,
                    spare_segments: node.journal.spare_segments,
                    tail_bytes: node.journal.tail_bytes,
                    disk_full_shards: self.node.full_shards(),
                    fsync_duration: histogram(&node.syncs),
                },
                journal: JournalStats {
                    frames: node.journal.frames,
                    written_bytes: node.journal.bytes,
                    syncs: node.journal.syncs,
                    checkpoints_rejected: node.journal.checkpoints_rejected,
                },
                storage: self.storage.ask(&self.node).await,
                sql: SqlStats {
                    bad_records: self.engine.bad_records(),
                    read_bytes: self.engine.read_bytes(),
                    memory_bytes: self.engine.memory_bytes() as u64,
                    queries: self.meter.stats(),
                },
            }
        })
    }

    fn group_lags(&self) -> LagsFuture<'_> {
        Box::pin(async move {
            // A node that is stopping has no groups any more.
            let lags = self.node.group_lags().await.unwrap_or_default();
            let lag = |one: broker_node::GroupLag| GroupLag {
                group: one.group,
                topic: one.topic,
                records: one.records,
            };
            lags.into_iter().map(lag).collect()
        })
    }

    fn partition_ranges(&self) -> PartitionsFuture<'_> {
        Box::pin(async move {
            // A node that is stopping has no partitions any more.
            let ranges = self.node.partition_ranges().await.unwrap_or_default();
            let range = |one: broker_node::PartitionRange| PartitionRange {
                topic: one.topic,
                partition: one.partition as u64,
                start: one.start.unsigned_abs(),
                end: one.end.unsigned_abs(),
            };
            ranges.into_iter().map(range).collect()
        })
    }

    fn readiness(&self) -> Readiness {
        let serving = self.serving.load(Ordering::SeqCst);
        Readiness {
            waiting_for: (!serving)
                .then(|| "the server is stopping".to_owned())
                .into_iter()
                .collect(),
            degraded: (self.node.full_shards() > 0)
                .then(|| {
                    "the disk of the data directory is full: writes fail, reads go on".to_owned()
                })
                .into_iter()
                .collect(),
        }
    }
}

impl NodeOps {
    fn protocols(&self, node: &NodeStats) -> Vec<ProtocolStats> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ProtocolStats {
                protocol: "kafka",
                connections_active: node.connections_active,
                connections: node.connections_accepted,
                connections_refused: node.connections_refused,
            },
            ProtocolStats {
                protocol: "pg",
                connections_active: count(&self.pg.active),
                connections: count(&self.pg.accepted),
                connections_refused: count(&self.pg.refused),
            },
            ProtocolStats {
                protocol: "http",
                connections_active: count(&self.http.active),
                connections: count(&self.http.accepted),
                connections_refused: count(&self.http.refused),
            },
        ]
    }
}

fn started_at_ms(uptime: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(uptime).as_millis()).unwrap_or(u64::MAX)
}

fn api_stats(api: i16, counter: &DurationCounter) -> ApiStats {
    ApiStats { api: api_name(api), duration: histogram(counter) }
}

#[expect(clippy::cast_precision_loss, reason = "durations for a scraper, which works in f64")]
fn histogram(counter: &DurationCounter) -> Histogram {
    let bounds = DURATION_BOUNDS_US.iter().map(|&us| us as f64 / 1e6);
    Histogram {
        buckets: bounds.zip(counter.buckets).collect(),
        sum: counter.duration_us_sum as f64 / 1e6,
        count: counter.count,
    }
}

/// Kafka's name of an API; the label stays bounded for numbers nobody knows.
fn api_name(api: i16) -> String {
    ApiKey::from_key(api).map_or_else(|| "unknown".to_owned(), |key| key.info().name.to_owned())
}
