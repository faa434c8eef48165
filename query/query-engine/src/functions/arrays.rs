//! PostgreSQL's array functions that DataFusion does not have. Arrays here have one dimension, counted from 1.
//! <https://www.postgresql.org/docs/15/functions-array.html>

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, Int32Array, ListArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;

use super::{Add, Returns, integer};
use crate::error::fault;

/// A subscript, NULL below 1.
pub(crate) const INDEX: &str = "luma_index";
/// The first subscript of a slice, at least 1.
pub(crate) const LOWER: &str = "luma_lower";
/// The last subscript of a slice, at least 0.
pub(crate) const UPPER: &str = "luma_upper";

pub(super) fn register(add: &mut Add<'_>) {
    add("luma_array", Returns::FirstArgument, Arc::new(|args| Ok(never_null(args))));
    for (name, upper) in [("array_length", true), ("array_upper", true), ("array_lower", false)] {
        let bound = move |args: &[ScalarValue]| {
            let length = match args {
                [ScalarValue::List(list), dimension] => {
                    integer(Some(dimension)).and_then(|it| length_of(list, it))
                }
                [_, _] => None,
                _ => return Err(fault("42883", "it takes an array and a dimension")),
            };
            Ok(ScalarValue::Int32(length.map(|it| if upper { it } else { 1 })))
        };
        add(name, Returns::Type(DataType::Int32), Arc::new(bound));
    }
    let inside = |least: i64, otherwise: Option<i64>| {
        move |args: &[ScalarValue]| {
            let value = integer(args.first());
            Ok(ScalarValue::Int64(
                value.and_then(|it| if it < least { otherwise } else { Some(it) }),
            ))
        }
    };
    add(INDEX, Returns::Type(DataType::Int64), Arc::new(inside(1, None)));
    add(LOWER, Returns::Type(DataType::Int64), Arc::new(inside(1, Some(1))));
    add(UPPER, Returns::Type(DataType::Int64), Arc::new(inside(0, Some(0))));
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    add(
        "luma_subscripts",
        Returns::Type(DataType::List(item)),
        Arc::new(|args| {
            let length = length(args.first()).filter(|_| first_dimension(args)).unwrap_or(0);
            let items: Vec<_> = (1..=length).map(|it| ScalarValue::Int32(Some(it))).collect();
            Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Int32)))
        }),
    );
    let item = Arc::new(Field::new("item", DataType::Struct(expanded_fields()), true));
    add("luma_expanded", Returns::Type(DataType::List(item)), Arc::new(expanded));
}

/// An empty array instead of NULL.
fn never_null(args: &[ScalarValue]) -> ScalarValue {
    match args.first() {
        Some(ScalarValue::List(list)) if list.is_null(0) => {
            ScalarValue::List(ScalarValue::new_list_nullable(&[], &list.value_type()))
        }
        Some(value) => value.clone(),
        None => ScalarValue::Null,
    }
}

/// Items in a dimension, counted from 1, of the only array in `list`; an empty array has no dimensions.
fn length_of(list: &ListArray, dimension: i64) -> Option<i32> {
    if list.is_null(0) || dimension < 1 {
        return None;
    }
    let items = list.value(0);
    if dimension == 1 {
        return i32::try_from(items.len()).ok().filter(|it| *it > 0);
    }
    let first = items.as_list_opt::<i32>().filter(|it| !it.is_empty())?;
    length_of(first, dimension - 1)
}

fn length(value: Option<&ScalarValue>) -> Option<i32> {
    match value? {
        ScalarValue::List(list) if !list.is_null(0) => i32::try_from(list.value(0).len()).ok(),
        _ => None,
    }
}

fn first_dimension(args: &[ScalarValue]) -> bool {
    integer(args.get(1)) == Some(1)
}

/// `information_schema._pg_expandarray` gives (x, n): the element and its subscript. Elements are small integers
/// wherever catalogs use it.
fn expanded_fields() -> Fields {
    Fields::from(vec![
        Field::new("x", DataType::Int32, true),
        Field::new("n", DataType::Int32, true),
    ])
}

fn expanded(args: &[ScalarValue]) -> datafusion::common::Result<ScalarValue> {
    let mut elements = Vec::new();
    if let Some(ScalarValue::List(list)) = args.first()
        && !list.is_null(0)
    {
        let values = list.value(0);
        for index in 0..values.len() {
            let value = ScalarValue::try_from_array(&values, index)?;
            elements.push(integer(Some(&value)).and_then(|it| i32::try_from(it).ok()));
        }
    }
    let subscripts: Int32Array = (1..).take(elements.len()).map(Some).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(elements)), Arc::new(subscripts)];
    let rows = StructArray::try_new(expanded_fields(), columns, None)?;
    let items: Result<Vec<_>, _> =
        (0..rows.len()).map(|index| ScalarValue::try_from_array(&rows, index)).collect();
    let data_type = DataType::Struct(expanded_fields());
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items?, &data_type)))
}
