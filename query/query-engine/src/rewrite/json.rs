//! Functions of JSON that are made of others: aggregates, and those that return rows.
//!
//! ```text
//!  json_agg(x ORDER BY y)              →  luma_json_list(array_agg(luma_json_item(x) ORDER BY y))
//!  jsonb_array_elements(x)             →  unnest(luma_json_items(x, 'jsonb_array_elements'))
//!  FROM jsonb_each(x) AS e             →  FROM (SELECT unnest(…) AS key, unnest(…) AS value) AS e
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Select, SelectItem, TableAlias, TableFactor, Value,
};

use super::{empty_select, fold, name_column, null, parts, query_of, subquery};
use crate::functions::json::{build, parts as of_json};

/// What returns rows: its columns, each with the function that makes their array.
const ROWS: [(&str, &[(&str, &str)]); 5] = [
    ("array_elements", &[("value", of_json::ITEMS)]),
    ("array_elements_text", &[("value", of_json::ITEM_TEXTS)]),
    ("object_keys", &[("", of_json::KEYS)]),
    ("each", &[("key", of_json::KEYS), ("value", of_json::VALUES)]),
    ("each_text", &[("key", of_json::KEYS), ("value", of_json::VALUE_TEXTS)]),
];

/// The columns of a function that returns rows.
fn rows(name: &[String]) -> Option<(&str, &'static [(&'static str, &'static str)])> {
    let [name] = name else { return None };
    let plain = name.strip_prefix("jsonb_").or_else(|| name.strip_prefix("json_"))?;
    ROWS.iter().find(|(it, _)| *it == plain).map(|(_, columns)| (name.as_str(), *columns))
}

/// Rewrites a call in place; whether it is one of these.
pub(super) fn call(expr: &mut Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let name = parts(&function.name);
    if let Some((name, [(_, column)])) = rows(&name) {
        let FunctionArguments::List(list) = &function.args else { return false };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(whole))] = list.args.as_slice() else {
            return false;
        };
        *expr = unnested(column, whole.clone(), name);
        return true;
    }
    let (item, list) = match name.join(".").as_str() {
        "json_extract_path" | "jsonb_extract_path" => return path(expr, "luma_json_path"),
        "json_extract_path_text" | "jsonb_extract_path_text" => {
            return path(expr, "luma_json_path_text");
        }
        "json_agg" => (build::ITEM, build::LIST),
        "jsonb_agg" => (build::ITEM, build::LIST_BINARY),
        "json_object_agg" => (build::ENTRY, build::ENTRIES),
        "jsonb_object_agg" => (build::ENTRY, build::ENTRIES_BINARY),
        _ => return false,
    };
    let FunctionArguments::List(arguments) = &mut function.args else { return false };
    let values: Option<Vec<Expr>> = arguments.args.iter().map(argument).collect();
    let Some(values) = values else { return false };
    let item = if values.first().is_some_and(is_row) { build::ITEM_ROW } else { item };
    let item = FunctionArgExpr::Expr(subquery::call(item, values));
    arguments.args = vec![FunctionArg::Unnamed(item)];
    function.name = ObjectName::from(vec![Ident::new("array_agg")]);
    let aggregate = std::mem::replace(expr, null());
    *expr = subquery::call(list, vec![aggregate]);
    true
}

/// `json_extract_path(x, 'a', 'b')` is `x #> ARRAY['a', 'b']`.
fn path(expr: &mut Expr, function: &str) -> bool {
    let Expr::Function(call) = &*expr else { return false };
    let FunctionArguments::List(arguments) = &call.args else { return false };
    let values: Option<Vec<Expr>> = arguments.args.iter().map(argument).collect();
    let Some((whole, keys)) = values.as_deref().and_then(<[Expr]>::split_first) else {
        return false;
    };
    let keys = Expr::Array(Array { elem: keys.to_vec(), named: true });
    *expr = subquery::call(function, vec![whole.clone(), keys]);
    true
}

/// Functions whose argument may be a whole row, under the name of its table.
const OF_ROWS: [&str; 5] = ["row_to_json", "to_json", "to_jsonb", "json_agg", "jsonb_agg"];
/// `'table' luma_row 'kind'`: the row as JSON; the planner knows its columns ([`crate::operators`]).
pub(crate) const ROW: &str = "luma_row";
/// The kind of a row that has the hidden columns of topics.
pub(crate) const OF_TOPIC: &str = "topic";

/// Tables that are named where a row is meant, as rows; `topic` tells whether a source of that name is one.
pub(super) fn rows_of_tables(items: &mut Vec<SelectItem>, topic: &dyn Fn(&str) -> Option<bool>) {
    let _ = datafusion::sql::sqlparser::ast::visit_expressions_mut(items, |expr| {
        let Expr::Function(function) = expr else { return ControlFlow::<()>::Continue(()) };
        let name = parts(&function.name);
        let is_asked = name.last().is_some_and(|it| OF_ROWS.contains(&it.as_str()));
        if let FunctionArguments::List(list) = &mut function.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] =
                list.args.as_mut_slice()
            && let Expr::Identifier(table) = &*argument
            && is_asked
            && let Some(is_topic) = topic(&fold(table))
        {
            let text = |it: &str| {
                let value = Value::SingleQuotedString(it.to_owned());
                Box::new(Expr::Value(value.with_empty_span()))
            };
            *argument = Expr::BinaryOp {
                left: text(&fold(table)),
                op: BinaryOperator::Custom(ROW.to_owned()),
                right: text(if is_topic { OF_TOPIC } else { "" }),
            };
            if name.last().is_some_and(|it| it == "row_to_json") {
                function.name = ObjectName::from(vec![Ident::new("to_json")]);
            }
        }
        ControlFlow::Continue(())
    });
}

fn is_row(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::Custom(name), .. } if name == ROW)
}

fn argument(it: &FunctionArg) -> Option<Expr> {
    match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

fn unnested(column: &str, whole: Expr, name: &str) -> Expr {
    let name = Value::SingleQuotedString(name.to_owned()).with_empty_span();
    subquery::call("unnest", vec![subquery::call(column, vec![whole, Expr::Value(name)])])
}

/// Rewrites a table function in place; whether it is one of these.
pub(super) fn table(factor: &mut TableFactor) -> bool {
    let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor else {
        return false;
    };
    let path = parts(name);
    let Some((name, columns)) = rows(&path) else { return false };
    let [argument] = arguments.args.as_slice() else { return false };
    let Some(whole) = self::argument(argument) else { return false };
    let items = columns.iter().map(|(column, function)| SelectItem::ExprWithAlias {
        expr: unnested(function, whole.clone(), name),
        alias: Ident::with_quote('"', if column.is_empty() { name } else { column }),
    });
    let select = Select { projection: items.collect(), ..empty_select() };
    let mut alias = alias
        .clone()
        .unwrap_or_else(|| TableAlias { columns: Vec::new(), ..subquery::table_alias(name) });
    if columns.iter().all(|(column, _)| column.is_empty()) {
        name_column(&mut alias);
    }
    *factor = subquery::derived(query_of(select), alias);
    true
}
