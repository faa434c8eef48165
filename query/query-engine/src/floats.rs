//! Values of two types that are compared or made one: floating point beside `numeric` is floating point, as in PostgreSQL.
//!
//! DataFusion makes `numeric(30,15)` of both sides, which has no NaN, no infinity, no 1e16 and no 1e-16. So where values
//! are brought to one type the numerics are cast first:
//!
//! | where | to |
//! |---|---|
//! | comparisons, `BETWEEN`, `IN` of one, `CASE x WHEN`, `nullif` | `double precision` |
//! | results of `CASE`, `coalesce`, `greatest`, `least`; `IN`; `ARRAY[…]` | the widest of the floating point types |
//!
//! Intervals are compared as [`intervals`] says, zeros as [`zeros`] does. Set operations and VALUES are [`crate::relations`]'s.

pub(crate) mod zeros;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{
    Between, Case, InList, InSubquery, ScalarFunction, SetComparison,
};
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Subquery};

use crate::alternatives;
use crate::arithmetic::rewritten;
use crate::error::fault;
use crate::intervals;
use crate::json::compared::{is_jsonb, ordered, ordered_beside};
use crate::operators::kinds;
use crate::relations;
use crate::rewrite::literals;
use crate::written;

/// The plan with numerics beside floating point cast to it, and integers as they are written; runs before anything else coerces types.
///
/// # Errors
/// DataFusion's, when a changed plan cannot be built.
pub(crate) fn beside_numerics(plan: LogicalPlan) -> Result<LogicalPlan> {
    written::narrowed(plan)?
        .transform_up_with_subqueries(|plan| {
            let plan = match plan {
                LogicalPlan::Join(join) => {
                    relations::join_pairs(join)?.transform_data(|plan| rewritten(plan, &unified))
                }
                plan => rewritten(plan, &unified),
            };
            // What stands below it has its types by now.
            plan?.transform_data(relations::typed)
        })
        .data()
}

