//! Aligned memory from the allocator: what files are written from and read into.
//!
//! Invariants:
//! - The address is a multiple of `BLOCK_BYTES`, the capacity a positive multiple of it.
//! - Only `filled` bytes from the start are initialised and visible.
//! - Blocks of whole huge pages lie on such, where the system has them: to pin one for direct I/O takes a step instead of 512.

#![expect(
    unsafe_code,
    reason = "aligned allocation has no safe interface; each block says why it is sound"
)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::any::Any;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use log_io::{BLOCK_BYTES, IoMemory};

/// What x86-64 and most arm64 systems call huge.
const HUGE_PAGE_BYTES: usize = 2 << 20;

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
        if len.is_multiple_of(HUGE_PAGE_BYTES) {
            return Self::zeroed_on_huge_pages(len);
        }
        let layout = layout(len, BLOCK_BYTES);
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc_zeroed(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout, filled: len }
    }

    fn zeroed_on_huge_pages(len: usize) -> Self {
        let mut memory = Self::with_layout(layout(len, HUGE_PAGE_BYTES));
        let (data, len) = memory.spare();
        // SAFETY: whole pages of one allocation. Where there are no huge pages the advice is refused, and nothing changes.
        unsafe { libc::madvise(data.cast(), len, libc::MADV_HUGEPAGE) };
        // SAFETY: `data` is valid for `len` bytes. Cleared after the advice: it concerns pages that are not there yet.
        unsafe { data.write_bytes(0, len) };
        memory.filled = len;
        memory
    }

    /// Room for `capacity` bytes, none of them initialised.
    ///
    /// # Panics
    /// When `capacity` is not a positive multiple of `BLOCK_BYTES`.
    pub(crate) fn room(capacity: usize) -> Self {
        Self::with_layout(layout(capacity, BLOCK_BYTES))
    }

    fn with_layout(layout: Layout) -> Self {
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout, filled: 0 }
    }

    #[cfg(test)]
    fn bytes_at(&self) -> usize {
        self.data.as_ptr().addr()
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

    /// A view of `range` that owns the memory, which goes to `home` when the last view is dropped.
    pub(crate) fn into_bytes(self, range: Range<usize>, home: &Arc<Recycler>) -> Bytes {
        assert!(range.start <= range.end, "slice {range:?} is not reversed");
        assert!(range.end <= self.filled, "slice {range:?} lies inside {}", self.filled);
        let home = Arc::clone(home);
        Bytes::from_owner(View { memory: ManuallyDrop::new(self), range, home })
    }
}

fn layout(len: usize, align: usize) -> Layout {
    assert!(len > 0, "a block is not empty");
    assert!(len.is_multiple_of(BLOCK_BYTES), "{len} is a multiple of {BLOCK_BYTES}");
    Layout::from_size_align(len, align).expect("a length below isize::MAX, as slices have")
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

/// Memory of reads that nobody looks at any more, for the next read of the same size: fresh memory of that size comes from
/// the kernel, which clears every page of it.
#[derive(Default)]
pub(crate) struct Recycler(Mutex<Vec<AlignedMemory>>);

impl Recycler {
    /// Smaller memory is the allocator's business.
    const BYTES_MIN: usize = 256 << 10;
    /// Kept at most, in pieces.
    const PIECES_MAX: usize = 8;

    /// Room for `capacity` bytes, none of them initialised.
    pub(crate) fn room(&self, capacity: usize) -> AlignedMemory {
        let mut kept = self.kept();
        match kept.iter().position(|memory| memory.layout.size() == capacity) {
            Some(index) => {
                let mut memory = kept.swap_remove(index);
                memory.filled = 0;
                memory
            }
            None => AlignedMemory::room(capacity),
        }
    }

    fn give(&self, memory: AlignedMemory) {
        let mut kept = self.kept();
        if memory.layout.size() >= Self::BYTES_MIN && kept.len() < Self::PIECES_MAX {
            kept.push(memory);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<AlignedMemory>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct View {
    memory: ManuallyDrop<AlignedMemory>,
    range: Range<usize>,
    home: Arc<Recycler>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.memory.bytes()[self.range.clone()]
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: taken once, here; nothing uses `memory` afterwards.
        self.home.give(unsafe { ManuallyDrop::take(&mut self.memory) });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use log_io::IoMemory;

    use super::{AlignedMemory, Recycler};

    #[test]
    fn whole_huge_pages_are_aligned_as_such_and_zeroed_like_the_rest() {
        for (len, align) in [(4096, 4096), (2 << 20, 2 << 20), (3 << 20, 4096), (4 << 20, 2 << 20)]
        {
            let mut memory = AlignedMemory::zeroed(len);
            assert!(memory.bytes_at().is_multiple_of(align), "{len} bytes");
            assert!(memory.bytes() == vec![0; len]);
            memory.bytes_mut().fill(7);
        }
    }

    #[test]
    fn memory_comes_back_when_its_last_view_is_dropped_and_is_bounded() {
        let home = Arc::new(Recycler::default());
        let fill = |mut memory: AlignedMemory| {
            // SAFETY: the bytes are written first.
            unsafe {
                let (data, len) = memory.spare();
                data.write_bytes(7, len);
                memory.add_filled(len);
            }
            memory
        };
        let bytes = fill(home.room(Recycler::BYTES_MIN)).into_bytes(100..200, &home);
        let (address, second) = (bytes.as_ptr().addr() - 100, bytes.slice(10..20));
        drop(bytes);
        assert!(home.kept().is_empty(), "a view is left");
        assert_eq!(second.as_ref(), [7; 10]);
        std::thread::spawn(move || drop(second)).join().unwrap();
        let again = home.room(Recycler::BYTES_MIN);
        assert_eq!((again.bytes_at(), again.filled()), (address, 0));
        assert_ne!(home.room(2 * Recycler::BYTES_MIN).bytes_at(), address);

        drop(fill(home.room(4096)).into_bytes(0..1, &home));
        assert!(home.kept().is_empty(), "small memory is not kept");
        let many: Vec<_> = (0..2 * Recycler::PIECES_MAX)
            .map(|_| fill(home.room(Recycler::BYTES_MIN)).into_bytes(0..1, &home))
            .collect();
        drop(many);
        assert_eq!(home.kept().len(), Recycler::PIECES_MAX);
    }
}
