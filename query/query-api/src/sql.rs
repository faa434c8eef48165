//! The `Sql` verb: statement and parameters in, a stream of row batches out.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;

use crate::{BoxFuture, DataType, Error, Row, Value};

/// Names of the one database there is, for a session of `user`: its own, that which tools ask for when they are told none,
/// and the user's, which `psql` and drivers ask for. Each is listed in `pg_database`; no other can be connected to.
pub fn databases(user: &str) -> Vec<&str> {
    let mut names = vec!["luma", "postgres"];
    if !names.contains(&user) {
        names.push(user);
    }
    names
}

/// Opens sessions.
pub trait Sql: Send + Sync {
    fn open_session(&self, options: SqlSessionOptions) -> Box<dyn SqlSession>;
}

/// What a connection says about itself at start.
#[derive(Clone, Debug, Default)]
pub struct SqlSessionOptions {
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// Numbers `pg_backend_pid()` and `pg_stat_activity` show.
    pub process_id: i32,
}

/// A statement prepared in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub u64);

/// A result column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub data_type: DataType,
}

/// What Describe answers.
#[derive(Clone, Debug)]
pub struct Described {
    /// One per `$n`, in order.
    pub parameters: Vec<DataType>,
    /// Empty when the statement returns no rows.
    pub columns: Vec<Column>,
}

/// Rows in batches; the consumer's pace is the producer's pace. Dropping it stops the statement and its reads.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<Vec<Row>, Error>> + Send>>;

/// A running statement.
pub struct Execution {
    pub columns: Vec<Column>,
    /// PostgreSQL's command tag without the row count: `SELECT`, `SET`, `CREATE TABLE`, `BEGIN` … For statements
    /// that count rows (`SELECT`, `INSERT` …) the adapter appends the count.
    pub tag: String,
    /// `None` for statements that return no rows.
    pub rows: Option<RowStream>,
    /// Notices (severity WARNING or NOTICE, message) to be sent after the rows, such as skipped bad records.
    pub notices: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Settings the client must be told about (`ParameterStatus`): name, value.
    pub parameter_status: Vec<(String, String)>,
    /// The rows are the data of `COPY … TO STDOUT`.
    pub copy: Option<CopyOut>,
}

/// How `COPY … TO STDOUT` writes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOut {
    pub format: CopyFormat,
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// A first line with the columns' names.
    pub header: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's own, with backslashes.
    Text,
    Csv {
        quote: u8,
        escape: u8,
        /// Columns that are quoted whatever they hold.
        force_quote: Vec<String>,
    },
}

/// What a session's settings say of time; `None` is for ever. The adapter keeps it: it knows what it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Of one statement, the sending of its rows included.
    pub statement: Option<Duration>,
    /// Of the client's silence within a transaction block.
    pub idle_in_transaction: Option<Duration>,
}

/// Cancels what the session runs; callable from any thread, any number of times.
pub trait Cancel: Send + Sync {
    fn cancel(&self);
}

/// One client's session: settings, prepared statements, transaction block state.
pub trait SqlSession: Send {
    /// Splits a simple-protocol string into statements. An empty string gives none. Each item is the statement's
    /// text and its byte offset in the string.
    ///
    /// # Errors
    /// `Invalid` with SQLSTATE 42601 and a position.
    fn split(&self, sql: &str) -> Result<Vec<(String, usize)>, Error>;

    /// Parses and plans one statement. `parameter_types` are the client's hints (`Unknown` where it gave none).
    fn prepare<'a>(
        &'a mut self,
        sql: &'a str,
        parameter_types: &'a [DataType],
    ) -> BoxFuture<'a, Result<(StatementId, Described), Error>>;

    /// Runs a prepared statement. The stream may outlive the call, not the session's cancellation.
    fn execute<'a>(
        &'a mut self,
        statement: StatementId,
        parameters: Vec<Value>,
    ) -> BoxFuture<'a, Result<Execution, Error>>;

    /// The columns of an open SQL cursor: `Describe` finds it among the portals.
    fn cursor_columns(&self, name: &str) -> Option<Vec<Column>>;

    /// Gives a prepared statement a name, under which SQL's EXECUTE and DEALLOCATE find it.
    ///
    /// # Errors
    /// `Conflict` with SQLSTATE 42P05 when the name is taken, by SQL's PREPARE too.
    fn name_statement(&mut self, statement: StatementId, name: &str) -> Result<(), Error>;

    /// False once the statement was closed, also by SQL's DEALLOCATE and DISCARD.
    fn is_prepared(&self, statement: StatementId) -> bool;

    /// Forgets a prepared statement and its name; unknown ids are ignored.
    fn close(&mut self, statement: StatementId);

    /// `I` idle, `T` in a transaction block, `E` in a failed one (ReadyForQuery's byte).
    fn transaction_status(&self) -> u8;

    /// Tells the session that a statement failed while its rows were streamed, so a transaction block fails.
    fn fail_transaction(&mut self);

    fn timeouts(&self) -> Timeouts;

    /// A handle that cancels the running statement.
    fn canceller(&self) -> Arc<dyn Cancel>;

    /// Parameters for the start-up `ParameterStatus` messages: name, value.
    fn startup_parameters(&self) -> Vec<(String, String)>;
}
