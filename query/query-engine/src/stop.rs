//! Ends the planning of a statement that nobody waits for any more, and what [`crate::interruptible`] asks it while it runs.
//!
//! Planning is a computation: aborting its task does not end it. So each rule of the planner asks first whether the
//! statement is still wanted, those that are applied node by node at each node.
//!
//! Invariants:
//! - What is stopped stays stopped; planning a statement and giving its rows each have a [`Stop`] of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::DFSchema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use query_api::{Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::cancelled as cancelled_error;
use crate::query::Task;

/// Whether a statement is still wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// # Errors
    /// 57014 once nobody waits any more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::External(Box::new(cancelled_error())));
        }
        Ok(())
    }
}

/// Stops when it is dropped.
pub(crate) struct Waiting(pub(crate) Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs on the engine's threads until done or cancelled; dropping the future, too, aborts the work and stops it.
///
/// # Errors
/// The work's; 57014 when it was cancelled.
pub(crate) async fn run<T: Send + 'static>(
    handle: &Handle,
    mut cancelled: watch::Receiver<u64>,
    stop: Stop,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let _waiting = Waiting(stop);
    let mut task = Task(handle.spawn(work));
    tokio::select! {
        result = &mut task.0 => result.unwrap_or_else(|error| {
            let message = format!("the statement stopped unexpectedly: {error}");
            Err(Error::new(ErrorKind::Internal, message).with_sqlstate("XX000"))
        }),
        _ = cancelled.changed() => Err(cancelled_error()),
    }
}

/// A builder over `base` whose rules ask `stop` first.
pub(crate) fn stoppable(base: &SessionState, stop: &Stop) -> SessionStateBuilder {
    let analysis = base.analyzer().rules.iter().map(|rule| {
        let rule = Stoppable { rule: Arc::clone(rule), stop: stop.clone() };
        Arc::new(rule) as Arc<dyn AnalyzerRule + Send + Sync>
    });
    let logical = base.optimizers().iter().map(|rule| {
        let rule = Stoppable { rule: Arc::clone(rule), stop: stop.clone() };
        Arc::new(rule) as Arc<dyn OptimizerRule + Send + Sync>
    });
    let physical = base.physical_optimizers().iter().map(|rule| {
        let rule = Stoppable { rule: Arc::clone(rule), stop: stop.clone() };
        Arc::new(rule) as Arc<dyn PhysicalOptimizerRule + Send + Sync>
    });
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(EachOperator(stop.clone()))];
    planners.extend(base.expr_planners().iter().cloned());
    SessionStateBuilder::new_from_existing(base.clone())
        .with_analyzer_rules(analysis.collect())
        .with_optimizer_rules(logical.collect())
        .with_physical_optimizer_rules(physical.collect())
        .with_expr_planners(planners)
}

#[derive(Debug)]
struct Stoppable<T: ?Sized> {
    rule: Arc<T>,
    stop: Stop,
}

impl AnalyzerRule for Stoppable<dyn AnalyzerRule + Send + Sync> {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        self.stop.check()?;
        self.rule.analyze(plan, config)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }
}

impl OptimizerRule for Stoppable<dyn OptimizerRule + Send + Sync> {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        self.stop.check()?;
        self.rule.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Stoppable<dyn PhysicalOptimizerRule + Send + Sync> {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.stop.check()?;
        self.rule.optimize(plan, config)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

/// Asked at each operator while the statement becomes a plan.
#[derive(Debug)]
struct EachOperator(Stop);

impl ExprPlanner for EachOperator {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        self.0.check()?;
        Ok(PlannerResult::Original(expr))
    }
}

#[cfg(test)]
mod tests;
