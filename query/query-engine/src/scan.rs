//! The physical scan: reads a range of each partition in chunks, decodes, and hands out Arrow batches on demand.
//!
//! ```text
//!  poll ──► rows waiting? ──yes──► RecordBatch
//!              │ no
//!              └► Follow::read (≤ READ_BYTES) ──► decode batch by batch ──► …
//! ```
//!
//! Invariants:
//! - Nothing is read before the consumer asks, and one chunk at a time: memory is one chunk, one decompressed batch
//!   and one Arrow batch per partition, whatever the topic's size; with several partitions also the batches that wait
//!   in the exchange between them.
//! - A chunk is taken from the statement's memory before it is read. Where little is left, little is read at a time.
//! - After `limit` rows nothing more is read; dropping the stream drops the read in flight.
//! - Where each offset is a record's, records are counted by their offsets, and their places are given without a read.
//! - Progress: a read that moves nowhere before the end is an error, never a loop.

mod due;
pub(crate) mod edges;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::SortOptions;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures_util::stream;
use log_record::BatchHeader;
use query_api::{Error, ErrorKind, TopicInfo};

use crate::bad::BadRecordPolicy;
use crate::decode::{Builder, Projection};
use crate::memory::Passing;
use crate::records::{self, LogRecord, RecordSink};
use crate::table::ScanContext;
use due::Due;
use edges::Edges;

/// Asked of the log per read.
pub(crate) const READ_BYTES: usize = 1024 * 1024;
/// Asked of the log per read when a small limit is likely to be met by less, or when memory is short.
const READ_BYTES_LIMITED: usize = 64 * 1024;
/// Of the statement's memory, what the chunks of one scan take together; each is as large as a batch.
const SHARE: usize = 16;
/// Chunks are no smaller than this, however many partitions there are.
const PIECE_BYTES_MIN: usize = 16 * 1024;
/// Batches of a partition that wait in an exchange: one that was sent and one that is being sent.
const BATCHES_EXCHANGED: usize = 2;

/// Offsets [`start`, `end`) of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScanRange {
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Reads ranges of a topic.
#[derive(Debug)]
pub(crate) struct TopicScan {
    topic: Arc<TopicInfo>,
    context: ScanContext,
    projection: Projection,
    /// One list per partition, ascending.
    ranges: Vec<Vec<ScanRange>>,
    limit: Option<usize>,
    edges: Option<Edges>,
    properties: Arc<PlanProperties>,
}

