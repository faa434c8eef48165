//! Digits of result columns: those of a table's column and those that a cast names, and none of what is worked out.
//!
//! | select item | typmod |
//! |---|---|
//! | `n` of `numeric(10,2)` | of `numeric(10,2)` |
//! | `x::numeric(5,1)` | of `numeric(5,1)` |
//! | `-n`, `n + 1`, `max(n)` | none |

use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, ExactNumberInfo, Expr, Function, SelectItem, SetExpr, Statement,
};
use query_api::{Column, DataType};

use crate::rewrite::parts;

/// Functions whose result is one of their arguments.
const ALTERNATIVES: [&str; 4] = ["coalesce", "greatest", "least", "nullif"];

/// The columns of a statement's result with the digits that its select list gives them.
pub(crate) fn declared(statement: &Statement, mut columns: Vec<Column>) -> Vec<Column> {
    let Statement::Query(query) = statement else { return columns };
    let SetExpr::Select(select) = query.body.as_ref() else { return columns };
    if select.projection.len() != columns.len() {
        return columns;
    }
    for (item, column) in select.projection.iter().zip(&mut columns) {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
            return columns;
        };
        if let DataType::Numeric(_, scale) = column.data_type
            && let Some(precision) = precision(expr)
        {
            column.data_type = DataType::Numeric(precision, scale);
        }
    }
    columns
}

/// Digits of a numeric: 0 for one without, `None` where they are its parts'.
fn precision(expr: &Expr) -> Option<u8> {
    match expr {
        Expr::Nested(inner) => precision(inner),
        Expr::UnaryOp { .. } | Expr::BinaryOp { .. } => Some(0),
        Expr::Function(Function { name, .. }) => {
            let is_one = parts(name).last().is_some_and(|it| ALTERNATIVES.contains(&it.as_str()));
            (!is_one).then_some(0)
        }
        Expr::Cast {
            data_type: SqlType::Numeric(digits) | SqlType::Decimal(digits) | SqlType::Dec(digits),
            ..
        } => match digits {
            ExactNumberInfo::None => Some(0),
            ExactNumberInfo::Precision(precision)
            | ExactNumberInfo::PrecisionAndScale(precision, _) => u8::try_from(*precision).ok(),
        },
        _ => None,
    }
}
