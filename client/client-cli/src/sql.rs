//! `lumadb sql`: the shell, and single statements with `-c`.
//!
//! The backslash commands that read the catalog are queries over `pg_catalog`, as psql's are. Rows are printed as they
//! come in batches of [`ROWS_PER_BATCH`], so a long result does not grow memory; a table is laid out per batch.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::args::SqlArgs;
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows};
use crate::pg::{Event, ServerError, Session, Target};
use crate::terminal::Terminal;

mod shell;

const ROWS_PER_BATCH: usize = 1000;

pub(crate) fn run(args: &SqlArgs, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut session = Session::open(&Target::parse(&args.url)?)?;
    let mut settings = Settings { format, timing: args.timing, expanded: false };
    if !args.command.is_empty() {
        return args
            .command
            .iter()
            .try_for_each(|sql| one(&mut session, sql, &mut settings, terminal));
    }
    if terminal.stdin_is_tty {
        return shell::interactive(&mut session, &mut settings, terminal);
    }
    let mut script = String::new();
    std::io::Read::read_to_string(&mut terminal.input, &mut script)?;
    one(&mut session, &script, &mut settings, terminal)
}

/// What `\x`, `\timing` and `--format` change.
struct Settings {
    format: Format,
    timing: bool,
    expanded: bool,
}

/// Runs a statement or a backslash command.
fn one(
    session: &mut Session,
    text: &str,
    settings: &mut Settings,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match text.trim().strip_prefix('\\') {
        Some(command) => match meta(command, settings)? {
            Meta::Done(said) => terminal.note(&said),
            Meta::Query(sql) => execute(session, &sql, settings, terminal)?,
            Meta::Quit => {}
        },
        None => execute(session, text, settings, terminal)?,
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Meta {
    Done(String),
    Query(String),
    Quit,
}

/// A text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const TABLES: &str = "select n.nspname as schema, c.relname as name from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r','v','m','f','p') \
    and n.nspname not in ('pg_catalog','information_schema') order by 1, 2";

fn meta(command: &str, settings: &mut Settings) -> Result<Meta, Failure> {
    let mut words = command.split_whitespace();
    let name = words.next().unwrap_or_default();
    let argument = words.next();
    let on = |now: bool| match argument {
        Some("on") => true,
        Some("off") => false,
        _ => !now,
    };
    let word = |fact: bool| if fact { "on" } else { "off" };
    Ok(match (name, argument) {
        ("q", _) => Meta::Quit,
        ("x", _) => {
            settings.expanded = on(settings.expanded);
            Meta::Done(format!("expanded display is {}", word(settings.expanded)))
        }
        ("timing", _) => {
            settings.timing = on(settings.timing);
            Meta::Done(format!("timing is {}", word(settings.timing)))
        }
        ("dt" | "d", None) => Meta::Query(TABLES.to_owned()),
        ("d" | "dt", Some(table)) => {
            let table = literal(table.trim_matches('"'));
            Meta::Query(format!(
                "select column_name as column, data_type as type, is_nullable as nullable \
                 from information_schema.columns where table_name = {table} order by ordinal_position"
            ))
        }
        ("l", _) => Meta::Query(
            "select datname as database from pg_catalog.pg_database order by 1".to_owned(),
        ),
        ("dn", _) => Meta::Query(
            "select nspname as schema from pg_catalog.pg_namespace order by 1".to_owned(),
        ),
        ("?", _) => Meta::Done(HELP.to_owned()),
        _ => {
            return Err(
                Failure::usage(format!("unknown command \\{name}")).hint("\\? lists the commands")
            );
        }
    })
}

const HELP: &str = "\\d, \\dt        tables and topics\n\\d NAME       columns of one\n\\l            databases\n\
    \\dn           schemas\n\\x            one column per line\n\\timing       time of each statement\n\\q            leave";

fn execute(
    session: &mut Session,
    sql: &str,
    settings: &Settings,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let began = Instant::now();
    let format = match settings.format.resolve(terminal.stdout_is_tty) {
        Format::Table if settings.expanded => Format::Vertical,
        other => other,
    };
    let mut rows = Rows::default();
    let mut types = Vec::new();
    let mut failed = None;
    let mut first_batch = true;
    session.query(sql, |event| {
        match event {
            Event::Columns(columns) => {
                rows.columns = columns.iter().map(|column| column.name.clone()).collect();
                types = columns.into_iter().map(|column| column.type_oid).collect();
                first_batch = true;
            }
            Event::Row(cells) => {
                rows.push(
                    cells.into_iter().zip(&types).map(|(cell, &oid)| value(cell, oid)).collect(),
                );
                // One JSON array holds all rows; other formats can be continued.
                if rows.rows.len() >= ROWS_PER_BATCH && format != Format::Json {
                    print(&mut rows, format, &mut first_batch, terminal)?;
                }
            }
            Event::Complete(tag) => {
                if rows.columns.is_empty() {
                    terminal.note(&tag);
                } else {
                    if first_batch || !rows.rows.is_empty() {
                        print(&mut rows, format, &mut first_batch, terminal)?;
                    }
                    rows.columns.clear();
                    if format == Format::Table {
                        terminal.note(&tag);
                    }
                }
            }
            Event::Notice(notice) => {
                terminal.note(&format!("{}: {}", notice.severity.to_lowercase(), notice.message))
            }
            Event::Error(error) => failed = Some(error),
        }
        Ok(())
    })?;
    if settings.timing {
        terminal.note(&format!("time: {:.3} ms", began.elapsed().as_secs_f64() * 1000.0));
    }
    failed.map_or(Ok(()), |error| Err(failure(sql, &error)))
}

fn print(
    rows: &mut Rows,
    format: Format,
    first: &mut bool,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let text = rows.render(format);
    // The heading is printed once.
    let body = match (format, *first) {
        (Format::Csv | Format::Tsv, false) => text.split_once('\n').map_or("", |(_, body)| body),
        _ => &text,
    };
    terminal.out.write_all(body.as_bytes())?;
    terminal.out.flush()?;
    rows.rows.clear();
    *first = false;
    Ok(())
}

/// A cell as JSON: numbers and truth values by the column's type, JSON as itself, the rest as text.
fn value(cell: Option<String>, type_oid: u32) -> Value {
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

fn failure(sql: &str, error: &ServerError) -> Failure {
    let mut message = format!("{} (SQLSTATE {})", error.message, error.sqlstate);
    if let Some(position) = error.position {
        message.push_str(&caret(sql, position));
    }
    if let Some(detail) = &error.detail {
        message.push_str(&format!("\ndetail: {detail}"));
    }
    let failure = Failure::new(exit_of_sqlstate(&error.sqlstate), message);
    match &error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn exit_of_sqlstate(sqlstate: &str) -> Exit {
    match sqlstate {
        "42P01" | "3D000" | "3F000" => Exit::NotFound,
        "42P07" | "23505" | "40001" => Exit::Conflict,
        "42501" => Exit::NotPermitted,
        "57014" => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

/// The line of `sql` that holds the 1-based character `position`, with a caret below.
fn caret(sql: &str, position: usize) -> String {
    let before: String = sql.chars().take(position.saturating_sub(1)).collect();
    let line = before.matches('\n').count();
    let column = before.chars().rev().take_while(|&c| c != '\n').count();
    let text = sql.lines().nth(line).unwrap_or_default();
    format!("\n  {text}\n  {}^", " ".repeat(column))
}

#[cfg(test)]
mod tests;
