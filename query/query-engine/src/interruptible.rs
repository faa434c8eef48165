//! Lets a statement that multiplies rows be ended, and others run beside it.
//!
//! DataFusion gives way where rows are read. A join makes many rows of few: while it does, its thread belongs to it, and a
//! cancelled one goes on to its end. So the rows that it gives count against what a task may do before it gives way, and a join
//! that looks at pairs and gives none asks at each step whether its statement is still wanted.
//!
//! ```text
//!  CrossJoinExec, HashJoinExec, NestedLoopJoinExec, UnnestExec   →   CooperativeExec
//!                                                                     └── the same, its condition asks Stop first
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::unnest::UnnestExec;

use crate::stop::Stop;

type Plan = Arc<dyn ExecutionPlan>;

/// The plan, each operator of which ends soon after `stop` was told to.
///
/// # Errors
/// DataFusion's.
pub(crate) fn interruptible(plan: Plan, stop: &Stop) -> Result<Plan> {
    plan.transform_up(|plan| {
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            let filter = join.filter().map(|it| asking(it, stop));
            let join = join.builder().with_filter(filter).build_exec()?;
            return Ok(Transformed::yes(cooperative(join)));
        }
        if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let filter = join.filter().map(|it| asking(it, stop));
            let join = NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?;
            return Ok(Transformed::yes(cooperative(Arc::new(join))));
        }
        if plan.is::<CrossJoinExec>() || plan.is::<UnnestExec>() {
            return Ok(Transformed::yes(cooperative(plan)));
        }
        Ok(Transformed::no(plan))
    })
    .data()
}

fn cooperative(plan: Plan) -> Plan {
    Arc::new(CooperativeExec::new(plan))
}

fn asking(filter: &JoinFilter, stop: &Stop) -> JoinFilter {
    let inner = Arc::clone(filter.expression());
    let asking = Arc::new(Asking { inner, stop: stop.clone() });
    JoinFilter::new(asking, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// The same condition, which fails once nobody wants it any more.
#[derive(Debug)]
struct Asking {
    inner: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.inner.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.inner.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [inner] = <[Arc<dyn PhysicalExpr>; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("what is asked is one condition".to_owned()))?;
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests;
