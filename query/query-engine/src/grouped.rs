//! What DataFusion believes of grouping sets is taken back: a column that a set leaves out is NULL in the set's rows.
//!
//! `WHERE s = 'x'` makes `s` constant, and an aggregate hands on what is known of its input: also that `s` is constant, and
//! so sorted, where it is `'x'` in one set and NULL in the other. The aggregate above then ends a group whenever `s`
//! changes, and ORDER BY sorts nothing. The same holds for columns that are equal, sorted or partitioned by.
//!
//! ```text
//!  AggregateExec: Final ◄── SetsExec ◄── AggregateExec: Partial, grouping sets      SetsExec: nothing is known
//! ```
//!
//! Invariants:
//! - The rule is the first of all, so that no other has relied on what is taken back.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};

const RECOMPUTE: ReplaceChildrenOptions =
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

/// This rule, and DataFusion's.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(ForgetSets));
    rules
}

/// Puts a [`SetsExec`] above every aggregate that makes the rows of grouping sets.
#[derive(Debug)]
struct ForgetSets;

impl PhysicalOptimizerRule for ForgetSets {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let makes_sets = plan.downcast_ref::<AggregateExec>().is_some_and(|it| {
                it.group_expr().has_grouping_set()
                    && it.mode().input_mode() == AggregateInputMode::Raw
            });
            Ok(match makes_sets {
                true => Transformed::yes(Arc::new(SetsExec::over(plan)) as _),
                false => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "forget_grouping_sets"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Hands its input on, without what is known of it.
#[derive(Debug)]
struct SetsExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl SetsExec {
    fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let known = input.properties();
        let partitions = known.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            known.emission_type,
            known.boundedness,
        );
        Self { properties: Arc::new(properties), input }
    }
}

impl DisplayAs for SetsExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetsExec")
    }
}

impl ExecutionPlan for SetsExec {
    fn name(&self) -> &'static str {
        "SetsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.into_iter().next() {
            Some(input) => Arc::new(Self::over(input)),
            None => self,
        })
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, RECOMPUTE)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
