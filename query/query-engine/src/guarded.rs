//! Conditions that cannot fail guard those that can.
//!
//! `WHERE b <> 0 AND a / b > 1` is asked column by column: DataFusion divides in every row. So what may fail is asked only
//! where what stands before it has not decided yet, and in a filter after everything that cannot fail.
//!
//! ```text
//!  FilterExec: a / b > 1 AND b <> 0   →   FilterExec: a / b > 1
//!                                           FilterExec: b <> 0
//!  b = 0 OR a / b > 1                 →   Guarded: a / b > 1 is asked where b = 0 is not true
//! ```
//!
//! Invariants:
//! - A value stays the same; only errors of rows that are decided without it are gone.
//! - Filters, select lists and conditions of joins are looked at; [`hoist`] moves into a select list what other operators
//!   would ask.

pub(crate) mod hoist;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{and_kleene, or_kleene};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, NegativeExpr};
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

type Expr = Arc<dyn PhysicalExpr>;
type Plan = Arc<dyn ExecutionPlan>;

#[derive(Debug)]
pub(crate) struct GuardFilters;

impl PhysicalOptimizerRule for GuardFilters {
    fn optimize(&self, plan: Plan, _config: &ConfigOptions) -> Result<Plan> {
        plan.transform_up(|plan| {
            let guarded = if let Some(filter) = plan.downcast_ref::<FilterExec>() {
                filtered(filter)?
            } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
                projected(projection)?
            } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
                match join.filter().map(joined).transpose()?.flatten() {
                    Some(filter) => Some(join.builder().with_filter(Some(filter)).build_exec()?),
                    None => None,
                }
            } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
                match join.filter().map(joined).transpose()?.flatten() {
                    Some(filter) => {
                        let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter));
                        Some(Arc::new(join.build()?) as Plan)
                    }
                    None => None,
                }
            } else {
                None
            };
            Ok(guarded.map_or_else(|| Transformed::no(plan), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "guard_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What cannot fail in a filter of its own, below; what can in the order it is written in.
fn filtered(filter: &FilterExec) -> Result<Option<Plan>> {
    let schema = filter.input().schema();
    let (fallible, safe): (Vec<_>, Vec<_>) = split_conjunction(filter.predicate())
        .into_iter()
        .cloned()
        .partition(|it| may_fail(it, &schema));
    let Some(fallible) = conjunction_opt(fallible) else { return Ok(None) };
    let fallible = guarded(fallible, &schema)?;
    let Some(safe) = conjunction_opt(safe) else {
        let outer = FilterExecBuilder::from(filter).with_predicate(fallible.data);
        return Ok(if fallible.transformed { Some(Arc::new(outer.build()?)) } else { None });
    };
    let inner = FilterExecBuilder::new(safe, Arc::clone(filter.input())).build()?;
    let outer =
        FilterExecBuilder::from(filter).with_input(Arc::new(inner)).with_predicate(fallible.data);
    Ok(Some(Arc::new(outer.build()?)))
}

fn projected(projection: &ProjectionExec) -> Result<Option<Plan>> {
    let schema = projection.input().schema();
    let mut any = false;
    let mut exprs = Vec::with_capacity(projection.expr().len());
    for ProjectionExpr { expr, alias } in projection.expr() {
        let guarded = guarded(Arc::clone(expr), &schema)?;
        any |= guarded.transformed;
        exprs.push(ProjectionExpr { expr: guarded.data, alias: alias.clone() });
    }
    if !any {
        return Ok(None);
    }
    Ok(Some(Arc::new(ProjectionExec::try_new(exprs, Arc::clone(projection.input()))?)))
}

fn joined(filter: &JoinFilter) -> Result<Option<JoinFilter>> {
    let guarded = guarded(Arc::clone(filter.expression()), filter.schema())?;
    Ok(guarded.transformed.then(|| {
        let columns = filter.column_indices().to_vec();
        JoinFilter::new(guarded.data, columns, Arc::clone(filter.schema()))
    }))
}

/// The expression with each AND and OR whose right side may fail replaced.
fn guarded(expr: Expr, schema: &Schema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let Some(binary) = expr.downcast_ref::<BinaryExpr>() else {
            return Ok(Transformed::no(expr));
        };
        let decided = match binary.op() {
            Operator::And => false,
            Operator::Or => true,
            _ => return Ok(Transformed::no(expr)),
        };
        if !may_fail(binary.right(), schema) {
            return Ok(Transformed::no(expr));
        }
        let (left, right) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
        Ok(Transformed::yes(Arc::new(Guarded { decided, left, right })))
    })
}

