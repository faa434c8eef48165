//! Values on the wire: which OID a type has, and its text and binary forms in both directions.
//!
//! - Text output is what PostgreSQL 15 prints with its defaults: ISO dates, `postgres` intervals, hex `bytea`,
//!   shortest floats. Zoned timestamps are shown in UTC.
//! - Decoding takes a parameter's bytes as hostile: lengths and counts are checked against the bytes present.
//! - A value that does not agree with its column's type is an internal error of that statement, never a panic.
//!
//! Source: the `*in`, `*out`, `*send` and `*recv` functions of PostgreSQL 15.

mod binary;
mod declared;
mod numeric;
mod parse;
#[cfg(test)]
mod tests;
mod text;
mod uuid;

use bytes::{BufMut, Bytes, BytesMut};
use query_api::{DataType, RegKind, Value};

use crate::codec::Report;
pub(crate) use declared::Declared;

/// How one value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    /// # Errors
    /// ERROR 22023 for a code that is neither 0 nor 1.
    pub(crate) fn from_code(code: i16) -> Result<Self, Report> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(Report::error("22023", format!("unsupported format code: {code}"))),
        }
    }

    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// What a client is told of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeInfo {
    pub(crate) oid: u32,
    /// Bytes of the binary form; −1 when it varies.
    pub(crate) len: i16,
    pub(crate) modifier: i32,
}

/// The OID of a value's type; an unknown type is shown as `text`, as PostgreSQL resolves it.
pub(crate) fn info(data_type: &DataType) -> TypeInfo {
    let (oid, len) = match data_type {
        DataType::Bool => (16, 1),
        DataType::Bytea => (17, -1),
        DataType::InternalChar => (18, 1),
        DataType::Name => (19, 64),
        DataType::Int8 => (20, 8),
        DataType::Int2 => (21, 2),
        DataType::Int4 => (23, 4),
        DataType::Text | DataType::Unknown => (25, -1),
        DataType::Oid => (26, 4),
        DataType::Reg(kind) => (reg_oids(*kind).0, 4),
        DataType::Json => (114, -1),
        DataType::Jsonb => (3802, -1),
        DataType::Float4 => (700, 4),
        DataType::Float8 => (701, 8),
        DataType::Date => (1082, 4),
        DataType::Time => (1083, 8),
        DataType::Timestamp => (1114, 8),
        DataType::TimestampTz => (1184, 8),
        DataType::Interval => (1186, 16),
        DataType::Numeric(..) => (1700, -1),
        DataType::Array(element) => (array_oid(element), -1),
    };
    TypeInfo { oid, len, modifier: modifier(data_type) }
}

fn modifier(data_type: &DataType) -> i32 {
    match data_type {
        // A precision of zero means that none was declared.
        DataType::Numeric(precision, scale) if *precision > 0 => {
            // PostgreSQL 15 keeps the scale as an 11-bit two's complement number.
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        DataType::Array(element) => modifier(element),
        _ => -1,
    }
}

/// OIDs of an object identifier type and of its array type.
fn reg_oids(kind: RegKind) -> (u32, u32) {
    match kind {
        RegKind::Proc => (24, 1008),
        RegKind::Procedure => (2202, 2207),
        RegKind::Class => (2205, 2210),
        RegKind::Type => (2206, 2211),
        RegKind::Namespace => (4089, 4090),
        RegKind::Role => (4096, 4097),
    }
}

fn array_oid(element: &DataType) -> u32 {
    match element {
        DataType::Bool => 1000,
        DataType::Bytea => 1001,
        DataType::InternalChar => 1002,
        DataType::Name => 1003,
        DataType::Int2 => 1005,
        DataType::Int4 => 1007,
        DataType::Text | DataType::Unknown => 1009,
        DataType::Int8 => 1016,
        DataType::Float4 => 1021,
        DataType::Float8 => 1022,
        DataType::Oid => 1028,
        DataType::Reg(kind) => reg_oids(*kind).1,
        DataType::Json => 199,
        DataType::Jsonb => 3807,
        DataType::Date => 1182,
        DataType::Time => 1183,
        DataType::Timestamp => 1115,
        DataType::TimestampTz => 1185,
        DataType::Interval => 1187,
        DataType::Numeric(..) => 1231,
        // An array of arrays has the type of its innermost elements.
        DataType::Array(inner) => array_oid(inner),
    }
}

/// Appends a value with its length word; −1 alone for NULL.
///
/// # Errors
/// ERROR XX000 when the value is not of the type, 22008 when a date does not fit the wire's range.
pub(crate) fn encode(
    out: &mut BytesMut,
    data_type: &DataType,
    value: &Value,
    format: Format,
) -> Result<(), Report> {
    if *value == Value::Null {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    match format {
        Format::Text => text::encode(out, data_type, value)?,
        Format::Binary => binary::encode(out, data_type, value)?,
    }
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Report::error("54000", "a value of 2 GiB or more cannot be sent"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Reads a parameter.
///
/// # Errors
/// ERROR 22P02 or 22P03 for malformed input, 22003 and 22008 for values out of range, 22021 for bad UTF-8.
pub(crate) fn decode(data_type: &DataType, bytes: &Bytes, format: Format) -> Result<Value, Report> {
    match format {
        Format::Text => parse::decode(data_type, bytes),
        Format::Binary => binary::decode(data_type, bytes),
    }
}

/// A parameter as the type the engine asked for, when the client declared a narrower one.
///
/// Only conversions that lose nothing are made; anything else is passed on for the engine to judge.
pub(crate) fn widen(value: Value, wanted: &DataType) -> Value {
    let integer = match value {
        Value::Int2(number) => i64::from(number),
        Value::Int4(number) => i64::from(number),
        Value::Int8(number) => number,
        Value::Float4(number) if *wanted == DataType::Float8 => {
            return Value::Float8(f64::from(number));
        }
        other => return other,
    };
    match wanted {
        DataType::Int4 => i32::try_from(integer).map_or(value, Value::Int4),
        DataType::Int8 => Value::Int8(integer),
        DataType::Numeric(..) => Value::Numeric(i128::from(integer), 0),
        // Every integer up to 32 bits is a double.
        DataType::Float8 => {
            i32::try_from(integer).map_or(value, |number| Value::Float8(number.into()))
        }
        DataType::Oid => u32::try_from(integer).map_or(value, Value::Oid),
        _ => value,
    }
}

fn mismatch(data_type: &DataType, value: &Value) -> Report {
    // The value itself may be private or large; its variant is enough to find the bug.
    let debug = format!("{value:?}");
    let variant = debug.split(['(', ' ']).next().unwrap_or_default().to_owned();
    Report::error("XX000", format!("a value of kind {variant} in a column of type {data_type:?}"))
}
