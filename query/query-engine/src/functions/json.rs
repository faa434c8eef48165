//! JSON read: casts to `json` and `jsonb`. What is made of values is [`build`]'s, what is asked for [`parts`]'.
//! <https://www.postgresql.org/docs/15/functions-json.html>, <https://www.postgresql.org/docs/15/datatype-json.html>
//!
//! | | |
//! |---|---|
//! | `x::json` | the text as it is, once it was read |
//! | `x::jsonb` | keys by length and bytes, the last of equal ones; numbers without exponents; one space after `:` and `,` |
//!
//! Invariants:
//! - What is `json` or `jsonb` is one JSON value.

pub(crate) mod build;
pub(crate) mod parts;

use std::sync::Arc;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use query_api::{Error, ErrorKind};
use serde_json::value::RawValue;

use super::{Add, NO_TEXT, Returns, printed, row_function, string, text};
use crate::error::fault;
use crate::operators::kinds;
use crate::types::PG_TYPE;
use crate::{casts, json};

/// What the casts become.
pub(crate) const JSON: &str = "luma_json";
pub(crate) const JSONB: &str = "luma_jsonb";
/// Zeros that an exponent may stand for.
const ZEROS_MAX: i64 = 1000;

pub(super) fn register(add: &mut Add<'_>) {
    for (name, is_binary) in [(JSON, false), (JSONB, true)] {
        let body = move |args: &[ScalarValue]| {
            let Some(value) = args.first().filter(|it| !it.is_null()) else { return Ok(NO_TEXT) };
            let Some(written) = value.try_as_str().flatten() else {
                let (own, target) =
                    (kinds::shown(&value.data_type()), if is_binary { "jsonb" } else { "json" });
                return Err(fault("42846", format!("cannot cast type {own} to {target}")));
            };
            if is_binary {
                return canonical(written).map(text);
            }
            let _: &RawValue = serde_json::from_str(written).map_err(|error| malformed(&error))?;
            Ok(text(written))
        };
        add(name, if is_binary { Returns::Jsonb } else { Returns::Json }, Arc::new(body));
    }
    parts::register(add);
}

/// `jsonb || jsonb`: arrays one after the other, objects in one; anything else is an array of itself.
pub(crate) fn concatenation() -> ScalarUDF {
    ScalarUDF::from(row_function("luma_jsonb_concat", Returns::Jsonb, Arc::new(concatenated)))
}

fn concatenated(args: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some(left), Some(right)) = (string(args.first()), string(args.get(1))) else {
        return Ok(NO_TEXT);
    };
    let (left, right) = (canonical(&left)?, canonical(&right)?);
    let inner = |it: &str| it[1..it.len() - 1].to_owned();
    let (is_object, is_array) = (|it: &str| it.starts_with('{'), |it: &str| it.starts_with('['));
    let both = |left: String, right: String| {
        let separator = if left.is_empty() || right.is_empty() { "" } else { ", " };
        format!("{left}{separator}{right}")
    };
    if is_object(&left) && is_object(&right) {
        // The last of equal keys stays.
        return canonical(&format!("{{{}}}", both(inner(&left), inner(&right)))).map(text);
    }
    let items = |it: String| if is_array(&it) { inner(&it) } else { it };
    Ok(text(format!("[{}]", both(items(left), items(right)))))
}

fn malformed(error: &serde_json::Error) -> DataFusionError {
    let shown = Error::new(ErrorKind::Invalid, "invalid input syntax for type json")
        .with_sqlstate("22P02")
        .with_detail(error.to_string());
    DataFusionError::External(Box::new(shown))
}

fn is_json(field: &Field) -> bool {
    field.metadata().get(PG_TYPE).is_some_and(|it| it == "json" || it == "jsonb")
}

/// The text of a value as `jsonb` prints it.
///
/// # Errors
/// 22P02 for what is no JSON, 54001 for what is nested too deep.
pub(crate) fn canonical(written: &str) -> Result<String> {
    if !json::is_shallow(written) {
        let message = format!("a JSON value is nested deeper than {} levels", json::DEPTH_MAX);
        return Err(fault("54001", message));
    }
    let raw: &RawValue = serde_json::from_str(written).map_err(|error| malformed(&error))?;
    let mut canonical = String::with_capacity(written.len());
    push_canonical(raw, &mut canonical)?;
    Ok(canonical)
}

