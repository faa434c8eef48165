//! `avg`: the sum divided by the count, as PostgreSQL divides. Quotients have averages of their own: their sum may be out of
//! range where the average is not ([`crate::aggregates`]).
//!
//! ```text
//!  Aggregate: avg(x)   →   Projection: luma_quotient(sum(x), count(x))
//!                            Aggregate: sum(x), count(x)
//! ```
//!
//! Invariants:
//! - Columns keep their names and places; FILTER, DISTINCT and the window are those of both.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::logical_plan::{Aggregate, Projection, Window};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition,
};

use crate::intervals::with_days;
use crate::operators::{exact, scale, scaled};

/// The functions an average is made of.
pub(crate) struct Parts {
    pub(crate) sum: Arc<AggregateUDF>,
    pub(crate) count: Arc<AggregateUDF>,
}

/// The plan with averages as quotients; runs before types are coerced.
///
/// # Errors
/// DataFusion's, when a changed plan cannot be built.
pub(crate) fn divided(plan: LogicalPlan, parts: &Parts) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let changed = match plan {
            LogicalPlan::Aggregate(it) => aggregate(it, parts)?,
            LogicalPlan::Window(it) => window(it, parts)?,
            other => Transformed::no(other),
        };
        changed.map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

fn aggregate(it: Aggregate, parts: &Parts) -> Result<Transformed<LogicalPlan>> {
    let Some(split) = Split::of(&it.aggr_expr, it.input.schema(), parts)? else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(it)));
    };
    let plan = Aggregate::try_new(it.input, it.group_expr, split.exprs)?;
    joined(LogicalPlan::Aggregate(plan), &it.schema, &split.averages)
}

fn window(it: Window, parts: &Parts) -> Result<Transformed<LogicalPlan>> {
    let Some(split) = Split::of(&it.window_expr, it.input.schema(), parts)? else {
        return Ok(Transformed::no(LogicalPlan::Window(it)));
    };
    let plan = Window::try_new(split.exprs, it.input)?;
    joined(LogicalPlan::Window(plan), &it.schema, &split.averages)
}

/// Calls with a sum and, at the end, a count for each average.
struct Split {
    exprs: Vec<Expr>,
    /// For each call, whether it is an average.
    averages: Vec<bool>,
}

impl Split {
    /// `None` where there are no averages.
    fn of(calls: &[Expr], schema: &DFSchema, parts: &Parts) -> Result<Option<Self>> {
        let mut split = Self { exprs: calls.to_vec(), averages: vec![false; calls.len()] };
        for (index, call) in calls.iter().enumerate() {
            let mut call = call.clone().unalias();
            if !is_divided(&mut call, schema)? {
                continue;
            }
            split.averages[index] = true;
            let named = |function, part| {
                with_function(call.clone(), function).alias(format!("luma_{part}_{index}"))
            };
            split.exprs[index] = named(&parts.sum, "sum");
            split.exprs.push(named(&parts.count, "count"));
        }
        Ok(split.averages.contains(&true).then_some(split))
    }
}

/// Digits of a numeric from which on a sum may have no room in it.
const SUMMED_DIGITS_MAX: u8 = 66;

/// Whether this is an average that is divided; an interval in it has its days then, and a real is a double.
fn is_divided(call: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let (name, args) = match call {
        Expr::AggregateFunction(it) => (it.func.name(), &mut it.params.args),
        Expr::WindowFunction(it) => (it.fun.name(), &mut it.params.args),
        _ => return Ok(false),
    };
    let ("avg", [argument]) = (name, args.as_mut_slice()) else { return Ok(false) };
    let data_type = argument.get_type(schema)?;
    let is_span = matches!(data_type, DataType::Interval(_) | DataType::Duration(_));
    if is_span {
        *argument = with_days(std::mem::take(argument), &data_type);
    }
    if data_type.is_floating() {
        *argument = datafusion::logical_expr::cast(std::mem::take(argument), DataType::Float64);
    }
    Ok(match data_type {
        DataType::Decimal256(digits, _) => digits <= SUMMED_DIGITS_MAX,
        other => is_span || other.is_floating() || scale(&other).is_some(),
    })
}

fn with_function(mut call: Expr, function: &Arc<AggregateUDF>) -> Expr {
    match &mut call {
        Expr::AggregateFunction(it) => it.func = Arc::clone(function),
        Expr::WindowFunction(it) => {
            it.fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(function));
        }
        _ => {}
    }
    call
}

/// The columns of `wanted`, with the counts at the end of `plan` divided into their sums.
fn joined(
    plan: LogicalPlan,
    wanted: &DFSchema,
    averages: &[bool],
) -> Result<Transformed<LogicalPlan>> {
    let made = Arc::clone(plan.schema());
    let (columns, first) = (wanted.fields().len(), wanted.fields().len() - averages.len());
    let column = |index: usize| Expr::Column(Column::from(made.qualified_field(index)));
    let mut counts = columns..;
    let mut exprs = Vec::with_capacity(columns);
    for (index, (qualifier, field)) in wanted.iter().enumerate() {
        let is_average = index >= first && averages[index - first];
        let Some(count) = is_average.then(|| counts.next()).flatten() else {
            exprs.push(column(index));
            continue;
        };
        let data_type = made.field(index).data_type();
        let (sum, count) = (column(index), column(count));
        let average = match scale(data_type) {
            Some(scale) => exact::quotient(sum, count, [scale, 0]),
            None if data_type.is_floating() => {
                sum / datafusion::logical_expr::cast(count, DataType::Float64)
            }
            None => scaled(with_days(sum, data_type), count, true),
        };
        exprs.push(average.alias_qualified(qualifier.cloned(), field.name()));
    }
    let plan = Projection::try_new(exprs, Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}
