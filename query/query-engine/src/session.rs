//! One client's session: settings, prepared statements, the transaction block, cancellation.
//!
//! ```text
//!          BEGIN                 error
//!   Idle ────────► Open(snapshot) ────► Failed
//!    ▲  COMMIT, ROLLBACK │                │ ROLLBACK, COMMIT
//!    └───────────────────┴────────────────┘   ROLLBACK TO: Failed → Open, same snapshot
//! ```
//!
//! Invariants:
//! - Within a transaction block every statement reads the ranges of the block's first statement.
//! - In a failed block everything but its end is 25P02.
//! - A statement is planned with the columns that its tables have when it is executed; a client that was told other result columns is
//!   told so: 0A000, as by PostgreSQL.

mod named;

use std::collections::BTreeMap;
use std::sync::Arc;

use query_api::{
    BoxFuture, Cancel, Column, DataType, Described, Error, ErrorKind, Execution, SqlSession,
    SqlSessionOptions, StatementId, Timeouts, Value,
};
use tokio::sync::watch;

use crate::bad::BadRecords;
use crate::command::{self, Command};
use crate::cursor::{self, CURSORS_MAX, Cursor, Declaration};
use crate::engine::{self, Parsed, PlanContext, Shared};
use crate::functions::SessionInfo;
use crate::functions::registry::Registry;
use crate::guard;
use crate::query;
use crate::settings::{self, Settings};
use crate::snapshot::Snapshot;
use crate::stop::{self, Stop};

/// Prepared statements a session may hold.
const PREPARED_MAX: usize = 10_000;

/// A prepared statement.
pub(crate) struct Prepared {
    /// `None` for an empty statement.
    pub(crate) parsed: Option<Parsed>,
    pub(crate) command: Command,
    pub(crate) described: Described,
    /// Client's types where it gave them.
    pub(crate) hints: Vec<DataType>,
}

#[derive(Clone, Debug)]
enum Transaction {
    Idle,
    Open(Block),
    Failed(Block),
}

/// A transaction block. It writes nothing, so there is nothing to undo but a failure and settings.
#[derive(Clone, Debug, Default)]
struct Block {
    snapshot: Option<Arc<Snapshot>>,
    savepoints: Vec<Savepoint>,
    /// As they were before it.
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Savepoint {
    name: String,
    settings: Settings,
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    options: SqlSessionOptions,
    settings: Settings,
    prepared: BTreeMap<StatementId, Arc<Prepared>>,
    named: BTreeMap<String, StatementId>,
    cursors: BTreeMap<String, Cursor>,
    last_id: u64,
    transaction: Transaction,
    cancel: Arc<Canceller>,
}

pub(crate) struct Canceller {
    epoch: watch::Sender<u64>,
}

impl Cancel for Canceller {
    fn cancel(&self) {
        self.epoch.send_modify(|epoch| *epoch = epoch.wrapping_add(1));
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, options: SqlSessionOptions) -> Self {
        let settings = Settings::new(&options.user, &options.application_name);
        let cancel = Arc::new(Canceller { epoch: watch::Sender::new(0) });
        Self {
            shared,
            options,
            settings,
            prepared: BTreeMap::new(),
            named: BTreeMap::new(),
            cursors: BTreeMap::new(),
            last_id: 0,
            transaction: Transaction::Idle,
            cancel,
        }
    }

    async fn context(&mut self) -> Result<PlanContext, Error> {
        let snapshot = match &self.transaction {
            Transaction::Open(Block { snapshot: Some(snapshot), .. }) => Arc::clone(snapshot),
            _ => Arc::new(Snapshot::new(self.shared.follow.topics().await?)),
        };
        if let Transaction::Open(block) = &mut self.transaction {
            block.snapshot.get_or_insert_with(|| Arc::clone(&snapshot));
        }
        let info = SessionInfo {
            user: self.options.user.clone(),
            database: self.options.database.clone(),
            process_id: self.options.process_id,
            settings: self.settings.clone(),
            cursors: self
                .cursors
                .values()
                .map(|it| (it.name.clone(), it.sql.clone(), it.hold))
                .collect(),
            bad: Arc::clone(&self.shared.bad),
        };
        let registry = Arc::new(Registry::new(&info, &snapshot));
        let bad = Arc::new(BadRecords::new(&self.shared.bad));
        let stop = Stop::default();
        Ok(PlanContext { snapshot, info: Arc::new(info), registry, bad, stop })
    }

