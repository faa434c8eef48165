//! Describing and running planned statements; rows leave in batches at the consumer's pace.
//!
//! Invariants:
//! - At most [`PIECES_AHEAD`] pieces of rows wait for a slow consumer; then the plan is not polled and nothing is read.
//! - Rows that wait, and the batch they come from, are counted as the statement's memory ([`crate::output`]).
//! - Dropping the row stream aborts the task that polls the plan, and with it every read.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::displayable;
use datafusion::sql::sqlparser::ast::Statement;
use futures_util::{StreamExt, stream};
use query_api::{Column, DataType, Error, ErrorKind, Execution, Row, RowStream, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::bad::BadRecords;
use crate::command::Command;
use crate::engine::{Parsed, PlanContext, Shapes, Shared, result_columns};
use crate::functions::registry::Registry;
use crate::interruptible::interruptible;
use crate::memory::{self, Passing};
use crate::output::{Output, Piece};
use crate::session::Prepared;
use crate::stop::{Stop, Waiting};
use crate::{columns, copy, ddl, insert, parameters, weight};

/// Pieces of rows between the plan and the consumer.
const PIECES_AHEAD: usize = 2;

/// A task that ends with its handle.
pub(crate) struct Task<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fills in what Describe answers, and the shapes it rests on.
///
/// # Errors
/// Everything planning refuses.
pub(crate) async fn describe(
    shared: &Shared,
    context: &PlanContext,
    prepared: &mut Prepared,
) -> Result<(), Error> {
    let Some(parsed) = &prepared.parsed else { return Ok(()) };
    prepared.hints = parameters::filled(&parsed.statement, &prepared.hints);
    let mut shapes = Shapes::new();
    if prepared.command == Command::Insert {
        let insert = insert::plan(shared, context, parsed, &prepared.hints, &mut shapes).await?;
        prepared.described.parameters =
            parameters::types(shared, &insert.source, &insert.plan, &insert.hints)?;
        prepared.hints = insert.hints;
        return Ok(());
    }
    let target = planned(parsed, &prepared.hints)?;
    let (_, plan) = shared.plan(&target, context, &mut shapes).await?;
    prepared.described.parameters = parameters::types(shared, &target, &plan, &prepared.hints)?;
    // A cursor's rows come with FETCH, those of COPY in messages of their own.
    prepared.described.columns = match prepared.command {
        Command::Declare(_) | Command::Copy(_) => Vec::new(),
        Command::Explain { .. } => explain_columns(),
        _ => columns::declared(&target.statement, result_columns(&plan)),
    };
    Ok(())
}

fn explain_columns() -> Vec<Column> {
    vec![Column { name: "QUERY PLAN".to_owned(), data_type: DataType::Text }]
}

/// The statement to plan: what EXPLAIN explains, with the client's parameter types written in.
fn planned(parsed: &Parsed, hints: &[DataType]) -> Result<Parsed, Error> {
    let mut statement = match &parsed.statement {
        Statement::Explain { statement, .. } => (**statement).clone(),
        Statement::Declare { stmts } => match stmts.first().and_then(|it| it.for_query.clone()) {
            Some(query) => Statement::Query(query),
            None => parsed.statement.clone(),
        },
        Statement::Copy { source, .. } => Statement::Query(Box::new(copy::query(source))),
        other => other.clone(),
    };
    parameters::write_hints(&mut statement, hints);
    if !matches!(statement, Statement::Query(_)) {
        return Err(crate::error::unsupported("EXPLAIN of this statement is not supported"));
    }
    Ok(Parsed { sql: parsed.sql.clone(), tokens: parsed.tokens.clone(), statement })
}

/// Runs a statement that [`crate::session`] does not answer itself.
///
/// # Errors
/// Everything before the first row.
pub(crate) async fn execute(
    shared: Arc<Shared>,
    context: PlanContext,
    prepared: Arc<Prepared>,
    values: Vec<Value>,
    cancelled: watch::Receiver<u64>,
) -> Result<Execution, Error> {
    let Some(parsed) = &prepared.parsed else { return Ok(done("", Vec::new())) };
    if prepared.command == Command::Ddl {
        return ddl::execute(&shared, &context, &parsed.statement).await;
    }
    let mut shapes = Shapes::new();
    if prepared.command == Command::Insert {
        let insert::Plan { target, source, state, plan, .. } =
            insert::plan(&shared, &context, parsed, &prepared.hints, &mut shapes).await?;
        let plan = bind(&shared, &source, plan, &prepared.described.parameters, &values)?;
        return insert::run(&shared, &source, &target, &state, plan, &context.stop).await;
    }
    let target = planned(parsed, &prepared.hints)?;
    let (state, plan) = shared.plan(&target, &context, &mut shapes).await?;
    let columns = columns::declared(&target.statement, result_columns(&plan));
    let plan = bind(&shared, &target, plan, &prepared.described.parameters, &values)?;
    if let Command::Explain { analyze } = prepared.command {
        return explain(&shared, &target, &state, &plan, analyze.then_some(&context.stop)).await;
    }
    let notices = Arc::clone(&context.bad);
    let copy = match &prepared.command {
        Command::Copy(copy) => Some(copy.clone()),
        _ => None,
    };
    let registry = Arc::clone(&context.registry);
    let rows = start(&shared, target, &state, &plan, &columns, registry, cancelled).await?;
    Ok(Execution {
        columns,
        tag: prepared.command.tag().to_owned(),
        rows: Some(rows),
        notices: notices_of(notices),
        parameter_status: Vec::new(),
        copy,
    })
}

fn notices_of(bad: Arc<BadRecords>) -> Arc<dyn Fn() -> Vec<String> + Send + Sync> {
    Arc::new(move || bad.notices())
}

pub(crate) fn bind(
    shared: &Shared,
    parsed: &Parsed,
    plan: LogicalPlan,
    types: &[DataType],
    values: &[Value],
) -> Result<LogicalPlan, Error> {
    if values.len() != types.len() {
        let message = format!(
            "bind message supplies {} parameters, but the statement requires {}",
            values.len(),
            types.len()
        );
        return Err(Error::new(ErrorKind::Invalid, message).with_sqlstate("08P01"));
    }
    if types.is_empty() {
        return Ok(plan);
    }
    let scalars: Result<Vec<ScalarValue>, Error> =
        values.iter().zip(types).map(|(value, it)| parameters::scalar(value, it)).collect();
    plan.with_param_values(scalars?).map_err(|error| shared.text(parsed).datafusion(&error))
}

async fn start(
    shared: &Arc<Shared>,
    parsed: Parsed,
    state: &SessionState,
    plan: &LogicalPlan,
    columns: &[Column],
    registry: Arc<Registry>,
    cancelled: watch::Receiver<u64>,
) -> Result<RowStream, Error> {
    let stop = Stop::default();
    let physical = weight::physical(state, plan)
        .await
        .and_then(|physical| interruptible(physical, &stop))
        .map_err(|error| shared.text(&parsed).datafusion(&error))?;
    let column_types: Vec<DataType> = columns.iter().map(|it| it.data_type.clone()).collect();
    let passing = Passing::new(state);
    let output = Output::new(column_types, &passing);
    let mut batches = memory::execute(physical, state, passing)
        .map_err(|error| shared.text(&parsed).datafusion(&error))?;
    let (tx, rx) = mpsc::channel::<Result<Piece, Error>>(PIECES_AHEAD);
    let owner = Arc::clone(shared);
    let task = shared.handle.spawn(async move {
        let fail = |error| owner.text(&parsed).datafusion(&error);
        loop {
            // Room first: a plan that is polled without room would read ahead of a slow consumer.
            let Ok(mut room) = tx.reserve().await else { return };
            let Some(batch) = batches.next().await else { return };
            let mut pieces = match batch.and_then(|batch| output.pieces(batch)) {
                Ok(pieces) => pieces,
                Err(error) => return room.send(Err(fail(error))),
            };
            while let Some(piece) = pieces.next(&output, &registry) {
                let failed = piece.is_err();
                room.send(piece.map_err(fail));
                if failed {
                    return;
                }
                room = match tx.reserve().await {
                    Ok(room) => room,
                    Err(_) => return,
                };
            }
        }
    });
    Ok(handed_out(rx, (Task(task), Waiting(stop)), cancelled))
}

/// Pieces as rows, until the statement is cancelled. Whoever drops `running` ends it.
fn handed_out(
    rx: mpsc::Receiver<Result<Piece, Error>>,
    running: (Task<()>, Waiting),
    cancelled: watch::Receiver<u64>,
) -> RowStream {
    // The memory of a piece is given back when the next one is asked for.
    let rows = stream::unfold((rx, Some(running), None), move |(mut rx, running, held)| {
        let mut cancelled = cancelled.clone();
        async move {
            drop(held);
            running.as_ref()?;
            tokio::select! {
                biased;
                _ = cancelled.changed() => {
                    Some((Err(crate::error::cancelled()), (rx, None, None)))
                }
                item = rx.recv() => Some(match item? {
                    Ok(piece) => (Ok(piece.rows), (rx, running, Some(piece.held))),
                    Err(error) => (Err(error), (rx, None, None)),
                }),
            }
        }
    });
    Box::pin(rows)
}

async fn explain(
    shared: &Shared,
    parsed: &Parsed,
    state: &SessionState,
    plan: &LogicalPlan,
    analyze: Option<&Stop>,
) -> Result<Execution, Error> {
    let fail = |error| shared.text(parsed).datafusion(&error);
    let mut physical = weight::physical(state, plan).await.map_err(fail)?;
    let text = if let Some(stop) = analyze {
        physical = interruptible(physical, stop).map_err(fail)?;
        let mut batches =
            memory::execute(Arc::clone(&physical), state, Passing::new(state)).map_err(fail)?;
        while let Some(batch) = batches.next().await {
            batch.map_err(fail)?;
        }
        datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(
            physical.as_ref(),
        )
        .indent(false)
        .to_string()
    } else {
        displayable(physical.as_ref()).indent(false).to_string()
    };
    let lines = text.lines().enumerate().map(|(index, line)| {
        // Tools look for a cost on the first line; none is estimated.
        let cost = if index == 0 { "  (cost=0.00..0.00 rows=0 width=0)" } else { "" };
        vec![Value::Text(format!("{line}{cost}"))]
    });
    Ok(rows("EXPLAIN", explain_columns(), lines.collect()))
}

/// A finished statement without rows.
pub(crate) fn done(tag: &str, parameter_status: Vec<(String, String)>) -> Execution {
    Execution {
        columns: Vec::new(),
        tag: tag.to_owned(),
        rows: None,
        notices: Arc::new(Vec::new),
        parameter_status,
        copy: None,
    }
}

/// A finished statement without rows, with something to say.
pub(crate) fn noticed(
    tag: &str,
    parameter_status: Vec<(String, String)>,
    notices: Vec<String>,
) -> Execution {
    Execution { notices: Arc::new(move || notices.clone()), ..done(tag, parameter_status) }
}

/// Rows that are there already.
pub(crate) fn rows(tag: &str, columns: Vec<Column>, rows: Vec<Row>) -> Execution {
    Execution {
        columns,
        tag: tag.to_owned(),
        rows: Some(Box::pin(stream::iter([Ok(rows)]))),
        notices: Arc::new(Vec::new),
        parameter_status: Vec::new(),
        copy: None,
    }
}
