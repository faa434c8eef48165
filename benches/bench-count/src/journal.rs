//! A journal on the simulated disk, for the kernels that need one.
//!
//! Frames are written only by [`Log::flush`], outside of what the append kernels count; fetches find them in the tail as
//! in production. The device's side of the journal is `bench-versus`'s business.

use std::hint::black_box;
use std::rc::Rc;

use bytes::Bytes;
use log_io::Durability;
use log_journal::{Entry, EntryHead, EntryKind, Journal, JournalHooks, JournalOptions, ReplaySink};
use log_record::{BatchHeader, CRC_COVERS_FROM, patched_prefix};
use log_testkit::{Executor, SimClock, SimDisk, SimDiskOptions};
use log_types::{ClusterId, LeaderEpoch, Offset, Position, ShardId, StreamId};

use crate::{RECORDS, batch, encode_fetch};

/// A new journal with one stream.
pub struct Log {
    journal: Journal,
    executor: Executor,
    stream: StreamId,
    end: Offset,
}

struct NoReplay;

struct NoHooks;

impl JournalHooks for NoHooks {
    fn on_durable(&self, _: Position) {}
    fn checkpoint_state(&self, _: Position) -> Vec<u8> {
        Vec::new()
    }
    fn on_disk_full(&self, _: bool) {}
}

impl ReplaySink for NoReplay {
    fn checkpoint(&mut self, _: Position, _: &[u8]) {}
    fn entry(&mut self, _: Position, _: &EntryHead, _: &[u8]) {}
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// An empty journal on a simulated disk.
    ///
    /// # Panics
    /// Never: the simulated disk has no faults here.
    #[must_use]
    pub fn new() -> Self {
        let mut options = JournalOptions::new(ClusterId(*b"bench-count-0001"), ShardId(0));
        options.pending_bytes_max = 1 << 30;
        let disk = Rc::new(SimDisk::new(SimDiskOptions::default()));
        let mut replay = NoReplay;
        let open = Journal::open(disk, Rc::new(SimClock::new(0)), options, &mut replay);
        let executor = Executor::new(1);
        let opened = executor.block_on(open).expect("the simulated disk answers");
        let (journal, _) = opened.expect("a new journal opens");
        let running = journal.run(Rc::new(NoHooks));
        executor.spawn(async move { running.await.expect("the simulated disk has no faults") });
        Self { journal, executor, stream: StreamId(1), end: Offset(0) }
    }

    /// What the shard does with a checked batch: its header patched, one copy into the open frame.
    ///
    /// # Panics
    /// When a gigabyte waits already.
    pub fn append(&mut self, header: &BatchHeader, batch: &[u8]) {
        let prefix = patched_prefix(batch, self.end, LeaderEpoch(1)).expect("a whole batch");
        let last = self.end.plus(i64::from(header.last_offset_delta));
        let entry = Entry {
            stream: self.stream,
            kind: EntryKind::BATCH,
            base_offset: self.end,
            last_offset: last,
            max_timestamp: header.max_timestamp,
            durability: Durability::Synced,
            parts: &[&prefix, &batch[prefix.len()..CRC_COVERS_FROM], &batch[CRC_COVERS_FROM..]],
            last_part_crc: Some(header.crc),
        };
        self.journal.append(&entry).expect("there is room");
        self.end = last.plus(1);
    }

    /// Writes every frame, so that all of it is durable and in the tail.
    ///
    /// # Panics
    /// Never: the simulated disk has no faults here.
    pub fn flush(&self) {
        let durable = self.journal.wait_durable(self.journal.appended());
        let waited = self.executor.block_on(durable).expect("the flusher runs");
        waited.expect("the simulated disk has no faults");
    }

    /// Everything from the start, about `bytes_max` of it, as a Fetch at the tail reads it.
    ///
    /// # Panics
    /// Never: all of it is in memory.
    #[must_use]
    pub fn read(&self, bytes_max: usize) -> Vec<Bytes> {
        let read = self.journal.try_read_tail(self.stream, Offset(0), self.end, bytes_max);
        read.expect("the tail is in memory").batches
    }
}

fn filled(records: u32, count: u32) -> Log {
    let (mut log, batch) = (Log::new(), batch(records));
    let header = BatchHeader::parse(&batch).expect("a valid batch");
    for _ in 0..count {
        log.append(&header, black_box(&batch));
    }
    log
}

pub(crate) fn append_batch(count: u32) {
    filled(RECORDS, count);
}

pub(crate) fn append_record(count: u32) {
    filled(1, count);
}

pub(crate) fn fetch_tail(count: u32) {
    let log = filled(RECORDS, 32);
    log.flush();
    for _ in 0..count {
        black_box(encode_fetch(log.read(1 << 20)));
    }
}
