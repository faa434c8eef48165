//! Idempotent producers of one stream: which batch may follow, and which one is the same batch again.
//!
//! Invariants:
//! - The state is a fold of the stream's batch headers ([`ProducerStates::record`]): live appends and replay run the same
//!   code and give the same state.
//! - Per producer: one epoch and its last [`BATCHES_KEPT`] batches, oldest first; a new epoch starts with none.
//! - A duplicate is found before anything is refused, so a retried batch gets its original answer.
//! - At most [`PRODUCERS_MAX`] producers; beyond it those whose last batch is oldest are forgotten, as after expiry.
//! - Expiry reads no clock and no client's timestamp: time comes in as logged ageing steps ([`ProducerStates::age`]). Kafka
//!   compares the batch's timestamp with the wall clock, so that a producer with timestamps of last week loses its
//!   protection against duplicates at once and one with timestamps of next year keeps it for ever.
//!
//! A duplicate of a batch that is not durable yet must wait for that batch's durability like the original.
//!
//! Rules: Kafka 4.x `ProducerAppendInfo`, `ProducerStateEntry`, `ProducerStateManager`; KIP-98, KIP-360, KIP-854. A producer
//! without state may start at any sequence: its history may be gone through retention or expiry.
//!
//! Deliberately absent: open transactions and the verification of KIP-890.

use crate::fields::{FieldError, FieldReader, FieldWriter};
use log_record::BatchHeader;
use log_types::{Offset, ProducerEpoch, ProducerId};
use std::collections::BTreeMap;
use std::fmt;

/// Batches remembered per producer: the most a client may have in flight (`max.in.flight.requests.per.connection`).
pub const BATCHES_KEPT: usize = 5;
/// Producers remembered per stream. Kafka has no limit; ids are free, so a hostile client could otherwise fill memory.
pub const PRODUCERS_MAX: usize = 100_000;

const EXPORT_VERSION: u8 = 2;
/// Id, epoch, last timestamp, idle time and batch count of an exported producer.
const PRODUCER_BYTES_MIN: usize = 8 + 2 + 8 + 8 + 1;
/// Idle time of a producer that sent a batch since the last ageing.
const ACTIVE: i64 = -1;

/// What to do with a producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerVerdict {
    /// The next batch: append it, then [`ProducerStates::record`] it.
    Append,
    /// One of the last five batches again: answer with the original offset and timestamp.
    Duplicate { base_offset: Offset, timestamp: i64 },
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerError {
    /// 45, OUT_OF_ORDER_SEQUENCE_NUMBER: a batch before this one is missing, or this one is older than the last five.
    OutOfOrderSequence { producer_id: ProducerId, sequence: i32, expected: i32 },
    /// 47, INVALID_PRODUCER_EPOCH: a newer instance of the producer took over.
    InvalidEpoch { producer_id: ProducerId, epoch: ProducerEpoch, current: ProducerEpoch },
}

impl ProducerError {
    /// The Kafka error code.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::OutOfOrderSequence { .. } => 45,
            Self::InvalidEpoch { .. } => 47,
        }
    }
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrderSequence { producer_id, sequence, expected } => {
                write!(
                    f,
                    "sequence {sequence} of producer {producer_id} is out of order: expected {expected}"
                )
            }
            Self::InvalidEpoch { producer_id, epoch, current } => {
                write!(
                    f,
                    "epoch {epoch} of producer {producer_id} is older than its current epoch {current}"
                )
            }
        }
    }
}

impl std::error::Error for ProducerError {}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Batch {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: Offset,
    timestamp: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    batch_count: u8,
    batches: [Batch; BATCHES_KEPT],
    /// Largest timestamp of the last batch, as the client gave it; for DescribeProducers only.
    last_timestamp: i64,
    /// Milliseconds of logged time without a batch, or [`ACTIVE`].
    idle_ms: i64,
}

const _: () = assert!(size_of::<Producer>() <= 192);

impl Producer {
    fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            batch_count: 0,
            batches: [Batch::default(); BATCHES_KEPT],
            last_timestamp: -1,
            idle_ms: ACTIVE,
        }
    }

    fn batches(&self) -> &[Batch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    fn push(&mut self, batch: Batch) {
        let count = usize::from(self.batch_count);
        if count == BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.batches[BATCHES_KEPT - 1] = batch;
        } else {
            self.batches[count] = batch;
            self.batch_count += 1;
        }
    }

    /// The sequence that continues the last batch; 0 follows `i32::MAX`, and starts an epoch.
    fn next_sequence(&self) -> i32 {
        self.batches().last().map_or(0, |last| last.last_sequence.checked_add(1).unwrap_or(0))
    }
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
    /// −1 when the epoch has no batch yet.
    pub last_sequence: i32,
    /// Milliseconds since the epoch; −1 when unknown.
    pub last_timestamp: i64,
}

/// All idempotent producers of one stream. Empty for most streams, then without any allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, Producer>,
}

impl ProducerStates {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many producers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The remembered producers, by id.
    pub fn iter(&self) -> impl Iterator<Item = ActiveProducer> {
        self.producers.iter().map(|(producer_id, producer)| ActiveProducer {
            producer_id: *producer_id,
            epoch: producer.epoch,
            last_sequence: producer.batches().last().map_or(-1, |last| last.last_sequence),
            last_timestamp: producer.last_timestamp,
        })
    }

