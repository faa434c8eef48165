//! Integers as they are written: `integer` where they fit, as in PostgreSQL; the planner makes each a `bigint`.
//!
//! | written | is |
//! |---|---|
//! | `1`, `CASE … THEN 1`, `ARRAY[1]` | `integer` |
//! | `VALUES (1), (NULL)` | a column of `integer` |
//! | `3000000000`, `1::bigint`, `VALUES (1), (3000000000)` | `bigint` |
//!
//! What LIMIT, `count(1)` and grouping sets are given stays as it is: it is looked for.
//!
//! Invariants:
//! - Columns keep their names and places.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Aggregate, Values};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, cast};

/// The plan with its written integers as what PostgreSQL takes them for; runs before anything coerces types.
///
/// # Errors
/// DataFusion's, when a changed plan cannot be built.
pub(crate) fn narrowed(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let plan = match plan {
            LogicalPlan::Values(it) => Transformed::yes(LogicalPlan::Values(values(it)?)),
            LogicalPlan::Limit(_) => Transformed::no(plan),
            // `grouping` looks for what it is given among these.
            LogicalPlan::Aggregate(it) if is_in_sets(&it) => {
                Transformed::no(LogicalPlan::Aggregate(it))
            }
            plan => {
                let names = NamePreserver::new(&plan);
                let named = |expr: Expr| {
                    let name = names.save(&expr);
                    Ok(expr.transform_down(narrow)?.update_data(|expr| name.restore(expr)))
                };
                plan.map_expressions(named)?
            }
        };
        plan.map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

fn is_in_sets(it: &Aggregate) -> bool {
    it.group_expr.iter().any(|it| matches!(it, Expr::GroupingSet(_)))
}

fn narrow(expr: Expr) -> Result<Transformed<Expr>> {
    let is_counted = match &expr {
        Expr::AggregateFunction(it) => it.func.name() == "count",
        Expr::WindowFunction(it) => it.fun.name() == "count",
        _ => false,
    };
    if is_counted {
        return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
    }
    Ok(match integer(&expr) {
        Some(integer) => Transformed::yes(integer),
        None => Transformed::no(expr),
    })
}

/// A written `bigint` that is an `integer`.
pub(crate) fn integer(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(value @ ScalarValue::Int64(Some(_)), metadata) = expr else { return None };
    match value.cast_to(&DataType::Int32) {
        Ok(narrow @ ScalarValue::Int32(Some(_))) => Some(Expr::Literal(narrow, metadata.clone())),
        _ => None,
    }
}

/// VALUES in which a column of integers is one of `integer` where all of them are.
fn values(it: Values) -> Result<Values> {
    let Values { schema, mut values } = it;
    let none = DFSchema::empty();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (column, (qualifier, field)) in schema.iter().enumerate() {
        let is_wide = *field.data_type() == DataType::Int64;
        let narrow: Option<Vec<Expr>> =
            values.iter().map(|row| small(&row[column], &none)).collect();
        let Some(narrow) = narrow.filter(|_| is_wide) else {
            fields.push((qualifier.cloned(), Arc::clone(field)));
            continue;
        };
        for (row, value) in values.iter_mut().zip(narrow) {
            row[column] = value;
        }
        let field = field.as_ref().clone().with_data_type(DataType::Int32);
        fields.push((qualifier.cloned(), Arc::new(field)));
    }
    let schema = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Values { schema: Arc::new(schema), values })
}

/// A value of a column of `bigint` as an `integer`, where it became a `bigint` by being in that column.
fn small(value: &Expr, none: &DFSchema) -> Option<Expr> {
    if let Some(integer) = integer(value) {
        return Some(integer);
    }
    match value {
        Expr::Literal(it, _) if it.is_null() => Some(cast(value.clone(), DataType::Int32)),
        Expr::Cast(Cast { expr, .. }) => match (expr.as_ref(), expr.get_type(none).ok()?) {
            (Expr::Literal(it, _), _) if it.is_null() => {
                Some(cast(expr.as_ref().clone(), DataType::Int32))
            }
            (Expr::Literal(..), _) => None,
            (_, DataType::Int16) => Some(cast(expr.as_ref().clone(), DataType::Int32)),
            (_, DataType::Int32) => Some(expr.as_ref().clone()),
            _ => None,
        },
        Expr::Negative(inner) => small(inner, none).map(|it| Expr::Negative(Box::new(it))),
        _ => (value.get_type(none).ok()? == DataType::Int32).then(|| value.clone()),
    }
}