    async fn prepare_statement(
        &mut self,
        sql: &str,
        hints: &[DataType],
    ) -> Result<(StatementId, Described), Error> {
        let tokens = guard::tokens(sql)?;
        let text = sql.to_owned();
        let (parsed, command) = match cursor::parse(sql, &tokens)? {
            Some(command) => (None, command),
            None => {
                let parsed =
                    self.run(Stop::default(), async move { engine::parse(text, tokens) }).await?;
                let command = match &parsed {
                    Some(parsed) => command::classify(&parsed.statement)?,
                    None => Command::Empty,
                };
                (parsed, command)
            }
        };
        if matches!(self.transaction, Transaction::Failed(_)) && !command.ends_transaction() {
            return Err(failed_transaction());
        }
        self.prepare_parsed(parsed, command, hints).await
    }

    async fn prepare_parsed(
        &mut self,
        parsed: Option<Parsed>,
        command: Command,
        hints: &[DataType],
    ) -> Result<(StatementId, Described), Error> {
        if self.prepared.len() >= PREPARED_MAX {
            let message = format!("the session holds {PREPARED_MAX} prepared statements");
            return Err(Error::new(ErrorKind::LimitExceeded, message).with_sqlstate("53400"));
        }
        let mut prepared = Prepared {
            parsed,
            command,
            described: Described { parameters: Vec::new(), columns: Vec::new() },
            hints: hints.to_vec(),
        };
        if prepared.command.needs_planning() {
            let context = self.context().await?;
            let shared = Arc::clone(&self.shared);
            prepared = self
                .run(context.stop.clone(), async move {
                    query::describe(&shared, &context, &mut prepared).await?;
                    Ok(prepared)
                })
                .await?;
        } else {
            prepared.described.columns = match &prepared.command {
                Command::Fetch { name, .. } => self.cursor_columns(name).unwrap_or_default(),
                Command::Execute { name } => self.named_columns(name),
                other => command::columns(other),
            };
        }
        self.last_id += 1;
        let id = StatementId(self.last_id);
        let described = prepared.described.clone();
        self.prepared.insert(id, Arc::new(prepared));
        Ok((id, described))
    }

    async fn execute_statement(
        &mut self,
        id: StatementId,
        parameters: Vec<Value>,
    ) -> Result<Execution, Error> {
        let Some(prepared) = self.prepared.get(&id).map(Arc::clone) else {
            return Err(Error::new(ErrorKind::NotFound, "the prepared statement does not exist")
                .with_sqlstate("26000"));
        };
        if matches!(self.transaction, Transaction::Failed(_))
            && !prepared.command.ends_transaction()
        {
            return Err(failed_transaction());
        }
        if prepared.command.writes() && matches!(self.transaction, Transaction::Open(_)) {
            return Err(write_in_transaction(&prepared.command));
        }
        if prepared.command.writes() && self.settings.read_only() {
            return Err(write_when_read_only(&prepared.command));
        }
        match &prepared.command {
            Command::Declare(declaration) => {
                let declaration = declaration.clone();
                return self.declare(declaration, prepared, parameters).await;
            }
            Command::Fetch { name, reach } => {
                let cursor = self.cursors.get(name).ok_or_else(|| cursor::unknown(name))?;
                return cursor.fetch(*reach, self.cancel.epoch.subscribe()).await;
            }
            Command::Move { name, reach } => {
                let cursor = self.cursors.get(name).ok_or_else(|| cursor::unknown(name))?;
                return cursor.pass(*reach, self.cancel.epoch.subscribe()).await;
            }
            Command::Prepare { name, types } => {
                return self.prepare_named(&prepared, name, types).await;
            }
            Command::Execute { name } => return self.execute_named(&prepared, name).await,
            _ => {}
        }
        if let Some(execution) = self.control(&prepared.command)? {
            return Ok(execution);
        }
        let context = self.context().await?;
        let shared = Arc::clone(&self.shared);
        let cancelled = self.cancel.epoch.subscribe();
        let stop = context.stop.clone();
        self.run(stop, query::execute(shared, context, prepared, parameters, cancelled)).await
    }