impl TopicScan {
    pub(crate) fn new(
        topic: Arc<TopicInfo>,
        context: ScanContext,
        projection: Projection,
        ranges: Vec<Vec<ScanRange>>,
        limit: Option<usize>,
    ) -> Self {
        let schema = Arc::clone(&projection.schema);
        let mut equivalence = EquivalenceProperties::new(Arc::clone(&schema));
        if let Ok(offset) = col("_offset", &schema) {
            equivalence.add_ordering([PhysicalSortExpr::new(offset, SortOptions::default())]);
        }
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(ranges.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Self { topic, context, projection, ranges, limit, edges: None, properties }
    }

    /// Rows of one partition's ranges where each offset is a record's.
    fn rows_of(&self, ranges: &[ScanRange]) -> usize {
        let offsets = ranges.iter().map(|it| usize::try_from(it.end - it.start).unwrap_or(0));
        offsets.sum::<usize>().min(self.limit.unwrap_or(usize::MAX))
    }

    /// A scan of the records at the edges of each partition; `None` where its limit counts others.
    fn with_edges(&self, edges: Edges) -> Option<Self> {
        if self.limit.is_some() {
            return None;
        }
        Some(Self {
            topic: Arc::clone(&self.topic),
            context: self.context.clone(),
            projection: self.projection.clone(),
            ranges: self.ranges.clone(),
            limit: None,
            edges: Some(edges),
            properties: Arc::clone(&self.properties),
        })
    }
}

impl DisplayAs for TopicScan {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicScan: topic={}", self.topic.name)?;
        for range in self.ranges.iter().flatten() {
            write!(f, ", {}:[{}, {})", range.partition, range.start, range.end)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        if self.edges.is_some() {
            write!(f, ", edges")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for TopicScan {
    fn name(&self) -> &'static str {
        "TopicScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if self.context.dense && self.edges.is_none() {
            let rows = match args.partition() {
                Some(partition) => self.ranges.get(partition).map_or(0, |it| self.rows_of(it)),
                None => self.ranges.iter().map(|it| self.rows_of(it)).sum(),
            };
            statistics.num_rows = Precision::Exact(rows);
        }
        Ok(Arc::new(statistics))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        // A scan without ranges has one empty partition.
        let mut ranges = self.ranges.get(partition).cloned().unwrap_or_default().into_iter();
        let range = ranges.next().unwrap_or(ScanRange { partition: 0, start: 0, end: 0 });
        let pool = Passing::of(&context);
        let piece_bytes = piece_bytes(pool.as_ref(), self.ranges.len());
        let limited = if self.limit.is_some() || self.edges.is_some() {
            READ_BYTES_LIMITED
        } else {
            READ_BYTES
        };
        let reader = Reader {
            topic: Arc::clone(&self.topic),
            context: self.context.clone(),
            next: range.start,
            range,
            ranges,
            left: self.limit.unwrap_or(usize::MAX),
            edges: self.edges.filter(|_| !self.ranges.is_empty()),
            seen: range.start - 1,
            piece_bytes,
            read_bytes: limited.min(piece_bytes),
            chunk: VecDeque::new(),
            due: None,
            known: self.context.dense && self.projection.places_only(),
            builder: Builder::new(self.projection.clone()),
            held: MemoryConsumer::new(format!("TopicScan[{partition}]")).register(&pool),
            exchanged: self.ranges.len() > 1,
            exchanged_bytes: 0,
        };
        let batches = stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next_batch().await?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        let schema = Arc::clone(&self.projection.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

/// What each of a scan's `ranges` reads, and decodes, at a time.
fn piece_bytes(pool: &dyn MemoryPool, ranges: usize) -> usize {
    let share = match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => bytes / SHARE,
        MemoryLimit::Infinite | MemoryLimit::Unknown => READ_BYTES,
    };
    (share / ranges.max(1)).clamp(PIECE_BYTES_MIN, READ_BYTES)
}

/// Position in the ranges of one partition.
struct Reader {
    topic: Arc<TopicInfo>,
    context: ScanContext,
    range: ScanRange,
    /// Those after it.
    ranges: std::vec::IntoIter<ScanRange>,
    /// Next offset to ask the log for.
    next: i64,
    /// Rows still wanted.
    left: usize,
    /// Only these are wanted, and not read yet.
    edges: Option<Edges>,
    /// Offset of the last row.
    seen: i64,
    /// Of a read, and of the keys and values of an Arrow batch.
    piece_bytes: usize,
    /// Of the next read.
    read_bytes: usize,
    chunk: VecDeque<Bytes>,
    /// Before what is in the chunk.
    due: Option<Due>,
    /// The places of the records are enough, and known.
    known: bool,
    builder: Builder,
    /// All of the above, and what was handed out to an exchange.
    held: MemoryReservation,
    exchanged: bool,
    exchanged_bytes: usize,
}

impl Reader {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(edges) = self.edges.take() {
            self.read_edges(edges).await?;
        }
        self.fill().await?;
        if self.builder.rows() == 0 {
            self.held.free();
            return Ok(None);
        }
        let batch = self.builder.finish()?;
        if self.exchanged {
            self.exchanged_bytes = BATCHES_EXCHANGED * batch.get_array_memory_size();
        }
        // Fails for no batch that is there: its successor is what is refused.
        let _ = self.hold();
        Ok(Some(batch))
    }

    /// Reads and decodes until a batch is full or nothing more is wanted.
    async fn fill(&mut self) -> Result<()> {
        while self.left > 0 && !self.full() {
            if let Some(due) = self.due.take() {
                self.push_due(due)?;
                continue;
            }
            let Some(batch) = self.chunk.pop_front() else {
                if self.next >= self.range.end {
                    let Some(range) = self.ranges.next() else { break };
                    (self.range, self.next) = (range, range.start);
                }
                self.advance().await?;
                continue;
            };
            self.decode(&batch)?;
            drop(batch);
            self.hold()?;
        }
        Ok(())
    }

    async fn advance(&mut self) -> Result<()> {
        if self.known {
            self.owe_range();
            return Ok(());
        }
        self.read_next().await
    }

    async fn read_next(&mut self) -> Result<()> {
        self.reserve()?;
        self.read().await.map_err(external)?;
        self.hold()
    }

    /// Takes memory for the next read; a smaller one where it is short.
    fn reserve(&mut self) -> Result<()> {
        let held = self.exchanged_bytes + self.builder.held_bytes();
        if self.held.try_resize(held + self.read_bytes).is_err() {
            self.read_bytes = self.read_bytes.min(READ_BYTES_LIMITED);
            self.held.try_resize(held + self.read_bytes)?;
        }
        Ok(())
    }

    /// Holds as much memory as is used.
    fn hold(&mut self) -> Result<()> {
        let chunk: usize = self.chunk.iter().map(Bytes::len).sum();
        self.held.try_resize(chunk + self.exchanged_bytes + self.builder.held_bytes())
    }

    fn full(&self) -> bool {
        self.builder.rows() >= self.context.batch_rows || self.builder.bytes() >= self.piece_bytes
    }

    async fn read(&mut self) -> Result<(), Error> {
        let ScanRange { partition, end, .. } = self.range;
        let read = self
            .context
            .follow
            .read(self.topic.id, partition, self.next, end, self.read_bytes)
            .await
            .map_err(|error| gone(&self.topic, error))?;
        if read.next <= self.next {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "cannot read topic \"{}\" partition {partition} at offset {}: the log returned nothing \
                     before offset {end}",
                    self.topic.name, self.next
                ),
            ));
        }
        self.next = read.next;
        self.read_bytes = self.piece_bytes;
        let bytes: usize = read.batches.iter().map(Bytes::len).sum();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.context.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.chunk = read.batches.into();
        Ok(())
    }

