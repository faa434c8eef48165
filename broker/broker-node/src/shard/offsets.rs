//! Offset look-ups and the log start: ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use std::rc::Rc;

use broker_core::partition::{batch_records, let_go};
use broker_kafka::broker::{Fatal, FoundOffset, OffsetQuery, PartitionError};
use log_io::{Durability, Slice};
use log_journal::{AppendError, Entry};
use log_record::{BatchHeader, Records, TimestampType};
use log_types::{LeaderEpoch, Offset, StreamId};

use super::{Shard, kind};

/// Nanoseconds that a record takes to be looked at.
const RECORD_NS: usize = 20;

const NOT_FOUND: FoundOffset =
    FoundOffset { offset: Offset(-1), timestamp_ms: -1, epoch: LeaderEpoch(-1) };

impl Shard {
    pub(crate) async fn find_offset(
        self: Rc<Self>,
        stream: StreamId,
        query: OffsetQuery,
        current_epoch: LeaderEpoch,
    ) -> Result<FoundOffset, PartitionError> {
        let (log_start, log_start_epoch, visible, max_timestamp) = {
            let partitions = self.partitions.borrow();
            let partition = partitions.get(&stream).ok_or(PartitionError::Unknown)?;
            self.check_epoch(current_epoch)?;
            // Where there is no record, the next one will be of the present epoch.
            let epoch = partition.log_start_epoch().unwrap_or(self.epoch);
            (partition.log_start(), epoch, partition.visible(), partition.max_timestamp())
        };
        let at = |offset, epoch| FoundOffset { offset, timestamp_ms: -1, epoch };
        match query {
            OffsetQuery::Earliest => Ok(at(log_start, log_start_epoch)),
            OffsetQuery::Latest => Ok(at(visible, self.epoch)),
            OffsetQuery::MaxTimestamp => match max_timestamp {
                Some((timestamp, batch)) if batch >= log_start && batch < visible => {
                    self.find_timestamp(stream, batch, timestamp).await
                }
                // Its batch is gone, or not visible yet: then it is another's turn.
                Some(_) => self.find_max_timestamp(stream, log_start).await,
                None => Ok(NOT_FOUND),
            },
            OffsetQuery::Timestamp(timestamp) => {
                self.find_timestamp(stream, log_start, timestamp).await
            }
        }
    }

    /// The first record at or after `from` with the largest timestamp there. Bisects the timestamps: "is there one of at
    /// least so much" is what the index answers, so 63 questions do however long the log is.
    async fn find_max_timestamp(
        &self,
        stream: StreamId,
        from: Offset,
    ) -> Result<FoundOffset, PartitionError> {
        let extents = self.journal.extents(stream);
        let highest = extents.iter().map(|extent| extent.max_timestamp).max().unwrap_or(-1);
        let mut best = self.find_timestamp(stream, from, 0).await?;
        let (mut low, mut high) = (best.timestamp_ms, highest);
        while best != NOT_FOUND && low < high {
            let middle = low + (high - low) / 2 + 1;
            match self.find_timestamp(stream, from, middle).await? {
                NOT_FOUND => high = middle - 1,
                found => (low, best) = (found.timestamp_ms, found),
            }
        }
        Ok(best)
    }

    /// The first record at or after `from` whose timestamp is ≥ `timestamp_ms`.
    async fn find_timestamp(
        &self,
        stream: StreamId,
        from: Offset,
        timestamp_ms: i64,
    ) -> Result<FoundOffset, PartitionError> {
        let corrupt = |error: &dyn std::fmt::Display| PartitionError::Corrupt(error.to_string());
        let mut from = from;
        loop {
            let turn = self.cold_reads.take().await;
            let found = self.journal.find_by_timestamp(stream, from, timestamp_ms).await;
            drop(turn);
            let batch = match found {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(NOT_FOUND),
                Err(error) => {
                    let partitions = self.partitions.borrow();
                    let partition = partitions.get(&stream).ok_or(PartitionError::Unknown)?;
                    if partition.log_start() <= from {
                        return Err(corrupt(&error));
                    }
                    // Retention has taken the data away under the read.
                    from = partition.log_start();
                    continue;
                }
            };
            let header = BatchHeader::parse(&batch).map_err(|error| corrupt(&error))?;
            let visible =
                self.partitions.borrow().get(&stream).map(|partition| partition.visible());
            if visible.is_none_or(|visible| header.base_offset >= visible) {
                return Ok(NOT_FOUND);
            }
            let (offset, timestamp_ms) =
                match self.first_at_or_after(&header, &batch, timestamp_ms, from).await? {
                    Some(found) => found,
                    // The header's maximum is a claim; the records do not bear it out.
                    None => {
                        from = header.next_offset();
                        continue;
                    }
                };
            return Ok(FoundOffset { offset, timestamp_ms, epoch: header.partition_leader_epoch });
        }
    }

