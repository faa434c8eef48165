//! Results of a run: the printed table, the recorded file, the table of the README.
//!
//! `e2e/results.json` is written by a run with `UPDATE=1` and compared by every other run, so that it can say neither
//! more nor less than what was observed. Times are printed, never recorded.

use crate::client::{CLIENTS, Client, KAFKA_OPERATIONS, PERF_OPERATIONS, SQL_OPERATIONS};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// Where the generated table begins and ends in the README.
pub const README_BEGIN: &str = "<!-- client table: generated from e2e/results.json -->\n";
pub const README_END: &str = "<!-- end of client table -->";

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// The client has no such call; the text says which.
    Absent(String),
    Failed(String),
    /// A tool is missing; the text says which.
    Skipped(String),
}

/// One cell of the table.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub client: String,
    /// As the client reports it itself.
    pub version: String,
    pub operation: String,
    pub verdict: Verdict,
    pub ms: u64,
}

/// Prints `client | version | operation | ran or skipped | result`, past the capture of the test harness: what was
/// skipped must be seen in a passing run too.
pub fn print(outcomes: &[Outcome]) {
    let mut text = String::from("\nclient | version | operation | ran | result\n");
    for outcome in outcomes {
        let (ran, result) = match &outcome.verdict {
            Verdict::Ok => (format!("ran {} ms", outcome.ms), "ok".to_owned()),
            Verdict::Absent(why) => ("ran".to_owned(), format!("absent: {why}")),
            Verdict::Failed(why) => (format!("ran {} ms", outcome.ms), format!("FAILED: {why}")),
            Verdict::Skipped(why) => (format!("skipped because {why}"), String::new()),
        };
        let Outcome { client, version, operation, .. } = outcome;
        let _infallible = writeln!(text, "{client} | {version} | {operation} | {ran} | {result}");
    }
    // A closed stderr must not fail a test.
    let _written = io::stderr().lock().write_all(text.as_bytes());
}

/// The recorded form of the outcomes of one client, or `None` when it was skipped.
///
/// # Errors
/// With all failures, when an operation failed.
pub fn record(client: &Client, outcomes: &[Outcome]) -> Result<Option<Value>, String> {
    let mut operations = Map::new();
    let mut version = "";
    let mut failures = String::new();
    for outcome in outcomes {
        let cell = match &outcome.verdict {
            Verdict::Ok => "ok".to_owned(),
            Verdict::Absent(why) => format!("absent: {why}"),
            Verdict::Skipped(_) => return Ok(None),
            Verdict::Failed(why) => {
                let _infallible =
                    writeln!(failures, "{} {}: {why}", client.name, outcome.operation);
                continue;
            }
        };
        version = &outcome.version;
        operations.insert(outcome.operation.clone(), Value::String(cell));
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    Ok(Some(json!({"version": version, "operations": operations})))
}

/// Whether an observed record equals the recorded one. The version counts only where our files pin it.
#[must_use]
pub fn agrees(client: &Client, observed: &Value, recorded: &Value) -> bool {
    observed["operations"] == recorded["operations"]
        && (!client.pinned || observed["version"] == recorded["version"])
}

/// The README's tables: one for Kafka clients, one for tools that measure, one for SQL clients.
#[must_use]
pub fn render(results: &Value) -> String {
    let mut text = String::new();
    for columns in [KAFKA_OPERATIONS, PERF_OPERATIONS, SQL_OPERATIONS] {
        let rows: Vec<&Client> = CLIENTS
            .iter()
            .filter(|client| client.operations == columns && results[client.name].is_object())
            .collect();
        if rows.is_empty() {
            continue;
        }
        let _infallible = writeln!(text, "| client | version | {} |", columns.join(" | "));
        let _infallible = writeln!(text, "|---|---|{}", "---|".repeat(columns.len()));
        for client in rows {
            let row = &results[client.name];
            let _infallible = write!(
                text,
                "| {} | {} |",
                client.name,
                row["version"].as_str().unwrap_or_default()
            );
            for column in columns {
                let cell = row["operations"][*column].as_str().unwrap_or_default();
                let mark = if cell == "ok" { "yes" } else { "–" };
                let _infallible = write!(text, " {mark} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// Replaces what stands between the markers.
///
/// # Errors
/// When a marker is missing.
pub fn splice(readme: &str, table: &str) -> Result<String, String> {
    let (head, rest) = readme
        .split_once(README_BEGIN)
        .ok_or("the README lacks the line that begins the client table")?;
    let (_, tail) = rest
        .split_once(README_END)
        .ok_or("the README lacks the line that ends the client table")?;
    Ok(format!("{head}{README_BEGIN}{table}{README_END}{tail}"))
}
