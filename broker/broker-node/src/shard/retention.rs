//! Retention by time and bytes: moves log starts forward, one run of the log at a time.
//!
//! A partition loses whole extents (the part of it in one sealed journal segment), oldest first, and then, of the segment being
//! written, whole runs of at most 64 KiB: a segment belongs to all partitions of its shard, so a quiet node would keep what
//! is in it for years. Like Kafka's segments, what is deleted is a little less than the limits would allow; unlike there, the
//! newest goes by the same rule and needs no roll. Files are given back when their segment is sealed and nobody has a live
//! extent in it.
//!
//! What is decided here by the clock is logged as a log start, so replay decides nothing.

use std::rc::Rc;
use std::sync::Arc;

use broker_core::config::TopicConfig;
use broker_kafka::broker::{Fatal, PartitionError};
use log_journal::{AppendError, ExtentInfo};
use log_types::{Offset, StreamId};

use super::Shard;

impl Shard {
    /// Applies the topics' retention to this shard's streams. Gives how many log starts moved.
    pub(crate) async fn retain(
        self: Rc<Self>,
        streams: Vec<(StreamId, Arc<TopicConfig>)>,
    ) -> Result<usize, Fatal> {
        let mut moved = 0;
        for (stream, config) in streams {
            self.log_unlogged_start(stream).await?;
            let Some(target) = self.retention_target(stream, &config) else { continue };
            match Rc::clone(&self).delete_records(stream, Some(target)).await? {
                Ok(_) => moved += 1,
                // Not even what is reserved for this can take it, but what retention frees is what is missing. A
                // checkpoint carries the new log start; a segment is given up only when the kept checkpoints do.
                Err(PartitionError::DiskFull) => {
                    self.move_log_start(stream, target);
                    self.unlogged_starts.borrow_mut().insert(stream, target);
                    self.journal.request_checkpoint();
                    moved += 1;
                }
                // The partition was deleted, or its log start moved, since the target was computed.
                Err(_) => {}
            }
        }
        Ok(moved)
    }

    /// Logs a log start that moved while the disk was full, once it is not any more.
    async fn log_unlogged_start(&self, stream: StreamId) -> Result<(), Fatal> {
        loop {
            let Some(target) = self.unlogged_starts.borrow().get(&stream).copied() else {
                return Ok(());
            };
            match self.log_start_entry(stream, target) {
                Ok(_) => {
                    self.unlogged_starts.borrow_mut().remove(&stream);
                    return Ok(());
                }
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull) => return Ok(()),
                Err(_) => return Err(Fatal),
            }
        }
    }

    fn move_log_start(&self, stream: StreamId, target: Offset) {
        if let Some(partition) = self.partitions.borrow_mut().get_mut(&stream) {
            partition.raise_log_start(target);
            self.journal.set_log_start(stream, target);
        }
    }

    fn retention_target(&self, stream: StreamId, config: &TopicConfig) -> Option<Offset> {
        let (log_start, visible) = {
            let partitions = self.partitions.borrow();
            let partition = partitions.get(&stream)?;
            (partition.log_start(), partition.visible())
        };
        let mut extents = self.journal.extents(stream);
        if extents.last().is_some_and(|last| !last.sealed) {
            extents.pop();
            extents.extend(self.journal.open_extents(stream));
        }
        // What consumers have not been able to see yet stays, as in Kafka.
        let seen = extents.partition_point(|extent| extent.last_offset < visible);
        let bytes = extents.iter().map(|extent| extent.bytes).sum();
        target(&extents[..seen], bytes, config, self.retention_now_ms())
            .filter(|target| *target > log_start)
    }

    /// The time that retention goes by. A wall clock that was set forward while the shard is open is not believed before
    /// the next start: what it deletes does not come back.
    fn retention_now_ms(&self) -> i64 {
        self.now_ms().min(self.steady_ms())
    }
}

/// Where the log should start, when some of it should go; `bytes` are those of the whole partition.
fn target(
    extents: &[ExtentInfo],
    mut bytes: u64,
    config: &TopicConfig,
    now_ms: i64,
) -> Option<Offset> {
    if !config.delete {
        return None;
    }
    let oldest_ms = config.retention_ms.map(|ms| now_ms.saturating_sub(ms));
    let bytes_max = config.retention_bytes.and_then(|max| u64::try_from(max).ok());
    let mut target = None;
    for extent in extents {
        let made_ms = made_ms(extent, now_ms);
        let too_old = oldest_ms.is_some_and(|oldest| made_ms.is_some_and(|made| made < oldest));
        let too_many = bytes_max.is_some_and(|max| bytes.saturating_sub(extent.bytes) >= max);
        if !too_old && !too_many {
            break;
        }
        bytes -= extent.bytes;
        target = Some(extent.last_offset.plus(1));
    }
    target
}

/// When the newest record of an extent came into being: its largest timestamp, as in Kafka. A timestamp that is missing
/// (−1) or lies in the future says nothing; then it is when the extent was written. Kafka does so for missing ones (the
/// file's modification time) and never deletes what has a timestamp of the far future.
fn made_ms(extent: &ExtentInfo, now_ms: i64) -> Option<i64> {
    let claimed = extent.max_timestamp;
    if (0..=now_ms).contains(&claimed) { Some(claimed) } else { extent.written_ms }
}

#[cfg(test)]
mod tests;
