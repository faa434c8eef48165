//! Which operators PostgreSQL has, by the kinds of their sides.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion::sql::sqlparser::tokenizer::Location;

use super::place::Places;
use crate::error::{Located, fault};
use crate::rewrite::literals;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
    Bool,
    Date,
    Timestamp,
    Time,
    Interval,
    Bytes,
}

/// `None` for what may become anything: NULL, a parameter, a string literal; and for what is not judged: arrays.
pub(crate) fn kind(expr: &Expr, data_type: &DataType) -> Option<Kind> {
    if literal(expr).is_some() {
        return None;
    }
    Some(match data_type {
        it if it.is_numeric() => Kind::Number,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Boolean => Kind::Bool,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(..) => Kind::Timestamp,
        DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
        DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kind::Bytes,
        _ => return None,
    })
}

/// The text of a string literal.
pub(crate) fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text),
        _ => None,
    }
}

/// Types string literals and refuses what PostgreSQL has no operator for.
///
/// # Errors
/// 42883 at the operator; for a literal what its cast says, at the literal.
pub(super) fn check(
    expr: &mut RawBinaryExpr,
    left: &DataType,
    right: &DataType,
    places: &Places,
) -> Result<()> {
    let kinds = (kind(&expr.left, left), kind(&expr.right, right));
    match kinds {
        (Some(left_kind), Some(right_kind)) => {
            if is_there(&expr.op, left_kind, right_kind, [left, right]) {
                return Ok(());
            }
            let (left, right) = (shown(left), shown(right));
            let message = format!("operator does not exist: {left} {} {right}", expr.op);
            Err(at(places.operator, fault("42883", message)))
        }
        (None, Some(kind)) if is_typed_by(&expr.op, kind) => {
            typed(&mut expr.left, right, places.left)
        }
        (Some(kind), None) if is_typed_by(&expr.op, kind) => {
            typed(&mut expr.right, left, places.right)
        }
        _ if literal(&expr.left).is_some() && literal(&expr.right).is_some() => {
            use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
            if !matches!(expr.op, Plus | Minus | Multiply | Divide | Modulo) {
                return Ok(());
            }
            let message = format!("operator is not unique: unknown {} unknown", expr.op);
            Err(at(places.operator, fault("42725", message)))
        }
        _ => Ok(()),
    }
}

fn at(place: Option<Location>, error: DataFusionError) -> DataFusionError {
    match place {
        Some(location) => DataFusionError::External(Box::new(Located { location, error })),
        None => error,
    }
}

/// Whether a string literal beside this kind is of its type.
fn is_typed_by(op: &BinaryOperator, kind: Kind) -> bool {
    use BinaryOperator::{Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Plus};
    match op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq => {
            matches!(kind, Kind::Number | Kind::Bool | Kind::Date | Kind::Timestamp)
        }
        Plus | Minus | Multiply | Divide | Modulo => kind == Kind::Number,
        _ => false,
    }
}

/// A string literal as a value of `data_type`; other expressions as they are.
///
/// # Errors
/// What its cast says.
pub(crate) fn literal_as(expr: &mut Expr, data_type: &DataType) -> Result<()> {
    let Some(text) = literal(expr) else { return Ok(()) };
    let read = match data_type {
        DataType::Interval(_) => literals::interval(text),
        DataType::Time64(_) => literals::with_microseconds(text),
        // These are read as casts read them.
        DataType::Utf8 | DataType::Binary => return Ok(()),
        _ => None,
    };
    if let Some(text) = read {
        *expr = Expr::Literal(ScalarValue::Utf8(Some(text)), None);
    }
    typed(expr, data_type, None)
}

/// The literal as a value of `data_type`; decimals are left to find their own digits.
fn typed(expr: &mut Expr, data_type: &DataType, place: Option<Location>) -> Result<()> {
    if matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..)) {
        return Ok(());
    }
    let Some(text) = literal(expr) else { return Ok(()) };
    let mut text = text.trim().to_owned();
    if matches!(data_type, DataType::Timestamp(..)) {
        text = literals::timestamp(&text).unwrap_or(text);
    }
    let text = ScalarValue::Utf8(Some(text));
    let value = text.cast_to(data_type).map_err(|error| at(place, error))?;
    *expr = Expr::Literal(value, None);
    Ok(())
}

fn is_there(op: &BinaryOperator, left: Kind, right: Kind, types: [&DataType; 2]) -> bool {
    use BinaryOperator::{
        Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Plus, StringConcat,
    };
    use Kind::{Bytes, Date, Interval, Number, Text, Time, Timestamp};
    match op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq => {
            left == right || matches!((left, right), (Date, Timestamp) | (Timestamp, Date))
        }
        StringConcat => left == Text || right == Text || (left, right) == (Bytes, Bytes),
        Plus => matches!(
            (left, right),
            (Number, Number | Date)
                | (Date, Number | Interval | Time)
                | (Time, Date | Interval | Timestamp)
                | (Timestamp, Interval | Time)
                | (Interval, Interval | Date | Timestamp | Time)
        ),
        Minus => matches!(
            (left, right),
            (Number, Number)
                | (Date, Number | Interval | Date | Timestamp | Time)
                | (Timestamp, Interval | Date | Timestamp | Time)
                | (Time, Interval | Time)
                | (Interval, Interval | Time)
        ),
        Multiply => {
            matches!((left, right), (Number, Number | Interval | Time) | (Interval | Time, Number))
        }
        Divide => matches!((left, right), (Number | Interval | Time, Number)),
        Modulo => (left, right) == (Number, Number) && !types.iter().any(|it| it.is_floating()),
        _ => true,
    }
}

/// PostgreSQL's name of a type, as it stands in its messages.
pub(crate) fn shown(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt64 => "bigint",
        DataType::UInt32 => "oid",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Boolean => "boolean",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Timestamp(..) => "timestamp without time zone",
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea",
        it if it.is_numeric() => "numeric",
        _ => "text",
    }
}
