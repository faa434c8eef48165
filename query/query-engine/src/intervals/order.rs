//! Sorting, grouping and telling apart intervals by how long they are; DataFusion goes field by field. The same of jsonb,
//! whose equal values may be different texts: there `luma_jsonb_order(x)` stands for `luma_span(x)`.
//!
//! ```text
//!  ORDER BY x, PARTITION BY x   →  … luma_span(x)
//!  GROUP BY x, DISTINCT         →  GROUP BY luma_span(x), and the first x of the group is shown
//!  min(x), max(x)               →  luma_shortest(x), luma_longest(x)
//! ```
//!
//! Keys of floating point are made equal besides where they are zeros of two signs ([`zeros`]).
//!
//! Invariants:
//! - Columns keep their names, places and types.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort as SortExpr, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Distinct, DistinctOn, Join, Projection};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition, when,
};

use super::extreme::{Extreme, Wanted};
use super::{INTERVAL, spanned};
use crate::aggregates::first::First;
use crate::arithmetic::rewritten;
use crate::floats::zeros;
use crate::json::compared::{is_jsonb, ordered};
use crate::types;

/// The plan with intervals sorted and grouped by their length; runs before types are coerced.
///
/// # Errors
/// DataFusion's, when a changed plan cannot be built.
pub(crate) fn by_length(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        rewritten(plan, &functions)?.transform_data(|plan| match plan {
            LogicalPlan::Sort(mut it) => {
                let schema = Arc::clone(it.input.schema());
                // Which of two equal keys comes first is only seen where another key follows.
                let any = match it.expr.as_mut_slice() {
                    [first @ .., last] => {
                        sorted(first, &schema)? | measured([&mut last.expr], &schema)
                    }
                    [] => false,
                };
                Ok(when_changed(any, LogicalPlan::Sort(it)))
            }
            LogicalPlan::Aggregate(it) => grouped(it),
            LogicalPlan::Distinct(Distinct::All(input)) => distinct(input),
            LogicalPlan::Distinct(Distinct::On(it)) => distinct_on(it),
            LogicalPlan::Join(it) => joined(it),
            other => Ok(Transformed::no(other)),
        })
    })
    .data()
}

fn when_changed<T>(changed: bool, data: T) -> Transformed<T> {
    if changed { Transformed::yes(data) } else { Transformed::no(data) }
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|it| it == INTERVAL)
}

/// What a value is sorted and grouped by, where it is not the value.
fn measure(expr: &Expr, schema: &DFSchema) -> Option<fn(Expr) -> Expr> {
    if is_interval(expr, schema) {
        Some(spanned)
    } else if is_jsonb(expr, schema) {
        Some(ordered)
    } else {
        None
    }
}

/// Measures the intervals and jsonb among expressions; whether there were any.
fn measured<'a>(exprs: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
    let mut any = false;
    for expr in exprs {
        if let Some(measure) = measure(expr, schema) {
            *expr = measure(std::mem::take(expr));
            any = true;
        }
    }
    any
}

/// Sort keys and partitions: zeros are equal besides.
fn keyed<'a>(exprs: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
    let mut exprs: Vec<&mut Expr> = exprs.into_iter().collect();
    let any = measured(exprs.iter_mut().map(|it| &mut **it), schema);
    zeros::unsigned(exprs, schema) | any
}

#[expect(clippy::unnecessary_wraps, reason = "its callers are all fallible")]
fn sorted(sort: &mut [SortExpr], schema: &DFSchema) -> Result<bool> {
    Ok(keyed(sort.iter_mut().map(|it| &mut it.expr), schema))
}

/// What stands in calls of aggregates and window functions.
fn functions(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let changed = match &mut expr {
        Expr::AggregateFunction(it) => {
            let sorted = sorted(&mut it.params.order_by, schema)?;
            let counted = it.params.distinct && it.func.name() == "count";
            sorted | (counted && measured(&mut it.params.args, schema)) | extreme(it, schema)
        }
        Expr::WindowFunction(it) => {
            let sorted = sorted(&mut it.params.order_by, schema)?;
            sorted | keyed(&mut it.params.partition_by, schema) | window_extreme(it, schema)
        }
        _ => false,
    };
    Ok(when_changed(changed, expr))
}

fn extreme(it: &mut AggregateFunction, schema: &DFSchema) -> bool {
    let Some(function) = of_intervals(it.func.name(), &it.params.args, schema) else {
        return false;
    };
    it.func = function;
    true
}

fn window_extreme(it: &mut WindowFunction, schema: &DFSchema) -> bool {
    let WindowFunctionDefinition::AggregateUDF(function) = &mut it.fun else { return false };
    let Some(extreme) = of_intervals(function.name(), &it.params.args, schema) else {
        return false;
    };
    *function = extreme;
    true
}

