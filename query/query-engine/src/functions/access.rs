//! Parts of JSON: `->`, `->>`, `#>`, `#>>`. <https://www.postgresql.org/docs/15/functions-json.html>
//!
//! Invariants:
//! - A part is the text that it is in the whole, as PostgreSQL's `json` keeps it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use serde_json::value::RawValue;

use super::{Add, NO_TEXT, Returns, integer, string, text};
use crate::error::fault;
use crate::json;

pub(super) fn register(add: &mut Add<'_>) {
    for (name, as_text, is_path) in [
        ("luma_json_get", false, false),
        ("luma_json_get_text", true, false),
        ("luma_json_path", false, true),
        ("luma_json_path_text", true, true),
    ] {
        let body = move |args: &[ScalarValue]| {
            let (Some(whole), Some(keys)) = (string(args.first()), keys(args.get(1), is_path))
            else {
                return Ok(NO_TEXT);
            };
            part(&whole, &keys, as_text)
        };
        let returns = if as_text { Returns::Type(DataType::Utf8) } else { Returns::SameJson };
        add(name, returns, Arc::new(body));
    }
}

enum Key {
    Name(String),
    /// From the end where it is negative.
    Index(i64),
    /// Of a path: an index in arrays.
    Either(String),
}

/// The keys on the right side; `None` where it is NULL.
fn keys(value: Option<&ScalarValue>, is_path: bool) -> Option<Vec<Key>> {
    let value = value.filter(|it| !it.is_null())?;
    if !is_path {
        return Some(vec![match integer(Some(value)) {
            Some(index) if value.data_type().is_integer() => Key::Index(index),
            _ => Key::Name(string(Some(value))?),
        }]);
    }
    let items = match value {
        ScalarValue::List(list) => {
            let items = list.value(0);
            let item = |index| ScalarValue::try_from_array(&items, index).ok();
            (0..datafusion::arrow::array::Array::len(&items))
                .map(|index| string(item(index).as_ref()))
                .collect::<Option<Vec<_>>>()?
        }
        other => crate::literals::items(&string(Some(other))?)?
            .into_iter()
            .collect::<Option<Vec<_>>>()?,
    };
    Some(items.into_iter().map(Key::Either).collect())
}

fn part(whole: &str, keys: &[Key], as_text: bool) -> Result<ScalarValue> {
    let malformed = || fault("22P02", "invalid input syntax for type json");
    let mut part: &RawValue = serde_json::from_str(whole).map_err(|_| malformed())?;
    for key in keys {
        let Some(next) = step(part, key) else { return Ok(NO_TEXT) };
        part = next;
    }
    if !as_text {
        return Ok(text(part.get()));
    }
    Ok(match part.get() {
        "null" => NO_TEXT,
        raw => text(json::string(part).unwrap_or_else(|| raw.into())),
    })
}

/// What stands under a key: in an object under its last occurrence.
fn step<'a>(whole: &'a RawValue, key: &Key) -> Option<&'a RawValue> {
    let raw = whole.get();
    if raw.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
        let index = match key {
            Key::Index(index) => *index,
            Key::Either(text) => text.parse().ok()?,
            Key::Name(_) => return None,
        };
        let length = i64::try_from(items.len()).ok()?;
        let index = if index < 0 { index + length } else { index };
        return usize::try_from(index).ok().and_then(|it| items.get(it).copied());
    }
    let (Key::Name(name) | Key::Either(name)) = key else { return None };
    if !raw.starts_with('{') {
        return None;
    }
    let mut found = None;
    let wanted = |key: &str, value: &'a RawValue| {
        if key == name {
            found = Some(value);
        }
    };
    json::each_field(raw.as_bytes(), wanted).ok()?;
    found
}
