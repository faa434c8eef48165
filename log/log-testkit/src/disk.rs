//! `log_io::Disk` in memory, with un-synced state, crashes and faults.
//!
//! ```text
//!            write_at ──► current view + pending sectors ──(Synced done | sync_data)──► durable
//!  create/rename/remove ─► current names + pending ops ───────(sync_dir)──────────────► durable names
//!                                  │
//!                          crash_image(policy): durable + the chosen part of what is pending
//! ```
//!
//! - An operation takes effect at its first poll and completes some polls later, so a crash may find it half done.
//! - Pending writes are kept per sector (512 or 4096 bytes); a crash keeps any subset the policy allows.
//! - `allocate` and growth count against `capacity_bytes`; disks may share that, as directories of one file system do.
//! - Faults are chosen by the number of the operation: `fail_at` (error), `halt_at` (nothing completes from there on).

mod shared;

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::Poll;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, BlockMut, Disk, Durability, File, IoMemory, LocalFuture};

use crate::SimRng;

/// What a power cut keeps of the pending writes, in the order they were issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPolicy {
    /// Nothing that was not synced.
    DropAll,
    /// Everything issued (a process crash without power loss).
    KeepAll,
    /// Each pending sector, name change and length independently, by coin flips from the seed.
    Subset { seed: u64 },
    /// The first `writes` pending writes whole, then the first `sectors` sectors of the next one.
    Prefix { writes: u64, sectors: u64 },
}

/// What an operation is, for counters and fault selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    Open,
    Create,
    List,
    Rename,
    Remove,
    SyncDir,
    Read,
    Write,
    Sync,
    Allocate,
    Len,
}

/// How the chosen operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`; the operation has no effect.
    Io,
    /// `ENOSPC`; the operation has no effect.
    StorageFull,
    /// A write stores only its first half, then fails with `EIO`.
    Torn,
}

/// How the disk behaves; the defaults suit most tests.
#[derive(Clone, Copy, Debug)]
pub struct SimDiskOptions {
    /// Unit in which an un-synced write may survive a crash: 512 or 4096 bytes.
    pub sector_bytes: usize,
    /// Sum of all file lengths the disk can hold.
    pub capacity_bytes: u64,
    /// Polls until an operation completes are drawn from `1..=latency_polls_max`.
    pub latency_polls_max: u64,
    /// Seed of the latencies.
    pub seed: u64,
}

impl Default for SimDiskOptions {
    fn default() -> Self {
        Self { sector_bytes: 512, capacity_bytes: u64::MAX, latency_polls_max: 1, seed: 0 }
    }
}

type InodeId = u64;

