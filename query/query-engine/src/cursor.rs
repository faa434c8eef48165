//! SQL cursors: `DECLARE c CURSOR FOR query`, then `FETCH`, `MOVE`, `CLOSE`.
//!
//! ```text
//!  DECLARE ──► running plan, polled only as far as rows are wanted
//!                 │ FETCH n ──► the next n rows       MOVE n ──► n rows forgotten
//! ```
//!
//! Invariants:
//! - A cursor reads forward: a row that was passed is gone, so memory does not grow with its position.
//! - A cursor sees the snapshot of its declaration; one WITH HOLD keeps it beyond the transaction block.
//! - An error or a cancel leaves the cursor at its end.
//!
//! Absent: SCROLL, BINARY, and reading a cursor through an Execute message.
//! <https://www.postgresql.org/docs/15/sql-declare.html>

mod parse;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Declare;
use futures_util::{StreamExt as _, stream};
use query_api::{Column, Error, ErrorKind, Execution, Row, RowStream};
use tokio::sync::{Mutex, watch};

use crate::error::unsupported;
use crate::query;
use crate::rewrite::fold;

pub(crate) use parse::parse;

/// Cursors one session may have open.
pub(crate) const CURSORS_MAX: usize = 100;

/// What DECLARE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) hold: bool,
}

impl Declaration {
    /// # Errors
    /// 0A000 for what is not built.
    pub(crate) fn new(statements: &[Declare]) -> Result<Self, Error> {
        let [declare] = statements else { return Err(unsupported("DECLARE is not supported")) };
        let ([name], Some(_)) = (declare.names.as_slice(), &declare.for_query) else {
            return Err(unsupported("DECLARE of anything but a cursor is not supported"));
        };
        if declare.binary == Some(true) {
            return Err(unsupported("binary cursors are not supported")
                .with_hint("ask for binary results in the Bind message of FETCH"));
        }
        if declare.scroll == Some(true) {
            return Err(unsupported("scrollable cursors are not supported")
                .with_hint("a cursor reads forward; declare it with NO SCROLL"));
        }
        Ok(Self { name: fold(name), hold: declare.hold == Some(true) })
    }
}

/// Which rows FETCH and MOVE are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The next `n`; all that are left when `None`.
    Forward(Option<u64>),
    /// The row with this number, counted from 1.
    Absolute(u64),
    /// The n-th row from here.
    Relative(u64),
    /// Needs rows that were passed.
    Backward,
}

/// A cursor of a session.
pub(crate) struct Cursor {
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) hold: bool,
    pub(crate) columns: Vec<Column>,
    /// Declared in the transaction block that is open.
    pub(crate) in_block: bool,
    /// Savepoints that were set before it.
    pub(crate) savepoints: usize,
    rows: Arc<Mutex<Rows>>,
}

/// A cursor's rows and its place in them.
struct Rows {
    stream: RowStream,
    batch: std::vec::IntoIter<Row>,
    position: u64,
    ended: bool,
    notices: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The statement's own switch, which nobody uses: each FETCH watches the session's.
    _never_cancelled: watch::Sender<u64>,
}