    pub(crate) fn epoch_end(
        &self,
        stream: StreamId,
        epoch: LeaderEpoch,
        current_epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, PartitionError> {
        let partitions = self.partitions.borrow();
        let partition = partitions.get(&stream).ok_or(PartitionError::Unknown)?;
        self.check_epoch(current_epoch)?;
        Ok(partition.epochs().end_of(epoch, self.epoch, partition.end()))
    }

    /// Moves the log start and makes that durable.
    pub(crate) async fn delete_records(
        self: Rc<Self>,
        stream: StreamId,
        before: Option<Offset>,
    ) -> Result<Result<Offset, PartitionError>, Fatal> {
        let target = {
            let partitions = self.partitions.borrow();
            let Some(partition) = partitions.get(&stream) else {
                return Ok(Err(PartitionError::Unknown));
            };
            let target = before.unwrap_or(partition.visible());
            if target > partition.visible() || target.0 < 0 {
                return Ok(Err(PartitionError::OutOfRange));
            }
            if target <= partition.log_start() {
                return Ok(Ok(partition.log_start()));
            }
            target
        };
        let position = loop {
            match self.log_start_entry(stream, target) {
                Ok(position) => break position,
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull) => return Ok(Err(PartitionError::DiskFull)),
                Err(_) => return Err(Fatal),
            }
        };
        self.journal.wait_durable(position).await.map_err(|_| Fatal)?;
        self.journal.set_log_start(stream, target);
        let log_start =
            self.partitions.borrow().get(&stream).map(|partition| partition.log_start());
        Ok(log_start.ok_or(PartitionError::Unknown))
    }

    /// Logs a log start, also where a full disk takes nothing else.
    pub(super) fn log_start_entry(
        &self,
        stream: StreamId,
        target: Offset,
    ) -> Result<log_types::Position, AppendError> {
        let position = self.journal.append_reserved(&Entry {
            stream,
            kind: kind::LOG_START,
            base_offset: target,
            last_offset: target,
            max_timestamp: -1,
            durability: Durability::Synced,
            parts: &[],
            last_part_crc: None,
        })?;
        if let Some(partition) = self.partitions.borrow_mut().get_mut(&stream) {
            partition.raise_log_start(target);
        }
        Ok(position)
    }

    /// The first record of the batch at or after `from` whose timestamp is ≥ `timestamp_ms`.
    async fn first_at_or_after(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        timestamp_ms: i64,
        from: Offset,
    ) -> Result<Option<(Offset, i64)>, PartitionError> {
        if header.attributes.timestamp_type() == TimestampType::LogAppend {
            return Ok(Some((header.base_offset.max(from), header.max_timestamp)));
        }
        // One at a time: its records may take 64 MiB.
        let _turn = self.searches.take().await;
        let mut slice = Slice::default();
        let records = batch_records(header, batch, &mut slice).await;
        let records = records.map_err(PartitionError::Corrupt)?;
        let found = first_in(header, &records, timestamp_ms, from, &mut slice).await;
        let_go(records, &mut slice).await;
        found
    }
}

/// The first of a batch's records at or after `from` whose timestamp is ≥ `timestamp_ms`.
async fn first_in(
    header: &BatchHeader,
    records: &[u8],
    timestamp_ms: i64,
    from: Offset,
    slice: &mut Slice,
) -> Result<Option<(Offset, i64)>, PartitionError> {
    for record in Records::new(records, header.records_count) {
        let record = record.map_err(|error| PartitionError::Corrupt(error.to_string()))?;
        let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        if timestamp >= timestamp_ms && offset >= from && offset <= header.last_offset() {
            return Ok(Some((offset, timestamp)));
        }
        slice.worked(RECORD_NS).await;
    }
    Ok(None)
}
