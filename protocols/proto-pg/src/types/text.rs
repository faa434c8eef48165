//! The text form of every value: what PostgreSQL's output functions print.

use bytes::{BufMut, BytesMut};
use query_api::{DataType, Value, text};

use super::{mismatch, numeric};
use crate::codec::Report;

/// Appends the text of a value that is not NULL.
///
/// # Errors
/// ERROR XX000 for a value whose kind cannot stand in the column.
pub(super) fn encode(
    out: &mut BytesMut,
    data_type: &DataType,
    value: &Value,
) -> Result<(), Report> {
    if !fits(data_type, value) {
        return Err(mismatch(data_type, value));
    }
    match value {
        Value::Null => Err(mismatch(data_type, value)),
        Value::Text(text) | Value::Json(text) | Value::Reg { name: text, .. } => {
            out.put_slice(text.as_bytes());
            Ok(())
        }
        Value::Array(elements) => array(out, element_type(data_type), elements),
        Value::Bool(truth) => {
            out.put_u8(if *truth { b't' } else { b'f' });
            Ok(())
        }
        Value::Bytea(bytes) => {
            out.put_slice(text::hex(bytes).as_bytes());
            Ok(())
        }
        _ => {
            out.put_slice(scalar(data_type, value)?.as_bytes());
            Ok(())
        }
    }
}

/// Whether the value may stand in a column of the type: a client reads it as what RowDescription said.
fn fits(data_type: &DataType, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) => *data_type == DataType::Bool,
        Value::Int2(_) => *data_type == DataType::Int2,
        Value::Int4(_) => *data_type == DataType::Int4,
        Value::Int8(_) => *data_type == DataType::Int8,
        Value::Oid(_) | Value::Reg { .. } => {
            matches!(data_type, DataType::Oid | DataType::Reg(_))
        }
        Value::Float4(_) => *data_type == DataType::Float4,
        Value::Float8(_) => *data_type == DataType::Float8,
        Value::Numeric(..) => matches!(data_type, DataType::Numeric(..)),
        Value::Text(_) => matches!(
            data_type,
            DataType::Text
                | DataType::Name
                | DataType::InternalChar
                | DataType::Unknown
                | DataType::Json
                | DataType::Jsonb
        ),
        Value::Json(_) => matches!(data_type, DataType::Json | DataType::Jsonb),
        Value::Bytea(_) => *data_type == DataType::Bytea,
        Value::Date(_) => *data_type == DataType::Date,
        Value::Time(_) => *data_type == DataType::Time,
        Value::Timestamp(_) => matches!(data_type, DataType::Timestamp | DataType::TimestampTz),
        Value::Interval { .. } => *data_type == DataType::Interval,
        Value::Array(_) => matches!(data_type, DataType::Array(_)),
    }
}

fn scalar(data_type: &DataType, value: &Value) -> Result<String, Report> {
    Ok(match value {
        Value::Int2(number) => number.to_string(),
        Value::Int4(number) => number.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Oid(number) => number.to_string(),
        Value::Float4(number) => text::float4(*number),
        Value::Float8(number) => text::float8(*number),
        Value::Numeric(unscaled, scale) => numeric::to_text(*unscaled, *scale),
        Value::Date(days) => text::date(*days),
        Value::Time(micros) => text::clock(*micros),
        Value::Timestamp(micros) => text::timestamp(*micros, *data_type == DataType::TimestampTz),
        Value::Interval { months, days, micros } => text::interval(*months, *days, *micros),
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Json(_)
        | Value::Reg { .. }
        | Value::Bytea(_)
        | Value::Array(_) => return Err(mismatch(data_type, value)),
    })
}

fn element_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Array(element) => element,
        other => other,
    }
}

/// `{a,"b c",NULL}`, nested for more dimensions.
fn array(out: &mut BytesMut, element: &DataType, elements: &[Value]) -> Result<(), Report> {
    out.put_u8(b'{');
    for (index, value) in elements.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        match value {
            Value::Null => out.put_slice(b"NULL"),
            Value::Array(inner) => array(out, element_type(element), inner)?,
            _ => {
                let mut item = BytesMut::new();
                encode(&mut item, element, value)?;
                let mut quoted = String::new();
                text::push_item(&mut quoted, &String::from_utf8_lossy(&item));
                out.put_slice(quoted.as_bytes());
            }
        }
    }
    out.put_u8(b'}');
    Ok(())
}