/// JSON, numbers and booleans as they are, arrays of them as arrays, everything else as a string.
fn written(value: &ScalarValue, is_marked: bool) -> Result<String> {
    let quoted = |it: String| serde_json::Value::from(it).to_string();
    Ok(match value {
        _ if value.is_null() => "null".to_owned(),
        _ if is_marked => value.to_string(),
        ScalarValue::Boolean(Some(it)) => it.to_string(),
        ScalarValue::Float32(_) | ScalarValue::Float64(_) => {
            let number = casts::text_of(value)?;
            // As in PostgreSQL, NaN and the infinities are strings.
            if number.ends_with(['N', 'y']) { quoted(number) } else { number }
        }
        _ if value.data_type().is_numeric() => printed(value)?,
        ScalarValue::List(list) => {
            let items = list.value(0);
            let item = match list.data_type() {
                DataType::List(item) => is_json(item),
                _ => false,
            };
            let items: Result<Vec<String>> = (0..items.len())
                .map(|index| written(&ScalarValue::try_from_array(&items, index)?, item))
                .collect();
            format!("[{}]", items?.join(","))
        }
        // ISO 8601, whatever the style is elsewhere.
        ScalarValue::TimestampSecond(..)
        | ScalarValue::TimestampMillisecond(..)
        | ScalarValue::TimestampMicrosecond(..)
        | ScalarValue::TimestampNanosecond(..) => {
            let shown = casts::text_of(value)?.replacen(' ', "T", 1);
            quoted(if shown.ends_with("+00") { format!("{shown}:00") } else { shown })
        }
        _ => quoted(casts::text_of(value)?),
    })
}

fn push_canonical(raw: &RawValue, out: &mut String) -> Result<()> {
    let written = raw.get();
    match written.as_bytes().first() {
        Some(b'{') => push_object(written, out),
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(written).map_err(|error| malformed(&error))?;
            out.push('[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_canonical(item, out)?;
            }
            out.push(']');
            Ok(())
        }
        Some(b'"') => push_string(&json::string(raw).unwrap_or_default(), out),
        Some(b't' | b'f' | b'n') => {
            out.push_str(written);
            Ok(())
        }
        _ => push_number(written, out),
    }
}

/// Source: `lengthCompareJsonbStringValue` and `uniqueifyJsonbObject` of PostgreSQL's `jsonb_util.c`.
fn push_object(written: &str, out: &mut String) -> Result<()> {
    let mut fields: Vec<(String, &RawValue)> = Vec::new();
    json::each_field(written.as_bytes(), |key, value| fields.push((key.to_owned(), value)))
        .map_err(|error| malformed(&error))?;
    fields.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
    out.push('{');
    let mut is_first = true;
    for (index, (key, value)) in fields.iter().enumerate() {
        // The sort is stable: the last of equal keys was written last.
        if fields.get(index + 1).is_some_and(|(next, _)| next == key) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push_str(", ");
        }
        push_string(key, out)?;
        out.push_str(": ");
        push_canonical(value, out)?;
    }
    out.push('}');
    Ok(())
}

fn push_string(string: &str, out: &mut String) -> Result<()> {
    if string.contains('\0') {
        return Err(fault("22P05", "unsupported Unicode escape sequence"));
    }
    out.push_str(&serde_json::Value::from(string).to_string());
    Ok(())
}

/// A number as `numeric` prints it: every digit, and no exponent.
fn push_number(written: &str, out: &mut String) -> Result<()> {
    let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
    let exponent = exponent.parse::<i64>().ok().filter(|it| it.abs() <= ZEROS_MAX);
    let exponent = exponent
        .ok_or_else(|| fault("0A000", format!("a jsonb number has at most {ZEROS_MAX} zeros")))?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |it| ("-", it));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |it: &str| i64::try_from(it.len()).unwrap_or(i64::MAX);
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    // The point stands after so many digits.
    let point = length(whole) + exponent;
    let digits =
        format!("{}{whole}{fraction}{}", zeros(-point), zeros(exponent - length(fraction)));
    let (whole, fraction) = digits.split_at(usize::try_from(point.max(0)).unwrap_or(0));
    let whole = whole.trim_start_matches('0');
    if digits.contains(|it| it != '0') {
        out.push_str(sign);
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(())
}