/// Sparse bytes: absent pages are zero.
#[derive(Clone, Default)]
struct Pages {
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Pages {
    fn write(&mut self, position: u64, data: &[u8]) {
        let mut at = position;
        let mut rest = data;
        while !rest.is_empty() {
            let (page, start, count) = page_span(at, rest.len());
            let bytes =
                self.pages.entry(page).or_insert_with(|| vec![0; BLOCK_BYTES].into_boxed_slice());
            bytes[start..start + count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            at += count as u64;
        }
    }

    fn read(&self, position: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        let mut done = 0;
        while done < len {
            let (page, start, count) = page_span(position + done as u64, len - done);
            if let Some(bytes) = self.pages.get(&page) {
                out[done..done + count].copy_from_slice(&bytes[start..start + count]);
            }
            done += count;
        }
        out
    }
}

/// The page of `at`, the offset in it and how many of `len` bytes lie in it.
fn page_span(at: u64, len: usize) -> (u64, usize, usize) {
    let block = BLOCK_BYTES as u64;
    let start = usize::try_from(at % block).expect("below BLOCK_BYTES");
    (at / block, start, len.min(BLOCK_BYTES - start))
}

#[derive(Clone, Default)]
struct Inode {
    current: Pages,
    durable: Pages,
    current_len: u64,
    durable_len: u64,
    /// (sector, sequence number of the write) → the sector's new bytes.
    pending: BTreeMap<(u64, u64), Box<[u8]>>,
}

impl Inode {
    /// Makes the sectors of write `sequence` durable and forgets what they overwrite.
    fn settle_write(&mut self, sequence: u64, first_sector: u64, sectors: u64, sector_bytes: u64) {
        for sector in first_sector..first_sector + sectors {
            if let Some(data) = self.pending.get(&(sector, sequence)) {
                self.durable.write(sector * sector_bytes, data);
            }
            let older: Vec<(u64, u64)> =
                self.pending.range((sector, 0)..=(sector, sequence)).map(|(key, _)| *key).collect();
            for key in older {
                self.pending.remove(&key);
            }
        }
        self.durable_len = self.current_len;
    }

    fn settle_all(&mut self, upto_sequence: u64, sector_bytes: u64) {
        let keys: Vec<(u64, u64)> = self
            .pending
            .keys()
            .copied()
            .filter(|(_, sequence)| *sequence <= upto_sequence)
            .collect();
        for key in keys {
            if let Some(data) = self.pending.remove(&key) {
                self.durable.write(key.0 * sector_bytes, &data);
            }
        }
        self.durable_len = self.current_len;
    }
}

#[derive(Clone)]
enum DirOp {
    Link { name: String, inode: InodeId },
    Rename { from: String, to: String, inode: InodeId },
    Unlink { name: String },
}

impl DirOp {
    fn apply(&self, names: &mut BTreeMap<String, InodeId>) {
        match self {
            Self::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Clone)]
struct State {
    options: SimDiskOptions,
    inodes: BTreeMap<InodeId, Inode>,
    names: BTreeMap<String, InodeId>,
    durable_names: BTreeMap<String, InodeId>,
    pending_dir: Vec<(u64, DirOp)>,
    sequence: u64,
    ops: u64,
    counts: BTreeMap<&'static str, u64>,
    bytes_read: u64,
    faults: BTreeMap<u64, Fault>,
    halt_at: Option<u64>,
    rng: SimRng,
    /// Writes by what their bytes begin with.
    under_way: BTreeMap<[u8; 4], UnderWay>,
    /// Disks that take their space from the same capacity.
    neighbours: Vec<Weak<RefCell<Self>>>,
}

/// Writes of one kind that were started and have not completed.
#[derive(Clone, Copy, Default)]
struct UnderWay {
    now: usize,
    max: usize,
}

/// Counts open files: each holds a clone of the inner one, each clone of the disk one of the outer.
type Handles = Rc<Rc<()>>;

/// An in-memory disk; clones share the same state.
#[derive(Clone)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
    handles: Handles,
}

impl SimDisk {
    #[must_use]
    pub fn new(options: SimDiskOptions) -> Self {
        assert!(BLOCK_BYTES.is_multiple_of(options.sector_bytes), "a sector divides the block");
        let state = State {
            options,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_dir: Vec::new(),
            sequence: 0,
            ops: 0,
            counts: BTreeMap::new(),
            bytes_read: 0,
            faults: BTreeMap::new(),
            halt_at: None,
            rng: SimRng::new(options.seed),
            under_way: BTreeMap::new(),
            neighbours: Vec::new(),
        };
        Self { state: Rc::new(RefCell::new(state)), handles: Handles::default() }
    }

    fn file(&self, id: InodeId) -> Rc<dyn File> {
        Rc::new(SimFile { disk: self.clone(), id, _handle: Rc::clone(&self.handles) })
    }

    /// The number of operations started so far; the next one has this index.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state.borrow().ops
    }

    /// How many operations of one kind were started.
    #[must_use]
    pub fn count(&self, kind: OpKind) -> u64 {
        self.state.borrow().counts.get(kind_name(kind)).copied().unwrap_or(0)
    }

    /// Files that are open now.
    #[must_use]
    pub fn open_files(&self) -> usize {
        Rc::strong_count(&self.handles) - 1
    }

    /// Bytes that reads returned so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.state.borrow().bytes_read
    }

    /// Makes operation number `op` (0-based) fail.
    pub fn fail_at(&self, op: u64, fault: Fault) {
        self.state.borrow_mut().faults.insert(op, fault);
    }

    /// From operation `op` on nothing completes: `op` itself takes effect as un-synced, later ones never start.
    pub fn halt_at(&self, op: u64) {
        self.state.borrow_mut().halt_at = Some(op);
    }

