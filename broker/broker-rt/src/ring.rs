//! One io_uring per core for file I/O, driven by the core's executor.
//!
//! ```text
//!  start: entry ─► submission queue ─► io_uring_enter        (on the core, at once)
//!  kernel: done ─► completion queue ─► eventfd ─► executor ─► drive: wake the task that waits for it
//! ```
//!
//! Invariants:
//! - What the kernel reads or writes lives in [`Kept`] until its completion was seen, whoever has stopped waiting.
//! - Dropping the ring waits for everything in flight: until then the device may use that memory.
//! - All of it happens on one thread; the kernel is told so (`SINGLE_ISSUER`, `DEFER_TASKRUN`) where it can be.

#![expect(unsafe_code, reason = "shared memory with the kernel; each block says why it is sound")]

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};
use log_io::Block;
use slab::Slab;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::memory::AlignedMemory;

/// Entries of the submission queue. Each entry is submitted at once, so this limits no caller.
const DEPTH: u32 = 64;

/// How often, and after what time, the kernel is asked again when it lacks memory.
const RETRIES_MAX: usize = 1000;
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// What an operation in flight uses.
pub(crate) struct Kept {
    _file: Arc<fs::File>,
    memory: KeptMemory,
}

enum KeptMemory {
    None,
    Written { _block: Block },
    Room(AlignedMemory),
}

struct Operation {
    kept: Kept,
    waker: Option<Waker>,
    result: Option<i32>,
    /// Nobody waits for it any more.
    abandoned: bool,
}

struct Inner {
    uring: IoUring,
    operations: Slab<Operation>,
    /// Operations without a completion.
    running: usize,
}

/// A core's ring. See the module.
pub(crate) struct Ring {
    inner: RefCell<Inner>,
    event: AsyncFd<OwnedFd>,
}

impl Ring {
    /// To be called on the core's thread, inside its executor.
    ///
    /// # Errors
    /// What `io_uring_setup` says: `EPERM` where it is forbidden, `ENOSYS` where it is missing.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        let uring = build()?;
        let event = event_fd()?;
        uring.submitter().register_eventfd(event.as_raw_fd())?;
        // SAFETY: the descriptor is owned, and stays open and the same for the life of the `AsyncFd`.
        let event = unsafe { AsyncFd::register_with_interest(event, Interest::READABLE) }?;
        let inner = Inner { uring, operations: Slab::new(), running: 0 };
        Ok(Rc::new(Self { inner: RefCell::new(inner), event }))
    }

    /// Hands completions to those who wait for them, for ever.
    ///
    /// # Errors
    /// What the kernel reports about the ring itself, after which nothing completes any more.
    pub(crate) async fn drive(self: Rc<Self>) -> io::Result<()> {
        loop {
            // The counter is never read: every completion signals anew, and readiness is edge-triggered.
            self.event.readable().await?.clear_ready();
            self.inner.borrow_mut().reap(0)?;
        }
    }

    /// Starts writing `range` of `block` at `position`; durable when complete if `synced`.
    pub(crate) fn write(
        self: &Rc<Self>,
        file: &Arc<fs::File>,
        position: u64,
        block: &Block,
        range: Range<usize>,
        synced: bool,
    ) -> InFlight {
        let bytes = &block.bytes()[range];
        let entry = opcode::Write::new(fd(file), bytes.as_ptr(), length(bytes.len()))
            .offset(position)
            .rw_flags(if synced { libc::RWF_DSYNC } else { 0 })
            .build();
        self.start(file, &entry, KeptMemory::Written { _block: Arc::clone(block) })
    }

    /// Starts reading at most `bytes_max` from `position` into the part of `room` that is not filled.
    pub(crate) fn read(
        self: &Rc<Self>,
        file: &Arc<fs::File>,
        position: u64,
        mut room: AlignedMemory,
        bytes_max: usize,
    ) -> InFlight {
        let (data, len) = room.spare();
        let len = length(len.min(bytes_max));
        let entry = opcode::Read::new(fd(file), data, len).offset(position).build();
        self.start(file, &entry, KeptMemory::Room(room))
    }

    /// Starts an `fdatasync`.
    pub(crate) fn sync_data(self: &Rc<Self>, file: &Arc<fs::File>) -> InFlight {
        let entry = opcode::Fsync::new(fd(file)).flags(types::FsyncFlags::DATASYNC).build();
        self.start(file, &entry, KeptMemory::None)
    }

    fn start(
        self: &Rc<Self>,
        file: &Arc<fs::File>,
        entry: &squeue::Entry,
        memory: KeptMemory,
    ) -> InFlight {
        let kept = Kept { _file: Arc::clone(file), memory };
        let key = self.inner.borrow_mut().start(entry, kept);
        InFlight { ring: Rc::clone(self), key: Some(key) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        while inner.running > 0 {
            if let Err(error) = inner.reap(1) {
                // Memory that the device may still use must not be given back.
                panic!("cannot wait for file operations in flight: {error}");
            }
        }
    }
}

