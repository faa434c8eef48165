//! One stream as a Kafka partition: offsets, leader epochs, idempotent producers. No I/O.
//!
//! Invariants:
//! - `log_start ≤ visible ≤ end`; each only moves forward.
//! - `check_append` changes nothing; `record_append` is called for exactly the batches that entered the journal, in
//!   order, live and at replay, so both give the same state.
//! - An offset below `visible` is durable (or its topic does not ask for durability).
//!
//! ```text
//!  batch ─check_append─► Verdict::Append ─journal─► record_append ─► end
//!              │                                        durable ─► raise_visible ─► visible (high watermark)
//!              └─► Verdict::Duplicate (answered with the original offset) · AppendError
//! ```

mod append;
mod epochs;
mod open;

use bytes::Bytes;
use log_record::{BatchHeader, BatchSummary};
use log_types::{LeaderEpoch, Offset};

pub use append::{AppendError, AppendRules, Prepared, RecordProblem, Verdict};
pub use epochs::EpochHistory;
pub use open::{
    DECOMPRESSED_BYTES_MAX, NotOpened, Opened, batch_records, let_go, must_open, open, seen,
};

use crate::fields::{FieldError, FieldReader, FieldWriter};
use crate::producer::ProducerStates;

/// A partition's state in its shard.
#[derive(Debug, Default, Clone)]
pub struct Partition {
    log_start: Offset,
    visible: Offset,
    end: Offset,
    epochs: EpochHistory,
    producers: ProducerStates,
    /// Largest record timestamp ever appended, and the base offset of the batch that holds it.
    max_timestamp: Option<(i64, Offset)>,
}

impl Partition {
    /// First offset that was not removed.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// First offset that consumers may not read yet: Kafka's high watermark.
    #[must_use]
    pub fn visible(&self) -> Offset {
        self.visible
    }

    /// Offset of the next record: Kafka's log end offset.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The epoch of the first record that was not removed; `None` when there is none.
    #[must_use]
    pub fn log_start_epoch(&self) -> Option<LeaderEpoch> {
        if self.log_start < self.end { self.epochs.at(self.log_start) } else { None }
    }

    #[must_use]
    pub fn epochs(&self) -> &EpochHistory {
        &self.epochs
    }

    /// The largest timestamp ever appended and the base offset of its batch. When that lies below the log start, what is
    /// left has a smaller one, which only the log itself knows.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<(i64, Offset)> {
        self.max_timestamp
    }

    /// Decides about a producer's batch (the bytes of exactly one batch).
    ///
    /// # Errors
    /// What the Produce response carries for this partition.
    pub fn check_append(
        &self,
        batch: &Bytes,
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<Verdict, AppendError> {
        self.check_opened(batch, None, rules, now_ms)
    }

    /// The same for a batch that was opened or looked at with these rules ([`open`], [`seen`]), which saw this in it. `None` when it was not: where
    /// it must be ([`must_open`]) it is then opened in one go.
    ///
    /// # Errors
    /// What the Produce response carries for this partition.
    pub fn check_opened(
        &self,
        batch: &Bytes,
        opened: Option<BatchSummary>,
        rules: &AppendRules,
        now_ms: i64,
    ) -> Result<Verdict, AppendError> {
        let prepared = append::prepare(batch, opened, rules, now_ms)?;
        append::check_sequence(&self.producers, prepared, now_ms)
    }

    /// Folds a batch that entered the journal at `base_offset`.
    pub fn record_append(&mut self, header: &BatchHeader, base_offset: Offset, epoch: LeaderEpoch) {
        assert!(base_offset >= self.end, "batch at {base_offset} follows the end {}", self.end);
        self.epochs.assign(epoch, base_offset);
        if header.has_producer() {
            self.producers.record(header, base_offset);
        }
        if self.max_timestamp.is_none_or(|(max, _)| header.max_timestamp > max) {
            self.max_timestamp = Some((header.max_timestamp, base_offset));
        }
        self.end = base_offset.plus(i64::from(header.last_offset_delta) + 1);
    }

    /// Raises the high watermark; lower values are ignored.
    pub fn raise_visible(&mut self, visible: Offset) {
        assert!(visible <= self.end, "high watermark {visible} stays within the end {}", self.end);
        self.visible = self.visible.max(visible);
    }

    /// Moves the log start forward; lower values are ignored.
    pub fn raise_log_start(&mut self, log_start: Offset) {
        assert!(log_start <= self.end, "log start {log_start} stays within the end {}", self.end);
        self.log_start = self.log_start.max(log_start);
        self.visible = self.visible.max(self.log_start);
        self.epochs.truncate_start(self.log_start);
    }

    /// Folds a logged ageing step: forgets idempotent producers that have been silent for `expiration_ms`.
    pub fn age_producers(&mut self, elapsed_ms: i64, expiration_ms: i64) {
        self.producers.age(elapsed_ms, expiration_ms);
    }

    /// Whether there is any producer to age.
    #[must_use]
    pub fn has_producers(&self) -> bool {
        !self.producers.is_empty()
    }

    pub fn export(&self, out: &mut FieldWriter) {
        out.i64(self.log_start.0).i64(self.end.0);
        let (timestamp, offset) = self.max_timestamp.unwrap_or((0, Offset(-1)));
        out.i64(timestamp).i64(offset.0);
        self.epochs.export(out);
        self.producers.export(out);
    }

    /// The inverse of [`Partition::export`]; everything exported is durable, hence visible.
    ///
    /// # Errors
    /// When the bytes do not decode.
    pub fn import(input: &mut FieldReader<'_>) -> Result<Self, FieldError> {
        let log_start = Offset(input.i64("log start")?);
        let end = Offset(input.i64("log end")?);
        if log_start > end || log_start.0 < 0 {
            return Err(FieldError { what: "log start beyond log end", offset: 0 });
        }
        let timestamp = input.i64("max timestamp")?;
        let offset = Offset(input.i64("offset of max timestamp")?);
        Ok(Self {
            log_start,
            visible: end,
            end,
            max_timestamp: (offset.0 >= 0).then_some((timestamp, offset)),
            epochs: EpochHistory::import(input)?,
            producers: ProducerStates::import(input)?,
        })
    }
}

#[cfg(test)]
mod tests;
