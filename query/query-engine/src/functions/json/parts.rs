//! What `jsonb` is asked for: containment, keys, elements, lengths; and the bytes that it is ordered by.
//! <https://www.postgresql.org/docs/15/functions-json.html>
//!
//! Invariants:
//! - NULL beside anything gives NULL.
//! - Elements are the text that they are in the whole.

use std::sync::Arc;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;
use serde_json::value::RawValue;

use super::super::{Add, Body, NO_TEXT, Returns, row_function, string, text};
use crate::error::fault;
use crate::json::{self, tree::Tree};

/// `?`, `?|` and `?&`.
pub(crate) const HAS: &str = "luma_json_has";
pub(crate) const HAS_ANY: &str = "luma_json_has_any";
pub(crate) const HAS_ALL: &str = "luma_json_has_all";
/// Elements of arrays, and keys and values of objects, as arrays; the second argument is what errors call the function.
pub(crate) const ITEMS: &str = "luma_json_items";
pub(crate) const ITEM_TEXTS: &str = "luma_json_item_texts";
pub(crate) const KEYS: &str = "luma_json_keys";
pub(crate) const VALUES: &str = "luma_json_values";
pub(crate) const VALUE_TEXTS: &str = "luma_json_value_texts";

pub(super) fn register(add: &mut Add<'_>) {
    let boolean = || Returns::Type(DataType::Boolean);
    add(HAS, boolean(), asked(|tree, names| names.iter().all(|it| tree.has(it))));
    add(HAS_ALL, boolean(), asked(|tree, names| names.iter().all(|it| tree.has(it))));
    add(HAS_ANY, boolean(), asked(|tree, names| names.iter().any(|it| tree.has(it))));
    for prefix in ["json", "jsonb"] {
        add(&format!("{prefix}_typeof"), Returns::Type(DataType::Utf8), Arc::new(kind));
        let length = format!("{prefix}_array_length");
        add(&length, Returns::Type(DataType::Int32), Arc::new(length_of));
    }
    let texts =
        || Returns::Type(DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))));
    add(ITEMS, texts(), Arc::new(|args| listed(args, Wanted::Items, false)));
    add(ITEM_TEXTS, texts(), Arc::new(|args| listed(args, Wanted::Items, true)));
    add(KEYS, texts(), Arc::new(|args| listed(args, Wanted::Keys, false)));
    add(VALUES, texts(), Arc::new(|args| listed(args, Wanted::Values, false)));
    add(VALUE_TEXTS, texts(), Arc::new(|args| listed(args, Wanted::Values, true)));
}

fn tree(written: &str) -> Result<Tree<'_>> {
    Tree::read(written).map_err(|_| fault("22P02", "invalid input syntax for type json"))
}

/// `@>`.
pub(crate) fn containment() -> ScalarUDF {
    let returns = Returns::Type(DataType::Boolean);
    ScalarUDF::from(row_function("luma_json_contains", returns, Arc::new(contains)))
}

/// The bytes of [`Tree::key`].
pub(crate) fn order() -> ScalarUDF {
    let returns = Returns::Type(DataType::Binary);
    ScalarUDF::from(row_function("luma_jsonb_order", returns, Arc::new(key)))
}

fn contains(args: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some(whole), Some(part)) = (string(args.first()), string(args.get(1))) else {
        return Ok(ScalarValue::Boolean(None));
    };
    Ok(ScalarValue::Boolean(Some(tree(&whole)?.contains(&tree(&part)?))))
}

fn asked(answer: fn(&Tree<'_>, &[String]) -> bool) -> Body {
    Arc::new(move |args| {
        let (Some(whole), Some(names)) = (string(args.first()), names(args.get(1))?) else {
            return Ok(ScalarValue::Boolean(None));
        };
        Ok(ScalarValue::Boolean(Some(answer(&tree(&whole)?, &names))))
    })
}

/// One name, or those of an array; NULLs in it are none.
fn names(value: Option<&ScalarValue>) -> Result<Option<Vec<String>>> {
    let Some(value) = value.filter(|it| !it.is_null()) else { return Ok(None) };
    let ScalarValue::List(list) = value else {
        return Ok(string(Some(value)).map(|it| vec![it]));
    };
    let items = list.value(0);
    let all: Result<Vec<Option<String>>> = (0..items.len())
        .map(|index| Ok(string(Some(&ScalarValue::try_from_array(&items, index)?))))
        .collect();
    Ok(Some(all?.into_iter().flatten().collect()))
}

fn key(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(written) = string(args.first()) else { return Ok(ScalarValue::Binary(None)) };
    Ok(ScalarValue::Binary(Some(tree(&written)?.key())))
}

fn kind(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(written) = string(args.first()) else { return Ok(NO_TEXT) };
    Ok(text(tree(&written)?.kind()))
}

fn length_of(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(written) = string(args.first()) else { return Ok(ScalarValue::Int32(None)) };
    match tree(&written)? {
        Tree::Array(items) => Ok(ScalarValue::Int32(i32::try_from(items.len()).ok())),
        Tree::Object(_) => Err(fault("22023", "cannot get array length of a non-array")),
        _ => Err(fault("22023", "cannot get array length of a scalar")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Items,
    Keys,
    Values,
}

fn listed(args: &[ScalarValue], wanted: Wanted, as_texts: bool) -> Result<ScalarValue> {
    let of = |items: &[ScalarValue]| {
        Ok(ScalarValue::List(ScalarValue::new_list_nullable(items, &DataType::Utf8)))
    };
    let Some(written) = string(args.first()) else { return of(&[]) };
    let function = string(args.get(1)).unwrap_or_default();
    let malformed = |_| fault("22P02", "invalid input syntax for type json");
    let refuse = |what: String| Err(fault("22023", what));
    let raw: &RawValue = serde_json::from_str(&written).map_err(malformed)?;
    let shown = |it: &RawValue| match (as_texts, it.get()) {
        (true, "null") => NO_TEXT,
        (true, own) => text(json::string(it).unwrap_or_else(|| own.into())),
        (false, own) => text(own),
    };
    let first = raw.get().as_bytes().first();
    match (wanted, first) {
        (Wanted::Items, Some(b'[')) => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(malformed)?;
            of(&items.into_iter().map(shown).collect::<Vec<_>>())
        }
        (Wanted::Items, Some(b'{')) if function.starts_with("json_") => {
            refuse(format!("cannot call {function} on a non-array"))
        }
        (Wanted::Items, Some(b'{')) => refuse("cannot extract elements from an object".to_owned()),
        (Wanted::Items, _) if function.starts_with("json_") => {
            refuse(format!("cannot call {function} on a scalar"))
        }
        (Wanted::Items, _) => refuse("cannot extract elements from a scalar".to_owned()),
        (_, Some(b'{')) => {
            let mut found = Vec::new();
            json::each_field(raw.get().as_bytes(), |key, value| {
                found.push(if wanted == Wanted::Keys { text(key) } else { shown(value) });
            })
            .map_err(malformed)?;
            of(&found)
        }
        (Wanted::Keys, Some(b'[')) if function.ends_with("_keys") => {
            refuse(format!("cannot call {function} on an array"))
        }
        (Wanted::Keys, _) if function.ends_with("_keys") => {
            refuse(format!("cannot call {function} on a scalar"))
        }
        _ if function.starts_with("json_") && first == Some(&b'[') => {
            refuse("cannot deconstruct an array as an object".to_owned())
        }
        _ if function.starts_with("json_") => refuse("cannot deconstruct a scalar".to_owned()),
        _ => refuse(format!("cannot call {function} on a non-object")),
    }
}
