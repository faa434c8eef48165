//! Parts of a statement that are parsed and that no planner looks at: refused, for leaving them out changes the answer.

use datafusion::sql::sqlparser::ast::{Query, Select, TableFactor};
use query_api::Error;

use crate::error::unsupported;

/// # Errors
/// 0A000 that names the part.
pub(super) fn of_table(factor: &TableFactor) -> Result<(), Error> {
    let what = match factor {
        TableFactor::Table { with_ordinality: true, .. }
        | TableFactor::Function { with_ordinality: true, .. }
        | TableFactor::UNNEST { with_ordinality: true, .. } => "WITH ORDINALITY",
        TableFactor::Table { sample: Some(_), .. }
        | TableFactor::Derived { sample: Some(_), .. } => "TABLESAMPLE",
        TableFactor::Table { version: Some(_), .. } => "the version of a table",
        TableFactor::Table { with_hints, index_hints, .. }
            if !with_hints.is_empty() || !index_hints.is_empty() =>
        {
            "a hint for a table"
        }
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
            return Err(unsupported("PARTITION of a table is not supported")
                .with_hint("the column _partition of a topic's table can be compared"));
        }
        TableFactor::Table { json_path: Some(_), .. } => "a path into a table",
        _ => return Ok(()),
    };
    Err(unsupported(format!("{what} is not supported")))
}

/// # Errors
/// 0A000 that names the part.
pub(super) fn of_select(select: &Select) -> Result<(), Error> {
    let what = if select.into.is_some() {
        "SELECT INTO"
    } else if select.top.is_some() {
        "TOP"
    } else if select.select_modifiers.is_some() {
        "a modifier of SELECT"
    } else if select.exclude.is_some() {
        "EXCLUDE"
    } else if select.prewhere.is_some() {
        "PREWHERE"
    } else if !select.connect_by.is_empty() {
        "CONNECT BY"
    } else if select.value_table_mode.is_some() {
        "SELECT AS"
    } else {
        return Ok(());
    };
    Err(unsupported(format!("{what} is not supported")))
}

/// # Errors
/// 0A000 that names the part.
pub(super) fn of_query(query: &Query) -> Result<(), Error> {
    let what = if query.for_clause.is_some() {
        "this FOR clause"
    } else if query.settings.is_some() {
        "SETTINGS"
    } else if query.format_clause.is_some() {
        "FORMAT"
    } else if !query.pipe_operators.is_empty() {
        "a pipe operator"
    } else {
        return Ok(());
    };
    Err(unsupported(format!("{what} is not supported")))
}