    /// Changes how many bytes fit; lower than what is used means full.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.borrow_mut().options.capacity_bytes = capacity_bytes;
    }

    /// Sum of the lengths of all named files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.borrow().used_bytes()
    }

    /// The number of pending (un-synced) writes: the range of `CrashPolicy::Prefix::writes`.
    #[must_use]
    pub fn pending_writes(&self) -> u64 {
        self.state.borrow().pending_sequences().len() as u64
    }

    /// How many sectors each pending write has, in the order they were issued; a name change has one.
    #[must_use]
    pub fn pending_sectors(&self) -> Vec<u64> {
        let state = self.state.borrow();
        let order = state.pending_sequences();
        let mut sectors = vec![0; order.len()];
        let written = state.inodes.values().flat_map(|inode| inode.pending.keys());
        let renamed = state.pending_dir.iter().map(|(sequence, _)| *sequence);
        for sequence in written.map(|(_, sequence)| *sequence).chain(renamed) {
            sectors[order.partition_point(|&other| other < sequence)] += 1;
        }
        sectors
    }

    /// The most writes whose bytes begin with `magic` that were under way at the same time.
    #[must_use]
    pub fn writes_at_once_max(&self, magic: [u8; 4]) -> usize {
        self.state.borrow().under_way.get(&magic).map_or(0, |under_way| under_way.max)
    }

    /// The disk as a power cut at this instant may leave it. `self` stays as it is.
    #[must_use]
    pub fn crash_image(&self, policy: CrashPolicy) -> Self {
        let mut state = self.state.borrow().clone();
        state.crash(policy);
        Self { state: Rc::new(RefCell::new(state)), handles: Handles::default() }
    }

    /// An independent copy, pending writes included.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state.borrow().clone();
        Self { state: Rc::new(RefCell::new(state)), handles: Handles::default() }
    }

    /// The current bytes of a file, `None` when it does not exist.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        let inode = &state.inodes[state.names.get(name)?];
        let len = usize::try_from(inode.current_len).expect("test files fit memory");
        Some(inode.current.read(0, len))
    }

    /// The names as of now, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state.borrow().names.keys().cloned().collect()
    }

    /// Overwrites bytes behind the journal's back (bit rot, misdirected writes), durably.
    ///
    /// # Panics
    /// When the file does not exist.
    pub fn poke(&self, name: &str, position: u64, data: &[u8]) {
        let mut state = self.state.borrow_mut();
        let id = state.names[name];
        let inode = state.inodes.get_mut(&id).expect("every name has an inode");
        inode.current.write(position, data);
        inode.durable.write(position, data);
    }

    /// Flips one bit, durably.
    ///
    /// # Panics
    /// When the file does not exist.
    pub fn flip_bit(&self, name: &str, position: u64, bit: u32) {
        let old = {
            let state = self.state.borrow();
            state.inodes[&state.names[name]].current.read(position, 1)[0]
        };
        self.poke(name, position, &[old ^ (1 << (bit % 8))]);
    }

    /// Starts an operation: counts it, applies `effect` and waits out the latency.
    async fn operate<T>(
        &self,
        kind: OpKind,
        effect: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let started = {
            let mut state = self.state.borrow_mut();
            state.start(kind)
        };
        let (fault, halt, polls) = match started {
            Started::Never => return std::future::pending().await,
            Started::Go { fault, halt, polls } => (fault, halt, polls),
        };
        let outcome = effect(&mut self.state.borrow_mut(), fault);
        if halt {
            return std::future::pending().await;
        }
        yield_polls(polls).await;
        outcome
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("ops", &self.ops()).finish_non_exhaustive()
    }
}

enum Started {
    Never,
    Go { fault: Option<Fault>, halt: bool, polls: u64 },
}

async fn yield_polls(polls: u64) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn kind_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Open => "open",
        OpKind::Create => "create",
        OpKind::List => "list",
        OpKind::Rename => "rename",
        OpKind::Remove => "remove",
        OpKind::SyncDir => "sync_dir",
        OpKind::Read => "read",
        OpKind::Write => "write",
        OpKind::Sync => "sync",
        OpKind::Allocate => "allocate",
        OpKind::Len => "len",
    }
}

fn check(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Io | Fault::Torn) => Err(io::Error::other("injected input/output error")),
        Some(Fault::StorageFull) => Err(io::Error::from(io::ErrorKind::StorageFull)),
    }
}

