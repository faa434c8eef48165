//! Conditions that cannot fail are asked first, so that they guard those that can.
//!
//! `WHERE b <> 0 AND a / b > 1` is asked column by column: DataFusion divides in every row. Here such a filter becomes two,
//! and the one that may fail sees only the rows that the other left.
//!
//! ```text
//!  FilterExec: a / b > 1 AND b <> 0   →   FilterExec: a / b > 1
//!                                           FilterExec: b <> 0
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

#[derive(Debug)]
pub(crate) struct GuardFilters;

impl PhysicalOptimizerRule for GuardFilters {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(plan));
            };
            Ok(match guarded(filter)? {
                Some(guarded) => Transformed::yes(guarded),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "guard_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn guarded(filter: &FilterExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = filter.input().schema();
    let (fallible, safe): (Vec<_>, Vec<_>) = split_conjunction(filter.predicate())
        .into_iter()
        .cloned()
        .partition(|it| may_fail(it, &schema));
    let (Some(fallible), Some(safe)) = (conjunction_opt(fallible), conjunction_opt(safe)) else {
        return Ok(None);
    };
    let inner = FilterExecBuilder::new(safe, Arc::clone(filter.input())).build()?;
    let outer =
        FilterExecBuilder::from(filter).with_input(Arc::new(inner)).with_predicate(fallible);
    Ok(Some(Arc::new(outer.build()?)))
}

/// Whether some row may be an error: a checked operator or cast, or text that is read as something else.
fn may_fail(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let found = predicate.exists(|it| {
        let checked = it
            .downcast_ref::<ScalarFunctionExpr>()
            .is_some_and(|function| function.fun().name().starts_with("luma_"));
        let read = it
            .downcast_ref::<CastExpr>()
            .is_some_and(|cast| cast.expr().data_type(schema).is_ok_and(|it| it.is_string()));
        Ok(checked || read)
    });
    found.unwrap_or(true)
}
