//! PostgreSQL's array literals (`'{1,2}'`) where they are compared with an array.
//!
//! Invariants:
//! - Only a string literal beside an array becomes an array; the item type is the other side's.

use datafusion::arrow::datatypes::DataType as Arrow;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use query_api::{Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct ArrayLiterals;

impl ExprPlanner for ArrayLiterals {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(array) = beside(&expr.left, &expr.right, schema)? {
            expr.left = array;
        } else if let Some(array) = beside(&expr.right, &expr.left, schema)? {
            expr.right = array;
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// `literal` as an array of the item type of `other`.
fn beside(literal: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = literal else { return Ok(None) };
    let Ok(Arrow::List(item)) = other.get_type(schema) else { return Ok(None) };
    array(text, item.data_type()).map(Some)
}

/// The text of an array as one of items of type `item`.
///
/// # Errors
/// 22P02 for text that is no array, and what the items' casts say.
pub(crate) fn array(text: &str, item: &Arrow) -> Result<Expr> {
    let items = items(text).ok_or_else(|| malformed(text))?;
    let items: Result<Vec<ScalarValue>> =
        items.into_iter().map(|it| ScalarValue::Utf8(it).cast_to(item)).collect();
    let list = ScalarValue::new_list_nullable(&items?, item);
    Ok(Expr::Literal(ScalarValue::List(list), None))
}

pub(crate) fn malformed(text: &str) -> DataFusionError {
    let shown: String = text.chars().take(100).collect();
    let error = Error::new(ErrorKind::Invalid, format!("malformed array literal: \"{shown}\""));
    DataFusionError::External(Box::new(error.with_sqlstate("22P02")))
}

/// The items of a one-dimensional literal; `None` when it is malformed or nested.
/// <https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO>
pub(crate) fn items(text: &str) -> Option<Vec<Option<String>>> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if body.trim().is_empty() {
        return Some(items);
    }
    let mut item = String::new();
    let mut quoted = false;
    let mut inside = false;
    let mut chars = body.chars();
    loop {
        match chars.next() {
            Some('\\') => item.push(chars.next()?),
            Some('"') => {
                inside = !inside;
                quoted = true;
            }
            Some(it) if inside => item.push(it),
            Some('{' | '}') => return None,
            it @ (Some(',') | None) => {
                if inside {
                    return None;
                }
                let plain = item.trim().to_owned();
                let null = !quoted && plain.eq_ignore_ascii_case("null");
                items.push(match (null, quoted) {
                    (true, _) => None,
                    (false, true) => Some(item.clone()),
                    (false, false) if plain.is_empty() => return None,
                    (false, false) => Some(plain),
                });
                item.clear();
                quoted = false;
                if it.is_none() {
                    return Some(items);
                }
            }
            // Space around an item is no part of it; what is quoted keeps its own.
            Some(it) if it.is_whitespace() && (quoted || item.is_empty()) => {}
            Some(it) => item.push(it),
        }
    }
}

#[cfg(test)]
mod tests;
