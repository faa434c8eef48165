//! One client's session: which messages are answered, and what an error makes it skip.
//!
//! ```text
//!             Parse Bind Describe Execute Close Flush: answered
//!            ┌──────┐
//!            ▼      │  error in one of these
//!   ready ◄──┴── extended ─────────────────────► skipping ──┐ everything is ignored
//!     │  Sync: ReadyForQuery  ◄──────────────────────┘ ◄────┘ until Sync
//!     └─ Query, FunctionCall: answered and ReadyForQuery, with or without an error
//! ```
//!
//! - Portals live until Sync or Query outside a transaction block, and until an error.
//! - A statement the engine prepared is closed there when no name and no portal uses it any more.
//! - Names, texts and parameters that are kept are counted and bounded.
//! - `statement_timeout` bounds each statement of a Query, and each Parse and Execute by itself.
//! - The future of [`Session::handle`] may be dropped at any await; [`Session::interrupted`] then makes the session
//!   fit for the next message.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::{Either, select};
use query_api::{BoxFuture, Cancel, Described, SqlSession, StatementId, Timeouts};

use crate::codec::{self, Message, Report};
use crate::ops::rows::Rows;
use crate::options::PgOptions;
use crate::types::Format;

/// Where answers go. The session never waits for anything else than this and the engine.
pub(crate) trait Wire: Send {
    /// Whole messages are appended here.
    fn out(&mut self) -> &mut BytesMut;
    /// Whether the buffer is over its bound, so that `flush` is due.
    fn full(&self) -> bool;
    /// Waits until the socket took all of `out`; what it took is gone from `out` when this is dropped.
    fn flush(&mut self) -> BoxFuture<'_, io::Result<()>>;
    /// Is ready when `after` has passed.
    fn timer(&self, after: Duration) -> BoxFuture<'static, ()>;
}

/// `work`, unless `timer` ends first.
///
/// # Errors
/// Those of `work`; ERROR 57014 when the time is over.
pub(crate) async fn within<T>(
    timer: Option<BoxFuture<'static, ()>>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(timer) = timer else { return work.await };
    match select(pin!(work), timer).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => {
            Err(Report::error("57014", "canceling statement due to statement timeout").into())
        }
    }
}

/// Why an operation ended early.
pub(crate) enum Failure {
    /// The client is told and the session goes on.
    Report(Report),
    /// The socket is gone.
    Io(io::Error),
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Report(report)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A statement by name.
pub(crate) struct Prepared {
    /// `None` for the empty statement, which the engine never sees.
    pub(crate) id: Option<StatementId>,
    pub(crate) described: Arc<Described>,
    /// What the client declared, as many as there are parameters; 0 where it left the type open.
    pub(crate) declared: Arc<[u32]>,
    /// The part of the client's text before the statement, for positions.
    pub(crate) prefix: Arc<str>,
    pub(crate) retained_bytes: usize,
}

/// A statement with its parameters, perhaps begun.
pub(crate) struct Portal {
    pub(crate) id: Option<StatementId>,
    pub(crate) described: Arc<Described>,
    pub(crate) prefix: Arc<str>,
    /// One per column.
    pub(crate) formats: Arc<[Format]>,
    pub(crate) state: PortalState,
    pub(crate) retained_bytes: usize,
}

pub(crate) enum PortalState {
    Bound(Vec<query_api::Value>),
    /// Suspended after a row limit.
    Suspended(Box<Rows>),
    /// All rows were sent.
    Exhausted {
        tag: String,
    },
    /// A statement without rows was run; it cannot be run again.
    Done,
}

/// What is being handled: tells how an error or an interruption is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conversation {
    /// Answered with ReadyForQuery at once.
    Simple,
    /// Answered by skipping until Sync.
    Extended,
}

pub(crate) struct Session {
    pub(crate) sql: Box<dyn SqlSession>,
    pub(crate) options: PgOptions,
    pub(crate) statements: BTreeMap<String, Prepared>,
    pub(crate) portals: BTreeMap<String, Portal>,
    /// How many statements and portals use an engine's statement.
    uses: BTreeMap<StatementId, usize>,
    /// Texts and parameters kept by statements and portals.
    retained_bytes: usize,
    /// A simple query's statement while it runs.
    pub(crate) transient: Option<StatementId>,
    skipping: bool,
    conversation: Conversation,
}

impl Session {
    pub(crate) fn new(sql: Box<dyn SqlSession>, options: PgOptions) -> Self {
        Self {
            sql,
            options,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            uses: BTreeMap::new(),
            retained_bytes: 0,
            transient: None,
            skipping: false,
            conversation: Conversation::Simple,
        }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.sql.timeouts()
    }

    pub(crate) fn in_transaction(&self) -> bool {
        matches!(self.sql.transaction_status(), b'T' | b'E')
    }