fn of_intervals(name: &str, args: &[Expr], schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    let wanted = match name {
        "min" => Wanted::Shortest,
        "max" => Wanted::Longest,
        _ => return None,
    };
    args.first().filter(|it| is_interval(it, schema)).map(|_| function(wanted))
}

fn function(wanted: Wanted) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Extreme::new(wanted)))
}

/// Groups by lengths; the columns of the groups are the first interval of each.
fn grouped(it: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let input_schema = Arc::clone(it.input.schema());
    let keys: Vec<Expr> = grouping_set_to_exprlist(&it.group_expr)?.into_iter().cloned().collect();
    let is_measured = |index: &usize| measure(&keys[*index], &input_schema).is_some();
    let intervals: Vec<usize> = (0..keys.len()).filter(is_measured).collect();
    if intervals.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
    }
    let group_expr: Result<Vec<Expr>> = it
        .group_expr
        .into_iter()
        .map(|expr| match expr {
            Expr::GroupingSet(_) => expr
                .map_children(|it| {
                    Ok(match measure(&it, &input_schema) {
                        Some(measure) => Transformed::yes(measure(it)),
                        None => Transformed::no(it),
                    })
                })
                .data(),
            expr => Ok(match measure(&expr, &input_schema) {
                Some(measure) => measure(expr),
                None => expr,
            }),
        })
        .collect();
    let mut aggr_expr = it.aggr_expr;
    for index in &intervals {
        let first = match is_interval(&keys[*index], &input_schema) {
            true => function(Wanted::First),
            false => Arc::new(AggregateUDF::from(First::new())),
        };
        let call = AggregateFunction::new_udf(
            first,
            vec![keys[*index].clone().unalias()],
            false,
            None,
            Vec::new(),
            None,
        );
        aggr_expr.push(Expr::AggregateFunction(call).alias(format!("luma_first_{index}")));
    }
    let aggregate = Aggregate::try_new(it.input, group_expr?, aggr_expr)?;
    shown(aggregate, &it.schema, &intervals).map(Transformed::yes)
}

/// The columns of `wanted` over what was grouped by lengths, which has the first intervals at its end.
fn shown(aggregate: Aggregate, wanted: &DFSchema, intervals: &[usize]) -> Result<LogicalPlan> {
    let made = Arc::clone(&aggregate.schema);
    let column = |index: usize| Expr::Column(Column::from(made.qualified_field(index)));
    let ends_at = wanted.fields().len();
    let mut exprs = Vec::with_capacity(ends_at);
    for (index, (qualifier, field)) in wanted.iter().enumerate() {
        let Some(nth) = intervals.iter().position(|it| *it == index) else {
            exprs.push(column(index));
            continue;
        };
        // NULL where a grouping set leaves the column out.
        let first = when(column(index).is_not_null(), column(ends_at + nth)).end()?;
        let metadata = (!field.metadata().is_empty()).then(|| FieldMetadata::from(field.as_ref()));
        exprs.push(first.alias_qualified_with_metadata(qualifier.cloned(), field.name(), metadata));
    }
    let input = Arc::new(LogicalPlan::Aggregate(aggregate));
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, input)?))
}

fn distinct(input: Arc<LogicalPlan>) -> Result<Transformed<LogicalPlan>> {
    let is_measured = |it: &Arc<Field>| *it.data_type() == INTERVAL || types::is_jsonb(it);
    if !input.schema().fields().iter().any(is_measured) {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::All(input))));
    }
    let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
    grouped(Aggregate::try_new(input, columns, Vec::new())?)
}

fn distinct_on(it: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(it.input.schema());
    let (mut on_expr, mut sort_expr) = (it.on_expr, it.sort_expr);
    let mut any = keyed(&mut on_expr, &schema);
    if let Some(sort) = &mut sort_expr {
        any |= sorted(sort, &schema)?;
    }
    let on = DistinctOn { on_expr, sort_expr, ..it };
    Ok(when_changed(any, LogicalPlan::Distinct(Distinct::On(on))))
}

/// Equality of columns, as in USING, INTERSECT and EXCEPT.
fn joined(mut it: Join) -> Result<Transformed<LogicalPlan>> {
    let mut any = false;
    for (left, right) in &mut it.on {
        let types = [left.get_type(it.left.schema())?, right.get_type(it.right.schema())?];
        let is_jsonb = is_jsonb(left, it.left.schema()) && is_jsonb(right, it.right.schema());
        if is_jsonb {
            (*left, *right) = (ordered(std::mem::take(left)), ordered(std::mem::take(right)));
        }
        any |= is_jsonb || super::measured(&mut [left, right], &types);
    }
    Ok(when_changed(any, LogicalPlan::Join(it)))
}
