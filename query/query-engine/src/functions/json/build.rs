//! JSON made of values: `json_build_object(key, value, …)`, `json_build_array(value, …)`, `to_json(value)`, and what
//! `json_agg` and `json_object_agg` are made of. <https://www.postgresql.org/docs/15/functions-json.html>
//!
//! ```text
//!  json_agg(x)            →  luma_json_list(array_agg(luma_json_item(x)))
//!  json_object_agg(k, v)  →  luma_json_entries(array_agg(luma_json_entry(k, v)))
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, AsArray as _, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::{canonical, is_json, written};
use crate::error::fault;
use crate::types;

/// An item of `json_agg`: never NULL.
pub(crate) const ITEM: &str = "luma_json_item";
/// An item that is a row.
pub(crate) const ITEM_ROW: &str = "luma_json_item_row";
/// A key and a value of `json_object_agg`.
pub(crate) const ENTRY: &str = "luma_json_entry";
/// Items, and entries, as one value.
pub(crate) const LIST: &str = "luma_json_list";
pub(crate) const LIST_BINARY: &str = "luma_jsonb_list";
pub(crate) const ENTRIES: &str = "luma_json_entries";
pub(crate) const ENTRIES_BINARY: &str = "luma_jsonb_entries";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Made {
    Object,
    Array,
    Value,
    Item,
    ItemRow,
    Row,
    Entry,
    List,
    Entries,
}

const FUNCTIONS: [(&str, Made, bool); 13] = [
    ("json_build_object", Made::Object, false),
    ("jsonb_build_object", Made::Object, true),
    ("json_build_array", Made::Array, false),
    ("jsonb_build_array", Made::Array, true),
    ("to_json", Made::Value, false),
    ("to_jsonb", Made::Value, true),
    (ITEM, Made::Item, false),
    (ITEM_ROW, Made::ItemRow, false),
    (ENTRY, Made::Entry, false),
    (LIST, Made::List, false),
    (LIST_BINARY, Made::List, true),
    (ENTRIES, Made::Entries, false),
    (ENTRIES_BINARY, Made::Entries, true),
];

/// # Errors
/// DataFusion's.
pub(in crate::functions) fn register(state: &mut SessionState) -> Result<()> {
    for (name, made, is_binary) in FUNCTIONS {
        let any = match made {
            Made::Object | Made::Array => vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
            Made::Entry => vec![TypeSignature::Any(2)],
            _ => vec![TypeSignature::Any(1)],
        };
        let signature = Signature::one_of(any, Volatility::Stable);
        let function = Build { name, made, is_binary, signature };
        state.register_udf(Arc::new(ScalarUDF::from(function)))?;
    }
    Ok(())
}

/// `luma_json_row(name, value, …)`: a row as `row_to_json` prints it.
pub(crate) fn row() -> ScalarUDF {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    let signature = Signature::one_of(any, Volatility::Stable);
    ScalarUDF::from(Build { name: "luma_json_row", made: Made::Row, is_binary: false, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Build {
    name: &'static str,
    made: Made,
    is_binary: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Build {
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
        let field = Field::new(self.name, DataType::Utf8, true);
        Ok(Arc::new(types::marked(field, if self.is_binary { "jsonb" } else { "json" })))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_json: Vec<bool> = args.arg_fields.iter().map(|it| is_json(it)).collect();
        let arrays = crate::arithmetic::arrays(&args.args, args.number_rows)?;
        let scalar = args.args.iter().all(|it| matches!(it, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let mut made = Vec::with_capacity(rows);
        for row in 0..rows {
            let values: Result<Vec<ScalarValue>> =
                arrays.iter().map(|it| ScalarValue::try_from_array(it, row)).collect();
            let one = self.of(&values?, &is_json)?;
            made.push(match (one, self.is_binary) {
                (Some(one), true) => Some(canonical(&one)?),
                (one, _) => one,
            });
        }
        let made: StringArray = made.into_iter().collect();
        crate::arithmetic::answer(&args.args, Arc::new(made))
    }
}

impl Build {
    fn of(&self, values: &[ScalarValue], is_json: &[bool]) -> Result<Option<String>> {
        let first = || values.first().unwrap_or(&ScalarValue::Null);
        let is_marked = is_json.first().copied().unwrap_or(false);
        Ok(match self.made {
            Made::Object => Some(object(values, is_json)?),
            Made::Array => {
                let items: Result<Vec<String>> =
                    values.iter().zip(is_json).map(|(value, mark)| written(value, *mark)).collect();
                Some(format!("[{}]", items?.join(", ")))
            }
            Made::Value if first().is_null() => None,
            Made::Value => Some(written(first(), is_marked)?),
            // An array begins a line, as in PostgreSQL.
            Made::Item if matches!(first(), ScalarValue::List(_)) && !first().is_null() => {
                Some(format!("\n {}", written(first(), is_marked)?))
            }
            Made::Item => Some(written(first(), is_marked)?),
            Made::ItemRow => Some(format!("\n {}", written(first(), is_marked)?)),
            Made::Row => {
                let fields: Result<Vec<String>> = values
                    .chunks(2)
                    .zip(is_json.chunks(2))
                    .map(|(pair, marks)| entry(pair, marks, ":"))
                    .collect();
                Some(format!("{{{}}}", fields?.join(",")))
            }
            Made::Entry => {
                if first().is_null() {
                    return Err(fault("22023", "field name must not be null"));
                }
                Some(entry(values, is_json, " : ")?)
            }
            Made::List => joined(first()).map(|it| format!("[{}]", it.trim_start())),
            Made::Entries => joined(first()).map(|it| format!("{{ {it} }}")),
        })
    }
}

fn object(values: &[ScalarValue], is_json: &[bool]) -> Result<String> {
    let mut shown = Vec::new();
    for (pair, marks) in values.chunks(2).zip(is_json.chunks(2)) {
        if pair.len() < 2 {
            return Err(fault("22023", "argument list must have even number of elements"));
        }
        if pair[0].is_null() {
            return Err(fault("22023", "null value not allowed for object key"));
        }
        shown.push(entry(pair, marks, " : ")?);
    }
    Ok(format!("{{{}}}", shown.join(", ")))
}

/// A key and its value.
fn entry(pair: &[ScalarValue], marks: &[bool], between: &str) -> Result<String> {
    let ([key, value], [_, is_marked]) = (pair, marks) else {
        return Err(fault("22023", "argument list must have even number of elements"));
    };
    let key = serde_json::Value::from(key.to_string());
    Ok(format!("{key}{between}{}", written(value, *is_marked)?))
}

/// The texts of a list; `None` of no list.
fn joined(list: &ScalarValue) -> Option<String> {
    let ScalarValue::List(list) = list else { return None };
    if list.is_null(0) {
        return None;
    }
    let items = list.value(0);
    let texts: Vec<&str> = items.as_string_opt::<i32>()?.iter().flatten().collect();
    Some(texts.join(", "))
}
