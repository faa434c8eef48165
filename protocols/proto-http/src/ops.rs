//! What the adapter asks of the node: plain data, summed at the call.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The numbers once every core has been asked.
pub type StatsFuture<'a> = Pin<Box<dyn Future<Output = Stats> + Send + 'a>>;

/// The groups once every core has been asked.
pub type LagsFuture<'a> = Pin<Box<dyn Future<Output = Vec<GroupLag>> + Send + 'a>>;

/// The partitions once every core has been asked.
pub type PartitionsFuture<'a> = Pin<Box<dyn Future<Output = Vec<PartitionRange>> + Send + 'a>>;

/// The node as operators see it. Called for each request, from any thread; must not block.
pub trait Ops: Send + Sync + 'static {
    fn stats(&self) -> StatsFuture<'_>;
    /// Called where somebody asks for the detail: it costs as much as there are groups.
    fn group_lags(&self) -> LagsFuture<'_>;
    /// Called where somebody asks for the detail: it costs as much as there are partitions.
    fn partition_ranges(&self) -> PartitionsFuture<'_>;
    fn readiness(&self) -> Readiness;
}

/// Whether clients are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What is still missing, one reason each; empty when ready.
    pub waiting_for: Vec<String>,
    /// What does not work while clients are served, such as writes to a full disk. That is no reason to send them away: the
    /// rest works.
    pub degraded: Vec<String>,
}

impl Readiness {
    #[must_use]
    pub fn ready(&self) -> bool {
        self.waiting_for.is_empty()
    }
}

/// Counters since the start, and gauges of this moment.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub version: String,
    /// `io_uring` or `epoll`.
    pub reactor: String,
    pub cores: u64,
    pub uptime: Duration,
    /// Milliseconds since the epoch at which the process started.
    pub started_at_ms: u64,
    pub topics: u64,
    pub partitions: u64,
    /// Consumer groups with members or committed offsets.
    pub groups: u64,
    /// Memory that Kafka requests in flight hold.
    pub request_memory_bytes: u64,
    /// Memory that answers to Kafka requests hold until they are written.
    pub answer_memory_bytes: u64,
    pub protocols: Vec<ProtocolStats>,
    pub kafka_apis: Vec<ApiStats>,
    pub log: LogStats,
    pub journal: JournalStats,
    pub sql: SqlStats,
    /// `None` until the file system has answered for the first time.
    pub storage: Option<StorageStats>,
}

/// The file system that holds the data.
#[derive(Clone, Debug, Default)]
pub struct StorageStats {
    /// What the data directory takes.
    pub used_bytes: u64,
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Connections of one protocol.
#[derive(Clone, Debug, Default)]
pub struct ProtocolStats {
    /// `kafka`, `pg`, `http`.
    pub protocol: &'static str,
    pub connections_active: u64,
    /// Accepted since the start.
    pub connections: u64,
    /// Closed at once since the start, because of a limit.
    pub connections_refused: u64,
}

/// Requests of one Kafka API.
#[derive(Clone, Debug, Default)]
pub struct ApiStats {
    /// Kafka's name, such as `Produce`.
    pub api: String,
    /// Seconds from the last byte of the request to the first of the response.
    pub duration: Histogram,
}

/// The log over all shards.
#[derive(Clone, Debug, Default)]
pub struct LogStats {
    pub produced_bytes: u64,
    pub produced_batches: u64,
    pub fetched_bytes: u64,
    /// Partitions of fetches that were read from memory, and those that were read from files.
    pub tail_hits: u64,
    pub tail_misses: u64,
    pub segments: u64,
    /// Empty segment files kept for reuse.
    pub spare_segments: u64,
    /// Memory that holds recently written frames.
    pub tail_bytes: u64,
    /// Shards that cannot write because the disk is full.
    pub disk_full_shards: u64,
    /// Seconds that the device took to make a frame durable.
    pub fsync_duration: Histogram,
}

/// The journals over all shards.
#[derive(Clone, Debug, Default)]
pub struct JournalStats {
    pub frames: u64,
    /// Bytes written to the device, padding included.
    pub written_bytes: u64,
    /// Times the device made writes durable: frames written through, and separate `fdatasync` calls.
    pub syncs: u64,
    /// Damaged checkpoints that the start passed over for an older one.
    pub checkpoints_rejected: u64,
}

/// What SQL statements met.
#[derive(Clone, Debug, Default)]
pub struct SqlStats {
    /// Records that were read and could not be fully decoded; one that is read twice counts twice.
    pub bad_records: u64,
    /// Bytes of record batches that scans read.
    pub read_bytes: u64,
    /// Memory that running statements hold.
    pub memory_bytes: u64,
    pub queries: QueryStats,
}

/// Statements of the PostgreSQL protocol.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    /// Running now.
    pub active: u64,
    /// `ok`, `error`, `cancelled`, each with how many there were.
    pub by_status: Vec<(&'static str, u64)>,
    /// By kind, such as `select`: seconds from the call to the last row.
    pub durations: Vec<(&'static str, Histogram)>,
}

/// How far a consumer group is behind on a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupLag {
    pub group: String,
    pub topic: String,
    /// Over the partitions for which it has committed.
    pub records: u64,
}

/// The readable part of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRange {
    pub topic: String,
    pub partition: u64,
    /// Offset of the first record that is kept.
    pub start: u64,
    /// Offset of the next record that consumers will see.
    pub end: u64,
}

/// What a page of metrics shows beyond what is always there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    #[default]
    None,
    Groups(Vec<GroupLag>),
    Partitions(Vec<PartitionRange>),
}

/// A histogram in plain numbers.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// (upper bound, observations between the previous bound and this one), bounds rising; what is above the last
    /// bound is only in `count`.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
    /// All observations.
    pub count: u64,
}
