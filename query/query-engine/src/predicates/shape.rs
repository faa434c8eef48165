//! What a subquery is to EXISTS, and whether it can be joined.
//!
//! A condition on the outer row is pulled up out of the subquery, to be the join's. That is the same only where nothing on
//! its way depends on which rows were there before.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, FetchType, Filter, Join, Limit, SkipType, Sort,
};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{JoinType, LogicalPlan};

use super::refused;

/// The rows of a subquery, as far as there are any.
pub(super) enum Rows {
    /// There is one whatever the outer row is.
    Always,
    /// They do not depend on the outer row.
    Same(Arc<LogicalPlan>),
    /// Those of all of these, each of which depends on it and can be joined.
    Of(Vec<LogicalPlan>),
}

/// # Errors
/// 0A000 for a subquery that cannot be joined.
pub(super) fn rows(plan: Arc<LogicalPlan>) -> Result<Rows> {
    if plan.all_out_ref_exprs().is_empty() {
        return Ok(Rows::Same(plan));
    }
    match Arc::unwrap_or_clone(plan) {
        // Neither values nor their order nor how many are equal matter.
        LogicalPlan::Projection(it) => rows(it.input),
        LogicalPlan::SubqueryAlias(it) => rows(it.input),
        LogicalPlan::Distinct(Distinct::All(input)) => rows(input),
        LogicalPlan::Sort(Sort { input, fetch: None, .. }) => rows(input),
        LogicalPlan::Limit(it) if matches!(it.get_fetch_type()?, FetchType::Literal(Some(0))) => {
            Ok(Rows::Of(Vec::new()))
        }
        LogicalPlan::Limit(it) if leaves_one(&it)? => rows(it.input),
        LogicalPlan::Aggregate(Aggregate { group_expr, input, .. }) => {
            match group_expr.is_empty() {
                true => Ok(Rows::Always),
                false => rows(input),
            }
        }
        LogicalPlan::Union(it) => {
            let mut all = Vec::new();
            for input in it.inputs {
                match rows(input)? {
                    Rows::Always => return Ok(Rows::Always),
                    Rows::Same(plan) => all.push(Arc::unwrap_or_clone(plan)),
                    Rows::Of(plans) => all.extend(plans),
                }
            }
            if all.iter().any(|it| it.all_out_ref_exprs().is_empty()) {
                return Err(out_of_place("UNION with a part that does not"));
            }
            Ok(Rows::Of(all))
        }
        other => {
            let plan = lifted(other)?;
            check(&plan)?;
            Ok(Rows::Of(vec![plan]))
        }
    }
}

/// Whether a LIMIT leaves a row where there is one.
fn leaves_one(it: &Limit) -> Result<bool> {
    let skips_none = matches!(it.get_skip_type()?, SkipType::Literal(0));
    let takes_one = match it.get_fetch_type()? {
        FetchType::Literal(count) => count.is_none_or(|it| it > 0),
        FetchType::UnsupportedExpr => false,
    };
    Ok(skips_none && takes_one)
}

/// 0A000 for a part of a subquery in which the outer row is named.
pub(super) fn out_of_place(what: &str) -> DataFusionError {
    refused(&format!("a subquery that refers to the outer row within {what} is not supported here"))
}

/// The condition of an inner join as one of the WHERE above it.
fn lifted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let (mut parts, below) = match plan {
        LogicalPlan::Filter(it) => (vec![it.predicate], Arc::unwrap_or_clone(it.input)),
        other => (Vec::new(), other),
    };
    let below = match below {
        LogicalPlan::Join(mut it) if it.join_type == JoinType::Inner => {
            parts.extend(it.filter.take_if(|it| it.contains_outer()));
            LogicalPlan::Join(it)
        }
        other => other,
    };
    match conjunction(parts) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(below))?)),
        None => Ok(below),
    }
}

/// Whether conditions on the outer row stand in the plan.
///
/// # Errors
/// 0A000 where one cannot be pulled up.
fn check(plan: &LogicalPlan) -> Result<bool> {
    let mut below = Vec::new();
    for input in plan.inputs() {
        below.push(check(input)?);
    }
    let any_below = below.iter().any(|it| *it);
    let is_filter = matches!(plan, LogicalPlan::Filter(_));
    if plan.contains_outer_reference() && !is_filter {
        return Err(out_of_place(named(plan)));
    }
    let passes = match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::Aggregate(it) => !it.group_expr.is_empty(),
        LogicalPlan::Join(Join { join_type: JoinType::Inner, .. }) => true,
        LogicalPlan::Join(Join { join_type: JoinType::Left, .. }) => below.get(1) != Some(&true),
        LogicalPlan::Join(Join { join_type: JoinType::Right, .. }) => below.first() != Some(&true),
        _ => false,
    };
    if any_below && !passes {
        return Err(out_of_place(named(plan)));
    }
    Ok(any_below || (is_filter && plan.contains_outer_reference()))
}

fn named(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Projection(_) => "the select list of a derived table",
        LogicalPlan::Aggregate(it) if it.group_expr.is_empty() => "an aggregate without GROUP BY",
        LogicalPlan::Aggregate(_) => "an aggregate",
        LogicalPlan::Window(_) => "a window function",
        LogicalPlan::Limit(_) => "LIMIT or OFFSET",
        LogicalPlan::Join(_) => "a side or the condition of an outer join",
        LogicalPlan::Union(_) => "UNION",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Distinct(_) => "DISTINCT ON",
        _ => "such a part of it",
    }
}
