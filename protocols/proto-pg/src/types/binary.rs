//! The binary form of every value, both directions. Integers are big-endian; dates count from 2000-01-01.
//!
//! ```text
//!  array:  ndim │ flags │ element oid │ ndim × (length │ lower bound) │ elements: length word, bytes
//!            4      4          4              4          4
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use query_api::{DataType, Value};

use super::{info, mismatch, numeric};
use crate::codec::{Report, utf8};
use query_api::calendar::{DAY_US, EPOCH_DAYS, EPOCH_US};

/// As in PostgreSQL (`MAXDIM`).
pub(super) const DIMENSION_COUNT_MAX: usize = 6;

/// Appends a value that is not NULL.
///
/// # Errors
/// ERROR XX000 for a value not of the type, 22008 for a date out of the wire's range, 2202E for a ragged array.
pub(super) fn encode(
    out: &mut BytesMut,
    data_type: &DataType,
    value: &Value,
) -> Result<(), Report> {
    match (data_type, value) {
        (DataType::Bool, Value::Bool(truth)) => out.put_u8(u8::from(*truth)),
        (DataType::Int2, Value::Int2(number)) => out.put_i16(*number),
        (DataType::Int4, Value::Int4(number)) => out.put_i32(*number),
        (DataType::Int8, Value::Int8(number)) => out.put_i64(*number),
        (DataType::Oid, Value::Oid(number))
        | (DataType::Reg(_), Value::Reg { oid: number, .. }) => out.put_u32(*number),
        (DataType::Float4, Value::Float4(number)) => out.put_f32(*number),
        (DataType::Float8, Value::Float8(number)) => out.put_f64(*number),
        (DataType::Numeric(..), Value::Numeric(unscaled, scale)) => {
            numeric::put_binary(out, *unscaled, *scale);
        }
        (DataType::Text | DataType::Name | DataType::Unknown, Value::Text(text))
        | (DataType::Json, Value::Json(text) | Value::Text(text)) => out.put_slice(text.as_bytes()),
        (DataType::Jsonb, Value::Json(text) | Value::Text(text)) => {
            out.put_u8(JSONB_VERSION);
            out.put_slice(text.as_bytes());
        }
        (DataType::InternalChar, Value::Text(text)) => {
            out.put_u8(text.as_bytes().first().copied().unwrap_or(0));
        }
        (DataType::Bytea, Value::Bytea(bytes)) => out.put_slice(bytes),
        (DataType::Date, Value::Date(days)) => out.put_i32(wire_days(*days)?),
        (DataType::Time, Value::Time(micros)) => out.put_i64(*micros),
        (DataType::Timestamp | DataType::TimestampTz, Value::Timestamp(micros)) => {
            out.put_i64(wire_micros(*micros)?);
        }
        (DataType::Interval, Value::Interval { months, days, micros }) => {
            out.put_i64(*micros);
            out.put_i32(*days);
            out.put_i32(*months);
        }
        (DataType::Array(_), Value::Array(elements)) => encode_array(out, data_type, elements)?,
        _ => return Err(mismatch(data_type, value)),
    }
    Ok(())
}

/// The infinities keep their values in either epoch.
fn wire_days(days: i32) -> Result<i32, Report> {
    match days {
        i32::MAX | i32::MIN => Ok(days),
        _ => {
            days.checked_sub(EPOCH_DAYS).ok_or_else(|| Report::error("22008", "date out of range"))
        }
    }
}

fn wire_micros(micros: i64) -> Result<i64, Report> {
    match micros {
        i64::MAX | i64::MIN => Ok(micros),
        _ => micros
            .checked_sub(EPOCH_US)
            .ok_or_else(|| Report::error("22008", "timestamp out of range")),
    }
}

