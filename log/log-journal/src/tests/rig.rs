//! One simulated process and its owner.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use log_io::{Disk, Durability};
use log_record::BatchBuilder;
use log_testkit::{Executor, SimClock, SimDisk, SimDiskOptions};
use log_types::{ClusterId, LeaderEpoch, Offset, Position, ShardId, StreamId};

use crate::{
    AppendError, Entry, EntryHead, EntryKind, Journal, JournalError, JournalHooks, JournalOptions,
    Recovery, ReplaySink, StateFold, StateMismatch,
};

/// One accepted entry, as the test remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) position: Position,
    pub(super) stream: StreamId,
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) bytes: Bytes,
}

/// The owner's fold: how many entries, a running hash of them, and the next offset of each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) count: u64,
    pub(super) hash: u32,
    pub(super) next: BTreeMap<u64, i64>,
}

impl Model {
    pub(super) fn apply(&mut self, stream: StreamId, last: Offset, payload: &[u8]) {
        self.count += 1;
        let mut hasher = crc32fast::Hasher::new_with_initial(self.hash);
        hasher.update(&stream.0.to_le_bytes());
        hasher.update(&last.0.to_le_bytes());
        hasher.update(payload);
        self.hash = hasher.finalize();
        self.next.insert(stream.0, last.0 + 1);
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
        for (stream, next) in &self.next {
            out.extend_from_slice(&stream.to_le_bytes());
            out.extend_from_slice(&next.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let mut model = Self {
            count: word(0),
            hash: u32::from_le_bytes(bytes[8..12].try_into().unwrap()),
            next: BTreeMap::new(),
        };
        for at in (12..bytes.len()).step_by(16) {
            model.next.insert(word(at), word(at + 8).cast_signed());
        }
        model
    }
}

impl ReplaySink for Model {
    fn checkpoint(&mut self, _position: Position, state: &[u8]) {
        assert_eq!(self.count, 0, "the checkpoint comes before any entry");
        *self = Self::decode(state);
    }

    fn entry(&mut self, _position: Position, head: &EntryHead, payload: &[u8]) {
        self.apply(head.stream, head.last_offset, payload);
    }
}

/// The same fold, for `verify`.
#[derive(Default)]
pub(super) struct Proof(Model);

impl ReplaySink for Proof {
    fn checkpoint(&mut self, _position: Position, state: &[u8]) {
        self.0 = Model::decode(state);
    }

    fn entry(&mut self, position: Position, head: &EntryHead, payload: &[u8]) {
        self.0.entry(position, head, payload);
    }
}

impl StateFold for Proof {
    fn prove(&mut self, _position: Position, state: &[u8]) -> Result<(), StateMismatch> {
        let stored = Model::decode(state);
        if stored == self.0 {
            return Ok(());
        }
        let (expected, found) = (self.0.count, stored.count);
        Err(StateMismatch { what: "entries of the model", expected, found })
    }
}

struct Hooks {
    model: Rc<RefCell<Model>>,
    durable: Rc<Cell<Position>>,
    full: Rc<RefCell<Vec<bool>>>,
}

impl JournalHooks for Hooks {
    fn on_durable(&self, position: Position) {
        assert!(position > self.durable.get(), "durable only moves forward");
        self.durable.set(position);
    }

    fn checkpoint_state(&self, _position: Position) -> Vec<u8> {
        self.model.borrow().encode()
    }

    fn on_disk_full(&self, full: bool) {
        self.full.borrow_mut().push(full);
    }
}

/// What a script does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// One batch of `records` records, `bytes` of value each.
    Append {
        stream: u64,
        records: i64,
        bytes: usize,
        durability: Durability,
    },
    /// An entry that is not a batch.
    Note {
        stream: u64,
        bytes: usize,
    },
    /// Wait until everything appended is durable.
    Wait,
    /// Make volatile entries durable and wait.
    Sync,
    Tick,
    LogStart {
        stream: u64,
        offset: i64,
    },
    Remove {
        stream: u64,
    },
    Checkpoint,
    /// Let every task run until none is ready.
    Settle,
    Close,
}

pub(super) fn append(stream: u64, records: i64, bytes: usize) -> Step {
    Step::Append { stream, records, bytes, durability: Durability::Synced }
}

pub(super) fn volatile(stream: u64, records: i64, bytes: usize) -> Step {
    Step::Append { stream, records, bytes, durability: Durability::Volatile }
}

/// Small sizes, so that a short script crosses segments.
pub(super) fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: 96 << 10,
        frame_bytes_target: 4 << 10,
        frame_bytes_max: 32 << 10,
        pending_bytes_max: 40 << 10,
        tail_bytes_max: 16 << 10,
        chunk_cache_bytes_max: 4 << 20,
        checkpoint_bytes: 0,
        ..JournalOptions::new(ClusterId([7; 16]), ShardId(3))
    }
}

