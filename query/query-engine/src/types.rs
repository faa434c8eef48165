//! Types at the border: query-api ↔ Arrow, and Arrow arrays → rows of values.
//!
//! Invariants:
//! - A field's PostgreSQL type is its Arrow type, or the value of its [`PG_TYPE`] metadata where Arrow has no such
//!   type (`json`, `jsonb`, `name`, `"char"`, `regclass` and its kin). `UInt32` is `oid`.
//! - A value's variant agrees with the column's type, or is `Null`; nothing panics on an Arrow type the engine does
//!   not produce itself: it is rendered as text by Arrow's formatter.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType as Arrow, Date32Type, Date64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use query_api::calendar::DAY_US;
use query_api::{Column, DataType, Error, ErrorKind, RegKind, Row, Value};

use crate::operators::exact;

/// Field metadata key that names a PostgreSQL type Arrow does not have.
pub(crate) const PG_TYPE: &str = "pg.type";

/// The Arrow field of a column of PostgreSQL type `data_type`.
pub(crate) fn field(name: &str, data_type: &DataType, nullable: bool) -> Field {
    let field = Field::new(name, to_arrow(data_type), nullable);
    match data_type {
        DataType::Json => marked(field, "json"),
        DataType::Jsonb => marked(field, "jsonb"),
        DataType::Numeric(precision, _) if *precision > 0 => marked(field, "numeric"),
        DataType::Name => marked(field, "name"),
        DataType::InternalChar => marked(field, "char"),
        DataType::Reg(kind) => marked(field, kind.type_name()),
        _ => field,
    }
}

/// Whether the field's values are jsonb.
pub(crate) fn is_jsonb(field: &Field) -> bool {
    field.metadata().get(PG_TYPE).is_some_and(|it| it == "jsonb")
}

/// `field` with a PostgreSQL type that Arrow does not have.
pub(crate) fn marked(field: Field, pg_type: &str) -> Field {
    field.with_metadata(HashMap::from([(PG_TYPE.to_owned(), pg_type.to_owned())]))
}

pub(crate) fn to_arrow(data_type: &DataType) -> Arrow {
    match data_type {
        DataType::Bool => Arrow::Boolean,
        DataType::Int2 => Arrow::Int16,
        DataType::Int4 => Arrow::Int32,
        DataType::Int8 => Arrow::Int64,
        DataType::Float4 => Arrow::Float32,
        DataType::Float8 => Arrow::Float64,
        DataType::Numeric(0, exact::OPEN_SCALE) => exact::OPEN,
        DataType::Numeric(0, scale) => Arrow::Decimal128(38, *scale),
        DataType::Numeric(precision, scale) => Arrow::Decimal128(*precision, *scale),
        DataType::Text
        | DataType::Name
        | DataType::InternalChar
        | DataType::Json
        | DataType::Jsonb
        | DataType::Unknown => Arrow::Utf8,
        DataType::Bytea => Arrow::Binary,
        DataType::Date => Arrow::Date32,
        DataType::Time => Arrow::Time64(TimeUnit::Microsecond),
        DataType::Timestamp => Arrow::Timestamp(TimeUnit::Microsecond, None),
        DataType::TimestampTz => Arrow::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        DataType::Interval => Arrow::Interval(IntervalUnit::MonthDayNano),
        DataType::Oid | DataType::Reg(_) => Arrow::UInt32,
        // Each number of an array has its own digits.
        DataType::Array(item) if matches!(**item, DataType::Numeric(..)) => {
            Arrow::new_list(exact::OPEN, true)
        }
        DataType::Array(item) => Arrow::new_list(to_arrow(item), true),
    }
}

/// The result columns of a schema, under `names`.
pub(crate) fn columns<'a>(
    names: impl Iterator<Item = &'a str>,
    fields: impl Iterator<Item = &'a Arc<Field>>,
) -> Vec<Column> {
    names
        .zip(fields)
        .map(|(name, field)| Column { name: name.to_owned(), data_type: from_field(field) })
        .collect()
}

pub(crate) fn from_field(field: &Field) -> DataType {
    match field.metadata().get(PG_TYPE).map(String::as_str) {
        Some("json") => DataType::Json,
        Some("jsonb") => DataType::Jsonb,
        Some("name") => DataType::Name,
        Some("char") => DataType::InternalChar,
        Some("numeric") => match field.data_type() {
            Arrow::Decimal128(precision, scale) => DataType::Numeric(*precision, *scale),
            other => from_arrow(other),
        },
        other => match RegKind::ALL.into_iter().find(|kind| Some(kind.type_name()) == other) {
            Some(kind) => DataType::Reg(kind),
            None => from_arrow(field.data_type()),
        },
    }
}