    /// Ends what begins now, when `statement_timeout` is set.
    pub(crate) fn statement_timer(&self, wire: &dyn Wire) -> Option<BoxFuture<'static, ()>> {
        self.timeouts().statement.map(|limit| wire.timer(limit))
    }

    pub(crate) fn canceller(&self) -> Arc<dyn Cancel> {
        self.sql.canceller()
    }

    /// Answers one message; `tag` is its byte on the wire, known even when the body is malformed.
    ///
    /// # Errors
    /// When the socket is gone.
    pub(crate) async fn handle(
        &mut self,
        tag: u8,
        message: Result<Message, Report>,
        wire: &mut dyn Wire,
    ) -> io::Result<()> {
        // PostgreSQL skips everything but Sync, whole queries included.
        if self.skipping && tag != b'S' {
            return Ok(());
        }
        self.conversation = match tag {
            b'Q' | b'F' | b'S' | b'd' | b'c' | b'f' => Conversation::Simple,
            _ => Conversation::Extended,
        };
        let result = match message {
            Ok(message) => self.answer(message, wire).await,
            Err(report) => Err(Failure::Report(report)),
        };
        match result {
            Ok(()) => {}
            Err(Failure::Report(report)) => self.fail(&report, wire.out()),
            Err(Failure::Io(error)) => return Err(error),
        }
        if wire.full() {
            wire.flush().await?;
        }
        Ok(())
    }

    async fn answer(&mut self, message: Message, wire: &mut dyn Wire) -> Result<(), Failure> {
        match message {
            Message::Query { sql } => self.query(&sql, wire).await,
            Message::Parse { name, sql, parameter_types } => {
                let timer = self.statement_timer(wire);
                let parse = self.parse(name, &sql, parameter_types, wire);
                within(timer, async { parse.await.map_err(Failure::from) }).await
            }
            Message::Bind { portal, statement, parameter_formats, parameters, result_formats } => {
                let bind = crate::ops::extended::Bind {
                    portal,
                    statement,
                    parameter_formats,
                    parameters,
                    result_formats,
                };
                self.bind(bind, wire).map_err(Failure::from)
            }
            Message::Describe { target, name } => {
                self.describe(target, &name, wire).map_err(Failure::from)
            }
            Message::Execute { portal, rows_max } => {
                let timer = self.statement_timer(wire);
                within(timer, self.execute(&portal, rows_max, wire)).await
            }
            Message::Close { target, name } => {
                self.close(target, &name);
                codec::close_complete(wire.out());
                Ok(())
            }
            Message::Flush => Ok(wire.flush().await?),
            Message::Sync => {
                self.skipping = false;
                self.ready(wire.out());
                Ok(())
            }
            Message::FunctionCall => {
                Err(Report::error("0A000", "function call messages are not supported").into())
            }
            // A client may still send these after its COPY was refused; the protocol says to drop them.
            Message::Copy | Message::Terminate => Ok(()),
        }
    }

    /// Tells the client of an error and leaves the session fit for what comes next.
    fn fail(&mut self, report: &Report, out: &mut BytesMut) {
        codec::error_response(out, report);
        self.sql.fail_transaction();
        if let Some(id) = self.transient.take() {
            self.sql.close(id);
        }
        self.clear_portals();
        match self.conversation {
            Conversation::Simple => self.ready(out),
            Conversation::Extended => self.skipping = true,
        }
    }

    /// The future of `handle` was dropped: what ran is over, and `report` says why.
    pub(crate) fn interrupted(&mut self, report: Report, out: &mut BytesMut) {
        self.fail(&report, out);
    }

    /// ReadyForQuery; an implicit transaction ends here, and its portals with it.
    pub(crate) fn ready(&mut self, out: &mut BytesMut) {
        let status = match self.sql.transaction_status() {
            status @ (b'T' | b'E') => status,
            _ => b'I',
        };
        if status == b'I' {
            self.clear_portals();
        }
        codec::ready_for_query(out, status);
    }

    /// Counts `bytes` more as kept for the client.
    ///
    /// # Errors
    /// ERROR 54000 over the limit; nothing is counted then.
    pub(crate) fn retain(&mut self, bytes: usize) -> Result<(), Report> {
        let total = self.retained_bytes.saturating_add(bytes);
        if total > self.options.retained_bytes_max {
            let mut report =
                Report::error("54000", "prepared statements and portals hold too much");
            report.detail =
                Some(format!("The limit is {} bytes.", self.options.retained_bytes_max));
            report.hint =
                Some("Close statements and portals that are no longer needed.".to_owned());
            return Err(report);
        }
        self.retained_bytes = total;
        Ok(())
    }

    pub(crate) fn unretain(&mut self, bytes: usize) {
        self.retained_bytes = self.retained_bytes.saturating_sub(bytes);
    }

    pub(crate) fn add_use(&mut self, id: Option<StatementId>) {
        if let Some(id) = id {
            *self.uses.entry(id).or_insert(0) += 1;
        }
    }

    fn remove_use(&mut self, id: Option<StatementId>) {
        let Some(id) = id else { return };
        match self.uses.get_mut(&id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.uses.remove(&id);
                self.sql.close(id);
            }
        }
    }

    pub(crate) fn remove_statement(&mut self, name: &str) {
        if let Some(statement) = self.statements.remove(name) {
            self.unretain(statement.retained_bytes);
            self.remove_use(statement.id);
        }
    }

    pub(crate) fn remove_portal(&mut self, name: &str) {
        if let Some(portal) = self.portals.remove(name) {
            self.drop_portal(portal);
        }
    }

    /// Gives back what a portal that is no longer in the map held.
    pub(crate) fn drop_portal(&mut self, portal: Portal) {
        self.unretain(portal.retained_bytes);
        // The rows go first: the engine may then forget their statement.
        drop(portal.state);
        self.remove_use(portal.id);
    }

    pub(crate) fn clear_portals(&mut self) {
        while let Some((_, portal)) = self.portals.pop_first() {
            self.drop_portal(portal);
        }
    }
}
