//! A small engine: a handful of statements with exact results, so that tests see the adapter and nothing else.
//!
//! | statement | result |
//! |---|---|
//! | `SELECT <integer>` | one row, one `int4` column |
//! | `SELECT $1` | the parameter, of the declared type or text |
//! | `types` | one row with a column of every type |
//! | `series <n>` | n rows of `int8`, in batches of 100 |
//! | `wide <n>` | endless rows of n bytes |
//! | `forever` | a first row, then nothing for ever |
//! | `broken <n>` | n rows, then an error |
//! | `fail` | an error at preparation, position 1 |
//! | `copy text`, `copy csv` | two columns of values that need care, as the data of COPY |
//! | `warn` | no rows, two notices |
//! | `SET <name> = '<value>'` | reported to the client; `bad` is refused; the two timeouts, in ms, are kept |
//! | `BEGIN`, `COMMIT` | transaction block |
//! | `panic` | panics |

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use query_api::{
    BoxFuture, Cancel, Column, CopyFormat, CopyOut, DataType, Described, Error, ErrorKind,
    Execution, Row, RowStream, Sql, SqlSession, SqlSessionOptions, StatementId, Timeouts, Value,
};
use tokio::sync::Notify;

/// What tests look at.
#[derive(Default)]
pub(crate) struct Counters {
    /// Streams that exist.
    pub(crate) streams: AtomicUsize,
    /// Rows that were produced.
    pub(crate) rows: AtomicUsize,
    /// Statements the engine knows.
    pub(crate) statements: AtomicUsize,
    /// Calls of `Cancel::cancel`.
    pub(crate) cancels: AtomicUsize,
    /// Notified when a stream was dropped.
    pub(crate) stream_dropped: Notify,
}

#[derive(Default)]
pub(crate) struct Double {
    pub(crate) counters: Arc<Counters>,
}

impl Sql for Double {
    fn open_session(&self, options: SqlSessionOptions) -> Box<dyn SqlSession> {
        Box::new(Session {
            counters: Arc::clone(&self.counters),
            options,
            statements: BTreeMap::new(),
            next: 0,
            status: b'I',
            timeouts: Timeouts::default(),
        })
    }
}

struct Session {
    counters: Arc<Counters>,
    options: SqlSessionOptions,
    statements: BTreeMap<StatementId, (String, Described)>,
    next: u64,
    status: u8,
    timeouts: Timeouts,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.counters.statements.fetch_sub(self.statements.len(), Ordering::SeqCst);
    }
}

struct Canceller(Arc<Counters>);

impl Cancel for Canceller {
    fn cancel(&self) {
        self.0.cancels.fetch_add(1, Ordering::SeqCst);
    }
}

impl SqlSession for Session {
    fn split(&self, sql: &str) -> Result<Vec<(String, usize)>, Error> {
        let mut statements = Vec::new();
        let mut offset = 0;
        for part in sql.split(';') {
            let text = part.trim_start();
            let start = offset + part.len() - text.len();
            if !text.trim_end().is_empty() {
                statements.push((text.trim_end().to_owned(), start));
            }
            offset += part.len() + 1;
        }
        Ok(statements)
    }

