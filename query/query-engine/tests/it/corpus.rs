//! The statements psql 15 sends for its backslash commands and pgjdbc 42.5.5 and 42.7.13 for `DatabaseMetaData`: each is
//! accepted, with the column names and types that were recorded of PostgreSQL 15 (where they were). The files
//! `*-differences.txt` list what differs and why; an entry that no longer differs fails.

use std::collections::BTreeMap;

use crate::support::{Log, block_on, run};
use query_api::{DataType, RegKind, Value};

fn oid(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Bool => 16,
        DataType::InternalChar => 18,
        DataType::Name => 19,
        DataType::Int8 => 20,
        DataType::Int2 => 21,
        DataType::Int4 => 23,
        DataType::Oid => 26,
        DataType::Float4 => 700,
        DataType::Float8 => 701,
        DataType::Reg(RegKind::Class) => 2205,
        DataType::Reg(RegKind::Proc) => 24,
        DataType::Array(item) => match item.as_ref() {
            DataType::Name => 1003,
            DataType::Oid => 1028,
            DataType::Int2 => 1005,
            _ => 1009,
        },
        _ => 25,
    }
}

/// Empty when the statement behaves as recorded.
fn difference(log: &Log, line: &serde_json::Value) -> String {
    let sql = line["sql"].as_str().unwrap();
    let mut text = sql.replace("'paid'::", "'orders'::");
    // OIDs of the recording's tables: every table is this log's first.
    while let (Some(from), Some(to)) = (text.find("{{"), text.find("}}")) {
        text.replace_range(from..to + 2, "16386");
    }
    let (_engine, mut session) = log.session();
    let described = block_on(async {
        let (_, described) = session.prepare(&text, &[]).await?;
        let values = described.parameters.iter().map(|it| match it {
            DataType::Text | DataType::Name => Value::Text("orders".to_owned()),
            _ => Value::Null,
        });
        run(session.as_mut(), &text, values.collect()).await.map(|_| described)
    });
    let described = match described {
        Ok(described) => described,
        Err(error) => return format!("{}: {}", error.sqlstate.unwrap_or("?"), error.message),
    };
    if line["columns"].is_null() {
        return String::new();
    }
    let got: Vec<_> =
        described.columns.iter().map(|it| (it.name.clone(), oid(&it.data_type))).collect();
    let wanted: Vec<_> = line["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it[0].as_str().unwrap().to_owned(), it[1].as_u64().unwrap()))
        .collect();
    let differing = got.iter().zip(&wanted).filter(|(got, wanted)| got != wanted);
    let mut shown: Vec<_> =
        differing.map(|(got, wanted)| format!("{got:?} for {wanted:?}")).collect();
    if got.len() != wanted.len() {
        shown.push(format!("{} columns for {}", got.len(), wanted.len()));
    }
    shown.join(", ")
}

fn check(statements: &str, differences: &str) {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]);
    let accepted: BTreeMap<&str, &str> = differences
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    let mut failures = Vec::new();
    for line in statements.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = line["id"].as_str().unwrap();
        let difference = difference(&log, &line);
        match (difference.is_empty(), accepted.contains_key(id)) {
            (false, false) => failures.push(format!("{id}: {difference}")),
            (true, true) => {
                failures.push(format!("{id}: no longer differs, remove it from the list"))
            }
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn psql_statements_are_accepted_with_postgresqls_columns() {
    check(include_str!("psql.jsonl"), include_str!("psql-differences.txt"));
}

#[test]
fn pgjdbc_metadata_statements_are_accepted_with_postgresqls_columns() {
    check(include_str!("jdbc.jsonl"), include_str!("jdbc-differences.txt"));
}