    async fn declare(
        &mut self,
        declaration: Declaration,
        prepared: Arc<Prepared>,
        parameters: Vec<Value>,
    ) -> Result<Execution, Error> {
        let savepoints = match &self.transaction {
            Transaction::Open(block) => Some(block.savepoints.len()),
            _ => None,
        };
        if savepoints.is_none() && !declaration.hold {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_sqlstate("25P01")
                .with_hint("BEGIN first, or declare the cursor WITH HOLD"));
        }
        let name = declaration.name.clone();
        if self.cursors.contains_key(&name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(ErrorKind::Conflict, message).with_sqlstate("42P03"));
        }
        if self.cursors.len() >= CURSORS_MAX {
            let message = format!("a session has at most {CURSORS_MAX} open cursors");
            return Err(Error::new(ErrorKind::LimitExceeded, message).with_sqlstate("53400"));
        }
        let sql = prepared.parsed.as_ref().map(|it| it.sql.clone()).unwrap_or_default();
        let context = self.context().await?;
        let shared = Arc::clone(&self.shared);
        let never = watch::Sender::new(0);
        let stop = context.stop.clone();
        let work = query::execute(shared, context, prepared, parameters, never.subscribe());
        let execution = self.run(stop, work).await?;
        let in_block = savepoints.is_some();
        let before = savepoints.unwrap_or_default();
        let cursor = Cursor::new(declaration, sql, before, in_block, execution, never);
        self.cursors.insert(name, cursor);
        Ok(query::done("DECLARE CURSOR", Vec::new()))
    }

    fn close_cursors(&mut self, name: Option<&String>) -> Result<(), Error> {
        match name {
            None => self.cursors.clear(),
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| cursor::unknown(name))?;
            }
        }
        Ok(())
    }

    /// The block ends: what it declared goes with it, unless it is held and committed; so do its settings.
    fn end_block(&mut self, committed: bool) -> Vec<(String, String)> {
        let block = std::mem::replace(&mut self.transaction, Transaction::Idle);
        self.cursors.retain(|_, it| !it.in_block || (it.hold && committed));
        for cursor in self.cursors.values_mut() {
            cursor.in_block = false;
        }
        match block {
            Transaction::Idle => Vec::new(),
            Transaction::Open(_) if committed => {
                let settings = self.settings.without_local();
                self.settings.replace(settings)
            }
            Transaction::Open(block) | Transaction::Failed(block) => {
                self.settings.replace(block.settings)
            }
        }
    }

    /// Commands that need no plan.
    fn control(&mut self, command: &Command) -> Result<Option<Execution>, Error> {
        let mut status = Vec::new();
        let mut notices = Vec::new();
        match command {
            Command::Begin => {
                if matches!(self.transaction, Transaction::Idle) {
                    let settings = self.settings.clone();
                    self.transaction = Transaction::Open(Block { settings, ..Block::default() });
                }
            }
            Command::Commit => {
                let failed = matches!(self.transaction, Transaction::Failed(_));
                let tag = if failed { "ROLLBACK" } else { "COMMIT" };
                return Ok(Some(query::done(tag, self.end_block(!failed))));
            }
            Command::Rollback => status = self.end_block(false),
            Command::Close { name } => self.close_cursors(name.as_ref())?,
            Command::Savepoint { name } => {
                let savepoint = Savepoint { name: name.clone(), settings: self.settings.clone() };
                self.block("SAVEPOINT")?.savepoints.push(savepoint);
            }
            Command::Release { name } => {
                let block = self.block("RELEASE SAVEPOINT")?;
                let at = savepoint(block, name)?;
                block.savepoints.truncate(at);
                for cursor in self.cursors.values_mut() {
                    cursor.savepoints = cursor.savepoints.min(at);
                }
            }
            Command::RollbackTo { name } => status = self.roll_back_to(name)?,
            Command::Set { local: true, .. } if matches!(self.transaction, Transaction::Idle) => {
                let outside = "WARNING: SET LOCAL can only be used in transaction blocks";
                notices.push(outside.to_owned());
            }
            Command::Set { name, value, local } => {
                notices.extend(settings::unapplied(name, value.as_deref()));
                status = self.settings.set(name, value.clone(), *local)?;
            }
            Command::ResetAll => status = self.settings.reset_all(),
            Command::DiscardAll => {
                status = self.settings.reset_all();
                self.prepared.clear();
                self.named.clear();
                self.cursors.clear();
            }
            Command::Deallocate { name } => self.deallocate(name.as_deref())?,
            Command::Show { name } => return self.show(name).map(Some),
            Command::Accepted { .. } | Command::Empty => {}
            Command::Query
            | Command::Explain { .. }
            | Command::Insert
            | Command::Ddl
            | Command::Declare(_)
            | Command::Prepare { .. }
            | Command::Execute { .. }
            | Command::Fetch { .. }
            | Command::Move { .. }
            | Command::Copy(_) => return Ok(None),
        }
        Ok(Some(query::noticed(command.tag(), status, notices)))
    }

    /// Settings that are others again: name, value.
    fn roll_back_to(&mut self, name: &str) -> Result<Vec<(String, String)>, Error> {
        let block = self.block("ROLLBACK TO SAVEPOINT")?;
        let at = savepoint(block, name)?;
        block.savepoints.truncate(at + 1);
        let settings = block.savepoints[at].settings.clone();
        self.transaction = Transaction::Open(std::mem::take(block));
        self.cursors.retain(|_, it| !it.in_block || it.savepoints <= at);
        Ok(self.settings.replace(settings))
    }

    /// The current block, failed or not.
    fn block(&mut self, what: &str) -> Result<&mut Block, Error> {
        match &mut self.transaction {
            Transaction::Open(block) | Transaction::Failed(block) => Ok(block),
            Transaction::Idle => {
                let message = format!("{what} can only be used in transaction blocks");
                Err(Error::new(ErrorKind::Invalid, message).with_sqlstate("25P01"))
            }
        }
    }

    fn show(&self, name: &str) -> Result<Execution, Error> {
        let command = Command::Show { name: name.to_owned() };
        let columns = command::columns(&command);
        let rows = if name == "all" {
            let text = |it: String| Value::Text(it);
            self.settings
                .all()
                .into_iter()
                .map(|(name, value, about)| vec![text(name), text(value), text(about.to_owned())])
                .collect()
        } else {
            let value = self.settings.get(name).ok_or_else(|| settings::unknown(name))?;
            vec![vec![Value::Text(value)]]
        };
        Ok(query::rows("SHOW", columns, rows))
    }

    /// Runs on the engine's threads until done or cancelled; then `stop` ends what is still planned.
    async fn run<T: Send + 'static>(
        &self,
        stop: Stop,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        stop::run(&self.shared.handle, self.cancel.epoch.subscribe(), stop, work).await
    }

    fn noted<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.fail_transaction();
        }
        result
    }
}

