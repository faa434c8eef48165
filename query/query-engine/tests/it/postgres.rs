//! The same statements over the wire to a live PostgreSQL, once, and to this engine, always: text and SQLSTATEs are compared.
//!
//! `postgres.txt` holds the statements, each followed by what PostgreSQL 15 answered: rows of `|`-separated values, or
//! `! SQLSTATE [at POSITION]: message`; `⏎` in a statement is a new line. Below a heading that begins with `== columns` the
//! first line has the columns as well: `: name OID [typmod]`. `postgres-differences.txt` lists the statements that are answered otherwise here,
//! below the kind and the reason:
//!
//! | kind | PostgreSQL | here |
//! |---|---|---|
//! | `error` | rows | an error |
//! | `rows` | an error | rows |
//! | `state` | an error | an error of another SQLSTATE or position |
//! | `value` | rows | other rows |
//!
//! An entry that no longer differs, or differs in another way, fails: the list only shrinks. `tests/postgres.sh` starts a
//! PostgreSQL of its own and records anew (`UPDATE=host:port`, user `luma`, database `postgres`, no password).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::support::Log;

const CORPUS: &str = include_str!("postgres.txt");
const DIFFERENCES: &str = include_str!("postgres-differences.txt");
const CORPUS_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/postgres.txt");

/// Both servers run these first.
pub(super) const TABLES: [&str; 4] = [
    "CREATE TABLE m (id bigint, g text, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric(10,2), \
     s text, b boolean, d date, ts timestamp, tz timestamptz)",
    "INSERT INTO m VALUES \
     (1, 'x', 1, 1, 10, 1.5, 1.5, 10.50, 'alpha', true, '2020-01-01', '2020-01-01 10:00:00', '2020-01-01 10:00:00+00'), \
     (2, 'y', 2, 2, 20, -2.5, 0, 3.25, 'Beta', false, '2020-01-31', '2020-01-31 23:59:59.5', '2020-01-31 23:59:59.5+00'), \
     (3, 'x', 32767, 2147483647, 9223372036854775807, 0.25, 2.5, NULL, 'gamma', true, '2020-02-29', '2020-02-29 00:00:00', '2020-02-29 00:00:00+00'), \
     (4, 'y', -32768, -2147483648, -9223372036854775808, 100, -3.5, -7.00, '', false, '1999-12-31', '1999-12-31 23:00:00', '1999-12-31 23:00:00+00'), \
     (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "CREATE TABLE u (id bigint, name text)",
    "INSERT INTO u VALUES (1, 'one'), (2, 'two'), (7, 'seven')",
];

/// A session that sends messages and reads what comes up to ReadyForQuery.
pub(super) struct Wire(TcpStream);

impl Wire {
    pub(super) fn connect(address: impl std::net::ToSocketAddrs, database: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut wire = Self(stream);
        let body = format!("\0\u{3}\0\0user\0luma\0database\0{database}\0\0");
        wire.send(None, body.as_bytes());
        wire.answer();
        wire
    }

    pub(super) fn send(&mut self, tag: Option<u8>, body: &[u8]) {
        let mut message: Vec<u8> = tag.into_iter().collect();
        message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend(body);
        self.0.write_all(&message).unwrap();
    }

    pub(super) fn ask(&mut self, sql: &str) -> String {
        let answer = self.ask_with_columns(sql);
        let rows = answer.lines().filter(|it| !it.starts_with(": "));
        rows.collect::<Vec<_>>().join("\n")
    }

    fn ask_with_columns(&mut self, sql: &str) -> String {
        let sql = sql.replace('⏎', "\n");
        self.send(Some(b'Q'), format!("{sql}\0").as_bytes());
        self.answer()
    }

    fn ask_as(&mut self, entry: &Entry) -> String {
        if entry.described { self.ask_with_columns(&entry.sql) } else { self.ask(&entry.sql) }
    }

    /// Prepares, binds with every column in binary, describes and executes.
    fn ask_in_binary(&mut self, sql: &str) -> String {
        let sql = sql.replace('⏎', "\n");
        self.send(Some(b'P'), format!("\0{sql}\0\0\0").as_bytes());
        self.send(Some(b'B'), b"\0\0\0\0\0\0\0\x01\0\x01");
        self.send(Some(b'D'), b"P\0");
        self.send(Some(b'E'), b"\0\0\0\0\0");
        self.send(Some(b'S'), b"");
        self.answer()
    }

