//! Memory of statements: each has its own limit and draws from what all statements share.
//!
//! ```text
//!  sort, join, aggregate, function ──try_grow──► StatementPool (query_memory_bytes_max) ──┐
//!                                                                                         ├──► Total (memory_bytes_max)
//!  scan, rows on their way out ──────try_grow──► StatementPool (as much again) ───────────┘
//! ```
//!
//! Invariants:
//! - What a statement holds is counted in both, and is given back to both when its operators are dropped.
//! - Either limit gives SQLSTATE 53200 for the statement that asked; what others hold is untouched.
//! - The first [`POOL_BYTES_FREE`] of a pool are never refused for the total: small statements go on beside large ones.
//!   So the total is exceeded by at most twice that for each running statement and open cursor.
//! - What passes through has a pool of its own, so that the limit of one query is met by what keeps the memory.
//! - Nothing spills to disk.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures_util::TryStreamExt as _;
use query_api::{Error, ErrorKind};

/// What a pool may hold whatever the others hold.
const POOL_BYTES_FREE: usize = 256 * 1024;

/// Bytes that statements may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    pub(crate) statement_bytes_max: usize,
    pub(crate) total_bytes_max: usize,
}

/// What all statements hold.
#[derive(Debug, Default)]
pub(crate) struct Total {
    held_bytes: AtomicUsize,
}

impl Total {
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

/// One statement's memory.
#[derive(Debug)]
pub(crate) struct StatementPool {
    limits: MemoryLimits,
    total: Arc<Total>,
    held_bytes: AtomicUsize,
    /// The last one, of both pools of the statement.
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl StatementPool {
    pub(crate) fn new(limits: MemoryLimits, total: &Arc<Total>) -> Self {
        Self {
            limits,
            total: Arc::clone(total),
            held_bytes: AtomicUsize::new(0),
            refusal: Arc::default(),
        }
    }

    fn beside(&self) -> Self {
        let refusal = Arc::clone(&self.refusal);
        Self { refusal, ..Self::new(self.limits, &self.total) }
    }
}

/// The pool of what passes through one run of a statement: what scans have read, and rows that wait for their client.
#[derive(Debug)]
pub(crate) struct Passing(pub(crate) Arc<dyn MemoryPool>);

impl Passing {
    pub(crate) fn new(state: &SessionState) -> Self {
        let kept = &state.runtime_env().memory_pool;
        let kept_pool: &dyn Any = kept.as_ref();
        Self(match kept_pool.downcast_ref::<StatementPool>() {
            Some(pool) => Arc::new(pool.beside()),
            None => Arc::clone(kept),
        })
    }

    /// That of the run that `context` belongs to.
    pub(crate) fn of(context: &TaskContext) -> Arc<dyn MemoryPool> {
        let passing = context.session_config().get_extension::<Self>();
        passing.map_or_else(|| Arc::clone(context.memory_pool()), |it| Arc::clone(&it.0))
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement")
    }
}

/// Adds when the sum stays within `max`; what was held before, or else is held.
fn add(held: &AtomicUsize, bytes: usize, max: usize) -> Result<usize, usize> {
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        held.checked_add(bytes).filter(|sum| *sum <= max)
    })
}

/// Which limit was met, and by what.
#[derive(Clone, Debug)]
struct Refusal {
    limit: Limit,
    consumer: String,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Statement,
    Total,
}

impl StatementPool {
    /// DataFusion acts on the variant and forgets the text, so the refusal is kept here.
    fn refuse(
        &self,
        limit: Limit,
        reservation: &MemoryReservation,
        bytes: usize,
    ) -> DataFusionError {
        let consumer = reservation.consumer().name().to_owned();
        let text = format!("{consumer} asked for {bytes} bytes");
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Refusal { limit, consumer, bytes });
        DataFusionError::ResourcesExhausted(text)
    }

    /// The last refusal as clients see it.
    fn error(&self) -> Option<Error> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(exhausted(&refusal, self.limits))
    }
}

