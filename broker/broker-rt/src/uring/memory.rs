//! glommio's registered I/O memory, shared with other threads for reading and freed on the core it belongs to.
//!
//! ```text
//!   home core                              any other thread
//!   Home::alloc ──► DmaMemory ──Arc──────► reads bytes through a plain pointer
//!      ▲                                        │ last reference dropped
//!      └── drain at the next alloc or read ◄────┴── Home::returned (mutex)
//! ```
//!
//! Invariants:
//! - What is not `Send` in glommio (`DmaBuffer` with its `Rc`s, `ReadResult`) is touched on the home thread only:
//!   created, cloned and dropped there. Other threads see a pointer and a length.
//! - The memory does not move and lives until the buffer is dropped.
//! - After the core has ended, what foreign threads still return is leaked: its home is gone, and the process ends.

#![expect(unsafe_code, reason = "memory with a home thread; each block says why it is sound")]

use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use bytes::Bytes;
use glommio::io::{DmaBuffer, ReadResult};
use log_io::{BLOCK_BYTES, IoMemory};

/// What comes home.
#[expect(dead_code, reason = "held only to be dropped")]
enum Held {
    Buffer(Rc<DmaBuffer>),
    Read(ReadResult),
}

struct Returned {
    held: Vec<Held>,
    closed: bool,
}

/// The thread that owns some memory, and what other threads have given back to it.
pub(super) struct Home {
    thread: ThreadId,
    returned: Mutex<Returned>,
}

// SAFETY: `Held` values inside the mutex are only moved by foreign threads, never cloned, read or dropped there; see
// `give_back`, `drain` and `close`. A `Home` that is itself dropped with values inside leaks them, see `Drop`.
unsafe impl Send for Home {}
// SAFETY: as above; the mutex orders the moves.
unsafe impl Sync for Home {}

impl Home {
    pub(super) fn of_this_thread() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current().id(),
            returned: Mutex::new(Returned { held: Vec::new(), closed: false }),
        })
    }

    fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    fn returned(&self) -> MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, held: Held) {
        if self.is_here() {
            drop(held);
            return;
        }
        let mut returned = self.returned();
        if returned.closed {
            std::mem::forget(held);
        } else {
            returned.held.push(held);
        }
    }

    /// Frees what other threads have given back.
    ///
    /// # Panics
    /// When called on another thread.
    pub(super) fn drain(&self) {
        assert!(self.is_here(), "memory is freed on its home thread");
        let held = std::mem::take(&mut self.returned().held);
        // Outside the lock, so that no foreign thread waits for it.
        drop(held);
    }

    /// From now on memory that other threads give back is leaked.
    pub(super) fn close(&self) {
        self.returned().closed = true;
        self.drain();
    }

    /// Zeroed memory of `len` bytes, registered with the rings while there is room.
    pub(super) fn alloc(self: &Arc<Self>, len: usize) -> DmaMemory {
        assert!(len > 0, "a block is not empty");
        assert!(len.is_multiple_of(BLOCK_BYTES), "{len} is a multiple of {BLOCK_BYTES}");
        self.drain();
        let mut buffer = glommio::allocate_dma_buffer(len);
        assert!(buffer.len() == len, "{} bytes for {len}", buffer.len());
        let data = NonNull::new(buffer.as_mut_ptr()).expect("glommio gives memory or panics");
        assert!(data.addr().get().is_multiple_of(BLOCK_BYTES), "memory at {data:?} is aligned");
        // SAFETY: `data` is valid for `len` bytes, fresh, and zeroing makes it initialised.
        unsafe { data.as_ptr().write_bytes(0, len) };
        DmaMemory {
            data,
            len,
            buffer: UnsafeCell::new(ManuallyDrop::new(Rc::new(buffer))),
            home: Arc::clone(self),
        }
    }

    /// The bytes `range` of `read`, without a copy.
    pub(super) fn bytes_of(self: &Arc<Self>, read: ReadResult, range: Range<usize>) -> Bytes {
        let slice = &read[range];
        let view = ReadView {
            data: NonNull::from(slice).cast(),
            len: slice.len(),
            read: ManuallyDrop::new(read),
            home: Arc::clone(self),
        };
        Bytes::from_owner(view)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let returned = self.returned.get_mut().unwrap_or_else(PoisonError::into_inner);
        // `close` has emptied it; should it not have run, leaking is the sound end.
        std::mem::forget(std::mem::take(&mut returned.held));
    }
}

/// A block of I/O memory.
pub(super) struct DmaMemory {
    data: NonNull<u8>,
    len: usize,
    /// Home thread only.
    buffer: UnsafeCell<ManuallyDrop<Rc<DmaBuffer>>>,
    home: Arc<Home>,
}

// SAFETY: foreign threads use `data` and `len` only, plain memory that lives as long as this value; `buffer` is
// moved out, untouched, when the value is dropped there.
unsafe impl Send for DmaMemory {}
// SAFETY: as above. Writing needs `&mut`, which excludes all other access.
unsafe impl Sync for DmaMemory {}

impl DmaMemory {
    /// A second owner of the buffer, cut to `len` bytes, for the ring to write from; `None` when the block belongs to
    /// another core or an earlier write has cut it shorter or is under way with another length.
    pub(super) fn for_write(&self, home: &Arc<Home>, len: usize) -> Option<Rc<DmaBuffer>> {
        if !Arc::ptr_eq(&self.home, home) {
            return None;
        }
        assert!(self.home.is_here(), "a ring writes on its own thread");
        // SAFETY: this is the home thread, the only one that touches `buffer`, and this is the only function that
        // borrows it; it calls nothing that could come back here.
        let buffer: &mut Rc<DmaBuffer> = unsafe { &mut *self.buffer.get() };
        if buffer.len() > len {
            // Only glommio's idea of the length changes; views of the block keep their own.
            Rc::get_mut(buffer)?.trim_to_size(len);
        }
        (buffer.len() == len).then(|| Rc::clone(buffer))
    }
}

impl IoMemory for DmaMemory {
    fn bytes(&self) -> &[u8] {
        // SAFETY: initialised by `alloc`, alive as long as `self`, and written only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` excludes every other access: `for_write` needs a shared block.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for DmaMemory {
    fn drop(&mut self) {
        // SAFETY: moved out once, here; nothing uses `buffer` afterwards. On a foreign thread it is not looked at.
        let buffer = unsafe { ManuallyDrop::take(self.buffer.get_mut()) };
        self.home.give_back(Held::Buffer(buffer));
    }
}

struct ReadView {
    data: NonNull<u8>,
    len: usize,
    read: ManuallyDrop<ReadResult>,
    home: Arc<Home>,
}

// SAFETY: foreign threads use `data` and `len` only; `read` is moved out, untouched, when the value is dropped there.
unsafe impl Send for ReadView {}
// SAFETY: as above; nothing writes to the memory of a finished read.
unsafe impl Sync for ReadView {}

impl AsRef<[u8]> for ReadView {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a part of `read`'s memory, which the kernel has filled and which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl Drop for ReadView {
    fn drop(&mut self) {
        // SAFETY: moved out once, here; nothing uses `read` afterwards.
        let read = unsafe { ManuallyDrop::take(&mut self.read) };
        self.home.give_back(Held::Read(read));
    }
}
