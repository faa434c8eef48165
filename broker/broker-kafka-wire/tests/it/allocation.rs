//! An allocator that remembers the largest request of the current thread.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; it only forwards and counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(bytes: usize) {
    // Threads that end allocate too; they are not measured.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call is forwarded unchanged to the system allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest single allocation in bytes that `run` asked for, and its result.
pub(crate) fn largest_allocation<T>(run: impl FnOnce() -> T) -> (usize, T) {
    LARGEST.set(0);
    let result = run();
    (LARGEST.get(), result)
}

#[test]
fn it_counts() {
    let (largest, buffer) = largest_allocation(|| Vec::<u8>::with_capacity(12_345));
    assert_eq!((largest, buffer.len()), (12_345, 0));
}
