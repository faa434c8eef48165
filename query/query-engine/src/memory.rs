//! Memory of statements: each has its own limit and draws from what all statements share.
//!
//! ```text
//!  sort, join, aggregate ──try_grow──► StatementPool (query_memory_bytes_max)
//!                                          └──────► Total (memory_bytes_max)
//! ```
//!
//! Invariants:
//! - What a statement holds is counted in both, and is given back to both when its operators are dropped.
//! - Either limit gives SQLSTATE 53200 for the statement that asked; what others hold is untouched.
//! - Nothing spills to disk.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use futures_util::TryStreamExt as _;
use query_api::{Error, ErrorKind};

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
    refusal: Mutex<Option<Refusal>>,
}

impl StatementPool {
    pub(crate) fn new(limits: MemoryLimits, total: &Arc<Total>) -> Self {
        Self {
            limits,
            total: Arc::clone(total),
            held_bytes: AtomicUsize::new(0),
            refusal: Mutex::default(),
        }
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement")
    }
}

/// Adds when the sum stays within `max`; else what is held.
fn add(held: &AtomicUsize, bytes: usize, max: usize) -> Result<(), usize> {
    held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        held.checked_add(bytes).filter(|sum| *sum <= max)
    })
    .map(|_| ())
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
) -> Result<SendableRecordBatchStream> {
    let context = state.task_ctx();
    let batches = execute_stream(plan, Arc::clone(&context))?;
    let schema = batches.schema();
    let explained = batches.map_err(move |error| explain(error, context.memory_pool().as_ref()));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, explained)))
}

fn explain(error: DataFusionError, pool: &dyn MemoryPool) -> DataFusionError {
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
        add(&self.held_bytes, additional, self.limits.statement_bytes_max)
            .map_err(|_| self.refuse(Limit::Statement, reservation, additional))?;
        add(&self.total.held_bytes, additional, self.limits.total_bytes_max).map_err(|_| {
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