/// Starts a plan with the memory of its statement's state; a refusal is an error with SQLSTATE 53200.
///
/// # Errors
/// DataFusion's.
pub(crate) fn execute(
    plan: Arc<dyn ExecutionPlan>,
    state: &SessionState,
    passing: Passing,
) -> Result<SendableRecordBatchStream> {
    let config = state.config().clone().with_extension(Arc::new(passing));
    let context = Arc::new(TaskContext::from(state).with_session_config(config));
    let batches = execute_stream(plan, Arc::clone(&context))?;
    let schema = batches.schema();
    let explained = batches.map_err(move |error| explain(error, context.memory_pool().as_ref()));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, explained)))
}

/// A refusal of `pool` in full; every other error as it is.
pub(crate) fn explain(error: DataFusionError, pool: &dyn MemoryPool) -> DataFusionError {
    if !matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return error;
    }
    let pool: &dyn Any = pool;
    match pool.downcast_ref::<StatementPool>().and_then(StatementPool::error) {
        Some(explained) => DataFusionError::External(Box::new(explained)),
        None => error,
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &'static str {
        "statement"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        self.held_bytes.fetch_add(additional, Ordering::Relaxed);
        self.total.held_bytes.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        self.held_bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.total.held_bytes.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let held = add(&self.held_bytes, additional, self.limits.statement_bytes_max)
            .map_err(|_| self.refuse(Limit::Statement, reservation, additional))?;
        let small = held + additional <= POOL_BYTES_FREE;
        let max = if small { usize::MAX } else { self.limits.total_bytes_max };
        add(&self.total.held_bytes, additional, max).map(|_| ()).map_err(|_| {
            self.held_bytes.fetch_sub(additional, Ordering::Relaxed);
            self.refuse(Limit::Total, reservation, additional)
        })
    }

    fn reserved(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limits.statement_bytes_max.min(self.limits.total_bytes_max))
    }
}

fn exhausted(refusal: &Refusal, limits: MemoryLimits) -> Error {
    let Refusal { limit, consumer, bytes } = refusal;
    let detail = format!("{} ({consumer}) asked for {bytes} bytes more", operator(consumer));
    let keep_less =
        "make the query keep less: filter on _offset or _timestamp, group by fewer keys, add LIMIT";
    let (message, hint) = match limit {
        Limit::Statement => (
            format!(
                "the query needs more memory than the {} one query may hold",
                size(limits.statement_bytes_max)
            ),
            format!(
                "raise pg.query_memory_bytes_max in the server's configuration, or {keep_less}"
            ),
        ),
        Limit::Total => (
            format!(
                "the query needs more memory than is left of the {} that all queries share",
                size(limits.total_bytes_max)
            ),
            format!(
                "try again when other queries have ended, raise pg.memory_bytes_max in the server's \
                 configuration, or {keep_less}"
            ),
        ),
    };
    Error::new(ErrorKind::LimitExceeded, message)
        .with_sqlstate("53200")
        .with_detail(detail)
        .with_hint(hint)
}

/// A consumer's kind in words.
fn operator(consumer: &str) -> &'static str {
    let kinds = [
        ("function", "a function"),
        ("TopicScan", "a scan"),
        ("Result", "a result"),
        ("Sort", "a sort"),
        ("Aggregate", "an aggregate"),
        ("GroupedHash", "an aggregate"),
        ("Join", "a join"),
        ("Window", "a window function"),
        ("TopK", "a sort"),
        ("Repartition", "an exchange between threads"),
    ];
    kinds.iter().find(|(part, _)| consumer.contains(part)).map_or("an operator", |(_, kind)| kind)
}

/// `512 KiB`, `1 MiB`.
fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes < MIB { format!("{} KiB", bytes / 1024) } else { format!("{} MiB", bytes / MIB) }
}
