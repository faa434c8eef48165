//! Values of jsonb beside each other: compared, sorted and told apart by the bytes of [`Tree::key`], and searched.
//!
//! ```text
//!  a = b, a < b, a IN (b)   →  luma_jsonb_order(a) = luma_jsonb_order(b)
//!  a @> b, a <@ b           →  luma_json_contains(a, b)
//! ```
//!
//! Sorting and grouping: [`crate::intervals::order`].
//!
//! [`Tree::key`]: super::tree::Tree::key

use std::sync::Arc;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

use crate::functions::json::{self, parts};
use crate::types;

/// Whether the expression's values are jsonb.
pub(crate) fn is_jsonb(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(_) | Expr::Alias(_) | Expr::ScalarFunction(_) | Expr::ScalarSubquery(_) => {
            expr.to_field(schema).is_ok_and(|(_, field)| types::is_jsonb(&field))
        }
        _ => false,
    }
}

/// Values that are compared with each other, as what jsonb is ordered by; whether they are jsonb.
pub(crate) fn ordered_beside(exprs: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let is_text = |it: &Expr| matches!(it, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let mut any = false;
    for expr in exprs.iter() {
        let own = is_jsonb(expr, schema);
        if !own && !is_text(expr) {
            return false;
        }
        any |= own;
    }
    if any {
        for expr in exprs {
            **expr = ordered(std::mem::take(*expr));
        }
    }
    any
}

/// What a value is ordered by.
pub(crate) fn ordered(expr: Expr) -> Expr {
    call(parts::order(), vec![expr])
}

/// `whole @> part`.
pub(crate) fn contains(whole: Expr, part: Expr) -> Expr {
    call(parts::containment(), vec![whole, part])
}

/// `left || right`.
pub(crate) fn joined(left: Expr, right: Expr) -> Expr {
    call(json::concatenation(), vec![left, right])
}

fn call(function: ScalarUDF, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), args))
}
