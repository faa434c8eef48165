//! `$n`: the client's types written into the statement, inferred types, and values as DataFusion's scalars.
//!
//! Invariants:
//! - A client's type wins over inference; what neither gives is text, as in PostgreSQL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType as Arrow, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType as SqlType, Expr, Ident, LimitClause, ObjectName, Query,
    Statement, Value as SqlValue, Visit as _, VisitMut, Visitor, VisitorMut,
};
use query_api::{DataType, Error, ErrorKind, Value};

use crate::ddl;
use crate::engine::{Parsed, Shared};
use crate::error::unsupported;
use crate::operators::exact;
use crate::types as arrow_types;

/// Most parameters a statement may have; the protocol's own limit.
const PARAMETERS_MAX: usize = 65_535;

/// The kind of the cast that gives `$n` its type, until the rewriter has named the columns: a column is not named after it.
pub(crate) const WRITTEN: CastKind = CastKind::SafeCast;

/// Wraps `$n` in a cast to the client's type.
pub(crate) fn write_hints(statement: &mut Statement, hints: &[DataType]) {
    struct Written<'a>(&'a [DataType]);
    impl VisitorMut for Written<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Value(value) = expr
                && let SqlValue::Placeholder(name) = &value.value
                && let Some(index) = index(name)
                && let Some(sql_type) = self.0.get(index).and_then(sql_type)
            {
                let inner = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
                *expr = Expr::Cast {
                    kind: WRITTEN,
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
        let _ = statement.visit(&mut Written(hints));
    }
}

/// The cast of a parameter as any other.
pub(crate) fn spell_out(expr: &mut Expr) {
    if let Expr::Cast { kind: kind @ WRITTEN, .. } = expr {
        *kind = CastKind::DoubleColon;
    }
}

/// The client's types, and where it left one open what the statement says of the parameter: the type it is cast to first,
/// `bigint` in LIMIT and OFFSET.
pub(crate) fn filled(statement: &Statement, hints: &[DataType]) -> Vec<DataType> {
    let mut found = Hints::new(hints);
    let _ = statement.visit(&mut found);
    found.found()
}

/// Types of parameters, as they are found.
pub(crate) struct Hints(Vec<DataType>);

impl Hints {
    pub(crate) fn new(known: &[DataType]) -> Self {
        Self(known.to_vec())
    }

    pub(crate) fn found(self) -> Vec<DataType> {
        self.0
    }

    /// Gives a parameter that has none a type; other expressions have no say.
    pub(crate) fn take(&mut self, expr: &Expr, data_type: impl FnOnce() -> Option<DataType>) {
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

impl Visitor for Hints {
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
        SqlType::JSONB => Some(DataType::Jsonb),
        // However many dimensions are written, the type is one.
        SqlType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => match named_type(item)? {
            array @ DataType::Array(_) => Some(array),
            item => Some(DataType::Array(Box::new(item))),
        },
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
        DataType::Unknown => return None,
        DataType::Array(item) => {
            let item = match **item {
                DataType::Numeric(..) => exact::type_name(),
                _ => sql_type(item)?,
            };
            let item = ArrayElemTypeDef::SquareBracket(Box::new(item), None);
            return Some(SqlType::Array(item));
        }
        DataType::Bool => "bool",
        DataType::Int2 => "int2",
        DataType::Int4 => "int4",
        DataType::Int8 => "int8",
        DataType::Float4 => "float4",
        DataType::Float8 => "float8",
        DataType::Numeric(..) => "numeric",
        DataType::Text | DataType::Name | DataType::InternalChar => "text",
        // The rewriter reads these; a name of the catalog would be text.
        DataType::Json => return Some(SqlType::JSON),
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
        Value::Null => {
            return ScalarValue::try_from(&target).map_err(|_| out_of_range(data_type));
        }
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
            return array(items, data_type, &target);
        }
    };
    // numeric(38, s) holds what a numeric without precision can hold here.
    if matches!((&plain, data_type), (ScalarValue::Decimal128(..), DataType::Numeric(..))) {
        return Ok(plain);
    }
    plain.cast_to(&target).map_err(|_| out_of_range(data_type))
}

/// Items as an array of type `target`.
fn array(items: &[Value], data_type: &DataType, target: &Arrow) -> Result<ScalarValue, Error> {
    let (DataType::Array(of), Arrow::List(field)) = (data_type, target) else {
        return Err(out_of_range(data_type));
    };
    let item = |it: &Value| match it {
        Value::Null => {
            ScalarValue::try_from(field.data_type()).map_err(|_| out_of_range(data_type))
        }
        Value::Array(_) => {
            Err(unsupported("an array of more than one dimension cannot be a parameter"))
        }
        Value::Numeric(unscaled, scale) if exact::is_varied(field.data_type()) => {
            exact::open(*unscaled, *scale)
        }
        other => scalar(other, of),
    };
    let items: Result<Vec<ScalarValue>, Error> = items.iter().map(item).collect();
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items?, field.data_type())))
}

fn out_of_range(data_type: &DataType) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("the value does not fit the parameter's type {data_type:?}"),
    )
    .with_sqlstate("22P02")
}