    fn decode(&mut self, batch: &[u8]) -> Result<()> {
        let ScanRange { start, end, .. } = self.range;
        if self.builder.projection().count_only()
            && let Some(rows) = records::count_in(batch, start, end)
        {
            let rows = rows.min(self.left);
            self.left -= rows;
            self.builder.push_count(rows);
            return Ok(());
        }
        let mut sink = Sink { reader: self, given: 0, last: None, failure: None };
        let read = records::each(batch, &mut sink);
        let Sink { given, last, failure, .. } = sink;
        match (failure, read) {
            (Some(failure), _) => Err(external(failure)),
            (None, Err(reason)) => self.unreadable(batch, given, last, &reason),
            (None, Ok(())) => Ok(()),
        }
    }

    /// What comes after the first `given` records of a batch cannot be read.
    fn unreadable(
        &mut self,
        batch: &[u8],
        given: i64,
        last: Option<i64>,
        reason: &str,
    ) -> Result<()> {
        let ScanRange { partition, start, .. } = self.range;
        let (offset, count) = match BatchHeader::parse(batch) {
            Ok(header) => self.owe_rest(&header, given, last),
            Err(_) => (start, 1),
        };
        let reason = format!("unreadable batch: {reason}");
        match self.context.policy {
            BadRecordPolicy::Fail => {
                Err(external(self.context.bad.fail(&self.topic, partition, offset, &reason)))
            }
            BadRecordPolicy::Skip => {
                self.context.bad.add(&self.topic, partition, offset, &reason, count);
                Ok(())
            }
        }
    }
}

struct Sink<'a> {
    reader: &'a mut Reader,
    /// Records before the range included.
    given: i64,
    last: Option<i64>,
    failure: Option<Error>,
}

impl RecordSink for Sink<'_> {
    fn record(&mut self, record: &LogRecord<'_>) -> bool {
        let reader = &mut *self.reader;
        let ScanRange { partition, start, end } = reader.range;
        self.given += 1;
        self.last = Some(record.offset);
        if record.offset < start {
            return true;
        }
        if record.offset >= end || reader.left == 0 {
            return false;
        }
        reader.left -= 1;
        reader.seen = record.offset;
        if let Err(reason) = reader.builder.push(partition, record) {
            let topic = &reader.topic;
            match reader.context.policy {
                BadRecordPolicy::Fail => {
                    let bad = &reader.context.bad;
                    self.failure = Some(bad.fail(topic, partition, record.offset, &reason));
                    return false;
                }
                BadRecordPolicy::Skip => {
                    reader.context.bad.add(topic, partition, record.offset, &reason, 1);
                }
            }
        }
        true
    }
}

/// What the log does not have any more, with the name of the topic, which the log does not know by then.
pub(crate) fn gone(topic: &TopicInfo, error: Error) -> Error {
    if error.kind != ErrorKind::NotFound {
        return error;
    }
    let message = format!("cannot read topic \"{}\": {}", topic.name, error.message);
    Error { message, ..error }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
