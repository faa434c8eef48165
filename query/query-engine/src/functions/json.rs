//! JSON made and read: `json_build_object(key, value, …)`, and casts to `json` and `jsonb`.
//! <https://www.postgresql.org/docs/15/functions-json.html>, <https://www.postgresql.org/docs/15/datatype-json.html>
//!
//! | | |
//! |---|---|
//! | `x::json` | the text as it is, once it was read |
//! | `x::jsonb` | keys by length and bytes, the last of equal ones; numbers without exponents; one space after `:` and `,` |
//!
//! Invariants:
//! - What is `json` or `jsonb` is one JSON value.

use std::sync::Arc;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::datatypes::{Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use query_api::{Error, ErrorKind};
use serde_json::value::RawValue;

use super::{Add, NO_TEXT, Returns, printed, text};
use crate::error::fault;
use crate::operators::kinds;
use crate::types::{self, PG_TYPE};
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
            let raw: &RawValue =
                serde_json::from_str(written).map_err(|error| malformed(&error))?;
            if !is_binary {
                return Ok(text(written));
            }
            let mut canonical = String::with_capacity(written.len());
            push_canonical(raw, &mut canonical)?;
            Ok(text(canonical))
        };
        add(name, Returns::Json, Arc::new(body));
    }
}

/// # Errors
/// DataFusion's.
pub(super) fn register_objects(state: &mut SessionState) -> Result<()> {
    for (name, is_binary) in [("json_build_object", false), ("jsonb_build_object", true)] {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        let signature = Signature::one_of(any, Volatility::Stable);
        state.register_udf(Arc::new(ScalarUDF::from(BuildObject {
            name,
            is_binary,
            signature,
        })))?;
    }
    Ok(())
}

fn malformed(error: &serde_json::Error) -> DataFusionError {
    let shown = Error::new(ErrorKind::Invalid, "invalid input syntax for type json")
        .with_sqlstate("22P02")
        .with_detail(error.to_string());
    DataFusionError::External(Box::new(shown))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BuildObject {
    name: &'static str,
    is_binary: bool,
    signature: Signature,
}

impl ScalarUDFImpl for BuildObject {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(types::marked(Field::new(self.name, DataType::Utf8, true), "json")))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_json: Vec<bool> = args.arg_fields.iter().map(|it| is_json(it)).collect();
        let arrays = crate::arithmetic::arrays(&args.args, args.number_rows)?;
        let scalar = args.args.iter().all(|it| matches!(it, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let mut objects = Vec::with_capacity(rows);
        for row in 0..rows {
            let values: Result<Vec<ScalarValue>> =
                arrays.iter().map(|it| ScalarValue::try_from_array(it, row)).collect();
            objects.push(self.object(&values?, &is_json)?);
        }
        let objects: datafusion::arrow::array::StringArray =
            objects.into_iter().map(Some).collect();
        crate::arithmetic::answer(&args.args, Arc::new(objects))
    }
}

fn is_json(field: &Field) -> bool {
    field.metadata().get(PG_TYPE).is_some_and(|it| it == "json")
}

impl BuildObject {
    fn object(&self, values: &[ScalarValue], is_json: &[bool]) -> Result<String> {
        let refuse = |message: &str| fault("22023", message);
        let mut shown = Vec::new();
        for (pair, marks) in values.chunks(2).zip(is_json.chunks(2)) {
            let ([key, value], [_, is_marked]) = (pair, marks) else {
                return Err(refuse("argument list must have even number of elements"));
            };
            if key.is_null() {
                return Err(refuse("null value not allowed for object key"));
            }
            let key = serde_json::Value::from(key.to_string());
            shown.push(format!("{key} : {}", written(value, *is_marked)?));
        }
        let object = format!("{{{}}}", shown.join(", "));
        if !self.is_binary {
            return Ok(object);
        }
        let raw: &RawValue = serde_json::from_str(&object).map_err(|error| malformed(&error))?;
        let mut canonical = String::with_capacity(object.len());
        push_canonical(raw, &mut canonical)?;
        Ok(canonical)
    }
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