fn savepoint(block: &Block, name: &str) -> Result<usize, Error> {
    block.savepoints.iter().rposition(|it| it.name == name).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("savepoint \"{name}\" does not exist"))
            .with_sqlstate("3B001")
    })
}

fn write_of(command: &Command) -> &'static str {
    if *command == Command::Insert { "INSERT" } else { "CREATE or DROP TABLE" }
}

fn write_when_read_only(command: &Command) -> Error {
    let message = format!("cannot execute {} in a read-only transaction", write_of(command));
    Error::new(ErrorKind::Invalid, message)
        .with_sqlstate("25006")
        .with_hint("SET default_transaction_read_only = off")
}

/// A write is durable when its statement returns, so a transaction block could not take it back.
fn write_in_transaction(command: &Command) -> Error {
    let what = write_of(command);
    Error::new(ErrorKind::Invalid, format!("{what} cannot run inside a transaction block"))
        .with_sqlstate("25001")
        .with_hint("use autocommit: a topic's records cannot be rolled back")
}

fn failed_transaction() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
    .with_sqlstate("25P02")
}

impl SqlSession for Session {
    fn split(&self, sql: &str) -> Result<Vec<(String, usize)>, Error> {
        let pieces = guard::split(sql)?;
        Ok(pieces.into_iter().map(|piece| (piece.text, piece.start)).collect())
    }

    fn prepare<'a>(
        &'a mut self,
        sql: &'a str,
        parameter_types: &'a [DataType],
    ) -> BoxFuture<'a, Result<(StatementId, Described), Error>> {
        Box::pin(async move {
            let result = self.prepare_statement(sql, parameter_types).await;
            self.noted(result)
        })
    }

    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        parameters: Vec<Value>,
    ) -> BoxFuture<'a, Result<Execution, Error>> {
        Box::pin(async move {
            let result = self.execute_statement(statement, parameters).await;
            self.noted(result)
        })
    }

    fn cursor_columns(&self, name: &str) -> Option<Vec<Column>> {
        self.cursors.get(name).map(|it| it.columns.clone())
    }

    fn name_statement(&mut self, statement: StatementId, name: &str) -> Result<(), Error> {
        self.give_name(name, statement)
    }

    fn is_prepared(&self, statement: StatementId) -> bool {
        self.prepared.contains_key(&statement)
    }

    fn close(&mut self, statement: StatementId) {
        self.forget(statement);
    }

    fn transaction_status(&self) -> u8 {
        match self.transaction {
            Transaction::Idle => b'I',
            Transaction::Open(_) => b'T',
            Transaction::Failed(_) => b'E',
        }
    }

    fn fail_transaction(&mut self) {
        if let Transaction::Open(block) = &mut self.transaction {
            self.transaction = Transaction::Failed(std::mem::take(block));
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.settings.timeouts()
    }

    fn canceller(&self) -> Arc<dyn Cancel> {
        Arc::clone(&self.cancel) as Arc<dyn Cancel>
    }

    fn startup_parameters(&self) -> Vec<(String, String)> {
        self.settings.reported(|_| true)
    }
}
