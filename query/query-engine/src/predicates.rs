//! EXISTS, IN, ANY and ALL over a subquery, wherever they stand: select lists, CASE, FILTER, HAVING, ORDER BY, GROUP BY.
//!
//! DataFusion plans them as conditions of a WHERE alone, and there takes NULL for false and looks for rows below a LIMIT or
//! an outer join. So each becomes a column that [`marks`] joins, with PostgreSQL's three values:
//!
//! | predicate | is |
//! |---|---|
//! | `EXISTS (q)` without columns of the outer row | `(SELECT count(*) FROM (q LIMIT 1)) > 0` |
//! | `EXISTS (q)` | the mark of a join with q |
//! | `x op ANY (q)` | `CASE WHEN EXISTS (q where x op c) THEN true WHEN` *unknown* `THEN NULL ELSE false END` |
//! | `x op ALL (q)` | the same with `NOT (x op c)`, false and true |
//! | *unknown* | `EXISTS (q where c IS NULL) OR x IS NULL AND EXISTS (q)` |
//!
//! A conjunct of a WHERE is joined by a semi or anti join, since only true counts there.
//!
//! Invariants:
//! - What cannot be joined is refused with its reason ([`shape`]); it is never answered otherwise.
//! - Columns keep their names, places and types.

mod marks;
mod shape;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{
    Distinct, DistinctOn, Filter, Join, Projection, Sort,
};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator};
use query_api::{Error, ErrorKind};

use crate::guarded::hoist::{self, Moved};
use marks::Marks;

/// The plan with every predicate as a column or a join.
///
/// # Errors
/// 0A000 for what cannot be joined.
pub(crate) fn joined(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut next = 0;
    plan.transform_up_with_subqueries(|plan| node(plan, &mut next)).data()
}

/// `next` numbers the columns that are made.
fn node(plan: LogicalPlan, next: &mut usize) -> Result<Transformed<LogicalPlan>> {
    if !has_predicates(&plan)? {
        return Ok(Transformed::no(plan.recompute_schema()?));
    }
    let moved = match plan {
        LogicalPlan::Projection(it) => return projection(it, next).map(Transformed::yes),
        LogicalPlan::Filter(it) => return filter(it, next).map(Transformed::yes),
        LogicalPlan::Join(it) => return join(it, next).map(Transformed::yes),
        LogicalPlan::Aggregate(it) => hoist::aggregate(it, Moved::new(take))?,
        LogicalPlan::Window(it) => hoist::window(it, Moved::new(take))?,
        LogicalPlan::Sort(it) => sort(it)?,
        LogicalPlan::Distinct(Distinct::On(it)) => distinct_on(it)?,
        other => {
            let place = other.display().to_string();
            let place = place.split([':', ' ']).next().unwrap_or_default().to_owned();
            return Err(refused(&format!("a subquery as a condition in {place} is not supported")));
        }
    };
    // The predicates stand in a select list below it now.
    moved.data.transform_up(|plan| match plan {
        LogicalPlan::Projection(it) if it.expr.iter().any(has) => {
            projection(it, next).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    })
}

/// 0A000 with what to write instead.
fn refused(what: &str) -> DataFusionError {
    let error = Error::new(ErrorKind::Unsupported, what)
        .with_sqlstate("0A000")
        .with_hint("join the tables of the subquery, or compute the condition in a derived table");
    DataFusionError::External(Box::new(error))
}

fn is_predicate(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

fn has(expr: &Expr) -> bool {
    expr.exists(|it| Ok(is_predicate(it))).unwrap_or(false)
}

fn has_predicates(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= has(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Moves the predicates of an expression, each once.
fn take(expr: &mut Expr, moved: &mut Vec<Expr>) {
    let taken = std::mem::take(expr).transform_down(|it| {
        if !is_predicate(&it) {
            return Ok(Transformed::no(it));
        }
        let known =
            moved.iter().position(|known| matches!(known, Expr::Alias(at) if *at.expr == it));
        let index = known.unwrap_or(moved.len());
        let name = format!("luma_predicate_{index}");
        if known.is_none() {
            moved.push(it.alias(&name));
        }
        let column = Expr::Column(Column::from_name(name));
        Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
    });
    // The closure never fails.
    if let Ok(taken) = taken.data() {
        *expr = taken;
    }
}

fn projection(it: Projection, next: &mut usize) -> Result<LogicalPlan> {
    let Projection { expr, input, .. } = it;
    let names: Vec<_> =
        expr.iter().map(|it| NamePreserver::new_for_projection().save(it)).collect();
    let mut marks = Marks::new(Arc::unwrap_or_clone(input), next);
    let exprs: Result<Vec<Expr>> = expr
        .into_iter()
        .zip(names)
        .map(|(expr, name)| Ok(name.restore(values(expr, &mut marks)?)))
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs?, Arc::new(marks.input))?))
}

/// The expression with its predicates as columns.
fn values(expr: Expr, marks: &mut Marks<'_>) -> Result<Expr> {
    expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Exists(Exists { subquery, negated }) => {
                let found = marks.exists(subquery.subquery)?;
                Transformed::yes(if negated { !found } else { found })
            }
            other => match comparison(other) {
                Ok(it) => Transformed::yes(marks.compared(it)?),
                Err(other) => Transformed::no(other),
            },
        })
    })
    .data()
}

/// IN as `= ANY`, NOT IN as `<> ALL`; other expressions come back.
fn comparison(expr: Expr) -> std::result::Result<SetComparison, Expr> {
    match expr {
        Expr::SetComparison(it) => Ok(it),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => Ok(match negated {
            false => SetComparison::new(expr, subquery, Operator::Eq, SetQuantifier::Any),
            true => SetComparison::new(expr, subquery, Operator::NotEq, SetQuantifier::All),
        }),
        other => Err(other),
    }
}

