//! Counts SQL statements between the adapter and the engine, so that neither has to.
//!
//! ```text
//!  proto-pg ──► Metered ──► Engine
//!                  └──► SqlMeter ◄── metrics
//! ```
//!
//! Invariants:
//! - A statement is active from the call that runs it until its last row is taken or it is dropped.
//! - Each is counted once: as `ok`, as `error`, or as `cancelled` when it was dropped before its end, because somebody
//!   cancelled it or because its client wanted no more rows.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::Stream;
use proto_http::{Histogram, QueryStats};
use query_api::{
    BoxFuture, Cancel, Column, DataType, Described, Error, Execution, Row, RowStream, Sql,
    SqlSession, SqlSessionOptions, StatementId, Timeouts, Value,
};

/// Upper bounds of the durations, in seconds.
const BOUNDS_S: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Error,
    Cancelled,
}

impl Status {
    fn of(error: &Error) -> Self {
        if error.sqlstate == Some("57014") { Self::Cancelled } else { Self::Error }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The statements of one protocol since the start.
#[derive(Default)]
pub(crate) struct SqlMeter {
    active: AtomicU64,
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    ok: u64,
    error: u64,
    cancelled: u64,
    durations: BTreeMap<&'static str, Histogram>,
}

impl SqlMeter {
    pub(crate) fn stats(&self) -> QueryStats {
        let ended = self.lock();
        let counts = [
            (Status::Ok, ended.ok),
            (Status::Error, ended.error),
            (Status::Cancelled, ended.cancelled),
        ];
        QueryStats {
            active: self.active.load(Ordering::Relaxed),
            by_status: counts.map(|(status, count)| (status.name(), count)).to_vec(),
            durations: ended.durations.iter().map(|(kind, one)| (*kind, one.clone())).collect(),
        }
    }

    fn count(&self, status: Status) {
        let mut ended = self.lock();
        let counter = match status {
            Status::Ok => &mut ended.ok,
            Status::Error => &mut ended.error,
            Status::Cancelled => &mut ended.cancelled,
        };
        *counter += 1;
    }

    fn observe(&self, kind: &'static str, seconds: f64) {
        let mut ended = self.lock();
        let histogram = ended.durations.entry(kind).or_insert_with(|| Histogram {
            buckets: BOUNDS_S.map(|bound| (bound, 0)).to_vec(),
            ..Histogram::default()
        });
        histogram.count += 1;
        histogram.sum += seconds;
        let bucket = histogram.buckets.iter_mut().find(|(bound, _)| seconds <= *bound);
        if let Some((_, count)) = bucket {
            *count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ended> {
        // Plain counters: whole whoever panicked.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement that runs; counted when dropped.
struct Running {
    meter: Arc<SqlMeter>,
    kind: &'static str,
    began: Instant,
    status: Status,
}

impl Running {
    fn begin(meter: &Arc<SqlMeter>, kind: &'static str) -> Self {
        meter.active.fetch_add(1, Ordering::Relaxed);
        let (meter, began) = (Arc::clone(meter), Instant::now());
        Self { meter, kind, began, status: Status::Cancelled }
    }

    fn end(mut self, status: Status) {
        self.status = status;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.meter.active.fetch_sub(1, Ordering::Relaxed);
        self.meter.count(self.status);
        self.meter.observe(self.kind, self.began.elapsed().as_secs_f64());
    }
}

/// An engine whose statements are counted.
pub(crate) struct Metered {
    pub(crate) sql: Arc<dyn Sql>,
    pub(crate) meter: Arc<SqlMeter>,
}

impl Sql for Metered {
    fn open_session(&self, options: SqlSessionOptions) -> Box<dyn SqlSession> {
        let session = self.sql.open_session(options);
        Box::new(Session { session, meter: Arc::clone(&self.meter), kinds: BTreeMap::new() })
    }
}

struct Session {
    session: Box<dyn SqlSession>,
    meter: Arc<SqlMeter>,
    /// Of the prepared statements.
    kinds: BTreeMap<StatementId, &'static str>,
}

impl SqlSession for Session {
    fn split(&self, sql: &str) -> Result<Vec<(String, usize)>, Error> {
        self.session.split(sql).inspect_err(|error| self.meter.count(Status::of(error)))
    }

    fn prepare<'a>(
        &'a mut self,
        sql: &'a str,
        parameter_types: &'a [DataType],
    ) -> BoxFuture<'a, Result<(StatementId, Described), Error>> {
        Box::pin(async move {
            let prepared = self.session.prepare(sql, parameter_types).await;
            match &prepared {
                Ok((id, _)) => _ = self.kinds.insert(*id, kind(sql)),
                Err(error) => self.meter.count(Status::of(error)),
            }
            prepared
        })
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        parameters: Vec<Value>,
    ) -> BoxFuture<'a, Result<Execution, Error>> {
        let kind = self.kinds.get(&statement).copied().unwrap_or(OTHER);
        let running = Running::begin(&self.meter, kind);
        let executing = self.session.execute(statement, parameters);
        Box::pin(async move {
            let mut execution = match executing.await {
                Ok(execution) => execution,
                Err(error) => {
                    running.end(Status::of(&error));
                    return Err(error);
                }
            };
            match execution.rows.take() {
                Some(rows) => {
                    let rows = MeteredRows { rows, running: Some(running) };
                    execution.rows = Some(Box::pin(rows));
                }
                None => running.end(Status::Ok),
            }
            Ok(execution)
        })
    }

    fn cursor_columns(&self, name: &str) -> Option<Vec<Column>> {
        self.session.cursor_columns(name)
    }

    fn name_statement(&mut self, statement: StatementId, name: &str) -> Result<(), Error> {
        self.session.name_statement(statement, name)
    }

    fn is_prepared(&self, statement: StatementId) -> bool {
        self.session.is_prepared(statement)
    }

    fn close(&mut self, statement: StatementId) {
        self.kinds.remove(&statement);
        self.session.close(statement);
    }

    fn transaction_status(&self) -> u8 {
        self.session.transaction_status()
    }

    fn fail_transaction(&mut self) {
        self.session.fail_transaction();
    }

    fn timeouts(&self) -> Timeouts {
        self.session.timeouts()
    }

    fn canceller(&self) -> Arc<dyn Cancel> {
        self.session.canceller()
    }

    fn startup_parameters(&self) -> Vec<(String, String)> {
        self.session.startup_parameters()
    }
}

struct MeteredRows {
    rows: RowStream,
    /// `None` once counted.
    running: Option<Running>,
}

impl Stream for MeteredRows {
    type Item = Result<Vec<Row>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.rows.as_mut().poll_next(cx));
        let status = match &next {
            Some(Ok(_)) => return Poll::Ready(next),
            Some(Err(error)) => Status::of(error),
            None => Status::Ok,
        };
        if let Some(running) = self.running.take() {
            running.end(status);
        }
        Poll::Ready(next)
    }
}

const OTHER: &str = "other";

/// A statement's first word, as far as it says something; the label stays bounded.
fn kind(sql: &str) -> &'static str {
    let text = without_comments(sql).trim_start_matches(['(', ' ', '\t', '\r', '\n']);
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "select" | "with" | "values" | "table" => "select",
        "insert" => "insert",
        "copy" => "copy",
        "fetch" => "fetch",
        "explain" => "explain",
        "create" | "drop" | "alter" => "ddl",
        _ => OTHER,
    }
}

/// The text after leading blanks and comments, which some clients begin every statement with.
fn without_comments(sql: &str) -> &str {
    let mut text = sql.trim_start();
    loop {
        let rest = if let Some(line) = text.strip_prefix("--") {
            line.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(block) = text.strip_prefix("/*") {
            block.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
        text = rest.trim_start();
    }
}

#[cfg(test)]
mod tests;