impl State {
    fn start(&mut self, kind: OpKind) -> Started {
        if self.halt_at.is_some_and(|op| self.ops > op) {
            return Started::Never;
        }
        let op = self.ops;
        self.ops += 1;
        *self.counts.entry(kind_name(kind)).or_insert(0) += 1;
        let polls = 1 + self.rng.below(self.options.latency_polls_max);
        Started::Go { fault: self.faults.remove(&op), halt: self.halt_at == Some(op), polls }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|id| self.inodes[id].current_len).sum()
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.entry(id).or_default()
    }

    fn grow(&mut self, id: InodeId, len: u64) -> io::Result<()> {
        let old = self.inode_mut(id).current_len;
        if len <= old {
            return Ok(());
        }
        let used = self.used_bytes() + self.neighbours_bytes();
        if used.saturating_add(len - old) > self.options.capacity_bytes {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.inode_mut(id).current_len = len;
        Ok(())
    }

    /// Stores `data` as un-synced; the sequence number and the sector span of the write.
    fn write(&mut self, id: InodeId, position: u64, data: &[u8]) -> io::Result<(u64, u64, u64)> {
        self.grow(id, position + data.len() as u64)?;
        let sequence = self.next_sequence();
        let sector_bytes = self.options.sector_bytes;
        let inode = self.inode_mut(id);
        inode.current.write(position, data);
        let first = position / sector_bytes as u64;
        for (index, sector) in data.chunks(sector_bytes).enumerate() {
            inode.pending.insert((first + index as u64, sequence), sector.into());
        }
        Ok((sequence, first, data.len().div_ceil(sector_bytes) as u64))
    }

    fn write_started(&mut self, magic: [u8; 4]) {
        let under_way = self.under_way.entry(magic).or_default();
        under_way.now += 1;
        under_way.max = under_way.max.max(under_way.now);
    }

    fn write_ended(&mut self, magic: [u8; 4]) {
        self.under_way.entry(magic).or_default().now -= 1;
    }

    fn dir_op(&mut self, op: DirOp) {
        op.apply(&mut self.names);
        let sequence = self.next_sequence();
        self.pending_dir.push((sequence, op));
    }

    /// Sequence numbers of all pending writes and name changes, oldest first.
    fn pending_sequences(&self) -> Vec<u64> {
        let writes = self
            .inodes
            .values()
            .flat_map(|inode| inode.pending.keys().map(|(_, sequence)| *sequence));
        let mut all: Vec<u64> =
            writes.chain(self.pending_dir.iter().map(|(sequence, _)| *sequence)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn crash(&mut self, policy: CrashPolicy) {
        let order = self.pending_sequences();
        let rng = SimRng::new(if let CrashPolicy::Subset { seed } = policy { seed } else { 0 });
        // The first sector of a write decides what "the first `sectors` sectors" of it are.
        let mut sector_rank: BTreeMap<(InodeId, u64), u64> = BTreeMap::new();
        let keep = |sequence: u64, rank: u64| match policy {
            CrashPolicy::DropAll => false,
            CrashPolicy::KeepAll => true,
            CrashPolicy::Subset { .. } => rng.below(2) == 0,
            CrashPolicy::Prefix { writes, sectors } => {
                let index = order.partition_point(|&other| other < sequence) as u64;
                index < writes || (index == writes && rank < sectors)
            }
        };
        let sector_bytes = self.options.sector_bytes as u64;
        for (id, inode) in &mut self.inodes {
            for ((sector, sequence), data) in std::mem::take(&mut inode.pending) {
                let rank = sector_rank.entry((*id, sequence)).or_insert(0);
                if keep(sequence, *rank) {
                    inode.durable.write(sector * sector_bytes, &data);
                    let end = sector * sector_bytes + data.len() as u64;
                    inode.durable_len = inode.durable_len.max(end.min(inode.current_len));
                }
                *rank += 1;
            }
            if keep(u64::MAX, 0) {
                inode.durable_len = inode.current_len;
            }
            inode.current = inode.durable.clone();
            inode.current_len = inode.durable_len;
        }
        for (sequence, op) in std::mem::take(&mut self.pending_dir) {
            if keep(sequence, 0) {
                op.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        self.faults.clear();
        self.halt_at = None;
        self.ops = 0;
        self.counts.clear();
        self.under_way.clear();
    }
}

/// Zeroed heap memory; the simulator needs no real alignment.
struct SimMemory(Vec<u8>);

impl IoMemory for SimMemory {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Disk for SimDisk {
    fn alloc(&self, len: usize) -> BlockMut {
        assert!(len > 0, "a block is not empty");
        assert!(len.is_multiple_of(BLOCK_BYTES), "length {len} is a multiple of the block");
        Box::new(SimMemory(vec![0; len]))
    }

    fn open(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let id = self
                .operate(OpKind::Open, |state, fault| {
                    check(fault)?;
                    state
                        .names
                        .get(&name)
                        .copied()
                        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
                })
                .await?;
            Ok(self.file(id))
        })
    }

    fn create(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let id = self
                .operate(OpKind::Create, |state, fault| {
                    check(fault)?;
                    if state.names.contains_key(&name) {
                        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
                    }
                    let id = state.next_sequence();
                    state.inodes.insert(id, Inode::default());
                    state.dir_op(DirOp::Link { name: name.clone(), inode: id });
                    Ok(id)
                })
                .await?;
            Ok(self.file(id))
        })
    }

    fn list(&self) -> LocalFuture<'_, io::Result<Vec<String>>> {
        Box::pin(self.operate(OpKind::List, |state, fault| {
            check(fault)?;
            Ok(state.names.keys().cloned().collect())
        }))
    }

    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(async move {
            self.operate(OpKind::Rename, |state, fault| {
                check(fault)?;
                let Some(&inode) = state.names.get(&from) else {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                };
                state.dir_op(DirOp::Rename { from: from.clone(), to: to.clone(), inode });
                Ok(())
            })
            .await
        })
    }

    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.operate(OpKind::Remove, |state, fault| {
                check(fault)?;
                if !state.names.contains_key(&name) {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                }
                state.dir_op(DirOp::Unlink { name: name.clone() });
                Ok(())
            })
            .await
        })
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let upto = self
                .operate(OpKind::SyncDir, |state, fault| {
                    check(fault)?;
                    Ok(state.sequence)
                })
                .await?;
            let mut state = self.state.borrow_mut();
            for (sequence, op) in std::mem::take(&mut state.pending_dir) {
                if sequence <= upto {
                    op.apply(&mut state.durable_names);
                } else {
                    state.pending_dir.push((sequence, op));
                }
            }
            Ok(())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    id: InodeId,
    _handle: Rc<()>,
}

