//! Backslash commands. Those that read the catalog are queries over `pg_catalog`, as psql's are.

use std::path::PathBuf;

use super::Settings;
use crate::args::OnError;
use crate::exit::{Exit, Failure};

/// What a command does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meta {
    Done(String),
    Query(String),
    /// A query that says something about a relation; no rows when there is none.
    Relation {
        name: String,
        sql: String,
    },
    /// Text for standard output.
    Echo(String),
    /// A script to run.
    Include(PathBuf),
    Quit,
}

/// psql's words.
pub(super) fn no_relation(name: &str) -> Failure {
    let message = format!("Did not find any relation named \"{}\".", name.trim_matches('"'));
    let failure = Failure::new(Exit::NotFound, message);
    if !name.starts_with('"') && name.chars().any(char::is_uppercase) {
        return failure.hint(format!("a name with capitals is written \\d \"{name}\""));
    }
    failure.hint("\\d lists all")
}

/// A text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) const TABLES: &str = "select n.nspname as schema, c.relname as name from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r','v','m','f','p') \
    and n.nspname not in ('pg_catalog','information_schema') order by 1, 2";

/// Reads a command, without its backslash.
pub(super) fn meta(command: &str, settings: &mut Settings) -> Result<Meta, Failure> {
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    // What psql's + adds is not there, and it forgives a `;` from habit.
    let name = name.trim_end_matches(';');
    let name = name.strip_suffix('+').unwrap_or(name);
    let rest = rest.trim();
    let mut words = rest.trim_end_matches(';').split_whitespace();
    let argument = words.next();
    let word = |fact: bool| if fact { "on" } else { "off" };
    Ok(match (name, argument) {
        ("q", _) => Meta::Quit,
        ("x", _) => {
            settings.expanded = switch(name, argument, !settings.expanded)?;
            Meta::Done(format!("expanded display is {}", word(settings.expanded)))
        }
        ("timing", _) => {
            settings.timing = switch(name, argument, !settings.timing)?;
            Meta::Done(format!("timing is {}", word(settings.timing)))
        }
        ("set", Some("ON_ERROR_STOP")) => {
            let stop = switch("set ON_ERROR_STOP", words.next(), true)?;
            settings.on_error = if stop { OnError::Stop } else { OnError::Continue };
            Meta::Done(format!("ON_ERROR_STOP is {}", word(stop)))
        }
        ("echo", _) => Meta::Echo(unquoted(rest)),
        ("i" | "include", Some(_)) => Meta::Include(PathBuf::from(unquoted(rest))),
        ("i" | "include", None) => return Err(Failure::usage("\\i needs the name of a file")),
        ("conninfo", _) => Meta::Done(settings.connected.clone()),
        ("g" | "gx", None) => {
            return Err(Failure::usage(format!("\\{name} ends a statement, and there is none")));
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

/// What `on` and `off`, in any of psql's spellings, mean; `missing` when nothing is said.
fn switch(name: &str, argument: Option<&str>, missing: bool) -> Result<bool, Failure> {
    match argument {
        None => Ok(missing),
        Some("on" | "true" | "yes" | "1") => Ok(true),
        Some("off" | "false" | "no" | "0") => Ok(false),
        Some(other) => Err(Failure::usage(format!("\\{name} takes on or off, not {other:?}"))),
    }
}

/// An argument without the quotes around it.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inside) => inside.replace("''", "'"),
        None => text.to_owned(),
    }
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

const HELP: &str = "\
\\d, \\dt        tables and topics
\\d NAME       columns of one
\\dt PATTERN   tables and topics by name: \\dt ord*
\\l            databases
\\dn           schemas
\\x            one column per line
\\timing       time of each statement
\\g, \\gx       end a statement as ; does; \\gx shows one column per line
\\r            forget what was typed
\\i FILE       run a script
\\echo TEXT    print it
\\set ON_ERROR_STOP off   go on after a failure in a script
\\conninfo     to what this is connected
\\q            leave";
