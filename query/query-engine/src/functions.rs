//! PostgreSQL functions that DataFusion does not have: session, catalog and size functions.
//!
//! Invariants:
//! - A function here is stable within a statement: it sees the statement's snapshot and settings.

mod access;
pub(crate) mod arrays;
mod calendar;
pub(crate) mod cut;
pub(crate) mod domain;
pub(crate) mod joined;
pub(crate) mod json;
pub(crate) mod numeric;
pub(crate) mod registry;
pub(crate) mod series;
pub(crate) mod similar;
mod sized;
pub(crate) mod times;
mod wrapped;

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use query_api::RegKind;

use crate::bad::BadTotals;
use crate::operators::exact;
use crate::settings::Settings;
use registry::Registry;

/// What functions know of the session.
#[derive(Debug)]
pub(crate) struct SessionInfo {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) process_id: i32,
    pub(crate) settings: Settings,
    /// Open cursors: name, statement, WITH HOLD.
    pub(crate) cursors: Vec<(String, String, bool)>,
    /// What all sessions could not decode.
    pub(crate) bad: Arc<BadTotals>,
}

type Body = Arc<dyn Fn(&[ScalarValue]) -> Result<ScalarValue> + Send + Sync>;

/// A function of one row at a time.
struct RowFunction {
    name: String,
    returns: Returns,
    signature: Signature,
    body: Body,
}

impl fmt::Debug for RowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

