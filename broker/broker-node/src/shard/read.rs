//! The fetch path of a shard: epoch checks, whole batches up to the high watermark, waiting for more.

use std::cell::RefCell;
use std::rc::Rc;

use broker_kafka::broker::{PartitionError, ReadReply, ReadRequest};
use broker_kafka_wire::Pace;
use futures_channel::oneshot;
use log_types::{LeaderEpoch, Offset, StreamId};

use super::{Shard, add};

/// One for each partition.
pub(crate) type Replies = Vec<Result<ReadReply, PartitionError>>;

impl Shard {
    /// Compares the epoch a client knows with ours (KIP-320).
    pub(super) fn check_epoch(&self, current_epoch: LeaderEpoch) -> Result<(), PartitionError> {
        if current_epoch.0 < 0 || current_epoch == self.epoch {
            return Ok(());
        }
        Err(if current_epoch < self.epoch {
            PartitionError::FencedEpoch
        } else {
            PartitionError::UnknownEpoch
        })
    }

    /// Reads the partitions in turn until `bytes_max`; the first one with data gives at least one batch. With the bytes of
    /// all records.
    pub(crate) async fn read_all(
        self: Rc<Self>,
        requests: Vec<ReadRequest>,
        bytes_max: usize,
        mut at_least_one: bool,
    ) -> (Replies, usize) {
        let (mut left, mut read, mut pace) = (bytes_max, 0, Pace::default());
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            let reply = self.read_one(&request, left, at_least_one).await;
            if let Ok(reply) = &reply {
                let bytes = reply.bytes();
                at_least_one &= bytes == 0;
                left = left.saturating_sub(bytes);
                read += bytes;
                add(&self.counters.read_bytes, bytes);
            }
            replies.push(reply);
            pace.partition(0).await;
        }
        (replies, read)
    }

    async fn read_one(
        &self,
        request: &ReadRequest,
        left: usize,
        at_least_one: bool,
    ) -> Result<ReadReply, PartitionError> {
        let stream = request.place.stream;
        let mut reply = self.read_bounds(stream, request)?;
        let wanted = request.bytes_max.min(left);
        let nothing_fits = wanted == 0 && !at_least_one;
        if reply.diverging.is_some() || request.offset >= reply.visible || nothing_fits {
            return Ok(reply);
        }
        let (from, upto, wanted) = (request.offset, reply.visible, wanted.max(1));
        let read = match self.journal.try_read_tail(stream, from, upto, wanted) {
            Some(read) => {
                add(&self.counters.tail_hits, 1);
                Ok(read)
            }
            None => {
                add(&self.counters.tail_misses, 1);
                let _turn = self.cold_reads.take().await;
                let read = self.journal.read(stream, from, upto, wanted).await;
                // What retention or a deletion took away meanwhile would be a gap that nobody is told of.
                self.read_bounds(stream, request)?;
                read
            }
        };
        match read {
            Ok(read) => {
                reply.batches = read.batches;
                // The journal gives one batch even when it is too large; only the first partition may (KIP-74).
                if !at_least_one && reply.bytes() > wanted {
                    reply.batches.clear();
                }
            }
            Err(error) => {
                tracing::error!(shard = self.id.0, stream = stream.0, %error, "read failed");
                return Err(PartitionError::Corrupt(error.to_string()));
            }
        }
        Ok(reply)
    }

    fn read_bounds(
        &self,
        stream: StreamId,
        request: &ReadRequest,
    ) -> Result<ReadReply, PartitionError> {
        let partitions = self.partitions.borrow();
        let partition = partitions.get(&stream).ok_or(PartitionError::Unknown)?;
        self.check_epoch(request.current_epoch)?;
        let (log_start, visible, end) =
            (partition.log_start(), partition.visible(), partition.end());
        let mut reply = ReadReply { visible, log_start, batches: Vec::new(), diverging: None };
        if request.last_fetched_epoch.0 >= 0 {
            let last = request.last_fetched_epoch;
            reply.diverging = partition.epochs().divergence(last, request.offset, self.epoch, end);
            if reply.diverging.is_some() {
                return Ok(reply);
            }
        }
        if request.offset < log_start || request.offset > end {
            return Err(PartitionError::OutOfRange);
        }
        Ok(reply)
    }

    /// Completes when a stream has its high watermark beyond the offset given with it, or is gone.
    pub(crate) async fn watch(self: Rc<Self>, mut streams: Vec<(StreamId, Offset)>) {
        // A request may name a partition many times; the lowest offset is the first to be passed.
        streams.sort_unstable();
        streams.dedup_by_key(|(stream, _)| *stream);
        let receiver = {
            let partitions = self.partitions.borrow();
            let ready = |(stream, offset): &(StreamId, Offset)| {
                partitions.get(stream).is_none_or(|partition| partition.visible() > *offset)
            };
            if streams.iter().any(ready) {
                return;
            }
            let (tx, rx) = oneshot::channel();
            let watcher = Rc::new(RefCell::new(Some(tx)));
            let mut watchers = self.watchers.borrow_mut();
            for (stream, _) in &streams {
                watchers.add(*stream, Rc::clone(&watcher));
            }
            rx
        };
        // The sender is dropped only together with the shard; then there is nothing to wait for either.
        let _ = receiver.await;
    }
}
