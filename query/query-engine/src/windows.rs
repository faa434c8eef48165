//! Window calls that are equal are worked out once.
//!
//! ```text
//!  Window: sum(x) AS a, sum(x) AS b   →   Projection: …, a, a AS b
//!                                           Window: sum(x) AS a
//! ```
//!
//! Averages bring sums and counts that the statement may also ask for ([`crate::averages`]), and simplification makes calls
//! equal. DataFusion's common subexpressions would move such calls into a projection, which cannot work out windows: this
//! rule runs before it.
//!
//! Invariants:
//! - Columns keep their names and places. Volatile calls stay apart.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::logical_plan::{Projection, Window};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// DataFusion's rules, and this one before common subexpressions.
pub(crate) fn rules() -> Rules {
    let mut rules = Optimizer::new().rules;
    let shared = rules.iter().position(|it| it.name() == "common_sub_expression_eliminate");
    rules.insert(shared.unwrap_or(rules.len()), Arc::new(DistinctCalls));
    rules
}

#[derive(Debug)]
struct DistinctCalls;

impl OptimizerRule for DistinctCalls {
    fn name(&self) -> &'static str {
        "distinct_window_calls"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Window(it) => distinct(it),
            other => Ok(Transformed::no(other)),
        }
    }
}

fn distinct(it: Window) -> Result<Transformed<LogicalPlan>> {
    let mut known = below(&it.input);
    let mut calls = Vec::with_capacity(it.window_expr.len());
    let inputs = it.input.schema().fields().len();
    let mut columns: Vec<_> = it.schema.columns().into_iter().map(Expr::Column).collect();
    for (call, column) in it.window_expr.iter().zip(&mut columns[inputs..]) {
        let Expr::Column(own) = column else { continue };
        match known.get(unaliased(call)) {
            Some(first) => {
                let (relation, name) = (own.relation.take(), std::mem::take(&mut own.name));
                *column = Expr::Column(first.clone()).alias_qualified(relation, name);
            }
            None => {
                if !call.is_volatile() {
                    known.insert(unaliased(call).clone(), own.clone());
                }
                calls.push(call.clone());
            }
        }
    }
    if calls.len() == it.window_expr.len() {
        return Ok(Transformed::no(LogicalPlan::Window(it)));
    }
    let input = match calls.is_empty() {
        true => it.input,
        false => Arc::new(LogicalPlan::Window(Window::try_new(calls, it.input)?)),
    };
    let plan = Projection::try_new_with_schema(columns, input, it.schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}

/// The calls of the windows that `plan` starts with.
fn below(mut plan: &LogicalPlan) -> HashMap<Expr, Column> {
    let mut known = HashMap::new();
    while let LogicalPlan::Window(it) = plan {
        let inputs = it.input.schema().fields().len();
        let columns = it.schema.columns().into_iter().skip(inputs);
        let calls = it.window_expr.iter().zip(columns).filter(|(call, _)| !call.is_volatile());
        known.extend(calls.map(|(call, column)| (unaliased(call).clone(), column)));
        plan = &it.input;
    }
    known
}

/// A call without the names it was given.
fn unaliased(mut call: &Expr) -> &Expr {
    while let Expr::Alias(it) = call {
        call = &it.expr;
    }
    call
}