/// The expression with its own parts of one type; their parts are left as they are.
///
/// # Errors
/// Alternatives that have no type in common.
pub(crate) fn unified(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = &mut expr
        && let Some(types) = types(&args.iter_mut().collect::<Vec<_>>(), schema)
        && let Some(chosen) = intervals::chosen(func.name(), args, &types)
            .or_else(|| zeros::nullif(func.name(), args, schema))
    {
        return Ok(Transformed::yes(chosen));
    }
    let changed = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            compared(vec![left, right], schema, double)
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            compared(vec![expr, low, high], schema, double)
        }
        Expr::InList(InList { expr, list, .. }) => {
            let target = if list.len() == 1 { double } else { widest };
            compared(std::iter::once(&mut **expr).chain(&mut *list).collect(), schema, target)
                | zeros::unsigned(std::iter::once(&mut **expr).chain(list), schema)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            against(expr, subquery, schema)?
        }
        Expr::Case(it) => {
            let changed = case(it, schema) | alternatives::of_case(it, schema)?;
            let is_simple = it.expr.is_some();
            let operands = it.when_then_expr.iter_mut().map(|(when, _)| &mut **when);
            let operands = operands.chain(it.expr.as_deref_mut()).filter(|_| is_simple);
            changed | zeros::unsigned(operands, schema)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            name @ ("coalesce" | "greatest" | "least" | "make_array") => {
                let shown = if name == "make_array" { "ARRAY" } else { &name.to_uppercase() };
                unify(args.iter_mut().collect(), schema, widest)
                    | alternatives::of_call(shown, args, schema)?
            }
            "nullif" => {
                unify(args.iter_mut().collect(), schema, double)
                    | alternatives::of_nullif(args, schema)?
            }
            "array_has" => array_parameter(args, schema),
            _ => false,
        },
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// `x = ANY ($1)`: the parameter is an array of x's type.
fn array_parameter(args: &mut [Expr], schema: &DFSchema) -> bool {
    let [Expr::Placeholder(array), item] = args else { return false };
    match item.get_type(schema) {
        Ok(of) if array.field.is_none() => {
            let list = DataType::new_list(of, true);
            array.field = Some(Arc::new(Field::new(&array.id, list, true)));
            true
        }
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn case(it: &mut Case, schema: &DFSchema) -> bool {
    let (mut operands, mut results) = (Vec::new(), Vec::new());
    operands.extend(it.expr.as_deref_mut());
    let is_simple = !operands.is_empty();
    for (when, then) in &mut it.when_then_expr {
        if is_simple {
            operands.push(&mut **when);
        }
        results.push(&mut **then);
    }
    results.extend(it.else_expr.as_deref_mut());
    let operands = compared(operands, schema, double);
    unify(results, schema, widest) || operands
}

/// A value and the column of a subquery that it is compared with.
fn against(expr: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    let input = Arc::clone(&subquery.subquery);
    let Some((qualifier, field)) = input.schema().iter().next() else { return Ok(false) };
    let Ok(data_type) = expr.get_type(schema) else { return Ok(false) };
    let types = [data_type, field.data_type().clone()];
    refuse_kinds(expr, &types)?;
    let mut column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    if input.schema().fields().len() > 1 {
        return Ok(false);
    }
    if is_jsonb(expr, schema) && is_jsonb(&column, input.schema()) {
        (*expr, column) = (ordered(std::mem::take(expr)), ordered(column));
    } else if !compared_as(vec![expr, &mut column], &types, double) {
        return Ok(false);
    }
    let column = column.alias(field.name());
    let projection = Projection::try_new(vec![column], Arc::clone(&input))?;
    subquery.subquery = Arc::new(LogicalPlan::Projection(projection));
    Ok(true)
}

/// # Errors
/// 42883 for values that are not compared with each other.
fn refuse_kinds(expr: &Expr, types: &[DataType; 2]) -> Result<()> {
    let [left, right] = types;
    let column = Expr::Literal(ScalarValue::Null, None);
    match (kinds::kind(expr, left), kinds::kind(&column, right)) {
        (Some(own), Some(other)) if !alternatives::are_of_one(own, other) => {
            let (left, right) = (kinds::shown(left), kinds::shown(right));
            Err(fault("42883", format!("operator does not exist: {left} = {right}")))
        }
        _ => Ok(()),
    }
}

/// The type of floating point, for values of these types.
type Target = fn(&[DataType]) -> DataType;

pub(crate) fn double(_: &[DataType]) -> DataType {
    DataType::Float64
}

pub(crate) fn widest(types: &[DataType]) -> DataType {
    if types.contains(&DataType::Float64) { DataType::Float64 } else { DataType::Float32 }
}

fn compared(mut exprs: Vec<&mut Expr>, schema: &DFSchema, target: Target) -> bool {
    if ordered_beside(&mut exprs, schema) {
        return true;
    }
    types(&exprs, schema).is_some_and(|types| compared_as(exprs, &types, target))
}

fn compared_as(mut exprs: Vec<&mut Expr>, types: &[DataType], target: Target) -> bool {
    intervals::measured(&mut exprs, types)
        || timestamps(&mut exprs, types)
        || unify_as(exprs, types, target)
}

/// Literals beside timestamps as such; whether there were any.
fn timestamps(exprs: &mut [&mut Expr], types: &[DataType]) -> bool {
    let mut any = false;
    let Some(target) = types.iter().find(|it| matches!(it, DataType::Timestamp(..))) else {
        return any;
    };
    for expr in exprs {
        let Expr::Literal(value @ ScalarValue::Utf8(Some(_)), _) = &mut **expr else { continue };
        let spelled = value.try_as_str().flatten().and_then(literals::timestamp);
        if let Some(spelled) = spelled {
            *value = ScalarValue::Utf8(Some(spelled));
            any = true;
        }
        // DataFusion would bring both sides to nanoseconds. What is no time is its error.
        if let Ok(time) = value.cast_to(target) {
            *value = time;
            any = true;
        }
    }
    any
}

/// `None` where one has no type: that is refused elsewhere.
fn types(exprs: &[&mut Expr], schema: &DFSchema) -> Option<Vec<DataType>> {
    exprs.iter().map(|it| it.get_type(schema).ok()).collect()
}

fn unify(exprs: Vec<&mut Expr>, schema: &DFSchema, target: Target) -> bool {
    types(&exprs, schema).is_some_and(|types| unify_as(exprs, &types, target))
}

/// Casts the numerics among `exprs` where one of them is floating point; whether there were any.
fn unify_as(exprs: Vec<&mut Expr>, types: &[DataType], target: Target) -> bool {
    if !types.iter().any(DataType::is_floating) {
        return false;
    }
    let target = target(types);
    let mut any = false;
    for (expr, data_type) in exprs.into_iter().zip(types) {
        if data_type.is_decimal() {
            let inner = std::mem::take(expr);
            *expr = datafusion::logical_expr::cast(inner, target.clone());
            any = true;
        }
    }
    any
}
