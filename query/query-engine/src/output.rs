//! Result rows on their way to a client: an Arrow batch becomes rows piece by piece, and both are counted as the
//! statement's memory for as long as they wait.
//!
//! ```text
//!  plan ──► RecordBatch ──► Pieces ──► Piece (≤ PIECE_BYTES, at least one row) ──► channel ──► client
//! ```
//!
//! Invariants:
//! - A client that does not read holds one batch and a few pieces, whatever the result's size.
//! - A value is of the type that its column was announced with, or there is an error and no row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use query_api::{DataType, Error, ErrorKind, Row, Value};

use crate::functions::registry::Registry;
use crate::memory::{self, Passing};
use crate::types;

/// Rows that are made at a time, about.
const PIECE_BYTES: usize = 256 * 1024;

/// How one statement's batches become rows.
pub(crate) struct Output {
    column_types: Vec<DataType>,
    pool: Arc<dyn MemoryPool>,
}

/// Rows and the memory they hold.
pub(crate) struct Piece {
    pub(crate) rows: Vec<Row>,
    pub(crate) held: MemoryReservation,
}

/// What is left of a batch.
pub(crate) struct Pieces {
    batch: RecordBatch,
    at: usize,
    row_bytes: usize,
    _held: MemoryReservation,
}

impl Output {
    pub(crate) fn new(column_types: Vec<DataType>, passing: &Passing) -> Self {
        Self { column_types, pool: Arc::clone(&passing.0) }
    }

    /// # Errors
    /// 53200, and XX000 for a column that is of another type than was announced.
    pub(crate) fn pieces(&self, batch: RecordBatch) -> Result<Pieces> {
        self.check(&batch)?;
        let batch_bytes = batch.columns().iter().map(used_bytes).sum();
        let values = self.column_types.len() * size_of::<Value>();
        let row_bytes = batch_bytes / batch.num_rows().max(1) + values + size_of::<Row>();
        Ok(Pieces { batch, at: 0, row_bytes, _held: self.hold(batch_bytes)? })
    }

    fn check(&self, batch: &RecordBatch) -> Result<()> {
        for (index, (announced, array)) in self.column_types.iter().zip(batch.columns()).enumerate()
        {
            if types::fits(announced, array.data_type()) {
                continue;
            }
            let message = format!(
                "column {} of the result was announced as {announced:?}, but its values are {}",
                index + 1,
                array.data_type()
            );
            let error = Error::new(ErrorKind::Internal, message).with_sqlstate("XX000");
            let error = error.with_hint("cast the column to the type that is meant");
            return Err(DataFusionError::External(Box::new(error)));
        }
        Ok(())
    }

    fn hold(&self, bytes: usize) -> Result<MemoryReservation> {
        let held = MemoryConsumer::new("Result").register(&self.pool);
        held.try_grow(bytes).map_err(|error| memory::explain(error, self.pool.as_ref()))?;
        Ok(held)
    }
}

impl Pieces {
    /// # Errors
    /// 53200, and values that cannot be shown.
    pub(crate) fn next(&mut self, output: &Output, registry: &Registry) -> Option<Result<Piece>> {
        let left = self.batch.num_rows() - self.at;
        let count = left.min((PIECE_BYTES / self.row_bytes).max(1));
        if count == 0 {
            return None;
        }
        let slice = self.batch.slice(self.at, count);
        self.at += count;
        let held = match output.hold(count * self.row_bytes) {
            Ok(held) => held,
            Err(error) => return Some(Err(error)),
        };
        let rows = types::rows(&slice, &output.column_types)
            .map(|rows| registry.named(rows, &output.column_types))
            .map_err(|error| DataFusionError::External(Box::new(error)));
        Some(rows.map(|rows| Piece { rows, held }))
    }
}

/// Bytes of the rows an array shows, which may be a part of what it keeps.
fn used_bytes(array: &Arc<dyn Array>) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}
