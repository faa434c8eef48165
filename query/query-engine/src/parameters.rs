//! `$n`: the client's types written into the statement, inferred types, and values as DataFusion's scalars.
//!
//! Invariants:
//! - A client's type wins over inference; what neither gives is text, as in PostgreSQL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType as SqlType, Expr, Ident, LimitClause, ObjectName, Query,
    Statement, Value as SqlValue, Visit as _, VisitMut, Visitor, VisitorMut,
};
use query_api::{DataType, Error, ErrorKind, Value};

use crate::ddl;
use crate::engine::{Parsed, Shared};
use crate::types as arrow_types;

/// Most parameters a statement may have; the protocol's own limit.
const PARAMETERS_MAX: usize = 65_535;

/// Wraps `$n` in a cast to the client's type.
pub(crate) fn write_hints(statement: &mut Statement, hints: &[DataType]) {
    struct Hints<'a>(&'a [DataType]);
    impl VisitorMut for Hints<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Value(value) = expr
                && let SqlValue::Placeholder(name) = &value.value
                && let Some(index) = index(name)
                && let Some(sql_type) = self.0.get(index).and_then(sql_type)
            {
                let inner = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
                *expr = Expr::Cast {
                    kind: CastKind::DoubleColon,
                    expr: Box::new(inner),
                    data_type: sql_type,
                    array: false,
                    format: None,
                };
            }
            ControlFlow::Continue(())
        }
    }
    if hints.iter().any(|hint| *hint != DataType::Unknown) {
        let _ = statement.visit(&mut Hints(hints));
    }
}

/// The client's types, and where it left one open what the statement says of the parameter: the type it is cast to first,
/// `bigint` in LIMIT and OFFSET.
pub(crate) fn filled(statement: &Statement, hints: &[DataType]) -> Vec<DataType> {
    let mut found = Found(hints.to_vec());
    let _ = statement.visit(&mut found);
    found.0
}

struct Found(Vec<DataType>);

impl Found {
    fn take(&mut self, expr: &Expr, data_type: impl FnOnce() -> Option<DataType>) {
        let Expr::Value(value) = expr else { return };
        let SqlValue::Placeholder(name) = &value.value else { return };
        let Some(index) = index(name).filter(|index| *index < PARAMETERS_MAX) else { return };
        if self.0.get(index).is_some_and(|it| *it != DataType::Unknown) {
            return;
        }
        let Some(data_type) = data_type() else { return };
        if self.0.len() <= index {
            self.0.resize(index + 1, DataType::Unknown);
        }
        self.0[index] = data_type;
    }
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Cast { expr, data_type, .. } = expr {
            self.take(expr, || named_type(data_type));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let counts = limit.iter().chain(offset.iter().map(|it| &it.value));
            counts.for_each(|it| self.take(it, || Some(DataType::Int8)));
        }
        if let Some(count) = query.fetch.as_ref().and_then(|it| it.quantity.as_ref()) {
            self.take(count, || Some(DataType::Int8));
        }
        ControlFlow::Continue(())
    }
}

/// A type as a parameter may have it; `None` for names that are not known here.
fn named_type(name: &SqlType) -> Option<DataType> {
    match name {
        SqlType::Varchar(_) | SqlType::CharacterVarying(_) => Some(DataType::Text),
        SqlType::Interval { .. } => Some(DataType::Interval),
        SqlType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => {
            named_type(item).map(|it| DataType::Array(Box::new(it)))
        }
        other => ddl::data_type(other).ok(),
    }
}

