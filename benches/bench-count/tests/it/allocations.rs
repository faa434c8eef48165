//! Produce and fetch allocate per request and per frame, never per record: the same bytes as one record and as 1,000
//! records cost the same number of allocations.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; it only forwards and counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bench_count::{Log, check_append, decode_produce, encode_fetch, produce_request, rules};
use broker_core::partition::Partition;
use bytes::Bytes;
use log_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Records};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    // Threads that end allocate too; they are not measured.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is forwarded unchanged to the system allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the contract is the trait's, handed on to `System` as it is.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the pointer came from the system allocator with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap allocations of this thread while `run` runs.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

/// About 256 KiB in so many records: equal bytes fill the journal's frames equally.
fn batch(records: usize) -> Bytes {
    let value = vec![0x5a; (256 << 10) / records];
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.push(1_750_000_000_000, None, Some(&value), &[]).unwrap();
    }
    builder.build().unwrap()
}

/// From the request's bytes to the entry in the journal's open frame.
fn produce(records: usize) -> u64 {
    let (partition, rules, mut log) = (Partition::default(), rules(), Log::new());
    // The first entry opens a frame and the stream; neither belongs to a request in the steady state.
    let first = batch(records);
    log.append(&BatchHeader::parse(&first).unwrap(), &first);
    let request = produce_request(&first);
    allocations(|| {
        let batch = decode_produce(&request);
        let header = check_append(&partition, &batch, &rules);
        log.append(&header, &batch);
    })
}

/// From the log's tail to the response's scatter list.
fn fetch(records: usize) -> u64 {
    let (mut log, batch) = (Log::new(), batch(records));
    log.append(&BatchHeader::parse(&batch).unwrap(), &batch);
    log.flush();
    allocations(|| {
        assert!(encode_fetch(log.read(4 << 20)) > batch.len());
    })
}

#[test]
fn produce_allocates_nothing_per_record() {
    let (one, many) = (produce(1), produce(1000));
    assert_eq!(one, many, "allocations of a Produce request with 1 and with 1,000 records");
    assert!(one <= 16, "{one} allocations for one Produce request");
}

#[test]
fn fetch_allocates_nothing_per_record() {
    let (one, many) = (fetch(1), fetch(1000));
    assert_eq!(one, many, "allocations of a Fetch response with 1 and with 1,000 records");
    assert!(one <= 24, "{one} allocations for one Fetch response");
}

#[test]
fn walking_records_allocates_nothing() {
    let batch = batch(1000);
    let counted = allocations(|| {
        let found = Records::new(&batch[BATCH_HEADER_BYTES..], 1000).filter(Result::is_ok).count();
        assert_eq!(found, 1000);
    });
    assert_eq!(counted, 0);
}

#[test]
fn it_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(10)))), 1);
}