fn encode_array(
    out: &mut BytesMut,
    data_type: &DataType,
    elements: &[Value],
) -> Result<(), Report> {
    let mut scalar = data_type;
    while let DataType::Array(inner) = scalar {
        scalar = inner;
    }
    // The shape is the first element's at each level; every other must agree with it.
    let mut shape = Vec::new();
    let mut level = elements;
    loop {
        if level.is_empty() || shape.len() == DIMENSION_COUNT_MAX {
            break;
        }
        shape.push(level.len());
        match &level[0] {
            Value::Array(inner) => level = inner,
            _ => break,
        }
    }
    let mut body = BytesMut::new();
    let mut has_null = false;
    encode_level(&mut body, scalar, elements, &shape, &mut has_null)?;
    let word = |number: usize| {
        i32::try_from(number).map_err(|_| Report::error("54000", "an array has too many elements"))
    };
    out.put_i32(word(shape.len())?);
    out.put_i32(i32::from(has_null));
    out.put_u32(info(scalar).oid);
    for length in shape {
        out.put_i32(word(length)?);
        out.put_i32(1);
    }
    out.put_slice(&body);
    Ok(())
}

fn encode_level(
    out: &mut BytesMut,
    scalar: &DataType,
    elements: &[Value],
    shape: &[usize],
    has_null: &mut bool,
) -> Result<(), Report> {
    let Some((length, inner_shape)) = shape.split_first() else { return Ok(()) };
    if elements.len() != *length {
        return Err(ragged());
    }
    for value in elements {
        match value {
            Value::Array(inner) if !inner_shape.is_empty() => {
                encode_level(out, scalar, inner, inner_shape, has_null)?;
            }
            _ if !inner_shape.is_empty() => return Err(ragged()),
            _ => {
                *has_null |= *value == Value::Null;
                super::encode(out, scalar, value, super::Format::Binary)?;
            }
        }
    }
    Ok(())
}

fn ragged() -> Report {
    Report::error(
        "2202E",
        "multidimensional arrays must have array expressions with matching dimensions",
    )
}

/// The first byte of a binary jsonb. Source: `jsonb_send`.
const JSONB_VERSION: u8 = 1;

/// Reads a parameter.
///
/// # Errors
/// ERROR 22P03 for bytes that are not of the type, 22021 for bad UTF-8, 22003 and 22008 out of range.
pub(super) fn decode(data_type: &DataType, bytes: &Bytes) -> Result<Value, Report> {
    match data_type {
        DataType::Text | DataType::Name | DataType::Unknown => {
            return utf8(bytes).and_then(no_zero).map(|text| Value::Text(text.to_owned()));
        }
        DataType::Json => return utf8(bytes).map(|text| Value::Json(text.to_owned())),
        DataType::Jsonb => {
            let (_, text) = bytes
                .split_first()
                .filter(|(it, _)| **it == JSONB_VERSION)
                .ok_or_else(malformed)?;
            return utf8(text).map(|text| Value::Json(text.to_owned()));
        }
        DataType::Bytea => return Ok(Value::Bytea(bytes.clone())),
        DataType::Numeric(..) => {
            let (unscaled, scale) = numeric::from_binary(bytes).ok_or_else(malformed)??;
            return Ok(Value::Numeric(unscaled, scale));
        }
        DataType::Array(element) => {
            // varchar is text in all but name.
            let oids = [info(element).oid, if **element == DataType::Text { 1043 } else { 0 }];
            return decode_array(&oids, &|bytes| decode(element, bytes), bytes);
        }
        _ => {}
    }
    let mut rest = bytes.as_ref();
    let value = decode_fixed(data_type, &mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(malformed()) }
}

