//! Aligned memory from the allocator: what files are written from and read into.
//!
//! Invariants:
//! - The address is a multiple of `BLOCK_BYTES`, the capacity a positive multiple of it.
//! - Only `filled` bytes from the start are initialised and visible.
//! - Blocks of whole huge pages, and reads of half of one, lie on such, where the system has them: to pin one for direct I/O
//!   takes a step instead of 512, and the device gets one piece instead of so many that the kernel has to split the request.

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

/// What was allocated at once; freed with the last memory that lies in it.
struct Allocation {
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it only frees what it owns; the bytes are reached through `AlignedMemory`, each by one value alone.
unsafe impl Send for Allocation {}
// SAFETY: as above.
unsafe impl Sync for Allocation {}

impl Allocation {
    /// Not initialised.
    fn new(layout: Layout) -> Self {
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout }
    }

    fn zeroed(layout: Layout) -> Self {
        // SAFETY: `layout` has a non-zero size.
        let data = unsafe { alloc_zeroed(layout) };
        let Some(data) = NonNull::new(data) else { handle_alloc_error(layout) };
        Self { data, layout }
    }

    /// Not initialised. `len` is a multiple of [`HUGE_PAGE_BYTES`].
    fn of_huge_pages(len: usize) -> Self {
        let allocation = Self::new(layout(len, HUGE_PAGE_BYTES));
        // SAFETY: whole pages of one allocation. Where there are no huge pages the advice is refused, and nothing changes.
        unsafe { libc::madvise(allocation.data.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
        allocation
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated with exactly this layout and freed once.
        unsafe { dealloc(self.data.as_ptr(), self.layout) }
    }
}

pub(crate) struct AlignedMemory {
    data: NonNull<u8>,
    capacity: usize,
    filled: usize,
    /// What `data` lies in.
    _allocation: Arc<Allocation>,
}

// SAFETY: these bytes of the allocation belong to this value alone and are handed out only through `&self` and `&mut self`.
unsafe impl Send for AlignedMemory {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for AlignedMemory {}

impl AlignedMemory {
    /// `len` zeroed bytes.
    ///
    /// # Panics
    /// When `len` is not a positive multiple of `BLOCK_BYTES`.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut memory = if len.is_multiple_of(HUGE_PAGE_BYTES) {
            let mut memory = Self::whole(Allocation::of_huge_pages(len));
            let (data, len) = memory.spare();
            // SAFETY: `data` is valid for `len` bytes. Cleared after the advice: it concerns pages that are not there yet.
            unsafe { data.write_bytes(0, len) };
            memory
        } else {
            Self::whole(Allocation::zeroed(layout(len, BLOCK_BYTES)))
        };
        memory.filled = len;
        memory
    }

    /// Room for `capacity` bytes, none of them initialised.
    ///
    /// # Panics
    /// When `capacity` is not a positive multiple of `BLOCK_BYTES`.
    pub(crate) fn room(capacity: usize) -> Self {
        Self::whole(Allocation::new(layout(capacity, BLOCK_BYTES)))
    }

    /// The halves of a huge page, none of their bytes initialised.
    fn halves_of_a_huge_page() -> [Self; 2] {
        let allocation = Arc::new(Allocation::of_huge_pages(HUGE_PAGE_BYTES));
        let capacity = HUGE_PAGE_BYTES / 2;
        [0, capacity].map(|start| {
            // SAFETY: both halves begin inside the allocation.
            let data = unsafe { allocation.data.add(start) };
            Self { data, capacity, filled: 0, _allocation: Arc::clone(&allocation) }
        })
    }

    fn whole(allocation: Allocation) -> Self {
        let (data, capacity) = (allocation.data, allocation.layout.size());
        Self { data, capacity, filled: 0, _allocation: Arc::new(allocation) }
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
        (unsafe { self.data.as_ptr().add(self.filled) }, self.capacity - self.filled)
    }

    /// Counts the next `count` bytes as initialised.
    ///
    /// # Safety
    /// The kernel has written them, at the place that [`AlignedMemory::spare`] names.
    pub(crate) unsafe fn add_filled(&mut self, count: usize) {
        assert!(count <= self.capacity - self.filled, "{count} bytes fit");
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
        if let Some(index) = kept.iter().position(|memory| memory.capacity == capacity) {
            let mut memory = kept.swap_remove(index);
            memory.filled = 0;
            return memory;
        }
        if capacity != HUGE_PAGE_BYTES / 2 {
            return AlignedMemory::room(capacity);
        }
        let [memory, other] = AlignedMemory::halves_of_a_huge_page();
        if kept.len() < Self::PIECES_MAX {
            kept.push(other);
        }
        memory
    }

    fn give(&self, memory: AlignedMemory) {
        let mut kept = self.kept();
        if memory.capacity >= Self::BYTES_MIN && kept.len() < Self::PIECES_MAX {
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

    use super::{AlignedMemory, HUGE_PAGE_BYTES, Recycler};

    fn fill(mut memory: AlignedMemory) -> AlignedMemory {
        // SAFETY: the bytes are written first.
        unsafe {
            let (data, len) = memory.spare();
            data.write_bytes(7, len);
            memory.add_filled(len);
        }
        memory
    }

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
    fn two_reads_of_half_a_huge_page_share_one_and_outlive_each_other() {
        let home = Arc::new(Recycler::default());
        let half = HUGE_PAGE_BYTES / 2;
        let (first, second) = (home.room(half), home.room(half));
        assert!(home.kept().is_empty(), "the second is the other half");
        let lower = first.bytes_at().min(second.bytes_at());
        assert!(lower.is_multiple_of(HUGE_PAGE_BYTES));
        assert_eq!(first.bytes_at().abs_diff(second.bytes_at()), half);
        drop(first);
        assert_eq!(fill(second).into_bytes(0..half, &home), vec![7; half]);
    }

    #[test]
    fn memory_comes_back_when_its_last_view_is_dropped_and_is_bounded() {
        let home = Arc::new(Recycler::default());
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
