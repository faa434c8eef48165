//! A host's disks: `log-testkit`'s `SimDisk` per directory, with latency in virtual time, faults and a trace.
//!
//! ```text
//!  call ─► first poll of SimDisk: takes effect, un-synced ─► latency ─► completes (a synced write becomes durable)
//!              └───────── a crash here may keep, drop or tear it ─────────┘
//! ```
//!
//! Invariants:
//! - A completed synced write survives every crash, unless the disk was told to lie.
//! - Faults hit the next operation of the chosen kind once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use log_io::{Block, BlockMut, Disk, Durability, File, LocalFuture, Random};
use log_testkit::{CrashPolicy, Fault, OpKind, SimDisk, SimDiskOptions};

use crate::random::{between, one_in};
use crate::trace::Event;
use crate::world::World;

/// Where the frames of a segment start: a disk lies about those only, or no start would get beyond the first header.
const FRAMES_START: u64 = 16_384;

/// What the next operation of a kind meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    WriteError,
    TornWrite,
    SyncError,
}

/// One operation that fails, counted over all disks and all starts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailNth {
    pub kind: OpKind,
    /// From 0.
    pub n: u64,
    pub fault: Fault,
}

/// The disks of one machine; they outlive its processes.
pub struct Host {
    world: Rc<World>,
    disks: RefCell<BTreeMap<PathBuf, SimDisk>>,
    armed: Cell<Option<DiskFault>>,
    fail: Cell<Option<FailNth>>,
    /// Reports writes and syncs as done and keeps them volatile: what a checker must notice.
    lying: Cell<bool>,
    capacity_bytes: Cell<u64>,
    /// All directories take their space from the same capacity.
    one_file_system: Cell<bool>,
    faults_hit: Cell<u64>,
}

impl Host {
    #[must_use]
    pub fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            disks: RefCell::default(),
            armed: Cell::new(None),
            fail: Cell::new(None),
            lying: Cell::new(false),
            capacity_bytes: Cell::new(u64::MAX),
            one_file_system: Cell::new(false),
            faults_hit: Cell::new(0),
        })
    }

    /// Makes the disks acknowledge what they have not stored.
    pub fn lie(&self) {
        self.lying.set(true);
    }

    /// The next matching operation fails.
    pub fn arm(&self, fault: DiskFault) {
        self.armed.set(Some(fault));
    }

    /// The n-th operation of a kind fails.
    pub fn fail_nth(&self, fail: FailNth) {
        self.fail.set(Some(fail));
    }

    /// The fault of [`Host::fail_nth`] when this is the operation.
    fn due(&self, kind: OpKind) -> Option<Fault> {
        let fail = self.fail.get().filter(|fail| fail.kind == kind)?;
        let left = fail.n.checked_sub(1);
        self.fail.set(left.map(|n| FailNth { n, ..fail }));
        left.is_none().then_some(fail.fault)
    }

    /// Takes back a fault that has not hit.
    pub fn disarm(&self) {
        self.armed.set(None);
    }

    /// Armed faults that have hit so far.
    #[must_use]
    pub fn faults_hit(&self) -> u64 {
        self.faults_hit.get()
    }

    /// Makes all directories parts of one file system, those to come included.
    pub fn share_space(&self) {
        self.one_file_system.set(true);
        self.connect_disks();
    }

    fn connect_disks(&self) {
        if self.one_file_system.get() {
            SimDisk::share_space(&self.disks());
        }
    }

    /// Lets every disk hold only `spare_bytes` more than now, or all of them together when they share their space; `None`
    /// ends the shortage.
    pub fn limit_space(&self, spare_bytes: Option<u64>) {
        let disks = self.disks();
        let all: u64 = disks.iter().map(SimDisk::used_bytes).sum();
        let shared = self.one_file_system.get();
        let used = |disk: &SimDisk| if shared { all } else { disk.used_bytes() };
        for disk in &disks {
            disk.set_capacity_bytes(spare_bytes.map_or(u64::MAX, |spare| used(disk) + spare));
        }
        // A directory made meanwhile has as much room.
        let before = if shared { all } else { 0 };
        self.capacity_bytes.set(spare_bytes.map_or(u64::MAX, |spare| before + spare));
    }

    /// The disks as they are, in the order of their directories.
    #[must_use]
    pub fn disks(&self) -> Vec<SimDisk> {
        self.disks.borrow().values().cloned().collect()
    }

    /// What a power cut leaves: each disk by a policy drawn from the faults stream.
    pub fn power_cut(&self) {
        let rng = &self.world.random.faults;
        for disk in self.disks.borrow_mut().values_mut() {
            let policy = match rng.below(4) {
                0 => CrashPolicy::DropAll,
                1 => CrashPolicy::KeepAll,
                2 => CrashPolicy::Subset { seed: rng.next_u64() },
                _ => CrashPolicy::Prefix {
                    writes: rng.below(disk.pending_writes() + 1),
                    sectors: rng.below(16),
                },
            };
            self.world.trace.fold(Event::Crash, disk.pending_writes(), disk.ops());
            *disk = disk.crash_image(policy);
        }
        self.armed.set(None);
        self.connect_disks();
    }

    /// The directory `dir`, made when missing.
    pub(crate) fn disk(self: &Rc<Self>, dir: &Path) -> Rc<dyn Disk> {
        let mut disks = self.disks.borrow_mut();
        let made = disks.len() as u64;
        let missing = !disks.contains_key(dir);
        let disk = disks.entry(dir.to_owned()).or_insert_with(|| {
            SimDisk::new(SimDiskOptions {
                capacity_bytes: self.capacity_bytes.get(),
                seed: self.world.random.disk.next_u64() ^ made,
                latency_polls_max: 2,
                ..SimDiskOptions::default()
            })
        });
        let inner = disk.clone();
        drop(disks);
        if missing {
            self.connect_disks();
        }
        Rc::new(HostDisk { host: Rc::clone(self), inner })
    }

    fn latency(&self, kind: OpKind) -> Duration {
        let rng = &self.world.random.disk;
        let micros = match kind {
            _ if one_in(rng, 200) => between(rng, 2_000, 30_000),
            OpKind::Write => between(rng, 30, 300),
            OpKind::Sync | OpKind::SyncDir => between(rng, 50, 1_000),
            _ => between(rng, 10, 150),
        };
        Duration::from_micros(micros)
    }

    /// Arms the inner disk when the fault that waits is for this kind.
    fn inject(&self, disk: &SimDisk, kind: OpKind) {
        if let Some(fault) = self.due(kind) {
            self.hit(disk, kind, fault);
            return;
        }
        let fault = match (self.armed.get(), kind) {
            (Some(DiskFault::WriteError), OpKind::Write)
            | (Some(DiskFault::SyncError), OpKind::Sync) => Fault::Io,
            (Some(DiskFault::TornWrite), OpKind::Write) => Fault::Torn,
            _ => return,
        };
        self.armed.set(None);
        self.hit(disk, kind, fault);
    }

    fn hit(&self, disk: &SimDisk, kind: OpKind, fault: Fault) {
        self.faults_hit.set(self.faults_hit.get() + 1);
        self.world.note(&format!("disk fault {fault:?} on {kind:?}"));
        disk.fail_at(disk.ops(), fault);
    }

    /// Runs one operation: effect, latency, completion.
    async fn timed<T>(
        &self,
        disk: &SimDisk,
        kind: OpKind,
        tag: u64,
        mut operation: LocalFuture<'_, io::Result<T>>,
    ) -> io::Result<T> {
        self.inject(disk, kind);
        self.world.trace.fold(Event::DiskStarted, kind as u64, tag);
        let first = poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx))).await;
        let outcome = match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                self.world.sleep(self.latency(kind)).await;
                operation.await
            }
        };
        self.world.trace.fold(Event::DiskEnded, kind as u64, u64::from(outcome.is_ok()));
        outcome
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("lying", &self.lying).finish_non_exhaustive()
    }
}