    /// Decides about a client's batch that has a producer id. The time is not consulted: expiry is a decision of its own.
    ///
    /// # Errors
    /// [`ProducerError`]; nothing changes.
    pub fn check(
        &self,
        header: &BatchHeader,
        _now_ms: i64,
    ) -> Result<ProducerVerdict, ProducerError> {
        let (producer_id, sequence) = (header.producer_id, header.base_sequence);
        let out_of_order =
            |expected| Err(ProducerError::OutOfOrderSequence { producer_id, sequence, expected });
        let Some(producer) = self.producers.get(&producer_id) else {
            return if sequence < 0 { out_of_order(0) } else { Ok(ProducerVerdict::Append) };
        };
        let (epoch, current) = (header.producer_epoch, producer.epoch);
        if epoch < current {
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current });
        }
        if epoch > current {
            return if sequence == 0 { Ok(ProducerVerdict::Append) } else { out_of_order(0) };
        }
        let last_sequence = header.last_sequence();
        let same = |batch: &&Batch| {
            batch.base_sequence == sequence && batch.last_sequence == last_sequence
        };
        if let Some(batch) = producer.batches().iter().find(same) {
            let (base_offset, timestamp) = (batch.base_offset, batch.timestamp);
            return Ok(ProducerVerdict::Duplicate { base_offset, timestamp });
        }
        let expected = producer.next_sequence();
        if sequence == expected { Ok(ProducerVerdict::Append) } else { out_of_order(expected) }
    }

    /// Folds a batch of the stream; batches without a producer id are ignored. Whatever is in the log is taken as it is.
    pub fn record(&mut self, header: &BatchHeader, base_offset: Offset) {
        if header.producer_id.0 < 0 {
            return;
        }
        let epoch = header.producer_epoch;
        let producer =
            self.producers.entry(header.producer_id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            *producer = Producer::new(epoch);
        }
        producer.last_timestamp = header.max_timestamp;
        producer.idle_ms = ACTIVE;
        // A transaction marker carries the epoch but no sequence.
        if !header.attributes.control() {
            producer.push(Batch {
                base_sequence: header.base_sequence,
                last_sequence: header.last_sequence(),
                base_offset,
                timestamp: header.max_timestamp,
            });
        }
        if self.producers.len() > PRODUCERS_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets an eighth of the producers, those whose last batch is oldest in the stream.
    fn forget_oldest(&mut self) {
        let last_offset = |producer: &Producer| {
            producer.batches().last().map_or(Offset(-1), |batch| batch.base_offset)
        };
        let mut offsets: Vec<Offset> = self.producers.values().map(last_offset).collect();
        offsets.sort_unstable();
        let Some(&until) = offsets.get(offsets.len() / 8) else { return };
        self.producers.retain(|_, producer| last_offset(producer) > until);
    }

    /// Folds a logged ageing step: `elapsed_ms` have passed since the one before it. Forgets the producers that have sent
    /// nothing for `expiration_ms` (`producer.id.expiration.ms`), counted from the first step after their last batch: never
    /// too early, and late by one step at most.
    pub fn age(&mut self, elapsed_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.idle_ms = if producer.idle_ms == ACTIVE {
                0
            } else {
                producer.idle_ms.saturating_add(elapsed_ms.max(0))
            };
            producer.idle_ms < expiration_ms
        });
    }

    /// Writes the state into a checkpoint, producers by ascending id: `log/FORMAT.md` "The owner's state".
    pub fn export(&self, out: &mut FieldWriter) {
        out.u8(EXPORT_VERSION).count(self.producers.len());
        for (producer_id, producer) in &self.producers {
            out.i64(producer_id.0).i16(producer.epoch.0);
            out.i64(producer.last_timestamp).i64(producer.idle_ms);
            out.u8(producer.batch_count);
            for batch in producer.batches() {
                out.i32(batch.base_sequence).i32(batch.last_sequence);
                out.i64(batch.base_offset.0).i64(batch.timestamp);
            }
        }
    }

    /// The inverse of [`ProducerStates::export`].
    ///
    /// # Errors
    /// When the bytes are cut, of an unknown version, or break an invariant.
    pub fn import(input: &mut FieldReader<'_>) -> Result<Self, FieldError> {
        let broken = |what| FieldError { what, offset: 0 };
        if input.u8("producer state version")? != EXPORT_VERSION {
            return Err(broken("producer state version"));
        }
        let count = input.count(PRODUCER_BYTES_MIN, "producers")?;
        let mut states = Self::default();
        for _ in 0..count {
            let producer_id = ProducerId(input.i64("producer id")?);
            let mut producer = Producer::new(ProducerEpoch(input.i16("producer epoch")?));
            producer.last_timestamp = input.i64("producer timestamp")?;
            producer.idle_ms = input.i64("idle time of a producer")?;
            if producer.idle_ms < ACTIVE {
                return Err(broken("idle time of a producer"));
            }
            let batch_count = input.u8("batch count")?;
            if usize::from(batch_count) > BATCHES_KEPT {
                return Err(broken("batch count"));
            }
            for _ in 0..batch_count {
                producer.push(Batch {
                    base_sequence: input.i32("base sequence")?,
                    last_sequence: input.i32("last sequence")?,
                    base_offset: Offset(input.i64("base offset")?),
                    timestamp: input.i64("batch timestamp")?,
                });
            }
            let ascending =
                states.producers.last_key_value().is_none_or(|(id, _)| *id < producer_id);
            if !ascending {
                return Err(broken("producer id order"));
            }
            states.producers.insert(producer_id, producer);
        }
        Ok(states)
    }
}

#[cfg(test)]
mod tests;