pub(crate) fn from_arrow(data_type: &Arrow) -> DataType {
    match data_type {
        Arrow::Boolean => DataType::Bool,
        Arrow::Int8 | Arrow::UInt8 | Arrow::Int16 => DataType::Int2,
        Arrow::UInt16 | Arrow::Int32 => DataType::Int4,
        Arrow::UInt32 => DataType::Oid,
        // Window functions count in UInt64 where PostgreSQL has bigint.
        Arrow::Int64 | Arrow::UInt64 => DataType::Int8,
        Arrow::Float16 | Arrow::Float32 => DataType::Float4,
        Arrow::Float64 => DataType::Float8,
        // Its digits are a column's, which says so, or what this engine needs for the values.
        Arrow::Decimal128(_, scale) | Arrow::Decimal256(_, scale) => DataType::Numeric(0, *scale),
        Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => {
            DataType::Bytea
        }
        Arrow::Date32 | Arrow::Date64 => DataType::Date,
        Arrow::Time32(_) | Arrow::Time64(_) => DataType::Time,
        Arrow::Timestamp(_, None) => DataType::Timestamp,
        Arrow::Timestamp(_, Some(_)) => DataType::TimestampTz,
        Arrow::Interval(_) | Arrow::Duration(_) => DataType::Interval,
        Arrow::List(item)
        | Arrow::LargeList(item)
        | Arrow::ListView(item)
        | Arrow::FixedSizeList(item, _) => DataType::Array(Box::new(from_field(item))),
        Arrow::Dictionary(_, value) => from_arrow(value),
        // A bare NULL is text to clients, as in PostgreSQL's output.
        _ => DataType::Text,
    }
}

/// Whether values of an Arrow type are shown in a column that was announced as `data_type`.
pub(crate) fn fits(data_type: &DataType, arrow: &Arrow) -> bool {
    match (data_type, from_arrow(arrow)) {
        _ if *arrow == Arrow::Null => true,
        (DataType::Array(item), DataType::Array(_)) => match arrow {
            Arrow::List(field)
            | Arrow::LargeList(field)
            | Arrow::ListView(field)
            | Arrow::FixedSizeList(field, _) => fits(item, field.data_type()),
            _ => false,
        },
        (DataType::Numeric(..), DataType::Numeric(..)) | (DataType::Reg(_), DataType::Oid) => true,
        (
            DataType::Name
            | DataType::InternalChar
            | DataType::Json
            | DataType::Jsonb
            | DataType::Unknown,
            DataType::Text,
        ) => true,
        (announced, own) => *announced == own,
    }
}

/// Rows of one record batch; `types` are its columns' types.
pub(crate) fn rows(batch: &RecordBatch, types: &[DataType]) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> =
        (0..batch.num_rows()).map(|_| Vec::with_capacity(types.len())).collect();
    for (array, data_type) in batch.columns().iter().zip(types) {
        let array = plain(array)?;
        for (index, row) in rows.iter_mut().enumerate() {
            row.push(value(&array, index, data_type)?);
        }
    }
    Ok(rows)
}

fn arrow_error(error: &datafusion::arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot convert a result value: {error}"))
}

/// Unwraps encodings and casts units so that [`value`] needs one arm per type.
fn plain(array: &ArrayRef) -> Result<ArrayRef, Error> {
    let target = match array.data_type() {
        Arrow::Dictionary(_, value) => (**value).clone(),
        Arrow::Utf8View | Arrow::LargeUtf8 => Arrow::Utf8,
        Arrow::BinaryView | Arrow::LargeBinary | Arrow::FixedSizeBinary(_) => Arrow::Binary,
        Arrow::Float16 => Arrow::Float32,
        Arrow::Timestamp(_, zone) => Arrow::Timestamp(TimeUnit::Microsecond, zone.clone()),
        Arrow::Time32(_) => Arrow::Time64(TimeUnit::Microsecond),
        Arrow::LargeList(item) | Arrow::ListView(item) | Arrow::FixedSizeList(item, _) => {
            Arrow::List(Arc::clone(item))
        }
        Arrow::Duration(_) => Arrow::Duration(TimeUnit::Microsecond),
        same => same.clone(),
    };
    if &target == array.data_type() {
        return Ok(Arc::clone(array));
    }
    datafusion::arrow::compute::cast(array, &target).map_err(|error| arrow_error(&error))
}

