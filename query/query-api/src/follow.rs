//! The `Follow` verb: which topics exist and their batches from an offset.

use std::sync::Arc;

use bytes::Bytes;

use crate::{BoxFuture, DeclaredTable, Error};

/// A topic at one moment.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    pub name: String,
    /// The topic's UUID.
    pub id: [u8; 16],
    /// Durable number assigned by the catalog; the base of the table's OID.
    pub number: u64,
    /// Internal topics are hidden from `\dt`.
    pub internal: bool,
    /// Dense: index is the partition id.
    pub partitions: Vec<PartitionInfo>,
    /// Schemas declared over this topic by `CREATE TABLE … WITH (topic = …)`.
    pub declared: Vec<Arc<DeclaredTable>>,
}

/// A partition's readable range at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    pub log_start: i64,
    /// First offset that is not yet readable (the high watermark).
    pub end: i64,
}

/// A piece of a partition.
#[derive(Clone, Debug)]
pub struct ReadBatches {
    /// Whole Kafka record batches (format v2), in order, as the producer sent them; the first may begin before
    /// the offset asked for.
    pub batches: Vec<Bytes>,
    /// Where to continue; equal to the offset asked for when nothing was read.
    pub next: i64,
}

/// Reads the log from the query side.
pub trait Follow: Send + Sync {
    /// All topics with their ranges: the statement's snapshot.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, Error>>;

    /// One topic by name with its current ranges; `None` when it does not exist.
    fn topic(&self, name: &str) -> BoxFuture<'_, Result<Option<TopicInfo>, Error>>;

    /// Batches of [`offset`, `end`), about `max_bytes` at a time, at least one batch when there is one.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition, `Invalid` when `offset` was removed by retention, `Corrupt`.
    fn read(
        &self,
        topic: [u8; 16],
        partition: i32,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<ReadBatches, Error>>;

    /// The first offset whose record timestamp is ≥ `timestamp_ms`; `None` when there is none.
    fn offset_for_timestamp(
        &self,
        topic: [u8; 16],
        partition: i32,
        timestamp_ms: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, Error>>;

    /// Whether every record in `partition` before an offset has a timestamp ≤ the offset's: lets an upper bound on
    /// `_timestamp` become an upper bound on `_offset`. True only for topics with `LogAppendTime`.
    fn timestamps_ordered(&self, topic: [u8; 16]) -> bool;

    /// Whether each offset of [`log_start`, `end`) of each partition is a record's, so that records are counted by their
    /// offsets. False where there are control batches, or where compaction left records out.
    ///
    /// [`log_start`]: PartitionInfo::log_start
    /// [`end`]: PartitionInfo::end
    fn offsets_dense(&self, topic: [u8; 16]) -> bool;
}