fn filter(it: Filter, next: &mut usize) -> Result<LogicalPlan> {
    let columns = it.input.schema().columns();
    let mut marks = Marks::new(Arc::unwrap_or_clone(it.input), next);
    let mut kept = Vec::new();
    for part in split_conjunction_owned(it.predicate) {
        kept.extend(condition(part, &mut marks)?);
    }
    let mut plan = marks.input;
    if let Some(predicate) = conjunction(kept) {
        plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    }
    if plan.schema().fields().len() == columns.len() {
        return Ok(plan);
    }
    let columns = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// A part of a WHERE; `None` where a join does it.
fn condition(expr: Expr, marks: &mut Marks<'_>) -> Result<Option<Expr>> {
    let (expr, is_negated) = match expr {
        Expr::Not(inner) if is_predicate(&inner) => (*inner, true),
        other => (other, false),
    };
    match as_in(expr) {
        Expr::Exists(Exists { subquery, negated }) => {
            marks.only_where(subquery.subquery, negated == is_negated)
        }
        // DataFusion's own joins know what NULLs mean to these.
        Expr::InSubquery(mut it) if it.subquery.outer_ref_columns.is_empty() && !has(&it.expr) => {
            it.negated ^= is_negated;
            Ok(Some(Expr::InSubquery(it)))
        }
        Expr::InSubquery(it) if it.negated == is_negated => {
            marks.only_where_in(*it.expr, it.subquery.subquery)
        }
        other if !has(&other) => Ok(Some(other)),
        other => {
            let value = values(other, marks)?;
            Ok(Some(if is_negated { !value } else { value }))
        }
    }
}

/// `= ANY` as IN, `<> ALL` as NOT IN.
fn as_in(expr: Expr) -> Expr {
    use Operator::{Eq, NotEq};
    use SetQuantifier::{All, Any};
    match expr {
        Expr::SetComparison(SetComparison { expr, subquery, op: Eq, quantifier: Any }) => {
            Expr::InSubquery(InSubquery::new(expr, subquery, false))
        }
        Expr::SetComparison(SetComparison { expr, subquery, op: NotEq, quantifier: All }) => {
            Expr::InSubquery(InSubquery::new(expr, subquery, true))
        }
        other => other,
    }
}

/// A condition of an inner join is asked above it.
fn join(mut it: Join, next: &mut usize) -> Result<LogicalPlan> {
    if it.join_type != JoinType::Inner || it.on.iter().any(|(left, right)| has(left) || has(right))
    {
        return Err(refused("a subquery as a condition of an outer join is not supported"));
    }
    let parts = it.filter.take().map(split_conjunction_owned).unwrap_or_default();
    let (asked, kept): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(has);
    it.filter = conjunction(kept);
    let plan = LogicalPlan::Join(it).recompute_schema()?;
    match conjunction(asked) {
        Some(predicate) => filter(Filter::try_new(predicate, Arc::new(plan))?, next),
        None => Ok(plan),
    }
}

/// Sort keys may name columns that the select list below them leaves out.
fn sort(it: Sort) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(below) = it.input.as_ref() else {
        return hoist::sort(it, Moved::new(take));
    };
    let mut moved = Vec::new();
    let mut keys = it.expr.clone();
    keys.iter_mut().for_each(|key| take(&mut key.expr, &mut moved));
    let is_inside =
        |it: &Expr| outer_columns(it).iter().all(|column| below.input.schema().has_column(column));
    if moved.iter().all(|it| !is_inside(it)) {
        return hoist::sort(it, Moved::new(take));
    }
    let columns = below.schema.columns().into_iter().map(Expr::Column).collect();
    let exprs = below.expr.iter().cloned().chain(moved).collect();
    let input = LogicalPlan::Projection(Projection::try_new(exprs, Arc::clone(&below.input))?);
    let sorted = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(input), fetch: it.fetch });
    let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(sorted))?);
    Ok(Transformed::yes(plan))
}

fn distinct_on(mut it: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    let mut moved = Moved::new(take);
    let names: Vec<_> =
        it.select_expr.iter().map(|it| NamePreserver::new_for_projection().save(it)).collect();
    moved.take(&mut it.on_expr);
    moved.take(&mut it.select_expr);
    moved.take(it.sort_expr.iter_mut().flatten().map(|it| &mut it.expr));
    let select = it.select_expr.into_iter().zip(names).map(|(expr, name)| name.restore(expr));
    let input = moved.over(it.input)?;
    let plan = DistinctOn::try_new(it.on_expr, select.collect(), it.sort_expr, input)?;
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(plan))))
}

/// Columns of the outer row in the predicate that was moved.
fn outer_columns(moved: &Expr) -> Vec<Column> {
    let Expr::Alias(alias) = moved else { return Vec::new() };
    let outer = match alias.expr.as_ref() {
        Expr::Exists(it) => &it.subquery.outer_ref_columns,
        Expr::InSubquery(it) => &it.subquery.outer_ref_columns,
        Expr::SetComparison(it) => &it.subquery.outer_ref_columns,
        _ => return Vec::new(),
    };
    let column = |it: &Expr| match it {
        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
        _ => None,
    };
    let mut columns: Vec<Column> = outer.iter().filter_map(column).collect();
    match alias.expr.as_ref() {
        Expr::InSubquery(InSubquery { expr, .. })
        | Expr::SetComparison(SetComparison { expr, .. }) => {
            columns.extend(expr.column_refs().into_iter().cloned());
        }
        _ => {}
    }
    columns
}
