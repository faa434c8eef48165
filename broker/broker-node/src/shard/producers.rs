//! Expiry of idempotent producers: time enters the fold as logged steps.
//!
//! A fold never reads a clock (M1). So the time that passes while the shard is open is measured by the monotonic
//! clock, in steps of a fraction of the expiration, and each step is an entry of the journal per stream that has
//! producers. Replay, a checkpoint and `verify` then agree on who is remembered; a wall clock that jumps and the
//! timestamps of clients change nothing. The time between a close and the next open does not count.

use std::rc::Rc;

use broker_core::fields::{FieldError, FieldReader, FieldWriter};
use broker_kafka::broker::Fatal;
use log_io::Durability;
use log_journal::{AppendError, Entry};
use log_types::{Offset, StreamId};

use super::{Shard, kind};

/// Steps per expiration: a producer is kept up to this fraction too long.
const STEPS: i64 = 64;
const STEP_MS_MIN: i64 = 200;
/// Streams aged without a pause.
const BATCH_MAX: usize = 64;

/// One step, as logged: `i64 elapsed ms │ i64 expiration ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AgeStep {
    pub(super) elapsed_ms: i64,
    pub(super) expiration_ms: i64,
}

impl AgeStep {
    fn encode(self) -> Vec<u8> {
        let mut out = FieldWriter::new();
        out.i64(self.elapsed_ms).i64(self.expiration_ms);
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut input = FieldReader::new(bytes);
        let elapsed_ms = input.i64("elapsed time")?;
        Ok(Self { elapsed_ms, expiration_ms: input.i64("expiration")? })
    }
}

impl Shard {
    /// Logs a step for every stream with producers when it is time for one. `pause` runs between batches of streams.
    pub(crate) async fn age_producers<P: Future<Output = ()>>(
        self: Rc<Self>,
        expiration_ms: i64,
        pause: impl Fn() -> P,
    ) -> Result<(), Fatal> {
        let now_ms = self.steady_ms();
        let elapsed_ms = now_ms - self.aged_ms.get();
        if elapsed_ms < (expiration_ms / STEPS).max(STEP_MS_MIN) {
            return Ok(());
        }
        self.aged_ms.set(now_ms);
        let step = AgeStep { elapsed_ms, expiration_ms };
        let streams: Vec<StreamId> = {
            let partitions = self.partitions.borrow();
            let aging = partitions.iter().filter(|(_, partition)| partition.has_producers());
            aging.map(|(stream, _)| *stream).collect()
        };
        for batch in streams.chunks(BATCH_MAX) {
            for stream in batch {
                self.age_stream(*stream, step).await?;
            }
            pause().await;
        }
        Ok(())
    }

    async fn age_stream(&self, stream: StreamId, step: AgeStep) -> Result<(), Fatal> {
        loop {
            match self.append_step(stream, step) {
                // Without space the time does not count: the producers are kept a little longer.
                Ok(()) | Err(AppendError::DiskFull) => return Ok(()),
                Err(AppendError::Full) => self.journal.room().await,
                Err(_) => return Err(Fatal),
            }
        }
    }

    fn append_step(&self, stream: StreamId, step: AgeStep) -> Result<(), AppendError> {
        let mut partitions = self.partitions.borrow_mut();
        // Deleted meanwhile.
        let Some(partition) = partitions.get_mut(&stream) else { return Ok(()) };
        self.journal.append(&Entry {
            stream,
            kind: kind::PRODUCERS_AGED,
            base_offset: Offset(0),
            last_offset: Offset(0),
            max_timestamp: -1,
            // Whether the last step is lost in a crash makes no difference to anybody.
            durability: Durability::Volatile,
            parts: &[&step.encode()],
            last_part_crc: None,
        })?;
        partition.age_producers(step.elapsed_ms, step.expiration_ms);
        Ok(())
    }
}
