//! A topic as a DataFusion table: its shape, its ranges, and the scan that reads only what predicates leave.
//!
//! Invariants:
//! - One output partition per topic partition that predicates leave, in partition order; at least one.
//! - `_offset` ascends within an output partition, and the plan says so.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use query_api::{Follow, PartitionInfo, TopicInfo};

use crate::bad::{BadRecordPolicy, BadRecords};
use crate::decode::Projection;
use crate::pushdown::{self, Bound, Span};
use crate::scan::{ScanRange, TopicScan, gone};
use crate::shape::Shape;

/// What scans of one statement share.
#[derive(Clone)]
pub(crate) struct ScanContext {
    pub(crate) follow: Arc<dyn Follow>,
    pub(crate) bad: Arc<BadRecords>,
    pub(crate) policy: BadRecordPolicy,
    /// Bytes of batches that all statements read.
    pub(crate) read_bytes: Arc<AtomicU64>,
    pub(crate) batch_rows: usize,
    /// Each offset of the topic is a record's.
    pub(crate) dense: bool,
}

impl std::fmt::Debug for ScanContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScanContext").finish_non_exhaustive()
    }
}

/// A topic at one snapshot.
#[derive(Debug)]
pub(crate) struct TopicTable {
    pub(crate) topic: Arc<TopicInfo>,
    pub(crate) shape: Arc<Shape>,
    pub(crate) context: ScanContext,
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| pushdown::support(filter)).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bounds = pushdown::bounds(filters);
        let mut scans = Vec::new();
        for (partition, info) in (0..).zip(&self.topic.partitions) {
            let ranges = self.ranges(&bounds, partition, *info).await?;
            if !ranges.is_empty() {
                scans.push(ranges);
            }
        }
        let projection = Projection::new(&self.shape, projection)
            .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
        let scan =
            TopicScan::new(Arc::clone(&self.topic), self.context.clone(), projection, scans, limit);
        Ok(Arc::new(scan))
    }
}

impl TopicTable {
    /// What `bounds` leave of a partition, ascending.
    async fn ranges(
        &self,
        bounds: &Bound,
        partition: i32,
        info: PartitionInfo,
    ) -> Result<Vec<ScanRange>> {
        let all = [Span { low: info.log_start, high: info.end.saturating_sub(1) }];
        let whole = all.into_iter().filter(|it| it.low <= it.high).collect::<Vec<_>>();
        if pushdown::meet(&whole, &bounds.offsets(partition, &|_| Span::ALL)).is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for timestamp in bounds.timestamps() {
            found.push((timestamp, self.offsets_at(timestamp, partition).await?));
        }
        let at = |timestamp| {
            found.iter().find(|(it, _)| *it == timestamp).map_or(Span::ALL, |(_, offsets)| *offsets)
        };
        let spans = pushdown::meet(&whole, &bounds.offsets(partition, &at));
        let range = |it: Span| ScanRange { partition, start: it.low, end: it.high + 1 };
        Ok(spans.into_iter().map(range).collect())
    }

    /// Offsets outside of which no record has such a timestamp.
    async fn offsets_at(&self, timestamp: Span, partition: i32) -> Result<Span> {
        let mut offsets = Span::ALL;
        // Record timestamps are whole milliseconds: a lower bound between two rounds up, an upper one down.
        if timestamp.low != i64::MIN {
            let millis =
                timestamp.low.div_euclid(1000) + i64::from(timestamp.low.rem_euclid(1000) != 0);
            offsets.low = self.offset_for(partition, millis).await?.unwrap_or(i64::MAX);
        }
        if timestamp.high != i64::MAX && self.context.follow.timestamps_ordered(self.topic.id) {
            let millis = timestamp.high.div_euclid(1000).saturating_add(1);
            if let Some(first) = self.offset_for(partition, millis).await? {
                offsets.high = first - 1;
            }
        }
        Ok(offsets)
    }

    async fn offset_for(&self, partition: i32, timestamp_ms: i64) -> Result<Option<i64>> {
        self.context
            .follow
            .offset_for_timestamp(self.topic.id, partition, timestamp_ms)
            .await
            .map_err(|error| DataFusionError::External(Box::new(gone(&self.topic, error))))
    }
}