    /// What comes up to ReadyForQuery, a line for the parameters, for the columns and for each row or error.
    pub(super) fn answer(&mut self) -> String {
        self.answer_with(row)
    }

    pub(super) fn answer_in_hexadecimal(&mut self) -> String {
        self.answer_with(hexadecimal)
    }

    fn answer_with(&mut self, row: fn(&[u8]) -> String) -> String {
        let mut lines = Vec::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).unwrap();
            match head[0] {
                b'R' => assert_eq!(body, [0; 4], "the server wants a password"),
                b't' => lines.push(parameters(&body)),
                b'T' => lines.push(columns(&body)),
                b'D' => lines.push(row(&body)),
                b'E' => lines.push(error(&body)),
                b'Z' => return lines.join("\n"),
                _ => {}
            }
        }
    }
}

/// `? OID OID …`.
fn parameters(body: &[u8]) -> String {
    let oids = body[2..].chunks_exact(4).map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]));
    oids.fold("?".to_owned(), |line, oid| format!("{line} {oid}"))
}

/// `: name OID [typmod]` of each column.
fn columns(body: &[u8]) -> String {
    let mut shown = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|it| *it == 0) {
        let name = String::from_utf8_lossy(&rest[..end]);
        let word = |at: usize| {
            let bytes = rest[end + at..].first_chunk::<4>().unwrap();
            i32::from_be_bytes(*bytes)
        };
        let (oid, modifier) = (word(7), word(13));
        shown.push(match modifier {
            -1 => format!("{name} {oid}"),
            modifier => format!("{name} {oid} {modifier}"),
        });
        rest = &rest[end + 19..];
    }
    format!(": {}", shown.join("|"))
}

/// Each value of a row; `None` for NULL.
fn cells(body: &[u8]) -> Vec<Option<&[u8]>> {
    let mut cells = Vec::new();
    let mut rest = &body[2..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length));
        cells.push(length.ok().map(|it| &after[..it]));
        rest = &after[length.unwrap_or(0)..];
    }
    cells
}

/// `x` and the bytes of each value.
fn hexadecimal(body: &[u8]) -> String {
    let shown = |it: &[u8]| it.iter().map(|byte| format!("{byte:02x}")).collect();
    let cells = cells(body).into_iter().map(|it| it.map_or("NULL".to_owned(), shown));
    format!("x {}", cells.collect::<Vec<String>>().join("|"))
}

fn row(body: &[u8]) -> String {
    let shown = |it: Option<&[u8]>| match it {
        None => "NULL".to_owned(),
        Some(it) => String::from_utf8_lossy(it).replace('\\', "\\\\").replace('\n', "\\n"),
    };
    let cells: Vec<String> = cells(body).into_iter().map(shown).collect();
    // A row is never an empty line: that ends an entry.
    if cells == [""] { "''".to_owned() } else { cells.join("|") }
}

fn error(body: &[u8]) -> String {
    let fields: BTreeMap<u8, String> = body
        .split(|it| *it == 0)
        .filter(|it| !it.is_empty())
        .map(|it| (it[0], String::from_utf8_lossy(&it[1..]).into_owned()))
        .collect();
    let at = fields.get(&b'P').map(|it| format!(" at {it}")).unwrap_or_default();
    format!("! {}{at}: {}", fields[&b'C'], fields[&b'M'])
}

/// A statement with its answer.
struct Entry {
    sql: String,
    answer: String,
    /// Its columns are compared too.
    described: bool,
}

impl Entry {
    fn is_heading(&self) -> bool {
        self.sql.starts_with("== ")
    }
}

/// Statements and headings in their order.
fn corpus() -> Vec<Entry> {
    let mut described = false;
    let entries = CORPUS.split("\n\n").filter_map(|entry| {
        let entry = entry.trim_matches('\n');
        let (sql, answer) = entry.split_once('\n').unwrap_or((entry, ""));
        if sql.starts_with("== ") {
            described = sql.starts_with("== columns");
        }
        let entry = Entry { sql: sql.to_owned(), answer: answer.to_owned(), described };
        (!sql.is_empty()).then_some(entry)
    });
    entries.collect()
}