// Names are unique within a statement's registry.
impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let first = || arguments.first().cloned().unwrap_or(DataType::Null);
        Ok(match &self.returns {
            Returns::Type(returns) => returns.clone(),
            Returns::Name | Returns::Json | Returns::Jsonb | Returns::SameJson => DataType::Utf8,
            Returns::Reg(_) => DataType::UInt32,
            Returns::FirstArgument => first(),
            Returns::OtherZone => {
                let zoned = matches!(first(), DataType::Timestamp(_, Some(_)));
                DataType::Timestamp(TimeUnit::Microsecond, (!zoned).then(|| "+00:00".into()))
            }
            Returns::Item(_) => match first() {
                DataType::List(item) => item.data_type().clone(),
                other => other,
            },
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let arguments: Vec<DataType> =
            args.arg_fields.iter().map(|it| it.data_type().clone()).collect();
        let field = Field::new(self.name(), self.return_type(&arguments)?, true);
        Ok(Arc::new(match &self.returns {
            Returns::Name => crate::types::marked(field, "name"),
            Returns::Json => crate::types::marked(field, "json"),
            Returns::Jsonb => crate::types::marked(field, "jsonb"),
            Returns::SameJson => {
                let is_binary =
                    args.arg_fields.first().is_some_and(|it| crate::types::is_jsonb(it));
                crate::types::marked(field, if is_binary { "jsonb" } else { "json" })
            }
            Returns::Reg(kind) => crate::types::marked(field, kind.type_name()),
            Returns::Item(metadata) => field.with_metadata(metadata.clone()),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|it| matches!(it, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let inputs: Result<Vec<_>> = args
                .args
                .iter()
                .map(|it| match it {
                    ColumnarValue::Scalar(value) => Ok(value.clone()),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
                })
                .collect();
            values.push((self.body)(&inputs?)?);
        }
        if scalar {
            let value = values.pop().unwrap_or(ScalarValue::Null);
            return Ok(ColumnarValue::Scalar(value));
        }
        if values.is_empty() {
            return Ok(ColumnarValue::Array(datafusion::arrow::array::new_empty_array(
                args.return_field.data_type(),
            )));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}

/// Adds the functions to a statement's state.
pub(crate) fn register(
    state: &mut SessionState,
    info: &Arc<SessionInfo>,
    registry: &Arc<Registry>,
) {
    let mut add = |name: &str, returns: Returns, body: Body| {
        let function = row_function(name, returns, body);
        // Replacing a function of the same name is meant; the registry of a session accepts every name.
        let _ = state.register_udf(Arc::new(ScalarUDF::from(function)));
    };
    session_functions(&mut add, info);
    catalog_functions(&mut add);
    registry::register(&mut add, registry);
    text_functions(&mut add);
    arrays::register(&mut add);
    json::register(&mut add);
    access::register(&mut add);
    similar::register(&mut add);
    times::register(&mut add);
    calendar::register(&mut add);
    sized::register(state);
    // Replacing a function of the same name is meant.
    let _ = json::build::register(state);
}

/// A function of one row at a time.
fn row_function(name: &str, returns: Returns, body: Body) -> RowFunction {
    let signature = Signature::variadic_any(Volatility::Stable);
    let signature = Signature::one_of(
        vec![datafusion::logical_expr::TypeSignature::Nullary, signature.type_signature],
        Volatility::Stable,
    );
    RowFunction { name: name.to_owned(), returns, signature, body }
}

/// `luma_only`: see [`crate::single`].
///
/// `metadata` is the value's: a list's items do not keep theirs.
pub(crate) fn only(metadata: HashMap<String, String>) -> ScalarUDF {
    let body: Body = Arc::new(crate::single::only);
    ScalarUDF::from(row_function("luma_only", Returns::Item(metadata), body))
}

/// What a function returns.
#[derive(Debug)]
enum Returns {
    Type(DataType),
    /// Text that clients see as PostgreSQL's `name`.
    Name,
    /// Text that is JSON.
    Json,
    /// The same in jsonb's form.
    Jsonb,
    /// JSON of the first argument's type.
    SameJson,
    /// An OID that clients see by name.
    Reg(RegKind),
    FirstArgument,
    /// A timestamp with a zone where the first argument has none, and the other way round.
    OtherZone,
    /// An element of the first argument, with this metadata.
    Item(HashMap<String, String>),
}

type Add<'a> = dyn FnMut(&str, Returns, Body) + 'a;

fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

const NO_TEXT: ScalarValue = ScalarValue::Utf8(None);

fn constant(add: &mut Add<'_>, name: &str, value: ScalarValue) {
    add(name, Returns::Type(value.data_type()), Arc::new(move |_| Ok(value.clone())));
}

fn constant_name(add: &mut Add<'_>, name: &str, value: &str) {
    let value = text(value);
    add(name, Returns::Name, Arc::new(move |_| Ok(value.clone())));
}

fn session_functions(add: &mut Add<'_>, info: &Arc<SessionInfo>) {
    let version = concat!(
        "PostgreSQL 15.0 (LumaDB ",
        env!("CARGO_PKG_VERSION"),
        ") on x86_64-pc-linux-gnu, 64-bit"
    );
    constant(add, "version", text(version));
    for name in ["current_database", "current_catalog"] {
        constant_name(add, name, &info.database);
    }
    for name in ["current_user", "session_user", "user", "current_role"] {
        constant_name(add, name, &info.user);
    }
    constant_name(add, "current_schema", "public");
    let schemas = ScalarValue::List(ScalarValue::new_list_nullable(
        &[text("pg_catalog"), text("public")],
        &DataType::Utf8,
    ));
    constant(add, "current_schemas", schemas);
    constant(add, "pg_backend_pid", ScalarValue::Int32(Some(info.process_id)));
    constant(add, "pg_is_in_recovery", ScalarValue::Boolean(Some(false)));
    constant_name(add, "getdatabaseencoding", "UTF8");
    add("pg_encoding_to_char", Returns::Name, Arc::new(|args| Ok(encoding_name(args))));
    add("pg_char_to_encoding", Returns::Type(DataType::Int32), Arc::new(|args| Ok(encoding(args))));
    let known = Arc::clone(info);
    let current_setting = move |args: &[ScalarValue]| {
        let name = string(args.first()).unwrap_or_default();
        let missing_ok = matches!(args.get(1), Some(ScalarValue::Boolean(Some(true))));
        match known.settings.get(&name) {
            Some(value) => Ok(text(value)),
            None if missing_ok => Ok(NO_TEXT),
            None => Err(DataFusionError::External(Box::new(crate::settings::unknown(&name)))),
        }
    };
    add("current_setting", Returns::Type(DataType::Utf8), Arc::new(current_setting));
}

/// Schema public is always on the search path, and there is one role, a superuser: these are facts.
const TRUE: [&str; 19] = [
    "pg_table_is_visible",
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_opfamily_is_visible",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "pg_relation_is_publishable",
];
/// There are no comments, indexes, constraints, views, triggers or rules to describe.
const UNDESCRIBED: [&str; 16] = [
    "obj_description",
    "col_description",
    "shobj_description",
    "pg_get_expr",
    "pg_get_indexdef",
    "pg_get_constraintdef",
    "pg_get_viewdef",
    "pg_get_triggerdef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef_columns",
    "pg_get_function_result",
    "pg_get_function_arguments",
    "pg_get_functiondef",
    "pg_tablespace_location",
    "pg_get_partkeydef",
];

fn catalog_functions(add: &mut Add<'_>) {
    for name in TRUE {
        constant(add, name, ScalarValue::Boolean(Some(true)));
    }
    for name in UNDESCRIBED {
        constant(add, name, NO_TEXT);
    }
    add(
        "format_type",
        Returns::Type(DataType::Utf8),
        Arc::new(|args| {
            let Some(oid) = oid(args.first()) else { return Ok(NO_TEXT) };
            let modifier = oid_modifier(args.get(1));
            Ok(text(crate::pg_catalog::format_type(oid, modifier)))
        }),
    );
    constant(add, "pg_table_size", ScalarValue::Int64(None));
    constant(add, "pg_total_relation_size", ScalarValue::Int64(None));
    constant(add, "pg_relation_size", ScalarValue::Int64(None));
    constant(add, "pg_database_size", ScalarValue::Int64(None));
}

fn text_functions(add: &mut Add<'_>) {
    let text_type = || Returns::Type(DataType::Utf8);
    add(
        "pg_size_pretty",
        text_type(),
        Arc::new(
            |args| Ok(integer(args.first()).map_or(NO_TEXT, |bytes| text(size_pretty(bytes)))),
        ),
    );
    add(
        "quote_ident",
        text_type(),
        Arc::new(|args| Ok(string(args.first()).map_or(NO_TEXT, |name| text(quote_ident(&name))))),
    );
    add(
        "quote_literal",
        text_type(),
        Arc::new(|args| {
            Ok(string(args.first()).map_or(NO_TEXT, |value| text(quote_literal(&value))))
        }),
    );
    add(
        "quote_nullable",
        text_type(),
        Arc::new(|args| match args.first().filter(|it| !it.is_null()) {
            Some(value) => Ok(text(quote_literal(&printed(value)?))),
            None => Ok(text("NULL")),
        }),
    );
    for (name, of_nulls) in [("num_nulls", true), ("num_nonnulls", false)] {
        let counted = move |args: &[ScalarValue]| {
            let found = args.iter().filter(|it| it.is_null() == of_nulls).count();
            Ok(ScalarValue::Int32(i32::try_from(found).ok()))
        };
        add(name, Returns::Type(DataType::Int32), Arc::new(counted));
    }
    add("format", text_type(), Arc::new(format));
    add(
        "luma_like",
        text_type(),
        Arc::new(|args| {
            let pattern = string(args.first());
            let escape = string(args.get(1)).unwrap_or_default();
            Ok(pattern.map_or(NO_TEXT, |it| text(like_pattern(&it, escape.chars().next()))))
        }),
    );
}

/// A LIKE pattern with `escape` as one with the backslash.
fn like_pattern(pattern: &str, escape: Option<char>) -> String {
    let mut shown = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(it) = chars.next() {
        if Some(it) == escape {
            shown.push('\\');
            shown.extend(chars.next());
        } else {
            if it == '\\' {
                shown.push('\\');
            }
            shown.push(it);
        }
    }
    shown
}

fn quote_literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A value as clients see it.
///
/// # Errors
/// 22003 for numbers of more than 38 digits.
fn printed(value: &ScalarValue) -> Result<String> {
    match value {
        ScalarValue::Decimal256(Some(number), _, scale) => exact::spelled(*number, *scale),
        other => Ok(other.to_string()),
    }
}

/// PostgreSQL's `format(template, …)` with `%s`, `%I`, `%L` and `%%`.
/// <https://www.postgresql.org/docs/15/functions-string.html#FUNCTIONS-STRING-FORMAT>
fn format(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(template) = string(args.first()) else { return Ok(NO_TEXT) };
    let refuse = |message: &str| {
        let error = query_api::Error::new(query_api::ErrorKind::Invalid, message);
        DataFusionError::External(Box::new(error.with_sqlstate("22023")))
    };
    let mut shown = String::new();
    let mut values = args.iter().skip(1);
    let mut chars = template.chars();
    while let Some(it) = chars.next() {
        if it != '%' {
            shown.push(it);
            continue;
        }
        let kind = chars.next();
        if kind == Some('%') {
            shown.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| refuse("too few arguments for format()"))?;
        let value = if value.is_null() { None } else { Some(printed(value)?) };
        match (kind, value) {
            (Some('s'), value) => shown.push_str(&value.unwrap_or_default()),
            (Some('I'), Some(value)) => shown.push_str(&quote_ident(&value)),
            (Some('I'), None) => {
                return Err(refuse("null values cannot be formatted as an SQL identifier"));
            }
            (Some('L'), value) => {
                shown.push_str(&value.map_or_else(|| "NULL".to_owned(), |it| quote_literal(&it)));
            }
            _ => return Err(refuse("unrecognized format() type specifier")),
        }
    }
    Ok(text(shown))
}

/// UTF8 is the only encoding.
const UTF8: i64 = 6;

fn encoding_name(args: &[ScalarValue]) -> ScalarValue {
    integer(args.first()).map_or(NO_TEXT, |it| text(if it == UTF8 { "UTF8" } else { "" }))
}

fn encoding(args: &[ScalarValue]) -> ScalarValue {
    let name = string(args.first());
    ScalarValue::Int32(name.map(|it| {
        let utf8 = matches!(it.to_lowercase().as_str(), "utf8" | "utf-8" | "unicode");
        if utf8 { 6 } else { -1 }
    }))
}

/// Quoted unless it is lower-case letters, digits and underscores.
pub(crate) fn quote_ident(name: &str) -> String {
    let plain = name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
        && !name.starts_with(|it: char| it.is_ascii_digit())
        && !name.is_empty();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn size_pretty(bytes: i64) -> String {
    let mut amount = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if amount.unsigned_abs() < 10_240 {
            return format!("{amount} {unit}");
        }
        amount /= 1024;
    }
    format!("{amount} PB")
}

fn string(value: Option<&ScalarValue>) -> Option<String> {
    value?.try_as_str().flatten().map(ToOwned::to_owned)
}

fn integer(value: Option<&ScalarValue>) -> Option<i64> {
    match value?.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(value) => value,
        _ => None,
    }
}

fn oid(value: Option<&ScalarValue>) -> Option<u32> {
    u32::try_from(integer(value)?).ok()
}

fn oid_modifier(value: Option<&ScalarValue>) -> i32 {
    integer(value).and_then(|it| i32::try_from(it).ok()).unwrap_or(-1)
}
