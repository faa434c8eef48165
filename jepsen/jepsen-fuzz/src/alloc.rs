//! The allocator of this crate's binaries: counts what the current thread holds, its peak, and how often it asked.
//!
//! Memory that C code takes (zstd) is not seen; those targets say so.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; it only forwards and counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

/// What one measured call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Largest number of bytes that were live at once, above what was live before.
    pub peak_bytes: usize,
    /// Allocations and reallocations.
    pub allocations: u64,
}

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn grow(bytes: usize) {
    // A thread that ends allocates without its thread-locals; it is not measured.
    let _ = LIVE.try_with(|live| {
        let now = live.get().saturating_add_unsigned(bytes);
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

fn shrink(bytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub_unsigned(bytes)));
}

// SAFETY: every call is forwarded unchanged to the system allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is the caller's, as the trait says; the call is forwarded as it is.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is the caller's, as the trait says; the call is forwarded as it is.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the contract is the caller's, as the trait says; the call is forwarded as it is.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the contract is the caller's, as the trait says; the call is forwarded as it is.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and says what it allocated on this thread.
pub fn measured<T>(work: impl FnOnce() -> T) -> (Usage, T) {
    let (live, count) = (LIVE.get(), COUNT.get());
    PEAK.set(live);
    let result = work();
    let peak_bytes = usize::try_from(PEAK.get() - live).unwrap_or(0);
    (Usage { peak_bytes, allocations: COUNT.get() - count }, result)
}
