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
