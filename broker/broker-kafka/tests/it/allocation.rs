//! An allocator that counts what the current thread does with memory: taking and giving back small pieces of it is, for the
//! most part, what a poll does, and copying a list that grows is what it must not do.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; it only forwards and counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// What is copied in the time of a call.
const BYTES_PER_CALL: usize = 512;

fn note(bytes: usize) {
    // Threads that end allocate too; they are not measured.
    let _ = WORK.try_with(|work| work.set(work.get() + 1 + bytes / BYTES_PER_CALL));
}

// SAFETY: every call is forwarded unchanged to the system allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(0);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0);
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(layout.size());
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many pieces of memory `run` took, gave back or resized, with half a KiB copied as one; and its result.
pub(crate) fn work<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = WORK.get();
    let result = run();
    (WORK.get() - before, result)
}

#[test]
fn it_counts() {
    let (done, grown) = work(|| {
        drop(Vec::<u8>::with_capacity(1));
        let mut grown = Vec::<u8>::with_capacity(10 * BYTES_PER_CALL);
        grown.reserve_exact(20 * BYTES_PER_CALL);
        grown
    });
    assert_eq!((done, grown.len()), (3 + 1 + 10, 0));
}