pub(super) fn batch(stream: u64, base: i64, records: i64, bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new().at(Offset(base), LeaderEpoch(1));
    for record in 0..records {
        let offset = base + record;
        let fill = u8::try_from((stream * 31 + offset.cast_unsigned()) % 251).unwrap();
        builder.push(1_000 + offset, None, Some(&vec![fill; bytes]), &[]).unwrap();
    }
    builder.build().unwrap()
}

type Outcome = Rc<RefCell<Option<Result<(), JournalError>>>>;

pub(super) struct Rig {
    pub(super) disk: SimDisk,
    pub(super) executor: Rc<Executor>,
    pub(super) journal: Journal,
    pub(super) recovery: Recovery,
    pub(super) clock: Rc<SimClock>,
    pub(super) model: Rc<RefCell<Model>>,
    /// Every entry since the journal was made, in order.
    pub(super) appended: Vec<Appended>,
    /// What the hooks reported durable.
    pub(super) durable: Rc<Cell<Position>>,
    pub(super) full: Rc<RefCell<Vec<bool>>>,
    /// How `run` ended.
    pub(super) outcome: Outcome,
    pub(super) log_start: BTreeMap<u64, i64>,
}

impl Rig {
    pub(super) fn fresh() -> Self {
        Self::open(SimDisk::new(SimDiskOptions::default()), options(), 1, Vec::new())
            .unwrap()
            .unwrap()
    }

    /// `None` when the disk halted, an error when opening failed.
    pub(super) fn open(
        disk: SimDisk,
        options: JournalOptions,
        seed: u64,
        appended: Vec<Appended>,
    ) -> Option<Result<Self, JournalError>> {
        Self::open_on(Rc::new(Executor::new(seed)), disk, options, appended)
    }