impl Inner {
    fn start(&mut self, entry: &squeue::Entry, kept: Kept) -> usize {
        let operation = Operation { kept, waker: None, result: None, abandoned: false };
        let key = self.operations.insert(operation);
        self.running += 1;
        let entry = entry.clone().user_data(key as u64);
        // SAFETY: the file and the memory that `entry` names are held by `operations` until the completion of `key`
        // is seen; they are on the heap and do not move with their owner.
        let pushed = unsafe { self.uring.submission().push(&entry) };
        assert!(pushed.is_ok(), "the submission queue is emptied after every entry");
        self.submit();
        key
    }

    /// Gives the kernel what is queued. It takes it unless it lacks memory or has completions to hand over first.
    fn submit(&mut self) {
        let mut retries = RETRIES_MAX;
        while let Err(error) = self.uring.submit() {
            let outcome = match error.raw_os_error() {
                Some(libc::EINTR) => Ok(()),
                Some(libc::EBUSY) if self.running > 1 => self.reap(1),
                // The kernel has no memory for another operation. Nothing on this core can go on without it.
                Some(libc::EAGAIN) if retries > 0 => {
                    retries -= 1;
                    std::thread::sleep(RETRY_AFTER);
                    Ok(())
                }
                _ => Err(error),
            };
            if let Err(error) = outcome {
                // The operation can be neither taken back nor go on. A restart recovers from the log.
                panic!("io_uring takes no more operations: {error}");
            }
        }
    }

    /// Takes in the completions there are, after waiting for `wanted` of them.
    fn reap(&mut self, wanted: usize) -> io::Result<()> {
        let mut wanted = wanted;
        // What the kernel holds back, for want of room or of a call that asks for it, is signalled only once.
        while wanted > 0 || held_back(&mut self.uring) {
            match self.uring.submit_and_wait(wanted) {
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                Err(error) if error.raw_os_error() != Some(libc::EBUSY) => return Err(error),
                _ => {}
            }
            wanted = 0;
            self.drain();
        }
        self.drain();
        Ok(())
    }

    fn drain(&mut self) {
        let Self { uring, operations, running } = self;
        for completion in uring.completion() {
            let key = usize::try_from(completion.user_data()).expect("a key of the slab");
            *running -= 1;
            complete(operations, key, completion.result());
        }
    }
}

/// Whether completions wait in the kernel: the queue was full, or `DEFER_TASKRUN` makes them only inside a system call.
fn held_back(uring: &mut IoUring) -> bool {
    let submission = uring.submission();
    submission.cq_overflow() || submission.taskrun()
}

fn complete(operations: &mut Slab<Operation>, key: usize, result: i32) {
    let operation = operations.get_mut(key).expect("an operation is kept until it completes");
    assert!(operation.result.is_none(), "an operation completes once");
    operation.result = Some(result);
    if let Some(waker) = operation.waker.take() {
        waker.wake();
    }
    if operation.abandoned {
        operations.remove(key);
    }
}

/// An operation that was started. Dropping it leaves the operation running.
pub(crate) struct InFlight {
    ring: Rc<Ring>,
    key: Option<usize>,
}

/// How an operation ended: the bytes transferred, and for a read the memory with what was there before.
pub(crate) struct Ended {
    pub(crate) outcome: io::Result<usize>,
    pub(crate) room: Option<AlignedMemory>,
}

impl Future for InFlight {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let key = self.key.expect("not polled after it ended");
        let mut inner = self.ring.inner.borrow_mut();
        let operation = &mut inner.operations[key];
        let Some(result) = operation.result else {
            operation.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let room = match inner.operations.remove(key).kept.memory {
            KeptMemory::Room(room) => Some(room),
            KeptMemory::None | KeptMemory::Written { .. } => None,
        };
        drop(inner);
        self.key = None;
        let outcome = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        Poll::Ready(Ended { outcome, room })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut inner = self.ring.inner.borrow_mut();
        let operation = &mut inner.operations[key];
        if operation.result.is_some() {
            inner.operations.remove(key);
        } else {
            operation.abandoned = true;
            operation.waker = None;
        }
    }
}

fn build() -> io::Result<IoUring> {
    let built = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(DEPTH);
    match built {
        // Linux before 6.1.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(DEPTH),
        built => built,
    }
}

fn event_fd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn fd(file: &fs::File) -> types::Fd {
    types::Fd(file.as_raw_fd())
}

/// The kernel transfers less than 2 GiB at a time; callers go on after a part.
fn length(len: usize) -> u32 {
    u32::try_from(len.min(1 << 30)).expect("at most 1 GiB")
}

#[cfg(test)]
mod tests;
