//! The produce path of a shard: check, log, fold, and wait for durability.

use std::rc::Rc;
use std::sync::Arc;

use broker_core::config::{Durability as TopicDurability, TopicConfig};
use broker_core::partition::{AppendError, AppendRules, Partition, Verdict};
use broker_kafka::broker::{Appended, Fatal, PartitionError};
use broker_kafka_wire::Pace;
use bytes::Bytes;
use log_io::Durability;
use log_journal::{AppendError as JournalAppendError, Entry};
use log_record::{BatchHeader, BatchSummary, CRC_COVERS_FROM, patched_prefix};
use log_types::{Offset, Position, StreamId};

use super::{Pending, Shard, add, kind};

/// A batch for one stream of this shard.
pub(crate) struct AppendItem {
    pub(crate) stream: StreamId,
    pub(crate) batch: Bytes,
    /// What was seen in the batch, when it was opened.
    pub(crate) opened: Option<BatchSummary>,
    pub(crate) config: Arc<TopicConfig>,
}

/// The append of one batch, and what to wait for before answering.
struct Outcome {
    result: Result<Appended, PartitionError>,
    wait: Option<Position>,
}

/// The journal has no room at the moment.
struct Full;

impl Shard {
    /// Appends in order and completes when each batch is as durable as its topic asks.
    pub(crate) async fn append_all(
        self: Rc<Self>,
        items: Vec<AppendItem>,
    ) -> Result<Vec<Result<Appended, PartitionError>>, Fatal> {
        let mut results = Vec::with_capacity(items.len());
        let (mut wait, mut pace) = (None, Pace::default());
        let turn = self.turn.take().await;
        for item in items {
            let outcome = loop {
                match self.try_append(&item)? {
                    Ok(outcome) => break outcome,
                    Err(Full) => self.journal.room().await,
                }
            };
            wait = wait.max(outcome.wait);
            results.push(outcome.result);
            // With the turn kept: nothing overtakes what is left of this request.
            pace.partition(item.batch.len()).await;
        }
        drop(turn);
        if let Some(position) = wait {
            self.journal.wait_durable(position).await.map_err(|_| Fatal)?;
        }
        Ok(results)
    }

    fn try_append(&self, item: &AppendItem) -> Result<Result<Outcome, Full>, Fatal> {
        let refuse = |error| Ok(Ok(Outcome { result: Err(error), wait: None }));
        let mut partitions = self.partitions.borrow_mut();
        let Some(partition) = partitions.get_mut(&item.stream) else {
            return refuse(PartitionError::Unknown);
        };
        let now_ms = self.now_ms();
        let rules = AppendRules::from(&*item.config);
        let prepared = match partition.check_opened(&item.batch, item.opened, &rules, now_ms) {
            Ok(Verdict::Append(prepared)) => prepared,
            Ok(Verdict::Duplicate { base_offset, timestamp }) => {
                return Ok(Ok(self.duplicate(partition, base_offset, timestamp)));
            }
            Err(error) => return refuse(PartitionError::Append(error)),
        };
        let durability = match durability_of(&item.config) {
            // The topic was switched while synced batches are on their way: this one may not make them visible.
            Durability::Volatile if partition.visible() < partition.end() => Durability::Synced,
            durability => durability,
        };
        let base_offset = partition.end();
        let (header, batch) = (&prepared.header, &prepared.batch);
        let position = match self.log_batch(item.stream, base_offset, header, batch, durability) {
            Ok(position) => position,
            Err(JournalAppendError::Full) => return Ok(Err(Full)),
            Err(JournalAppendError::DiskFull) => return refuse(PartitionError::DiskFull),
            Err(JournalAppendError::TooLarge { .. }) => {
                let (bytes, max) = (batch.len(), self.entry_bytes_max);
                return refuse(PartitionError::Append(AppendError::TooLarge { bytes, max }));
            }
            Err(_) => return Err(Fatal),
        };
        partition.record_append(header, base_offset, self.epoch);
        self.appended(item.stream, partition, position, durability);
        add(&self.counters.appended_bytes, batch.len());
        add(&self.counters.appended_batches, 1);
        let log_append_time_ms = if rules.log_append_time { now_ms } else { -1 };
        let log_start = partition.log_start();
        let result = Ok(Appended { base_offset, log_append_time_ms, log_start });
        Ok(Ok(Outcome { result, wait: (durability == Durability::Synced).then_some(position) }))
    }

    /// The answer to a batch that is here already; its first copy may still be on its way to the disk.
    fn duplicate(&self, partition: &Partition, base_offset: Offset, timestamp: i64) -> Outcome {
        let log_start = partition.log_start();
        let appended = Appended { base_offset, log_append_time_ms: timestamp, log_start };
        let wait = (base_offset >= partition.visible()).then(|| self.journal.appended());
        Outcome { result: Ok(appended), wait }
    }

    /// What was appended is visible as soon as its durability allows.
    fn appended(
        &self,
        stream: StreamId,
        partition: &mut Partition,
        position: Position,
        durability: Durability,
    ) {
        let end = partition.end();
        match durability {
            Durability::Synced => {
                self.pending.borrow_mut().push_back(Pending { position, stream, end });
            }
            Durability::Volatile => {
                partition.raise_visible(end);
                self.watchers.borrow_mut().wake(stream);
            }
        }
    }

    fn log_batch(
        &self,
        stream: StreamId,
        base_offset: Offset,
        header: &BatchHeader,
        batch: &Bytes,
        durability: Durability,
    ) -> Result<Position, JournalAppendError> {
        let prefix = patched_prefix(batch, base_offset, self.epoch)
            .expect("the batch was validated: it has a whole header");
        self.journal.append(&Entry {
            stream,
            kind: kind::BATCH,
            base_offset,
            last_offset: base_offset.plus(i64::from(header.last_offset_delta)),
            max_timestamp: header.max_timestamp,
            durability,
            parts: &[&prefix, &batch[prefix.len()..CRC_COVERS_FROM], &batch[CRC_COVERS_FROM..]],
            last_part_crc: Some(header.crc),
        })
    }
}

fn durability_of(config: &TopicConfig) -> Durability {
    match config.durability {
        TopicDurability::Fsync => Durability::Synced,
        TopicDurability::Async => Durability::Volatile,
    }
}