fn decode_fixed(data_type: &DataType, rest: &mut &[u8]) -> Result<Value, Report> {
    let short = |_| malformed();
    Ok(match data_type {
        DataType::Bool => Value::Bool(rest.try_get_u8().map_err(short)? != 0),
        DataType::Int2 => Value::Int2(rest.try_get_i16().map_err(short)?),
        DataType::Int4 => Value::Int4(rest.try_get_i32().map_err(short)?),
        DataType::Int8 => Value::Int8(rest.try_get_i64().map_err(short)?),
        DataType::Oid | DataType::Reg(_) => Value::Oid(rest.try_get_u32().map_err(short)?),
        DataType::Float4 => Value::Float4(rest.try_get_f32().map_err(short)?),
        DataType::Float8 => Value::Float8(rest.try_get_f64().map_err(short)?),
        DataType::InternalChar => {
            let byte = rest.try_get_u8().map_err(short)?;
            utf8(&[byte]).map(|text| Value::Text(text.trim_end_matches('\0').to_owned()))?
        }
        DataType::Date => match rest.try_get_i32().map_err(short)? {
            days @ (i32::MAX | i32::MIN) => Value::Date(days),
            days => Value::Date(
                days.checked_add(EPOCH_DAYS)
                    .filter(|days| *days != i32::MAX)
                    .ok_or_else(|| Report::error("22008", "date out of range"))?,
            ),
        },
        DataType::Time => match rest.try_get_i64().map_err(short)? {
            micros @ 0..=DAY_US => Value::Time(micros),
            _ => return Err(Report::error("22008", "time out of range")),
        },
        DataType::Timestamp | DataType::TimestampTz => match rest.try_get_i64().map_err(short)? {
            micros @ (i64::MAX | i64::MIN) => Value::Timestamp(micros),
            micros => Value::Timestamp(
                micros
                    .checked_add(EPOCH_US)
                    .filter(|micros| *micros != i64::MAX)
                    .ok_or_else(|| Report::error("22008", "timestamp out of range"))?,
            ),
        },
        DataType::Interval => Value::Interval {
            micros: rest.try_get_i64().map_err(short)?,
            days: rest.try_get_i32().map_err(short)?,
            months: rest.try_get_i32().map_err(short)?,
        },
        DataType::Text
        | DataType::Name
        | DataType::Unknown
        | DataType::Json
        | DataType::Jsonb
        | DataType::Bytea
        | DataType::Numeric(..)
        | DataType::Array(_) => return Err(malformed()),
    })
}

/// Zero bytes cannot be in text: PostgreSQL refuses them the same way.
pub(super) fn no_zero(text: &str) -> Result<&str, Report> {
    if text.contains('\0') {
        return Err(Report::error("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    Ok(text)
}

/// Reads an array whose elements are declared with one of `oids`.
///
/// # Errors
/// ERROR 42804 for elements of another type, 54000 for too many dimensions, 22P03 for bytes that are no array.
pub(super) fn decode_array(
    oids: &[u32],
    element: &dyn Fn(&Bytes) -> Result<Value, Report>,
    bytes: &Bytes,
) -> Result<Value, Report> {
    let mut rest = bytes.clone();
    let dimension_count = rest.try_get_u32().map_err(|_| malformed())? as usize;
    let _flags = rest.try_get_u32().map_err(|_| malformed())?;
    let oid = rest.try_get_u32().map_err(|_| malformed())?;
    if dimension_count > DIMENSION_COUNT_MAX {
        let message = format!(
            "number of array dimensions ({dimension_count}) exceeds the maximum allowed ({DIMENSION_COUNT_MAX})"
        );
        return Err(Report::error("54000", message));
    }
    if !oids.contains(&oid) {
        return Err(Report::error("42804", "binary data has wrong array element type"));
    }
    let mut shape = Vec::with_capacity(dimension_count);
    // Every element takes a length word, so the product is bounded by the bytes that remain.
    let mut element_count: usize = 1;
    for _ in 0..dimension_count {
        let length = rest.try_get_i32().map_err(|_| malformed())?;
        let _lower_bound = rest.try_get_i32().map_err(|_| malformed())?;
        let length = usize::try_from(length).map_err(|_| malformed())?;
        element_count = element_count.checked_mul(length).ok_or_else(malformed)?;
        shape.push(length);
    }
    if dimension_count == 0 || element_count == 0 {
        return if rest.is_empty() { Ok(Value::Array(Vec::new())) } else { Err(malformed()) };
    }
    if element_count > rest.len() / 4 {
        return Err(malformed());
    }
    let value = decode_level(element, &shape, &mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(malformed()) }
}

fn decode_level(
    element: &dyn Fn(&Bytes) -> Result<Value, Report>,
    shape: &[usize],
    rest: &mut Bytes,
) -> Result<Value, Report> {
    let Some((length, inner)) = shape.split_first() else {
        let word = rest.try_get_i32().map_err(|_| malformed())?;
        if word == -1 {
            return Ok(Value::Null);
        }
        let len = usize::try_from(word).map_err(|_| malformed())?;
        if len > rest.len() {
            return Err(malformed());
        }
        return element(&rest.split_to(len));
    };
    let mut values = Vec::with_capacity(*length);
    for _ in 0..*length {
        values.push(decode_level(element, inner, rest)?);
    }
    Ok(Value::Array(values))
}

fn malformed() -> Report {
    Report::error("22P03", "incorrect binary data format")
}