impl SimFile {
    async fn allocate_whole(&self, len: u64) -> io::Result<()> {
        let grow = |state: &mut State, fault| check(fault).and_then(|()| state.grow(self.id, len));
        self.disk.operate(OpKind::Allocate, grow).await
    }
}

impl File for SimFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        Box::pin(self.disk.operate(OpKind::Read, move |state, fault| {
            check(fault)?;
            let inode = state.inode_mut(self.id);
            let left = inode.current_len.saturating_sub(position);
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
            state.bytes_read += len as u64;
            let inode = state.inode_mut(self.id);
            Ok(Bytes::from(inode.current.read(position, len)))
        }))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            assert!(len.is_multiple_of(BLOCK_BYTES), "length {len} is a multiple of the block");
            assert!(position.is_multiple_of(BLOCK_BYTES as u64), "position {position} is aligned");
            let magic = *block.bytes().first_chunk().expect("a block has four bytes");
            let written = self
                .disk
                .operate(OpKind::Write, |state, fault| {
                    state.write_started(magic);
                    if fault == Some(Fault::Torn) {
                        state.write(self.id, position, &block.bytes()[..len / 2])?;
                    }
                    check(fault)?;
                    state.write(self.id, position, &block.bytes()[..len])
                })
                .await;
            self.disk.state.borrow_mut().write_ended(magic);
            let (sequence, first, sectors) = written?;
            if durability == Durability::Synced {
                let mut state = self.disk.state.borrow_mut();
                let sector_bytes = state.options.sector_bytes as u64;
                state.inode_mut(self.id).settle_write(sequence, first, sectors, sector_bytes);
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let upto = self
                .disk
                .operate(OpKind::Sync, |state, fault| {
                    check(fault)?;
                    Ok(state.sequence)
                })
                .await?;
            let mut state = self.disk.state.borrow_mut();
            let sector_bytes = state.options.sector_bytes as u64;
            state.inode_mut(self.id).settle_all(upto, sector_bytes);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        if !self.disk.state.borrow().neighbours.is_empty() {
            return Box::pin(self.allocate_in_pieces(len));
        }
        Box::pin(self.allocate_whole(len))
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(self.disk.operate(OpKind::Len, move |state, fault| {
            check(fault)?;
            Ok(state.inode_mut(self.id).current_len)
        }))
    }
}
