//! The ring against real files: results, errors, operations nobody awaits, and its end.

use std::fs::{self, File};
use std::future::Future;
use std::io::{ErrorKind, Write as _};
use std::rc::Rc;
use std::sync::Arc;

use log_io::{BLOCK_BYTES, Block, IoMemory};
use tempfile::NamedTempFile;
use tokio::task::LocalSet;

use super::{Ended, Ring};
use crate::memory::AlignedMemory;
use crate::probe::io_uring_works;

/// A file that is removed with its owner.
struct Scratch(NamedTempFile, Arc<File>);

impl Scratch {
    fn new() -> Self {
        let named = NamedTempFile::new().unwrap();
        let file = named.reopen().unwrap();
        Self(named, Arc::new(file))
    }
}

/// Runs `body` beside a driven ring; says so where the machine refuses io_uring.
fn with_ring<Fut: Future<Output = ()>>(body: impl FnOnce(Rc<Ring>) -> Fut) {
    if let Err(reason) = io_uring_works() {
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        return;
    }
    let executor = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let tasks = LocalSet::new();
    executor.block_on(tasks.run_until(async {
        let ring = Ring::new().unwrap();
        let driver = tokio::task::spawn_local(Rc::clone(&ring).drive());
        body(ring).await;
        driver.abort();
    }));
}

fn block(blocks: usize, byte: u8) -> Block {
    let mut memory = AlignedMemory::zeroed(blocks * BLOCK_BYTES);
    memory.bytes_mut().fill(byte);
    Arc::new(memory)
}

#[test]
fn a_write_is_read_back() {
    with_ring(async |ring| {
        let scratch = Scratch::new();
        for (at, synced) in [(0, true), (1, false)] {
            let block = block(2, b'a' + at);
            let position = u64::from(at) * 2 * BLOCK_BYTES as u64;
            let written =
                ring.write(&scratch.1, position, &block, 0..2 * BLOCK_BYTES, synced).await;
            assert_eq!(written.outcome.unwrap(), 2 * BLOCK_BYTES);
        }
        assert_eq!(ring.sync_data(&scratch.1).await.outcome.unwrap(), 0);
        let room = AlignedMemory::room(8 * BLOCK_BYTES);
        let Ended { outcome, room } =
            ring.read(&scratch.1, BLOCK_BYTES as u64, room, usize::MAX).await;
        assert_eq!(outcome.unwrap(), 3 * BLOCK_BYTES, "to the end of the file");
        assert!(room.is_some());
        let mut expected = vec![b'a'; 2 * BLOCK_BYTES];
        expected.resize(4 * BLOCK_BYTES, b'b');
        assert!(fs::read(scratch.0.path()).unwrap() == expected);
    });
}

#[test]
fn many_operations_in_flight_all_complete() {
    with_ring(async |ring| {
        let scratch = Scratch::new();
        let writes: Vec<_> = (0..500_u64)
            .map(|at| {
                let byte = u8::try_from(at % 251).unwrap();
                ring.write(
                    &scratch.1,
                    at * BLOCK_BYTES as u64,
                    &block(1, byte),
                    0..BLOCK_BYTES,
                    false,
                )
            })
            .collect();
        for write in writes {
            assert_eq!(write.await.outcome.unwrap(), BLOCK_BYTES);
        }
        let bytes = fs::read(scratch.0.path()).unwrap();
        assert_eq!(bytes.len(), 500 * BLOCK_BYTES);
        for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            assert!(block.iter().all(|byte| usize::from(*byte) == at % 251), "block {at}");
        }
    });
}

#[test]
fn errors_come_back_as_the_systems() {
    with_ring(async |ring| {
        let scratch = Scratch::new();
        let read_only = Arc::new(File::open(scratch.0.path()).unwrap());
        let ended = ring.write(&read_only, 0, &block(1, 1), 0..BLOCK_BYTES, true).await;
        assert_eq!(ended.outcome.unwrap_err().raw_os_error(), Some(libc::EBADF));
        let full = Arc::new(File::options().write(true).open("/dev/full").unwrap());
        let ended = ring.write(&full, 0, &block(1, 1), 0..BLOCK_BYTES, false).await;
        assert_eq!(ended.outcome.unwrap_err().kind(), ErrorKind::StorageFull);
    });
}

#[test]
fn an_operation_that_nobody_awaits_happens_and_keeps_its_memory() {
    with_ring(async |ring| {
        let scratch = Scratch::new();
        let memory = block(64, 7);
        drop(ring.write(&scratch.1, 0, &memory, 0..64 * BLOCK_BYTES, false));
        // Awaiting a later one lets the driver see both.
        while Arc::strong_count(&memory) > 1 {
            ring.sync_data(&scratch.1).await.outcome.unwrap();
        }
        assert!(fs::read(scratch.0.path()).unwrap() == memory.bytes());
    });
}

#[test]
fn dropping_the_ring_waits_for_what_is_in_flight() {
    let scratch = Scratch::new();
    let memory = block(256, 9);
    with_ring(async |ring| {
        drop(ring.write(&scratch.1, 0, &memory, 0..256 * BLOCK_BYTES, true));
    });
    assert_eq!(Arc::strong_count(&memory), 1, "nothing refers to it any more");
    let written = fs::read(scratch.0.path()).unwrap();
    assert!(
        written.is_empty() || written == memory.bytes(),
        "it happened, or io_uring is refused here"
    );
}