/// Zero-based index of `$n`.
fn index(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

/// How a type is written in a cast; `None` for types a cast cannot name.
pub(crate) fn sql_type(data_type: &DataType) -> Option<SqlType> {
    let name = match data_type {
        DataType::Unknown | DataType::Array(_) => return None,
        DataType::Bool => "bool",
        DataType::Int2 => "int2",
        DataType::Int4 => "int4",
        DataType::Int8 => "int8",
        DataType::Float4 => "float4",
        DataType::Float8 => "float8",
        DataType::Numeric(..) => "numeric",
        DataType::Text | DataType::Json | DataType::Name | DataType::InternalChar => "text",
        // The rewriter reads it; a name of the catalog would be text.
        DataType::Jsonb => return Some(SqlType::JSONB),
        DataType::Bytea => "bytea",
        DataType::Date => "date",
        DataType::Time => "time",
        DataType::Timestamp => "timestamp",
        DataType::TimestampTz => "timestamptz",
        DataType::Interval => "interval",
        DataType::Oid | DataType::Reg(_) => "oid",
    };
    let path = vec![Ident::new("pg_catalog"), Ident::new(name)];
    Some(SqlType::Custom(ObjectName::from(path), Vec::new()))
}

/// The type of each parameter, `$1` first.
///
/// # Errors
/// 42P02 for a gap too large to be meant.
pub(crate) fn types(
    shared: &Shared,
    parsed: &Parsed,
    plan: &LogicalPlan,
    hints: &[DataType],
) -> Result<Vec<DataType>, Error> {
    let fields =
        plan.get_parameter_fields().map_err(|error| shared.text(parsed).datafusion(&error))?;
    let mut known: BTreeMap<usize, Option<DataType>> = BTreeMap::new();
    for (name, field) in &fields {
        let Some(index) = index(name).filter(|index| *index < PARAMETERS_MAX) else {
            return Err(Error::new(ErrorKind::Invalid, format!("there is no parameter {name}"))
                .with_sqlstate("42P02"));
        };
        known.insert(index, field.as_ref().map(|field| arrow_types::from_field(field)));
    }
    let count = known.keys().next_back().map_or(0, |last| last + 1).max(hints.len());
    let types = (0..count).map(|index| {
        let hint = hints.get(index).filter(|hint| **hint != DataType::Unknown).cloned();
        hint.or_else(|| known.get(&index).cloned().flatten()).unwrap_or(DataType::Text)
    });
    Ok(types.collect())
}

/// A bound value as a scalar of the parameter's type.
///
/// # Errors
/// 22P02 when the value cannot be of that type.
pub(crate) fn scalar(value: &Value, data_type: &DataType) -> Result<ScalarValue, Error> {
    let target = arrow_types::to_arrow(data_type);
    let plain = match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(it) => ScalarValue::Boolean(Some(*it)),
        Value::Int2(it) => ScalarValue::Int16(Some(*it)),
        Value::Int4(it) => ScalarValue::Int32(Some(*it)),
        Value::Int8(it) => ScalarValue::Int64(Some(*it)),
        Value::Float4(it) => ScalarValue::Float32(Some(*it)),
        Value::Float8(it) => ScalarValue::Float64(Some(*it)),
        Value::Numeric(unscaled, scale) => ScalarValue::Decimal128(Some(*unscaled), 38, *scale),
        Value::Text(it) | Value::Json(it) => ScalarValue::Utf8(Some(it.clone())),
        Value::Bytea(it) => ScalarValue::Binary(Some(it.to_vec())),
        Value::Date(it) => ScalarValue::Date32(Some(*it)),
        Value::Time(it) => ScalarValue::Time64Microsecond(Some(*it)),
        Value::Timestamp(it) => {
            let zone = (*data_type == DataType::TimestampTz).then(|| Arc::from("+00:00"));
            ScalarValue::TimestampMicrosecond(Some(*it), zone)
        }
        Value::Interval { months, days, micros } => {
            let nanos = micros.checked_mul(1000).ok_or_else(|| out_of_range(data_type))?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                *months, *days, nanos,
            )))
        }
        Value::Oid(it) | Value::Reg { oid: it, .. } => ScalarValue::UInt32(Some(*it)),
        Value::Array(items) => {
            let DataType::Array(item) = data_type else { return Err(out_of_range(data_type)) };
            let scalars: Result<Vec<_>, _> = items.iter().map(|it| scalar(it, item)).collect();
            let list = ScalarValue::new_list_nullable(&scalars?, &arrow_types::to_arrow(item));
            ScalarValue::List(list)
        }
    };
    // numeric(38, s) holds what a numeric without precision can hold here.
    if matches!((&plain, data_type), (ScalarValue::Decimal128(..), DataType::Numeric(..))) {
        return Ok(plain);
    }
    plain.cast_to(&target).map_err(|_| out_of_range(data_type))
}

fn out_of_range(data_type: &DataType) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("the value does not fit the parameter's type {data_type:?}"),
    )
    .with_sqlstate("22P02")
}