fn tag_of(bytes: &[u8]) -> u64 {
    u64::from(crc32fast::hash(bytes))
}

struct HostDisk {
    host: Rc<Host>,
    inner: SimDisk,
}

impl HostDisk {
    fn file(&self, file: Rc<dyn File>) -> Rc<dyn File> {
        Rc::new(HostFile { host: Rc::clone(&self.host), disk: self.inner.clone(), inner: file })
    }
}

impl Disk for HostDisk {
    fn alloc(&self, len: usize) -> BlockMut {
        self.inner.alloc(len)
    }

    fn open(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let (tag, operation) = (tag_of(name.as_bytes()), self.inner.open(name));
        Box::pin(async move {
            let opened = self.host.timed(&self.inner, OpKind::Open, tag, operation).await?;
            Ok(self.file(opened))
        })
    }

    fn create(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let (tag, operation) = (tag_of(name.as_bytes()), self.inner.create(name));
        Box::pin(async move {
            let created = self.host.timed(&self.inner, OpKind::Create, tag, operation).await?;
            Ok(self.file(created))
        })
    }

    fn list(&self) -> LocalFuture<'_, io::Result<Vec<String>>> {
        Box::pin(self.host.timed(&self.inner, OpKind::List, 0, self.inner.list()))
    }

    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>> {
        let operation = self.inner.rename(from, to);
        Box::pin(self.host.timed(&self.inner, OpKind::Rename, tag_of(to.as_bytes()), operation))
    }

    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>> {
        let operation = self.inner.remove(name);
        Box::pin(self.host.timed(&self.inner, OpKind::Remove, tag_of(name.as_bytes()), operation))
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.host.timed(&self.inner, OpKind::SyncDir, 0, self.inner.sync_dir()))
    }
}

struct HostFile {
    host: Rc<Host>,
    disk: SimDisk,
    inner: Rc<dyn File>,
}

impl File for HostFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        let operation = self.inner.read_at(position, len);
        Box::pin(self.host.timed(&self.disk, OpKind::Read, position, operation))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        let tag = position ^ (tag_of(&block.bytes()[..len]) << 32);
        let lies = self.host.lying.get() && position >= FRAMES_START;
        let durability = if lies { Durability::Volatile } else { durability };
        let operation = self.inner.write_at(position, block, len, durability);
        Box::pin(self.host.timed(&self.disk, OpKind::Write, tag, operation))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        if self.host.lying.get() {
            return Box::pin(self.host.timed(
                &self.disk,
                OpKind::Len,
                0,
                Box::pin(async { Ok(()) }),
            ));
        }
        Box::pin(self.host.timed(&self.disk, OpKind::Sync, 0, self.inner.sync_data()))
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.host.timed(&self.disk, OpKind::Allocate, len, self.inner.allocate(len)))
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(self.host.timed(&self.disk, OpKind::Len, 0, self.inner.len()))
    }
}