/// An answer without the words of its error; when a statement fails decides whether its columns are told before.
fn compared(answer: &str) -> Vec<&str> {
    let is_description = |it: &str| it.starts_with(": ") || it.starts_with("? ");
    let lines = answer.lines().filter(|it| !is_error(answer) || !is_description(it));
    let states = lines.map(|it| match it.strip_prefix("! ") {
        Some(error) => error.split(':').next().unwrap_or(error),
        None => it,
    });
    states.collect()
}

fn is_error(answer: &str) -> bool {
    answer.lines().last().is_some_and(|it| it.starts_with("! "))
}

/// `None` where both say the same.
pub(super) fn difference(postgres: &str, ours: &str) -> Option<&'static str> {
    if compared(postgres) == compared(ours) {
        return None;
    }
    Some(match (is_error(postgres), is_error(ours)) {
        (false, true) => "error",
        (true, false) => "rows",
        (true, true) => "state",
        (false, false) => "value",
    })
}

/// Kinds of the statements that a file of differences lists.
pub(super) fn listed(differences: &'static str) -> BTreeMap<&'static str, &'static str> {
    let mut kind = "";
    let mut listed = BTreeMap::new();
    for line in differences.lines().filter(|it| !it.is_empty()) {
        match line.strip_prefix("# ") {
            Some(heading) => kind = heading.split(':').next().unwrap_or(heading),
            None => assert!(listed.insert(line, kind).is_none(), "{line} is listed twice"),
        }
    }
    listed
}

fn record(address: &str) {
    let mut postgres = Wire::connect(address, "postgres");
    postgres.ask("SET timezone = 'UTC'");
    for sql in TABLES {
        let sql = sql.replace("CREATE TABLE", "CREATE TEMPORARY TABLE");
        assert_eq!(postgres.ask(&sql), "", "{sql}");
    }
    let mut text = String::new();
    for entry in corpus() {
        let answer = if entry.is_heading() { String::new() } else { postgres.ask_as(&entry) };
        let separator = if answer.is_empty() { "" } else { "\n" };
        text += &format!("{}\n{answer}{separator}\n", entry.sql);
    }
    std::fs::write(CORPUS_PATH, text).unwrap();
}

/// Serves the engine over the wire while `test` asks.
pub(super) fn with_engine(test: impl FnOnce(SocketAddr)) {
    with_engine_over(&Log::new("other", &[&[]]), test);
}

pub(super) fn with_engine_over(log: &Log, test: impl FnOnce(SocketAddr)) {
    let (engine, _) = log.session();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let sql: Arc<dyn query_api::Sql> = engine;
    let options = proto_pg::PgOptions::default();
    runtime.spawn(proto_pg::serve(listener, sql, options, std::future::pending()));
    test(address);
    runtime.shutdown_background();
}

#[test]
fn statements_are_answered_as_by_postgresql() {
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
        for entry in corpus().iter().filter(|it| !it.is_heading()) {
            let (sql, postgres) = (&entry.sql, &entry.answer);
            let answer = ours.ask_as(entry);
            let found = difference(postgres, &answer);
            let expected = listed.remove(sql.as_str());
            if found != expected {
                let (found, expected) = (found.unwrap_or("none"), expected.unwrap_or("none"));
                failures.push(format!(
                    "{sql}\n  differs in: {found}, listed: {expected}\n  postgres: {postgres}\n  here: {answer}"
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

#[test]
fn values_are_of_the_types_that_their_columns_are_announced_with() {
    with_engine(|address| {
        let mut ours = Wire::connect(address, "luma");
        for sql in TABLES {
            assert_eq!(ours.ask(sql), "", "{sql}");
        }
        let mut failures = Vec::new();
        for Entry { sql, .. } in corpus().iter().filter(|it| !it.is_heading()) {
            // As text they are compared with PostgreSQL's; bytes of another type are an error.
            let answer = ours.ask_in_binary(sql);
            if answer.contains("! XX000") {
                failures.push(format!("{sql}\n  {answer}"));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    });
}
