//! Aligned memory from the allocator: what files are written from and read into.
//!
//! Invariants:
//! - The address is a multiple of `BLOCK_BYTES`, the capacity a positive multiple of it.
//! - Only `filled` bytes from the start are initialised and visible.

#![expect(
    unsafe_code,
    reason = "aligned allocation has no safe interface; each block says why it is sound"
)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::any::Any;
use std::ops::Range;
use std::ptr::NonNull;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, IoMemory};

pub(crate) struct AlignedMemory {
    data: NonNull<u8>,
    layout: Layout,
    filled: usize,
}

// SAFETY: the memory is owned by this value alone and handed out only through `&self` and `&mut self`.
unsafe impl Send for AlignedMemory {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for AlignedMemory {}

impl AlignedMemory {
    /// `len` zeroed bytes.
    ///
    /// # Panics
    /// When `len` is not a positive multiple of `BLOCK_BYTES`.
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = layout(len);
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc_zeroed(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout, filled: len }
    }

    /// Room for `capacity` bytes, none of them initialised.
    ///
    /// # Panics
    /// When `capacity` is not a positive multiple of `BLOCK_BYTES`.
    pub(crate) fn room(capacity: usize) -> Self {
        let layout = layout(capacity);
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout, filled: 0 }
    }

    /// Bytes that are initialised.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// Where the rest begins, for the kernel to write to, and its length.
    pub(crate) fn spare(&mut self) -> (*mut u8, usize) {
        // SAFETY: `filled` is at most the size of the allocation.
        (unsafe { self.data.as_ptr().add(self.filled) }, self.layout.size() - self.filled)
    }

    /// Counts the next `count` bytes as initialised.
    ///
    /// # Safety
    /// The kernel has written them, at the place that [`AlignedMemory::spare`] names.
    pub(crate) unsafe fn add_filled(&mut self, count: usize) {
        assert!(count <= self.layout.size() - self.filled, "{count} bytes fit");
        self.filled += count;
    }

    /// A view of `range` that owns the memory.
    pub(crate) fn into_bytes(self, range: Range<usize>) -> Bytes {
        assert!(range.start <= range.end, "slice {range:?} is not reversed");
        assert!(range.end <= self.filled, "slice {range:?} lies inside {}", self.filled);
        Bytes::from_owner(View { memory: self, range })
    }
}

fn layout(len: usize) -> Layout {
    assert!(len > 0, "a block is not empty");
    assert!(len.is_multiple_of(BLOCK_BYTES), "{len} is a multiple of {BLOCK_BYTES}");
    Layout::from_size_align(len, BLOCK_BYTES).expect("a length below isize::MAX, as slices have")
}

impl Drop for AlignedMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with exactly this layout and freed once.
        unsafe { dealloc(self.data.as_ptr(), self.layout) }
    }
}

impl IoMemory for AlignedMemory {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes are initialised and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.filled) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` excludes every other access.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.filled) }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct View {
    memory: AlignedMemory,
    range: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.memory.bytes()[self.range.clone()]
    }
}
