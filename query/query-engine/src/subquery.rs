//! Correlated scalar subqueries made plannable: DataFusion joins only those that are aggregates.
//!
//! ```text
//!  (SELECT e FROM x WHERE x.a = outer.a AND P(outer) AND Q(x, outer.a))
//!    → CASE WHEN P(outer) THEN
//!        luma_only((SELECT luma_single(e) FROM x WHERE x.a = outer.a AND Q(x, x.a))) END
//! ```
//!
//! Invariants:
//! - The answer is the same; more than one row is an error, as in PostgreSQL.
//! - An outer column is replaced by an inner one only where the same conjunction says they are equal.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::logical_plan::Filter;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, when,
};

use crate::functions;
use crate::single::Single;

/// Rewrites every correlated scalar subquery of a plan.
///
/// # Errors
/// DataFusion's, when a rewritten plan cannot be built.
pub(crate) fn single_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        if !matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Filter(_)) {
            return Ok(Transformed::no(plan));
        }
        // The names of a projection's columns are kept: clients and outer plans refer to them.
        let named = matches!(plan, LogicalPlan::Projection(_));
        plan.map_expressions(|expr| if named { named_expression(expr) } else { expression(expr) })?
            .map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

fn named_expression(expr: Expr) -> Result<Transformed<Expr>> {
    let name = expr.qualified_name();
    let result = expression(expr)?;
    if !result.transformed {
        return Ok(result);
    }
    result.map_data(|expr| {
        Ok(if expr.qualified_name() == name { expr } else { expr.alias_qualified(name.0, name.1) })
    })
}

fn expression(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
            rewrite(subquery)
        }
        other => Ok(Transformed::no(other)),
    })
}

fn rewrite(subquery: Subquery) -> Result<Transformed<Expr>> {
    let LogicalPlan::Projection(projection) = subquery.subquery.as_ref() else {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    };
    let LogicalPlan::Filter(filter) = projection.input.as_ref() else {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    };
    let [item] = projection.expr.as_slice() else {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    };
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    let (outside, inside): (Vec<Expr>, Vec<Expr>) =
        conjuncts.into_iter().partition(|it| it.column_refs().is_empty() && it.contains_outer());
    let equal: Vec<(Expr, Column)> = inside.iter().filter_map(equality).collect();
    let inside: Result<Vec<Expr>> = inside
        .into_iter()
        .map(|it| if equality(&it).is_some() { Ok(it) } else { substitute(it, &equal) })
        .collect();
    let item = substitute(item.clone().unalias_nested().data, &equal)?;
    let mut input = Arc::clone(&filter.input);
    if let Some(predicate) = conjunction(inside?) {
        input = Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, input)?));
    }
    let single = Arc::new(AggregateUDF::from(Single::new()));
    let aggregate = Expr::AggregateFunction(AggregateFunction::new_udf(
        single,
        vec![item],
        false,
        None,
        Vec::new(),
        None,
    ));
    let name = projection.schema.field(0).name().clone();
    let plan = LogicalPlanBuilder::from(input)
        .aggregate(Vec::<Expr>::new(), vec![aggregate.alias(name)])?
        .build()?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    let rewritten = Expr::ScalarSubquery(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns,
        spans: subquery.spans,
    });
    let rewritten = Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(functions::only(projection.schema.field(0).metadata().clone())),
        vec![rewritten],
    ));
    Ok(Transformed::yes(match conjunction(outside) {
        Some(condition) => when(correlated_to_plain(condition)?, rewritten).end()?,
        None => rewritten,
    }))
}

/// `inner = outer`, either way round.
fn equality(expr: &Expr) -> Option<(Expr, Column)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(inner), outer @ Expr::OuterReferenceColumn(..))
        | (outer @ Expr::OuterReferenceColumn(..), Expr::Column(inner)) => {
            Some((outer.clone(), inner.clone()))
        }
        _ => None,
    }
}

fn substitute(expr: Expr, equal: &[(Expr, Column)]) -> Result<Expr> {
    expr.transform_up(|expr| {
        Ok(match equal.iter().find(|(outer, _)| *outer == expr) {
            Some((_, inner)) => Transformed::yes(Expr::Column(inner.clone())),
            None => Transformed::no(expr),
        })
    })
    .data()
}

/// A condition on outer columns only, moved to where they are plain columns.
fn correlated_to_plain(expr: Expr) -> Result<Expr> {
    expr.transform_up(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            other => Transformed::no(other),
        })
    })
    .data()
}
