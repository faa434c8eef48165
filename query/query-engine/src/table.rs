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
use query_api::{Follow, TopicInfo};

use crate::bad::{BadRecordPolicy, BadRecords};
use crate::decode::Projection;
use crate::pushdown::{self, Ranges};
use crate::scan::{ScanRange, TopicScan};
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
        let (ranges, wanted) = pushdown::ranges(filters);
        let mut scans = Vec::new();
        for (partition, info) in (0..).zip(&self.topic.partitions) {
            if !wanted(partition) {
                continue;
            }
            let mut scan = ScanRange { partition, start: info.log_start, end: info.end };
            scan.start = scan.start.max(ranges.offset.low);
            scan.end = scan.end.min(ranges.offset.high.saturating_add(1));
            if scan.start < scan.end {
                self.narrow_by_time(&ranges, &mut scan).await?;
            }
            if scan.start < scan.end {
                scans.push(scan);
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
    async fn narrow_by_time(&self, ranges: &Ranges, scan: &mut ScanRange) -> Result<()> {
        // Record timestamps are whole milliseconds: a lower bound between two rounds up, an upper one down.
        if ranges.timestamp.low != i64::MIN {
            let millis = ranges.timestamp.low.div_euclid(1000)
                + i64::from(ranges.timestamp.low.rem_euclid(1000) != 0);
            let first = self.offset_for(scan.partition, millis).await?;
            scan.start = first.map_or(scan.end, |first| scan.start.max(first));
        }
        if ranges.timestamp.high != i64::MAX
            && scan.start < scan.end
            && self.context.follow.timestamps_ordered(self.topic.id)
        {
            let millis = ranges.timestamp.high.div_euclid(1000).saturating_add(1);
            if let Some(first) = self.offset_for(scan.partition, millis).await? {
                scan.end = scan.end.min(first);
            }
        }
        Ok(())
    }

    async fn offset_for(&self, partition: i32, timestamp_ms: i64) -> Result<Option<i64>> {
        self.context
            .follow
            .offset_for_timestamp(self.topic.id, partition, timestamp_ms)
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
}
