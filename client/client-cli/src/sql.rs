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
    if let Some(file) = &args.file {
        let script = std::fs::read_to_string(file).map_err(|error| {
            let exit = match error.kind() {
                std::io::ErrorKind::NotFound => Exit::NotFound,
                _ => Exit::Failed,
            };
            Failure::new(exit, format!("cannot read {}: {error}", file.display()))
        })?;
        return one(&mut session, &script, &mut settings, terminal);
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
    let text = match text.trim().trim_end_matches(';') {
        "help" => "\\?",
        _ => text,
    };
    match text.trim().strip_prefix('\\') {
        Some(command) => match meta(command, settings)? {
            Meta::Done(said) => terminal.note(&said),
            Meta::Query(sql) => _ = execute(session, &sql, settings, Empty::Shown, terminal)?,
            Meta::Relation { name, sql } => {
                if execute(session, &sql, settings, Empty::Silent, terminal)? == 0 {
                    return Err(no_relation(&name));
                }
            }
            Meta::Quit => {}
        },
        None => _ = execute(session, text, settings, Empty::Shown, terminal)?,
    }
    Ok(())
}

/// Whether a result without rows is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Shown,
    Silent,
}

/// psql's words.
fn no_relation(name: &str) -> Failure {
    let message = format!("Did not find any relation named \"{}\".", name.trim_matches('"'));
    let failure = Failure::new(Exit::NotFound, message);
    if !name.starts_with('"') && name.chars().any(char::is_uppercase) {
        return failure.hint(format!("a name with capitals is written \\d \"{name}\""));
    }
    failure.hint("\\d lists all")
}

#[derive(Debug, PartialEq, Eq)]
enum Meta {
    Done(String),
    Query(String),
    /// A query that says something about a relation; no rows when there is none.
    Relation {
        name: String,
        sql: String,
    },
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
    // What psql's + adds is not there.
    let name = words.next().unwrap_or_default();
    let name = name.strip_suffix('+').unwrap_or(name);
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
        ("d", Some(name)) => {
            let sql = columns_of(name);
            Meta::Relation { name: name.to_owned(), sql }
        }
        ("dt", Some(name)) => {
            let pattern = literal(&pattern(&folded(name)));
            let sql = format!("select * from ({TABLES}) t where name ~ {pattern}");
            Meta::Relation { name: name.to_owned(), sql }
        }
        ("l", _) => Meta::Query(
            "select datname as database from pg_catalog.pg_database order by 1".to_owned(),
        ),
        ("dn", _) => Meta::Query(
            "select nspname as schema from pg_catalog.pg_namespace \
             where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1"
                .to_owned(),
        ),
        ("?" | "h" | "help", _) => Meta::Done(HELP.to_owned()),
        _ => {
            return Err(
                Failure::usage(format!("unknown command \\{name}")).hint("\\? lists the commands")
            );
        }
    })
}

/// A name as SQL reads it: without its quotes, else in lower case.
fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

/// psql's pattern as a regular expression: `*` is any text, `?` any character.
fn pattern(name: &str) -> String {
    let mut out = "^(".to_owned();
    for c in name.chars() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            c if c.is_alphanumeric() || c == '_' || c == '-' => out.push(c),
            c => out.extend(['\\', c]),
        }
    }
    out + ")$"
}

/// The columns of a relation, which may be named with its schema. A dot may be a part of a topic's name as well.
fn columns_of(name: &str) -> String {
    let mut which = format!("table_name = {}", literal(&folded(name)));
    if let Some((schema, table)) = name.split_once('.') {
        let (schema, table) = (literal(&folded(schema)), literal(&folded(table)));
        which.push_str(&format!(" or (table_schema = {schema} and table_name = {table})"));
    }
    format!(
        "select column_name as column, data_type as type, is_nullable as nullable \
         from information_schema.columns where {which} order by ordinal_position"
    )
}

const HELP: &str = "\\d, \\dt        tables and topics\n\\d NAME       columns of one\n\\dt PATTERN   tables and topics by name: \\dt ord*\n\\l            databases\n\
    \\dn           schemas\n\\x            one column per line\n\\timing       time of each statement\n\\q            leave";

/// Runs a statement and prints what comes; how many rows there were.
fn execute(
    session: &mut Session,
    sql: &str,
    settings: &Settings,
    empty: Empty,
    terminal: &mut Terminal,
) -> Result<u64, Failure> {
    let began = Instant::now();
    let format = match settings.format.resolve(terminal.stdout_is_tty) {
        Format::Table if settings.expanded => Format::Vertical,
        other => other,
    };
    let mut rows = Rows::default();
    let mut count = 0;
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
                count += 1;
                rows.push(
                    cells.into_iter().zip(&types).map(|(cell, &oid)| value(cell, oid)).collect(),
                );
                // One JSON array holds all rows; other formats can be continued.
                if rows.rows.len() >= ROWS_PER_BATCH && format != Format::Json {
                    print(&mut rows, format, &mut first_batch, terminal)?;
                }
            }
            Event::Complete(_) if count == 0 && empty == Empty::Silent => {}
            Event::Complete(tag) => {
                if rows.columns.is_empty() {
                    terminal.note(&tag);
                } else {
                    if first_batch || !rows.rows.is_empty() {
                        print(&mut rows, format, &mut first_batch, terminal)?;
                    }
                    rows.columns.clear();
                    if format == Format::Table {
                        terminal.note(&footer(&tag));
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
    failed.map_or(Ok(count), |error| Err(failure(sql, &error)))
}

/// psql's line below a table, from a tag such as `SELECT 3`.
fn footer(tag: &str) -> String {
    match tag.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()) {
        Some(1) => "(1 row)".to_owned(),
        Some(count) => format!("({count} rows)"),
        None => tag.to_owned(),
    }
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
    match error.hint.clone().or_else(|| habit(sql, error)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What is written otherwise in other databases.
fn habit(sql: &str, error: &ServerError) -> Option<String> {
    let place = error.position.and_then(|position| sql.chars().nth(position.checked_sub(1)?));
    if error.sqlstate == "42703" && place == Some('"') {
        return Some(
            "text stands in single quotes: 'text'; double quotes are for names".to_owned(),
        );
    }
    let words: Vec<String> =
        sql.split([' ', ';', '\n']).take(3).map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["show", "tables" | "topics", ..] => Some("\\dt lists the tables".to_owned()),
        ["show", "databases", ..] => Some("\\l lists the databases".to_owned()),
        ["describe" | "desc", name, ..] => Some(format!("\\d {name} shows the columns")),
        ["use", ..] => Some("the database is a part of the server's address".to_owned()),
        _ => None,
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