    /// The same beside other journals, which take turns with it.
    pub(super) fn open_on(
        executor: Rc<Executor>,
        disk: SimDisk,
        options: JournalOptions,
        appended: Vec<Appended>,
    ) -> Option<Result<Self, JournalError>> {
        let clock = Rc::new(SimClock::new(1_700_000_000_000));
        let mut model = Model::default();
        let shared: Rc<dyn Disk> = Rc::new(disk.clone());
        let opened = executor.block_on(Journal::open(
            shared,
            Rc::<SimClock>::clone(&clock),
            options,
            &mut model,
        ))?;
        let (journal, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) => return Some(Err(error)),
        };
        let model = Rc::new(RefCell::new(model));
        let durable = Rc::new(Cell::new(journal.durable()));
        let full = Rc::new(RefCell::new(Vec::new()));
        let hooks = Hooks {
            model: Rc::clone(&model),
            durable: Rc::clone(&durable),
            full: Rc::clone(&full),
        };
        let outcome: Outcome = Rc::new(RefCell::new(None));
        let (run, ended) = (journal.run(Rc::new(hooks)), Rc::clone(&outcome));
        executor.spawn(async move {
            let result = run.await;
            *ended.borrow_mut() = Some(result);
        });
        let log_start = BTreeMap::new();
        Some(Ok(Self {
            disk,
            executor,
            journal,
            recovery,
            clock,
            model,
            appended,
            durable,
            full,
            outcome,
            log_start,
        }))
    }

    /// Opens the same disk again, as after a clean stop.
    pub(super) fn reopen(self) -> Self {
        self.reopen_with(options())
    }

    pub(super) fn reopen_with(self, options: JournalOptions) -> Self {
        let Self { disk, executor, journal, appended, log_start, .. } = self;
        drop(journal);
        drop(executor);
        let mut rig = Self::open(disk, options, 2, appended).unwrap().unwrap();
        rig.log_start = log_start;
        rig
    }

    /// Appends one batch to `stream`, waiting for room as long as that helps. `false`: the journal stopped.
    pub(super) fn append(
        &mut self,
        stream: u64,
        records: i64,
        bytes: usize,
        durability: Durability,
    ) -> bool {
        let base = self.model.borrow().next.get(&stream).copied().unwrap_or(0);
        let payload = batch(stream, base, records, bytes);
        self.append_raw(stream, EntryKind::BATCH, base, records, &payload, durability).is_ok()
    }

    pub(super) fn append_raw(
        &mut self,
        stream: u64,
        kind: EntryKind,
        base: i64,
        records: i64,
        payload: &Bytes,
        durability: Durability,
    ) -> Result<Position, AppendError> {
        let (head, tail) = payload.split_at(payload.len().min(16));
        let last = Offset(base + records - 1);
        let entry = Entry {
            stream: StreamId(stream),
            kind,
            base_offset: Offset(base),
            last_offset: last,
            max_timestamp: 1_000 + last.0,
            durability,
            parts: &[head, tail],
            last_part_crc: Some(log_record::crc32c(tail)),
        };
        loop {
            let appended = match kind {
                EntryKind::BATCH => self.journal.append(&entry),
                _ => self.journal.append_reserved(&entry),
            };
            match appended {
                Ok(position) => {
                    self.model.borrow_mut().apply(entry.stream, last, payload);
                    self.appended.push(Appended {
                        position,
                        stream: entry.stream,
                        base: entry.base_offset,
                        last,
                        bytes: payload.clone(),
                    });
                    return Ok(position);
                }
                Err(AppendError::Full) => {
                    if self.executor.block_on(self.journal.room()).is_none() {
                        return Err(AppendError::Full);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs the steps until one cannot complete. Whether all did.
    pub(super) fn run(&mut self, script: &[Step]) -> bool {
        script.iter().all(|step| self.step(*step))
    }

    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Append { stream, records, bytes, durability } => {
                self.append(stream, records, bytes, durability)
            }
            Step::Note { stream, bytes } => {
                let base = self.model.borrow().next.get(&stream).copied().unwrap_or(0);
                let payload = Bytes::from(vec![0xee; bytes]);
                self.append_raw(stream, EntryKind(9), base, 1, &payload, Durability::Synced).is_ok()
            }
            Step::Wait => {
                let last = self.journal.appended();
                matches!(self.executor.block_on(self.journal.wait_durable(last)), Some(Ok(())))
            }
            Step::Sync => {
                self.journal.sync_volatile();
                self.step(Step::Wait)
            }
            Step::Tick => {
                self.clock.advance_ms(100);
                self.journal.tick();
                self.executor.run_until_stalled();
                true
            }
            Step::LogStart { stream, offset } => {
                self.journal.set_log_start(StreamId(stream), Offset(offset));
                self.log_start.insert(stream, offset);
                true
            }
            Step::Remove { stream } => {
                self.journal.remove_stream(StreamId(stream));
                self.log_start.insert(stream, i64::MAX);
                true
            }
            Step::Checkpoint => {
                self.journal.request_checkpoint();
                self.executor.run_until_stalled();
                true
            }
            Step::Settle => {
                self.executor.run_until_stalled();
                true
            }
            Step::Close => {
                self.journal.close();
                self.executor.run_until_stalled();
                matches!(*self.outcome.borrow(), Some(Ok(())))
            }
        }
    }

    /// How many entries the owner was told are durable.
    pub(super) fn acknowledged(&self) -> usize {
        self.appended.iter().filter(|entry| entry.position <= self.durable.get()).count()
    }

    /// What is on disk is the first entries appended, `acknowledged` of them at least; each is readable unless dropped.
    pub(super) fn audit(&mut self, acknowledged: usize) {
        let count = usize::try_from(self.model.borrow().count).unwrap();
        assert!(count >= acknowledged, "L1: {acknowledged} acknowledged, {count} recovered");
        assert!(
            count <= self.appended.len(),
            "L2: {} appended, {count} recovered",
            self.appended.len()
        );
        self.appended.truncate(count);
        let mut expected = Model::default();
        for entry in &self.appended {
            expected.apply(entry.stream, entry.last, &entry.bytes);
        }
        assert_eq!(
            *self.model.borrow(),
            expected,
            "the owner's state is the fold of the first {count} entries"
        );
        self.audit_reads();
    }

    pub(super) fn audit_reads(&self) {
        let mut streams: BTreeMap<u64, Vec<&Appended>> = BTreeMap::new();
        for entry in self.appended.iter().filter(|entry| entry.bytes.first() != Some(&0xee)) {
            streams.entry(entry.stream.0).or_default().push(entry);
        }
        for (stream, entries) in streams {
            let start = self.log_start.get(&stream).copied().unwrap_or(0);
            let kept = entries.iter().filter(|entry| entry.last.0 >= start);
            let wanted = kept.map(|entry| &entry.bytes[..]).collect::<Vec<_>>().concat();
            if start == i64::MAX {
                continue;
            }
            let found = self.read_all(stream, start, 10_000);
            assert!(
                found == wanted,
                "stream {stream}: {} bytes read, {} written",
                found.len(),
                wanted.len()
            );
        }
    }

    /// Everything from `from` on, read in pieces of `bytes_max`.
    pub(super) fn read_all(&self, stream: u64, from: i64, bytes_max: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut next = Offset(from);
        loop {
            let read = self.journal.read(StreamId(stream), next, Offset(i64::MAX), bytes_max);
            let read = self.executor.block_on(read).unwrap().unwrap();
            if read.batches.is_empty() {
                return all;
            }
            assert!(read.next > next, "a read that returns batches moves forward");
            next = read.next;
            for bytes in read.batches {
                all.extend_from_slice(&bytes);
            }
        }
    }
}
