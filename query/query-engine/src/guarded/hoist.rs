//! Conditions that guard what may fail, moved out of aggregates, window functions and sort keys.
//!
//! These ask for their arguments column by column and know no guards. A projection does ([`super`]):
//!
//! ```text
//!  Aggregate: count(*) FILTER (WHERE b <> 0 AND a / b > 1)
//!    →  Aggregate: count(*) FILTER (WHERE luma_guard_0)
//!         Projection: …, b <> 0 AND a / b > 1 AS luma_guard_0
//! ```
//!
//! Invariants:
//! - What is moved is moved whole: what stands in a CASE stays in it.
//! - Columns keep their names, places and types.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::logical_plan::{Aggregate, Projection, Sort, Window};
use datafusion::logical_expr::{BinaryExpr, Expr, GroupingSet, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

/// Runs once types are known and operators are checked.
#[derive(Debug)]
pub(crate) struct Hoist;

impl AnalyzerRule for Hoist {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Aggregate(it) => aggregate(it, Moved::new(take_guarded)),
            LogicalPlan::Window(it) => window(it, Moved::new(take_guarded)),
            LogicalPlan::Sort(it) => sort(it, Moved::new(take_guarded)),
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "hoisted_guards"
    }
}

/// What is moved below.
pub(crate) struct Moved {
    exprs: Vec<Expr>,
    take: Take,
}

/// Puts columns in the place of what is to be moved, and that to what was moved before, under the columns' names.
type Take = fn(&mut Expr, &mut Vec<Expr>);

fn take_guarded(expr: &mut Expr, moved: &mut Vec<Expr>) {
    if guards(expr) {
        let name = format!("luma_guard_{}", moved.len());
        let column = Expr::Column(Column::from_name(&name));
        moved.push(std::mem::replace(expr, column).unalias().alias(name));
    }
}

impl Moved {
    pub(crate) fn new(take: Take) -> Self {
        Self { exprs: Vec::new(), take }
    }

    pub(crate) fn take<'a>(&mut self, exprs: impl IntoIterator<Item = &'a mut Expr>) {
        exprs.into_iter().for_each(|expr| (self.take)(expr, &mut self.exprs));
    }

    /// Expressions of grouping sets: what is equal in two sets is one column.
    fn take_sets(&mut self, set: &mut GroupingSet) {
        let exprs: Vec<&mut Expr> = match set {
            GroupingSet::Rollup(exprs) | GroupingSet::Cube(exprs) => exprs.iter_mut().collect(),
            GroupingSet::GroupingSets(sets) => sets.iter_mut().flatten().collect(),
        };
        let mut taken: Vec<(Expr, Expr)> = Vec::new();
        for expr in exprs {
            let before = expr.clone();
            match taken.iter().find(|(known, _)| *known == before) {
                Some((_, column)) => *expr = column.clone(),
                None => {
                    self.take([&mut *expr]);
                    taken.push((before, expr.clone()));
                }
            }
        }
    }

    /// All columns of `input`, and what was moved.
    pub(crate) fn over(self, input: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let exprs = columns.chain(self.exprs).collect();
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, input)?)))
    }
}

/// Whether a side of AND or OR in it may fail where the other has decided.
fn guards(expr: &Expr) -> bool {
    let is_guarded = |it: &Expr| {
        let is_guard = matches!(it, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, right, .. })
            if has(right, &may_fail));
        Ok(is_guard)
    };
    expr.exists(is_guarded).unwrap_or(false) && !has(expr, &is_subquery)
}

fn has(expr: &Expr, wanted: &dyn Fn(&Expr) -> bool) -> bool {
    expr.exists(|it| Ok(wanted(it))).unwrap_or(false)
}

fn may_fail(expr: &Expr) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    match expr {
        Expr::ScalarFunction(_) | Expr::Negative(_) => true,
        Expr::Cast(it) => !matches!(it.expr.as_ref(), Expr::Literal(..)),
        Expr::BinaryExpr(it) => matches!(it.op, Plus | Minus | Multiply | Divide | Modulo),
        _ => false,
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
    )
}

pub(crate) fn aggregate(mut it: Aggregate, mut moved: Moved) -> Result<Transformed<LogicalPlan>> {
    for expr in &mut it.group_expr {
        match expr {
            Expr::GroupingSet(set) => moved.take_sets(set),
            expr => moved.take([expr]),
        }
    }
    for expr in it.aggr_expr.iter_mut().map(called) {
        let Expr::AggregateFunction(call) = expr else { continue };
        moved.take(&mut call.params.args);
        moved.take(call.params.filter.as_deref_mut());
        moved.take(call.params.order_by.iter_mut().map(|it| &mut it.expr));
    }
    if moved.exprs.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
    }
    let plan = Aggregate::try_new(moved.over(it.input)?, it.group_expr, it.aggr_expr)?;
    named(LogicalPlan::Aggregate(plan), &it.schema, 0..0)
}

pub(crate) fn window(mut it: Window, mut moved: Moved) -> Result<Transformed<LogicalPlan>> {
    for expr in it.window_expr.iter_mut().map(called) {
        let Expr::WindowFunction(call) = expr else { continue };
        moved.take(&mut call.params.args);
        moved.take(&mut call.params.partition_by);
        moved.take(call.params.filter.as_deref_mut());
        moved.take(call.params.order_by.iter_mut().map(|it| &mut it.expr));
    }
    if moved.exprs.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(it)));
    }
    let start = it.input.schema().fields().len();
    let added = start..start + moved.exprs.len();
    let plan = Window::try_new(it.window_expr, moved.over(it.input)?)?;
    named(LogicalPlan::Window(plan), &it.schema, added)
}

pub(crate) fn sort(mut it: Sort, mut moved: Moved) -> Result<Transformed<LogicalPlan>> {
    moved.take(it.expr.iter_mut().map(|it| &mut it.expr));
    if moved.exprs.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Sort(it)));
    }
    let schema = Arc::clone(it.input.schema());
    let start = schema.fields().len();
    let added = start..start + moved.exprs.len();
    it.input = moved.over(it.input)?;
    named(LogicalPlan::Sort(it), &schema, added)
}

/// The call that an expression gives a name.
fn called(mut expr: &mut Expr) -> &mut Expr {
    while let Expr::Alias(alias) = expr {
        expr = &mut alias.expr;
    }
    expr
}

/// The plan under the names of `wanted`, without the columns that were `added`.
fn named(
    plan: LogicalPlan,
    wanted: &DFSchema,
    added: std::ops::Range<usize>,
) -> Result<Transformed<LogicalPlan>> {
    let made = Arc::clone(plan.schema());
    let kept = made.iter().enumerate().filter(|(index, _)| !added.contains(index));
    let exprs = kept.zip(wanted.iter()).map(|((_, column), (qualifier, field))| {
        let column = Column::from(column);
        let same = column.relation.as_ref() == qualifier && column.name == *field.name();
        let column = Expr::Column(column);
        if same { column } else { column.alias_qualified(qualifier.cloned(), field.name()) }
    });
    let exprs = exprs.collect();
    let plan = Projection::try_new(exprs, Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}
