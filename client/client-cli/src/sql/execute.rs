//! One message of statements to the server, and its rows as they come.
//!
//! Rows are printed in batches of [`ROWS_PER_BATCH`], so a long result does not grow memory; a table is laid out per batch.

use std::time::Instant;

use serde_json::{Value, json};

use super::Settings;
use super::report::{Place, failure, notice};
use crate::exit::Failure;
use crate::format::{Format, Rows};
use crate::pg::{Column, Event, ServerError, Session};
use crate::terminal::Terminal;

const ROWS_PER_BATCH: usize = 1000;
const NUMERIC_OID: u32 = 1700;

/// Whether a result without rows is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Shown,
    Silent,
}

/// Runs statements and prints what comes; how many rows there were.
pub(super) fn execute(
    session: &mut Session,
    sql: &str,
    settings: &Settings,
    empty: Empty,
    place: Option<Place<'_>>,
    terminal: &mut Terminal,
) -> Result<u64, Failure> {
    let began = Instant::now();
    let format = match settings.format.resolve(terminal.stdout_is_tty) {
        Format::Table if settings.expanded => Format::Vertical,
        other => other,
    };
    let mut results = Results {
        format,
        empty,
        rows: Rows::default(),
        types: Vec::new(),
        printed: None,
        count: 0,
        failed: None,
    };
    session.query(sql, |event| results.take(event, terminal))?;
    terminal.out.flush()?;
    if settings.timing {
        terminal.note(&format!("time: {:.3} ms", began.elapsed().as_secs_f64() * 1000.0));
    }
    results.failed.map_or(Ok(results.count), |error| Err(failure(sql, &error, place)))
}

/// The results of one message.
struct Results {
    format: Format,
    empty: Empty,
    /// Of this result, not printed yet.
    rows: Rows,
    types: Vec<u32>,
    /// How many rows of this result were printed; `None` before its first part.
    printed: Option<usize>,
    /// Rows of all results.
    count: u64,
    failed: Option<ServerError>,
}

impl Results {
    fn take(&mut self, event: Event, terminal: &mut Terminal) -> Result<(), Failure> {
        match event {
            Event::Columns(columns) => self.begin(columns),
            Event::Row(cells) => {
                self.count += 1;
                let cells = cells.into_iter().zip(&self.types);
                self.rows.push(cells.map(|(cell, &oid)| value(cell, oid)).collect());
                if self.rows.count() >= ROWS_PER_BATCH {
                    self.print(terminal)?;
                }
            }
            Event::CopyData(bytes) => terminal.out.write_all(&bytes)?,
            Event::Complete(_) if self.count == 0 && self.empty == Empty::Silent => {}
            Event::Complete(tag) => self.end(&tag, terminal)?,
            Event::Notice(said) => terminal.note(&notice(&said)),
            Event::Error(error) => self.failed = Some(error),
        }
        Ok(())
    }

    fn begin(&mut self, columns: Vec<Column>) {
        self.rows = Rows::default();
        self.types = columns.iter().map(|column| column.type_oid).collect();
        let decimal = self.types.iter().enumerate().filter(|&(_, &oid)| oid == NUMERIC_OID);
        self.rows.decimal = decimal.map(|(index, _)| index).collect();
        self.rows.columns = columns.into_iter().map(|column| column.name).collect();
        self.printed = None;
    }

    fn end(&mut self, tag: &str, terminal: &mut Terminal) -> Result<(), Failure> {
        if self.rows.columns.is_empty() {
            terminal.note(tag);
            return Ok(());
        }
        if self.printed.is_none() || self.rows.count() > 0 {
            self.print(terminal)?;
        }
        if self.format == Format::Json {
            terminal.out.write_all(b"]\n")?;
        }
        terminal.out.flush()?;
        self.rows.columns.clear();
        if self.format == Format::Table {
            terminal.note(&footer(tag));
        }
        Ok(())
    }

    fn print(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        let text = self.rows.render_part(self.format, self.printed);
        terminal.out.write_all(text.as_bytes())?;
        terminal.out.flush()?;
        self.printed = Some(self.printed.unwrap_or(0) + self.rows.count());
        self.rows.rows.clear();
        Ok(())
    }
}

/// psql's line below a table, from a tag such as `SELECT 3`.
pub(super) fn footer(tag: &str) -> String {
    match tag.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()) {
        Some(1) => "(1 row)".to_owned(),
        Some(count) => format!("({count} rows)"),
        None => tag.to_owned(),
    }
}

/// A cell as JSON: numbers and truth values by the column's type, JSON as itself, the rest as text.
pub(super) fn value(cell: Option<String>, type_oid: u32) -> Value {
    let Some(text) = cell else { return Value::Null };
    match type_oid {
        // bool
        16 => Value::Bool(text == "t" || text == "true"),
        // int8, int2, int4, oid, float4, float8: NaN and infinities are no JSON numbers.
        20 | 21 | 23 | 26 | 700 | 701 => serde_json::from_str::<serde_json::Number>(&text)
            .map_or(Value::String(text), Value::Number),
        // json, jsonb
        114 | 3802 => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        _ => json!(text),
    }
}
