//! Statements with parameters over the wire to a live PostgreSQL, once, and to this engine, always.
//!
//! `parameters.txt` holds the statements, each followed by what PostgreSQL 15 answered:
//!
//! ```text
//! SELECT $1::int[] <- 0 text {1,2}      parameters: declared OID, form, value; several stand apart with ` ; `
//! ? 1007                                what the parameters were described as
//! : int4 1007                           the columns
//! {1,2}                                 the rows as text
//! x 00000001…                           the rows in binary, in hexadecimal
//! ```
//!
//! A value's form is `text`, `binary` (in hexadecimal) or `null`. Errors are as in `postgres.txt`, and as there
//! `parameters-differences.txt` lists the statements that are answered otherwise here; `tests/postgres.sh` records both.

use std::fmt::Write as _;

use crate::postgres::{TABLES, Wire, difference, listed, with_engine, with_engine_over};
use crate::support::Log;

const CORPUS: &str = include_str!("parameters.txt");
const DIFFERENCES: &str = include_str!("parameters-differences.txt");
const CORPUS_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/parameters.txt");

struct Parameter {
    oid: u32,
    /// 0 text, 1 binary.
    format: u16,
    value: Option<Vec<u8>>,
}

impl Parameter {
    fn read(text: &str) -> Self {
        let (oid, rest) = text.split_once(' ').unwrap();
        let (form, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let (format, value) = match form {
            "text" => (0, Some(value.replace('⏎', "\n").into_bytes())),
            "binary" => {
                let digit = |at| u8::from_str_radix(&value[at..at + 2], 16).unwrap();
                (1, Some((0..value.len()).step_by(2).map(digit).collect()))
            }
            "null" => (0, None),
            other => panic!("{other} is no form of a value"),
        };
        Self { oid: oid.parse().unwrap(), format, value }
    }
}

/// A statement's text and its parameters.
fn read(entry: &str) -> (&str, Vec<Parameter>) {
    match entry.split_once(" <- ") {
        Some((sql, parameters)) => (sql, parameters.split(" ; ").map(Parameter::read).collect()),
        None => (entry, Vec::new()),
    }
}

fn parse(sql: &str, parameters: &[Parameter]) -> Vec<u8> {
    let mut body = format!("\0{sql}\0").into_bytes();
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    parameters.iter().for_each(|it| body.extend(it.oid.to_be_bytes()));
    body
}

fn bind(parameters: &[Parameter], result_format: u16) -> Vec<u8> {
    let count = u16::try_from(parameters.len()).unwrap().to_be_bytes();
    let mut body = b"\0\0".to_vec();
    body.extend(count);
    parameters.iter().for_each(|it| body.extend(it.format.to_be_bytes()));
    body.extend(count);
    for parameter in parameters {
        let length = parameter.value.as_ref().map_or(-1, |it| i32::try_from(it.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(parameter.value.iter().flatten());
    }
    body.extend(1_u16.to_be_bytes());
    body.extend(result_format.to_be_bytes());
    body
}

/// The description, the rows as text and the rows in binary; up to the first error.
fn asked(wire: &mut Wire, entry: &str) -> String {
    let (sql, parameters) = read(entry);
    wire.send(Some(b'P'), &parse(sql, &parameters));
    wire.send(Some(b'D'), b"S\0");
    wire.send(Some(b'S'), b"");
    let mut answer = wire.answer();
    for format in [0, 1] {
        if answer.contains("! ") {
            break;
        }
        wire.send(Some(b'B'), &bind(&parameters, format));
        wire.send(Some(b'E'), b"\0\0\0\0\0");
        wire.send(Some(b'S'), b"");
        let rows = if format == 1 { wire.answer_in_hexadecimal() } else { wire.answer() };
        if !rows.is_empty() {
            answer.push('\n');
            answer.push_str(&rows);
        }
    }
    answer
}

/// Statements and headings with their answers.
fn corpus() -> impl Iterator<Item = (&'static str, &'static str)> {
    let entries = CORPUS.split("\n\n").map(|it| it.trim_matches('\n'));
    entries.filter(|it| !it.is_empty()).map(|it| it.split_once('\n').unwrap_or((it, "")))
}

fn is_heading(entry: &str) -> bool {
    entry.starts_with("== ")
}

fn record(address: &str) {
    let mut postgres = Wire::connect(address, "postgres");
    postgres.ask("SET timezone = 'UTC'");
    for sql in TABLES {
        let sql = sql.replace("CREATE TABLE", "CREATE TEMPORARY TABLE");
        assert_eq!(postgres.ask(&sql), "", "{sql}");
    }
    let mut text = String::new();
    for (entry, _) in corpus() {
        match is_heading(entry) {
            true => writeln!(text, "{entry}\n").unwrap(),
            false => writeln!(text, "{entry}\n{}\n", asked(&mut postgres, entry)).unwrap(),
        }
    }
    std::fs::write(CORPUS_PATH, text).unwrap();
}

#[test]
fn parameters_are_taken_as_by_postgresql() {
    if let Ok(address) = std::env::var("UPDATE")
        && address.contains(':')
    {
        return record(&address);
    }
    with_engine(|address| {
        let mut ours = Wire::connect(address, "luma");
        for sql in TABLES {
            assert_eq!(ours.ask(sql), "", "{sql}");
        }
        let mut listed = listed(DIFFERENCES);
        let mut failures = Vec::new();
        for (entry, postgres) in corpus().filter(|(entry, _)| !is_heading(entry)) {
            let answer = asked(&mut ours, entry);
            let found = difference(postgres, &answer).unwrap_or("none");
            let expected = listed.remove(entry).unwrap_or("none");
            if found != expected {
                failures.push(format!(
                    "{entry}\n  differs in: {found}, listed: {expected}\n  postgres: {postgres}\n  here: {answer}"
                ));
            }
        }
        failures.extend(
            listed.keys().map(|it| format!("{it}\n  is listed, but no such statement is asked")),
        );
        let count = failures.len();
        assert!(failures.is_empty(), "{}\n{count} statements", failures.join("\n"));
    });
}

/// Binds a statement without parameters and executes it.
fn executed(wire: &mut Wire, statement: &str) -> String {
    wire.send(Some(b'B'), format!("\0{statement}\0\0\0\0\0\0\0").as_bytes());
    wire.send(Some(b'E'), b"\0\0\0\0\0");
    wire.send(Some(b'S'), b"");
    wire.answer()
}

/// The columns of a topic are those of its records. Statements kept the ones that they were prepared with: a third record with
/// a fraction was no record to them, and other connections answered otherwise.
#[test]
fn a_statement_goes_by_the_columns_of_now() {
    const CHANGED: &str = "! 0A000: cached plan must not change result type";
    const LEAST: &str = "SELECT count(price), min(price) FROM other";
    let log = Log::new("other", &[&[r#"{"price":1}"#, r#"{"price":2}"#]]);
    with_engine_over(&log, |address| {
        let mut wire = Wire::connect(address, "luma");
        let insert = "INSERT INTO other (price) VALUES (1), (2)";
        let count = "SELECT count(*) FROM other WHERE price > 0.7";
        for (name, sql) in [("least", LEAST), ("count", count), ("insert", insert)] {
            wire.send(Some(b'P'), format!("{name}\0{sql}\0\0\0").as_bytes());
        }
        assert_eq!(executed(&mut wire, "least"), "2|1");
        assert_eq!(executed(&mut wire, "count"), "2");
        assert_eq!(wire.ask(&format!("PREPARE p AS {LEAST}")), "");
        assert_eq!(wire.ask("EXECUTE p"), "2|1");
        log.memory.push("other", 0, std::iter::once(r#"{"price":0.75}"#.to_owned()));
        assert_eq!(executed(&mut wire, "least"), CHANGED);
        assert_eq!(wire.ask("EXECUTE p"), CHANGED);
        assert_eq!(executed(&mut wire, "count"), "3");
        assert_eq!(executed(&mut wire, "insert"), "");
        assert_eq!(wire.ask(LEAST), "5|0.75");
        wire.send(Some(b'C'), b"Sleast\0");
        wire.send(Some(b'P'), format!("least\0{LEAST}\0\0\0").as_bytes());
        assert_eq!(executed(&mut wire, "least"), "5|0.75");
    });
}
