//! The text form of every value: what PostgreSQL's output functions print.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use query_api::{DataType, Value};

use super::calendar::{DAY_US, date_of};
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
            bytea(out, bytes);
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
        Value::Float4(number) => float(&format!("{number:e}"), 6),
        Value::Float8(number) => float(&format!("{number:e}"), 15),
        Value::Numeric(unscaled, scale) => numeric::to_text(*unscaled, *scale),
        Value::Date(i32::MAX) => "infinity".to_owned(),
        Value::Date(i32::MIN) => "-infinity".to_owned(),
        Value::Date(days) => with_era(i64::from(*days), ""),
        Value::Time(micros) => clock(*micros),
        Value::Timestamp(i64::MAX) => "infinity".to_owned(),
        Value::Timestamp(i64::MIN) => "-infinity".to_owned(),
        Value::Timestamp(micros) => {
            let zone = if *data_type == DataType::TimestampTz { "+00" } else { "" };
            let time = clock(micros.rem_euclid(DAY_US));
            with_era(micros.div_euclid(DAY_US), &format!(" {time}{zone}"))
        }
        Value::Interval { months, days, micros } => interval(*months, *days, *micros),
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

/// Shortest digits as `%g` lays them out: fixed when −4 ≤ exponent < `fixed_max`, else scientific.
///
/// `scientific` is Rust's shortest `d.ddde-5`. Source: `double_to_shortest_decimal_buf` in PostgreSQL.
fn float(scientific: &str, fixed_max: i32) -> String {
    let (sign, rest) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = rest.split_once('e') else {
        return if rest == "inf" { format!("{sign}Infinity") } else { "NaN".to_owned() };
    };
    let exponent: i32 = exponent.parse().expect("written by the formatter");
    if !(-4..fixed_max).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            format!("{sign}0.{zeros}{digits}")
        }
        Ok(whole) if digits.len() > whole + 1 => {
            let (whole, fraction) = digits.split_at(whole + 1);
            format!("{sign}{whole}.{fraction}")
        }
        Ok(whole) => format!("{sign}{digits:0<width$}", width = whole + 1),
    }
}

/// A date with what follows it, and `BC` last of all.
fn with_era(days: i64, rest: &str) -> String {
    let date = date_of(days);
    let (year, era) = if date.year > 0 { (date.year, "") } else { (1 - date.year, " BC") };
    format!("{year:04}-{:02}-{:02}{rest}{era}", date.month, date.day)
}

/// `HH:MM:SS[.ffffff]`; microseconds from 0 to a whole day.
fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, (micros % 1_000_000).unsigned_abs());
    text
}

fn push_fraction(text: &mut String, micros: u64) {
    if micros > 0 {
        let fraction = format!("{micros:06}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
}

/// Style `postgres`: `1 year 2 mons -3 days +04:05:06.7`. Source: `EncodeInterval`.
fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut text = String::new();
    let mut negative_before = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if negative_before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(text, "{space}{plus}{value} {unit}{plural}");
        negative_before = value < 0;
    }
    if text.is_empty() || micros != 0 {
        let space = if text.is_empty() { "" } else { " " };
        let sign = match (micros < 0, negative_before) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let absolute = micros.unsigned_abs();
        let seconds = absolute / 1_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let _ = write!(text, "{space}{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        push_fraction(&mut text, absolute % 1_000_000);
    }
    text
}

fn bytea(out: &mut BytesMut, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + bytes.len() * 2);
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
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
                let mut text = BytesMut::new();
                encode(&mut text, element, value)?;
                put_quoted(out, &text);
            }
        }
    }
    out.put_u8(b'}');
    Ok(())
}

fn put_quoted(out: &mut BytesMut, text: &[u8]) {
    let special = |byte: &u8| {
        matches!(
            byte,
            b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c
        )
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        out.put_slice(text);
        return;
    }
    out.put_u8(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}