    fn prepare<'a>(
        &'a mut self,
        sql: &'a str,
        hints: &'a [DataType],
    ) -> BoxFuture<'a, Result<(StatementId, Described), Error>> {
        Box::pin(async move {
            let described = describe(sql, hints)?;
            if self.status == b'E' && sql != "COMMIT" {
                return Err(Error::new(ErrorKind::Invalid, "current transaction is aborted")
                    .with_sqlstate("25P02"));
            }
            self.next += 1;
            let id = StatementId(self.next);
            self.statements.insert(id, (sql.to_owned(), described.clone()));
            self.counters.statements.fetch_add(1, Ordering::SeqCst);
            Ok((id, described))
        })
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        parameters: Vec<Value>,
    ) -> BoxFuture<'a, Result<Execution, Error>> {
        Box::pin(async move {
            let (sql, described) =
                self.statements.get(&statement).cloned().expect("a known statement");
            self.run(&sql, described, parameters)
        })
    }

    fn cursor_columns(&self, name: &str) -> Option<Vec<Column>> {
        (name == "sql cursor").then(|| vec![column("n", DataType::Int8)])
    }

    fn name_statement(&mut self, statement: StatementId, name: &str) -> Result<(), Error> {
        if name == "taken" {
            let error =
                Error::new(ErrorKind::Conflict, "prepared statement \"taken\" already exists");
            return Err(error.with_sqlstate("42P05"));
        }
        assert!(self.statements.contains_key(&statement));
        Ok(())
    }

    fn is_prepared(&self, statement: StatementId) -> bool {
        self.statements.contains_key(&statement)
    }

    fn close(&mut self, statement: StatementId) {
        if self.statements.remove(&statement).is_some() {
            self.counters.statements.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn transaction_status(&self) -> u8 {
        self.status
    }

    fn fail_transaction(&mut self) {
        if self.status == b'T' {
            self.status = b'E';
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    fn canceller(&self) -> Arc<dyn Cancel> {
        Arc::new(Canceller(Arc::clone(&self.counters)))
    }

    fn startup_parameters(&self) -> Vec<(String, String)> {
        vec![("is_superuser".to_owned(), "off".to_owned())]
    }
}

fn column(name: &str, data_type: DataType) -> Column {
    Column { name: name.to_owned(), data_type }
}

fn describe(sql: &str, hints: &[DataType]) -> Result<Described, Error> {
    let (verb, rest) = sql.split_once(' ').unwrap_or((sql, ""));
    let hint = hints.first().cloned().unwrap_or(DataType::Unknown);
    let (parameters, columns) = match verb {
        "SELECT" if rest == "$1" => (vec![hint.clone()], vec![column("?column?", hint)]),
        "SELECT" if rest.parse::<i32>().is_ok() => {
            (vec![], vec![column("?column?", DataType::Int4)])
        }
        "types" => (vec![], types().into_iter().map(|(column, _)| column).collect()),
        "series" | "broken" => (vec![], vec![column("n", DataType::Int8)]),
        "wide" => (vec![], vec![column("w", DataType::Text)]),
        "copy" => (vec![], vec![]),
        "forever" => (vec![], vec![column("f", DataType::Int4)]),
        "warn" | "SET" | "BEGIN" | "COMMIT" | "panic" => (vec![], vec![]),
        _ => {
            let message = format!("syntax error at or near \"{verb}\"");
            let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("42601");
            return Err(error.with_position(1).with_hint("Ask for something else."));
        }
    };
    Ok(Described { parameters, columns })
}

/// One value of every type, with what PostgreSQL would print for it in `rows.rs`.
pub(crate) fn types() -> Vec<(Column, Value)> {
    vec![
        (column("bool", DataType::Bool), Value::Bool(true)),
        (column("int2", DataType::Int2), Value::Int2(-2)),
        (column("int4", DataType::Int4), Value::Int4(4)),
        (column("int8", DataType::Int8), Value::Int8(i64::MIN)),
        (column("float4", DataType::Float4), Value::Float4(0.1)),
        (column("float8", DataType::Float8), Value::Float8(1e15)),
        (column("numeric", DataType::Numeric(10, 2)), Value::Numeric(12_345, 2)),
        (column("text", DataType::Text), Value::Text("tëxt".to_owned())),
        (column("name", DataType::Name), Value::Text("name".to_owned())),
        (column("char", DataType::InternalChar), Value::Text("r".to_owned())),
        (column("bytea", DataType::Bytea), Value::Bytea(Bytes::from_static(&[0, 0xff]))),
        (column("date", DataType::Date), Value::Date(20_454)),
        (column("time", DataType::Time), Value::Time(3_723_000_500)),
        (column("timestamp", DataType::Timestamp), Value::Timestamp(1_767_225_600_000_000)),
        (column("timestamptz", DataType::TimestampTz), Value::Timestamp(1_767_225_600_000_000)),
        (
            column("interval", DataType::Interval),
            Value::Interval { months: 14, days: -3, micros: 14_706_500_000 },
        ),
        (column("json", DataType::Json), Value::Json("{\"a\": 1}".to_owned())),
        (column("jsonb", DataType::Jsonb), Value::Json("{\"b\": 2}".to_owned())),
        (column("oid", DataType::Oid), Value::Oid(u32::MAX)),
        (
            column("array", DataType::Array(Box::new(DataType::Text))),
            Value::Array(vec![
                Value::Text("a b".to_owned()),
                Value::Null,
                Value::Text(String::new()),
            ]),
        ),
        (column("unknown", DataType::Unknown), Value::Null),
    ]
}

impl Session {
    /// Keeps the timeouts.
    fn note(&mut self, name: &str, value: &str) {
        let limit = value.parse().ok().map(Duration::from_millis);
        match name {
            "statement_timeout" => self.timeouts.statement = limit,
            "idle_in_transaction_session_timeout" => self.timeouts.idle_in_transaction = limit,
            _ => {}
        }
    }

    fn run(
        &mut self,
        sql: &str,
        described: Described,
        parameters: Vec<Value>,
    ) -> Result<Execution, Error> {
        let (verb, rest) = sql.split_once(' ').unwrap_or((sql, ""));
        let count = rest.parse::<usize>().unwrap_or(0);
        let mut tag = verb;
        let mut notices = Vec::new();
        let mut parameter_status = Vec::new();
        let rows: Option<RowStream> = match verb {
            "SELECT" => {
                let value = parameters.into_iter().next();
                let value = value.unwrap_or_else(|| Value::Int4(rest.parse().expect("described")));
                Some(stream::iter([Ok(vec![vec![value]])]).boxed())
            }
            "types" => Some(row(types().into_iter().map(|(_, value)| value).collect())),
            "series" => Some(series(count).boxed()),
            "broken" => {
                let error = Error::new(ErrorKind::Corrupt, "checksum mismatch");
                Some(series(count).chain(stream::iter([Err(error)])).boxed())
            }
            "wide" => {
                let wide = vec![vec![Value::Text("x".repeat(count))]];
                Some(stream::repeat(()).map(move |()| Ok(wide.clone())).boxed())
            }
            "copy" => Some(stream::iter([Ok(tricky())]).boxed()),
            "forever" => Some(row(vec![Value::Int4(1)]).chain(stream::pending()).boxed()),
            "warn" => {
                notices = vec!["WARNING: 3 records were skipped".to_owned(), "plain".to_owned()];
                None
            }
            "SET" => {
                let (name, value) = set(rest)?;
                self.note(&name, &value);
                parameter_status.push((name, value));
                None
            }
            "BEGIN" => {
                self.status = b'T';
                None
            }
            "COMMIT" => {
                if self.status == b'E' {
                    tag = "ROLLBACK";
                }
                self.status = b'I';
                None
            }
            "panic" => panic!("the engine of {} panicked", self.options.user),
            _ => unreachable!("describe refuses {verb}"),
        };
        let counted = ["types", "series", "broken", "wide", "forever"].contains(&verb);
        let copy = (verb == "copy").then(|| copy_out(rest));
        let columns = match copy {
            Some(_) => vec![column("a", DataType::Text), column("b,", DataType::Int4)],
            None => described.columns,
        };
        let tag = match verb {
            "copy" => "COPY",
            _ if counted => "SELECT",
            _ => tag,
        };
        Ok(Execution {
            columns,
            tag: tag.to_owned(),
            rows: rows.map(|rows| counting(rows, &self.counters)),
            notices: Arc::new(move || notices.clone()),
            parameter_status,
            copy,
        })
    }
}

fn copy_out(format: &str) -> CopyOut {
    let csv = format == "csv";
    let format = if csv {
        CopyFormat::Csv { quote: b'"', escape: b'"', force_quote: Vec::new() }
    } else {
        CopyFormat::Text
    };
    let null = if csv { String::new() } else { "\\N".to_owned() };
    CopyOut { format, delimiter: if csv { b',' } else { b'\t' }, null, header: csv }
}

fn tricky() -> Vec<Row> {
    let text = |it: &str| Value::Text(it.to_owned());
    vec![
        vec![text("a\tb\\\n"), Value::Int4(1)],
        vec![text("x,\"y\""), Value::Null],
        vec![text(""), Value::Int4(-1)],
        vec![Value::Null, Value::Int4(0)],
    ]
}

fn row(row: Row) -> RowStream {
    stream::iter([Ok(vec![row])]).boxed()
}

fn series(count: usize) -> impl Stream<Item = Result<Vec<Row>, Error>> + Send {
    let numbers = stream::iter(1..=i64::try_from(count).expect("a small number"));
    numbers.map(|number| vec![Value::Int8(number)]).chunks(100).map(Ok)
}

fn set(rest: &str) -> Result<(String, String), Error> {
    let (name, value) = rest.split_once(" = ").expect("the adapter's own words");
    if name == "bad" {
        let message = "unrecognized configuration parameter \"bad\"";
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    Ok((name.to_owned(), value.trim_matches('\'').to_owned()))
}

/// Counts the rows and the stream's life.
struct Counting {
    inner: RowStream,
    counters: Arc<Counters>,
}

fn counting(inner: RowStream, counters: &Arc<Counters>) -> RowStream {
    counters.streams.fetch_add(1, Ordering::SeqCst);
    Box::pin(Counting { inner, counters: Arc::clone(counters) })
}

impl Stream for Counting {
    type Item = Result<Vec<Row>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(rows))) = &polled {
            self.counters.rows.fetch_add(rows.len(), Ordering::SeqCst);
        }
        polled
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.counters.streams.fetch_sub(1, Ordering::SeqCst);
        self.counters.stream_dropped.notify_one();
    }
}