/// Whether some row may be an error. Functions do not tell: each may.
fn may_fail(predicate: &Expr, schema: &Schema) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    let found = predicate.exists(|it| {
        let arithmetic = it
            .downcast_ref::<BinaryExpr>()
            .is_some_and(|it| matches!(it.op(), Plus | Minus | Multiply | Divide | Modulo));
        let cast = it.downcast_ref::<CastExpr>().is_some_and(|cast| {
            let source = cast.expr().data_type(schema);
            !source.is_ok_and(|source| always_fits(&source, cast.cast_type()))
        });
        let function = it.downcast_ref::<ScalarFunctionExpr>().is_some();
        Ok(function || arithmetic || cast || it.downcast_ref::<NegativeExpr>().is_some())
    });
    found.unwrap_or(true)
}

/// Whether every value has a cast.
fn always_fits(source: &DataType, target: &DataType) -> bool {
    use DataType::{
        Binary, Boolean, Decimal128, Float32, Float64, Int16, Int32, Int64, Null, Utf8,
    };
    let digits = match source {
        Int16 => 5,
        Int32 => 10,
        Int64 => 19,
        _ => u8::MAX,
    };
    let holds = |precision: u8, scale: i8| {
        u8::try_from(scale).is_ok_and(|scale| precision.saturating_sub(scale) >= digits)
    };
    source == target
        || matches!(target, Decimal128(precision, scale) if holds(*precision, *scale))
        || (*target == Utf8 && *source != Binary)
        || matches!(
            (source, target),
            (Null | Boolean, _)
                | (Int16, Int32 | Int64)
                | (Int32, Int64)
                | (Int16 | Int32 | Int64 | Float32, Float32 | Float64)
        )
}

/// `left AND right`, `left OR right` with `right` asked only where `left` is not `decided`.
#[derive(Debug, Eq)]
struct Guarded {
    /// The value of `left` that is the answer: false for AND, true for OR.
    decided: bool,
    left: Expr,
    right: Expr,
}

// Derived ones would move what the sides point to.
impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.decided == other.decided && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.decided.hash(state);
        self.left.hash(state);
        self.right.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = if self.decided { "OR" } else { "AND" };
        write!(f, "({}) {op} ({})", self.left, self.right)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _input_schema: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        Ok(self.left.nullable(input_schema)? || self.right.nullable(input_schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = booleans(self.left.evaluate(batch)?, batch)?;
        let open: BooleanArray = left.iter().map(|it| Some(it != Some(self.decided))).collect();
        if !open.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left)));
        }
        let right = booleans(self.right.evaluate_selection(batch, &open)?, batch)?;
        let both = if self.decided { or_kleene } else { and_kleene };
        Ok(ColumnarValue::Array(Arc::new(both(&left, &right)?)))
    }

    fn children(&self) -> Vec<&Expr> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Expr>) -> Result<Expr> {
        let [left, right] = <[Expr; 2]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a condition has two sides".to_owned()))?;
        Ok(Arc::new(Self { decided: self.decided, left, right }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn booleans(value: ColumnarValue, batch: &RecordBatch) -> Result<BooleanArray> {
    Ok(value.into_array(batch.num_rows())?.as_boolean().clone())
}
