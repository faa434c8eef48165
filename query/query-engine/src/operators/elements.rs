//! `x op ANY (array)` and `x op ALL (array)`: each side is told of the other, which has its type where it has none.
//!
//! ```text
//!  x = ANY ($1)   ──rewrite──►  (x "luma_element" $1) = ANY ($1 "luma_elements" x)   ──►  both sides typed, the markers gone
//! ```
//!
//! | side | is |
//! |---|---|
//! | a parameter or a string literal as the array | an array of x's type |
//! | a parameter as x | of the elements' type |
//! | numbers of two types | both `numeric`, or both `double precision` where one is floating point |
//!
//! Invariants:
//! - A marker's right side is only asked for its type.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr};

use super::exact::OPEN;
use super::kinds::literal;
use crate::alternatives::is_open;
use crate::literals;

const ELEMENT: &str = "luma_element";
const ELEMENTS: &str = "luma_elements";

/// Tells each side of an ANY or ALL over an array of the other.
pub(crate) fn tell(expr: &mut SqlExpr) {
    let (SqlExpr::AnyOp { left, right, .. } | SqlExpr::AllOp { left, right, .. }) = expr else {
        return;
    };
    if matches!(right.as_ref(), SqlExpr::Subquery(_)) {
        return;
    }
    let beside = |own: &SqlExpr, op: &str, other: &SqlExpr| SqlExpr::BinaryOp {
        left: Box::new(own.clone()),
        op: BinaryOperator::Custom(op.to_owned()),
        right: Box::new(other.clone()),
    };
    let (element, array) = (beside(left, ELEMENT, right), beside(right, ELEMENTS, left));
    (**left, **right) = (element, array);
}

/// A side that was told of the other, typed; `None` of other operators.
pub(super) fn typed(expr: &mut RawBinaryExpr, schema: &DFSchema) -> Option<Result<Expr>> {
    let BinaryOperator::Custom(op) = &expr.op else { return None };
    let side = match op.as_str() {
        ELEMENT => element,
        ELEMENTS => array,
        _ => return None,
    };
    Some(side(std::mem::take(&mut expr.left), &expr.right, schema))
}

/// `None` for what has no type of its own.
fn own_type(expr: &Expr, schema: &DFSchema) -> Result<Option<DataType>> {
    if is_open(expr) || literal(expr).is_some() {
        return Ok(None);
    }
    expr.get_type(schema).map(|it| Some(it).filter(|it| !it.is_null()))
}

fn element(mut own: Expr, array: &Expr, schema: &DFSchema) -> Result<Expr> {
    let of = match own_type(array, schema)? {
        Some(DataType::List(item)) => item.data_type().clone(),
        Some(_) => return Ok(own),
        // The array takes its type from here.
        None => match own_type(&own, schema)? {
            Some(of) => parameters_item(of),
            None => return Ok(own),
        },
    };
    if let Expr::Placeholder(it) = &mut own
        && it.field.is_none()
    {
        it.field = Some(Arc::new(Field::new(&it.id, of, true)));
        return Ok(own);
    }
    Ok(match own_type(&own, schema)?.and_then(|it| common(&it, &of)) {
        Some(target) => cast(own, target),
        None => own,
    })
}

fn array(mut own: Expr, element: &Expr, schema: &DFSchema) -> Result<Expr> {
    let Some(of) = own_type(element, schema)? else { return Ok(own) };
    if let Expr::Placeholder(it) = &mut own
        && it.field.is_none()
    {
        let list = DataType::new_list(parameters_item(of), true);
        it.field = Some(Arc::new(Field::new(&it.id, list, true)));
        return Ok(own);
    }
    if let Some(text) = literal(&own) {
        return literals::array(text, &parameters_item(of));
    }
    let Some(DataType::List(item)) = own_type(&own, schema)? else { return Ok(own) };
    Ok(match common(&of, item.data_type()) {
        Some(target) => cast(own, DataType::new_list(target, true)),
        None => own,
    })
}

/// Elements of an array that is written or sent: numerics with as many digits as each has.
fn parameters_item(of: DataType) -> DataType {
    if of.is_decimal() { OPEN } else { of }
}

/// The type of numbers of two types that DataFusion does not compare within arrays.
fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right || !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    match () {
        () if left.is_floating() || right.is_floating() => Some(DataType::Float64),
        () if left.is_decimal() || right.is_decimal() => Some(OPEN),
        () => None,
    }
}