impl Rows {
    /// Up to `max` of the next rows, what one batch of the plan holds at most; none at the end.
    async fn next(&mut self, max: u64) -> Result<Vec<Row>, Error> {
        while self.batch.as_slice().is_empty() && !self.ended {
            match self.stream.next().await {
                Some(Ok(batch)) => self.batch = batch.into_iter(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => self.ended = true,
            }
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let rows: Vec<Row> = self.batch.by_ref().take(max).collect();
        self.position += rows.len() as u64;
        Ok(rows)
    }

    /// Forgets up to `count` rows; how many there were.
    async fn skip(&mut self, count: u64) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < count {
            match self.next(count - skipped).await?.len() as u64 {
                0 => break,
                passed => skipped += passed,
            }
        }
        Ok(skipped)
    }

    /// Rows to pass and rows to show for `reach`, from here.
    fn plan(&self, reach: Reach) -> Result<(u64, u64), Error> {
        match reach {
            Reach::Forward(Some(0)) if self.position > 0 => Err(backward()),
            Reach::Forward(count) => Ok((0, count.unwrap_or(u64::MAX))),
            Reach::Absolute(row) if row > self.position => Ok((row - self.position - 1, 1)),
            Reach::Absolute(0) if self.position == 0 => Ok((0, 0)),
            Reach::Relative(rows) if rows > 0 => Ok((rows - 1, 1)),
            Reach::Relative(0) if self.position == 0 => Ok((0, 0)),
            Reach::Absolute(_) | Reach::Relative(_) | Reach::Backward => Err(backward()),
        }
    }
}

fn backward() -> Error {
    Error::new(ErrorKind::Unsupported, "cursor can only scan forward")
        .with_sqlstate("55000")
        .with_hint("declare another cursor over the rows that are wanted again")
}

impl Cursor {
    /// A cursor over a statement that was started with a receiver of `never_cancelled`.
    pub(crate) fn new(
        declaration: Declaration,
        sql: String,
        savepoints: usize,
        in_block: bool,
        execution: Execution,
        never_cancelled: watch::Sender<u64>,
    ) -> Self {
        let rows = Rows {
            stream: execution.rows.unwrap_or_else(|| Box::pin(stream::empty())),
            batch: Vec::new().into_iter(),
            position: 0,
            ended: false,
            notices: execution.notices,
            _never_cancelled: never_cancelled,
        };
        let Declaration { name, hold } = declaration;
        let rows = Arc::new(Mutex::new(rows));
        Self { name, sql, hold, columns: execution.columns, in_block, savepoints, rows }
    }

    /// # Errors
    /// 55000 for rows that were passed; what the plan yields.
    pub(crate) async fn fetch(
        &self,
        reach: Reach,
        cancelled: watch::Receiver<u64>,
    ) -> Result<Execution, Error> {
        let rows = Arc::clone(&self.rows);
        let (pass, show) = {
            let mut rows = rows.lock().await;
            let (pass, show) = rows.plan(reach)?;
            let passed = until_cancelled(&cancelled, rows.skip(pass)).await?;
            (pass - passed, show)
        };
        // Before the wanted row the cursor ended.
        let show = if pass > 0 { 0 } else { show };
        let notices = Arc::clone(&rows.lock().await.notices);
        let batches = stream::try_unfold((rows, show), move |(rows, left)| {
            let cancelled = cancelled.clone();
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let batch = until_cancelled(&cancelled, rows.lock().await.next(left)).await?;
                let left = left - batch.len() as u64;
                Ok((!batch.is_empty()).then_some((batch, (rows, left))))
            }
        });
        Ok(Execution {
            columns: self.columns.clone(),
            tag: "FETCH".to_owned(),
            rows: Some(Box::pin(batches)),
            notices,
            parameter_status: Vec::new(),
            copy: None,
        })
    }

    /// # Errors
    /// As [`Cursor::fetch`].
    pub(crate) async fn pass(
        &self,
        reach: Reach,
        cancelled: watch::Receiver<u64>,
    ) -> Result<Execution, Error> {
        let mut rows = self.rows.lock().await;
        let (pass, show) = rows.plan(reach)?;
        let passed = until_cancelled(&cancelled, rows.skip(pass)).await?;
        let shown =
            if passed < pass { 0 } else { until_cancelled(&cancelled, rows.skip(show)).await? };
        Ok(query::done(&format!("MOVE {shown}"), Vec::new()))
    }
}

async fn until_cancelled<T>(
    cancelled: &watch::Receiver<u64>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut cancelled = cancelled.clone();
    tokio::select! {
        biased;
        _ = cancelled.changed() => Err(crate::error::cancelled()),
        result = work => result,
    }
}

pub(crate) fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("cursor \"{name}\" does not exist"))
        .with_sqlstate("34000")
}