fn value(array: &ArrayRef, index: usize, data_type: &DataType) -> Result<Value, Error> {
    if array.is_null(index) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        Arrow::Null => Value::Null,
        Arrow::Boolean => Value::Bool(array.as_boolean().value(index)),
        Arrow::Int8 => Value::Int2(array.as_primitive::<Int8Type>().value(index).into()),
        Arrow::UInt8 => Value::Int2(array.as_primitive::<UInt8Type>().value(index).into()),
        Arrow::Int16 => Value::Int2(array.as_primitive::<Int16Type>().value(index)),
        Arrow::UInt16 => Value::Int4(array.as_primitive::<UInt16Type>().value(index).into()),
        Arrow::Int32 => Value::Int4(array.as_primitive::<Int32Type>().value(index)),
        Arrow::UInt32 => Value::Oid(array.as_primitive::<UInt32Type>().value(index)),
        Arrow::Int64 => Value::Int8(array.as_primitive::<Int64Type>().value(index)),
        Arrow::UInt64 => {
            let number = i64::try_from(array.as_primitive::<UInt64Type>().value(index));
            Value::Int8(number.map_err(|_| out_of_range("bigint"))?)
        }
        Arrow::Float32 => Value::Float4(array.as_primitive::<Float32Type>().value(index)),
        Arrow::Float64 => Value::Float8(array.as_primitive::<Float64Type>().value(index)),
        Arrow::Decimal128(_, scale) => {
            Value::Numeric(array.as_primitive::<Decimal128Type>().value(index), *scale)
        }
        Arrow::Decimal256(_, scale) => {
            let number = array.as_primitive::<Decimal256Type>().value(index);
            let shown = if exact::is_varied(array.data_type()) {
                exact::shown(number, *scale)
            } else {
                number.to_i128().map(|it| (it, *scale))
            };
            let (number, scale) = shown.ok_or_else(|| out_of_range("numeric"))?;
            Value::Numeric(number, scale)
        }
        Arrow::Utf8 => {
            let text = array.as_string::<i32>().value(index).to_owned();
            match data_type {
                DataType::Json | DataType::Jsonb => Value::Json(text),
                _ => Value::Text(text),
            }
        }
        Arrow::Binary => {
            Value::Bytea(Bytes::copy_from_slice(array.as_binary::<i32>().value(index)))
        }
        Arrow::List(_) => {
            let items = plain(&array.as_list::<i32>().value(index))?;
            let item_type = match data_type {
                DataType::Array(item) => (**item).clone(),
                _ => from_arrow(items.data_type()),
            };
            let items: Result<Vec<_>, _> =
                (0..items.len()).map(|index| value(&items, index, &item_type)).collect();
            Value::Array(items?)
        }
        _ => time_value(array, index)?,
    })
}

fn out_of_range(type_name: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{type_name} out of range")).with_sqlstate("22003")
}

fn time_value(array: &ArrayRef, index: usize) -> Result<Value, Error> {
    const DAY_MS: i64 = 86_400_000;
    Ok(match array.data_type() {
        Arrow::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(index)),
        Arrow::Date64 => {
            let days = array.as_primitive::<Date64Type>().value(index).div_euclid(DAY_MS);
            i32::try_from(days).map_or(Value::Null, Value::Date)
        }
        Arrow::Time64(TimeUnit::Microsecond) => {
            Value::Time(array.as_primitive::<Time64MicrosecondType>().value(index))
        }
        Arrow::Time64(_) => {
            Value::Time(array.as_primitive::<Time64NanosecondType>().value(index) / 1000)
        }
        Arrow::Timestamp(_, _) => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(index))
        }
        // What one timestamp minus another gives: whole days are days, as in PostgreSQL.
        Arrow::Duration(_) => {
            let micros = array.as_primitive::<DurationMicrosecondType>().value(index);
            let days = i32::try_from(micros / DAY_US).unwrap_or(i32::MAX);
            Value::Interval { months: 0, days, micros: micros % DAY_US }
        }
        Arrow::Interval(IntervalUnit::MonthDayNano) => {
            let it = array.as_primitive::<IntervalMonthDayNanoType>().value(index);
            Value::Interval { months: it.months, days: it.days, micros: it.nanoseconds / 1000 }
        }
        Arrow::Interval(IntervalUnit::DayTime) => {
            let it = array.as_primitive::<IntervalDayTimeType>().value(index);
            Value::Interval { months: 0, days: it.days, micros: i64::from(it.milliseconds) * 1000 }
        }
        Arrow::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>().value(index);
            Value::Interval { months, days: 0, micros: 0 }
        }
        _ => {
            let options = FormatOptions::default();
            let formatter =
                ArrayFormatter::try_new(array, &options).map_err(|error| arrow_error(&error))?;
            Value::Text(formatter.value(index).to_string())
        }
    })
}
