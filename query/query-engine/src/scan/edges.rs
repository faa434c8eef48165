//! `min(_offset)` and `max(_offset)` without reading what lies between.
//!
//! ```text
//!  Aggregate: min(_offset), max(_offset)      Aggregate: …
//!    TopicScan                           →      TopicScan, first and last records only
//! ```
//!
//! The first and the last offsets of a range need not be those of records: control batches and what compaction left out lie
//! there too. So a scan reads from the front until there is a record, and the batch at the end; where that has none, it
//! reads on from the front.
//!
//! Invariants:
//! - Only aggregates that the records in between cannot change ask so little: `min` and `max` of `_offset` and
//!   `_partition`, for all or for each `_partition`, with nothing between them and the scan that looks at rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::repartition::RepartitionExec;

use super::{Reader, ScanRange, TopicScan};

/// A scan of edges has the properties of the whole one.
const SAME: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);

/// Which records of a partition are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edges {
    first: bool,
    last: bool,
}

#[derive(Debug)]
pub(crate) struct ReadEdges;

impl PhysicalOptimizerRule for ReadEdges {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let edges = plan.downcast_ref::<AggregateExec>().and_then(asked);
            let Some(edges) = edges else { return Ok(Transformed::no(plan)) };
            let children: Vec<_> = plan.children().into_iter().cloned().collect();
            let [input] = children.as_slice() else { return Ok(Transformed::no(plan)) };
            match with_edges(input, edges)? {
                Some(input) => plan.replace_children(vec![input], SAME).map(Transformed::yes),
                None => Ok(Transformed::no(plan)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "read_edges"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The edges that answer an aggregate of rows; `None` where other records count.
fn asked(aggregate: &AggregateExec) -> Option<Edges> {
    let by = aggregate.group_expr();
    let by_partition = by.is_single() && by.expr().iter().all(|(it, _)| is(it, "_partition"));
    let unfiltered = aggregate.filter_expr().iter().all(Option::is_none);
    let of_rows = aggregate.mode().input_mode() == AggregateInputMode::Raw;
    if !by_partition || !unfiltered || !of_rows || aggregate.aggr_expr().is_empty() {
        return None;
    }
    let mut edges = Edges { first: false, last: false };
    for call in aggregate.aggr_expr() {
        let arguments = call.expressions();
        let [argument] = arguments.as_slice() else { return None };
        match call.fun().name() {
            "min" | "max" if is(argument, "_partition") => edges.first = true,
            "min" if is(argument, "_offset") => edges.first = true,
            "max" if is(argument, "_offset") => edges.last = true,
            _ => return None,
        }
    }
    Some(edges)
}

fn is(expr: &Arc<dyn PhysicalExpr>, name: &str) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|it| it.name() == name)
}

/// The plan over a scan of these edges; `None` where something between looks at rows.
fn with_edges(
    plan: &Arc<dyn ExecutionPlan>,
    edges: Edges,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<TopicScan>() {
        return Ok(scan.with_edges(edges).map(|it| Arc::new(it) as Arc<dyn ExecutionPlan>));
    }
    let passes_on = plan.is::<RepartitionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<CooperativeExec>();
    let children = plan.children();
    let ([input], true) = (children.as_slice(), passes_on) else { return Ok(None) };
    match with_edges(input, edges)? {
        Some(input) => Arc::clone(plan).replace_children(vec![input], SAME).map(Some),
        None => Ok(None),
    }
}

impl Reader {
    /// Decodes the records at the edges, ascending; what is left to read afterwards is what has to be.
    pub(super) async fn read_edges(&mut self, edges: Edges) -> Result<()> {
        let mut after = self.range.start;
        if edges.first {
            self.left = 1;
            self.fill().await?;
            let found = self.left == 0;
            self.left = 0;
            if !found || !edges.last {
                return Ok(());
            }
            after = self.seen + 1;
        }
        self.chunk.clear();
        let rest = self.ranges.as_slice().to_vec();
        let current = ScanRange { start: after, ..self.range };
        let last = rest.last().copied().unwrap_or(current);
        if last.start >= last.end {
            return Ok(());
        }
        let rows = self.builder.rows();
        self.left = usize::MAX;
        (self.range, self.next, self.ranges) = (last, last.end - 1, Vec::new().into_iter());
        self.advance().await?;
        if let Some(due) = self.due.take() {
            self.push_due(due)?;
        }
        while let Some(batch) = self.chunk.pop_front() {
            self.decode(&batch)?;
        }
        self.hold()?;
        if self.builder.rows() > rows {
            self.left = 0;
        } else {
            (self.range, self.next, self.ranges) = (current, current.start, rest.into_iter());
        }
        Ok(())
    }
}
