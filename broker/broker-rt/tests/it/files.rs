//! `Disk` and `File`: what the journal relies on.

use std::io::ErrorKind;
use std::rc::Rc;

use futures_util::future::join;
use log_io::{BLOCK_BYTES, Block, Disk, Durability, block_bytes};

use crate::harness::{TempDir, backends, on_cores, on_each_disk};

/// `len` bytes that differ by position and by `seed`.
fn pattern(disk: &dyn Disk, len: usize, seed: usize) -> Block {
    let mut block = disk.alloc(len);
    assert_eq!(block.bytes().len(), len, "exactly as asked for");
    assert!(block.bytes().iter().all(|byte| *byte == 0), "zeroed");
    assert!(block.bytes().as_ptr().addr().is_multiple_of(BLOCK_BYTES), "aligned");
    for (index, byte) in block.bytes_mut().iter_mut().enumerate() {
        *byte = ((index % 251) ^ (index >> 12) ^ seed).to_le_bytes()[0];
    }
    Block::from(block)
}

#[test]
fn durable_write_reads_back() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        for (step, len) in [4096, 128 << 10, 1 << 20].into_iter().enumerate() {
            let position = (step as u64) << 20;
            let block = pattern(&*disk, len, step);
            file.write_at(position, Block::clone(&block), len, Durability::Synced).await.unwrap();
            let read = file.read_at(position, len).await.unwrap();
            assert_eq!(read, block.bytes());
        }
        assert_eq!(file.len().await.unwrap(), 3 << 20);
    });
}

#[test]
fn volatile_write_then_sync_reads_back_through_another_handle() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        let block = pattern(&*disk, 8192, 7);
        file.write_at(4096, Block::clone(&block), 8192, Durability::Volatile).await.unwrap();
        file.sync_data().await.unwrap();
        disk.sync_dir().await.unwrap();
        drop(file);
        let file = disk.open("a").await.unwrap();
        assert_eq!(file.read_at(4096, 8192).await.unwrap(), block.bytes());
        assert!(file.read_at(0, 4096).await.unwrap().iter().all(|byte| *byte == 0), "a hole");
    });
}

#[test]
fn part_of_a_block_is_written() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        let block = pattern(&*disk, 3 * 4096, 1);
        file.write_at(0, Block::clone(&block), 4096, Durability::Synced).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 4096);
        assert_eq!(file.read_at(0, 1 << 20).await.unwrap(), &block.bytes()[..4096]);
        file.write_at(0, Block::clone(&block), 0, Durability::Synced).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 4096);
    });
}

#[test]
fn reads_need_no_alignment_and_end_with_the_file() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        let block = pattern(&*disk, 16384, 3);
        file.write_at(0, Block::clone(&block), 16384, Durability::Volatile).await.unwrap();
        let all = block.bytes();
        for (position, len) in [(0, 1), (1, 4096), (4095, 2), (4097, 8000), (5000, 0), (16383, 1)] {
            let read = file.read_at(position as u64, len).await.unwrap();
            assert_eq!(read, &all[position..position + len], "{len} bytes at {position}");
        }
        for (position, len) in [(16000, 1000), (12289, 1 << 30), (0, usize::MAX)] {
            let read = file.read_at(position as u64, len).await.unwrap();
            assert_eq!(read, &all[position..], "{len} bytes at {position} end with the file");
        }
        for position in [16384, 16385, 1 << 40, u64::MAX] {
            assert!(file.read_at(position, 10).await.unwrap().is_empty(), "past the end");
        }
    });
}

/// A file whose length is not a multiple of the block, as another program may leave it.
#[test]
fn odd_file_lengths_are_read_to_the_last_byte() {
    for backend in backends() {
        let dir = TempDir::on_disk();
        let bytes: Vec<u8> =
            (0..10_001_usize).map(|index| (index % 253).to_le_bytes()[0]).collect();
        std::fs::write(dir.path().join("odd"), &bytes).unwrap();
        let path = dir.path().to_owned();
        on_cores(backend, 1, move |_, runtime| {
            let disk = runtime.disk(&path).unwrap();
            let bytes = bytes.clone();
            async move {
                let file = disk.open("odd").await.unwrap();
                assert_eq!(file.len().await.unwrap(), 10_001);
                for (position, len) in [(0, 20_000), (9_999, 2), (9_000, 5_000), (10_000, 1)] {
                    let read = file.read_at(position, len).await.unwrap();
                    let start = usize::try_from(position).unwrap();
                    let end = bytes.len().min(start + len);
                    assert_eq!(read, &bytes[start..end]);
                }
            }
        });
    }
}

#[test]
fn allocate_sets_the_length_and_reads_as_zeroes() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        file.allocate(1 << 20).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 1 << 20);
        let read = file.read_at(123, 70_000).await.unwrap();
        assert_eq!(read.len(), 70_000);
        assert!(read.iter().all(|byte| *byte == 0));
        file.allocate(4096).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 1 << 20, "never shorter");
        file.allocate(0).await.unwrap();
    });
}

#[test]
fn allocating_too_much_is_storage_full_and_leaves_the_file() {
    for backend in backends() {
        // tmpfs knows its size beforehand; a disk would be filled up first.
        let Some(dir) = TempDir::in_memory() else { continue };
        let path = dir.path().to_owned();
        on_cores(backend, 1, move |_, runtime| {
            let disk = runtime.disk(&path).unwrap();
            async move {
                let file = disk.create("a").await.unwrap();
                file.allocate(8192).await.unwrap();
                let error = file.allocate(1 << 50).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull);
                assert_eq!(file.len().await.unwrap(), 8192);
            }
        });
    }
}

#[test]
fn names_are_created_listed_renamed_and_removed() {
    on_each_disk(|_, disk| async move {
        assert!(disk.list().await.unwrap().is_empty());
        for name in ["b", "a", "c"] {
            disk.create(name).await.unwrap();
        }
        assert_eq!(disk.list().await.unwrap(), ["a", "b", "c"]);
        disk.rename("a", "c").await.unwrap();
        disk.remove("b").await.unwrap();
        disk.sync_dir().await.unwrap();
        assert_eq!(disk.list().await.unwrap(), ["c"]);
    });
}

#[test]
fn missing_and_existing_names_are_told_apart() {
    on_each_disk(|_, disk| async move {
        disk.create("a").await.unwrap();
        let kind = |result: std::io::Result<Rc<dyn log_io::File>>| match result {
            Ok(_) => panic!("opened"),
            Err(error) => error.kind(),
        };
        assert_eq!(kind(disk.create("a").await), ErrorKind::AlreadyExists);
        assert_eq!(kind(disk.open("b").await), ErrorKind::NotFound);
        assert_eq!(disk.remove("b").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.rename("b", "a").await.unwrap_err().kind(), ErrorKind::NotFound);
        for name in ["", ".", "..", "a/b", "/a", "a\0b"] {
            assert_eq!(kind(disk.open(name).await), ErrorKind::InvalidInput, "{name:?}");
            assert_eq!(kind(disk.create(name).await), ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(disk.list().await.unwrap(), ["a"]);
    });
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    for backend in backends() {
        let dir = TempDir::on_disk();
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        on_cores(backend, 1, move |_, runtime| {
            assert!(runtime.disk(&file).is_err(), "a file is no directory");
            assert!(runtime.disk(&file.join("below")).is_err(), "nor can it hold one");
            async {}
        });
    }
}

#[test]
fn two_writes_in_flight_land_where_they_belong() {
    on_each_disk(|_, disk| async move {
        let file = disk.create("a").await.unwrap();
        let len = 256 << 10;
        file.allocate(64 * len as u64).await.unwrap();
        let blocks: Vec<Block> = (0..64).map(|index| pattern(&*disk, len, index)).collect();
        for (pair, two) in blocks.chunks(2).enumerate() {
            let at = (pair * 2 * len) as u64;
            let first = file.write_at(at, Block::clone(&two[0]), len, Durability::Synced);
            let second =
                file.write_at(at + len as u64, Block::clone(&two[1]), len, Durability::Synced);
            let (first, second) = join(first, second).await;
            first.unwrap();
            second.unwrap();
        }
        for (index, block) in blocks.iter().enumerate() {
            let read = file.read_at((index * len) as u64, len).await.unwrap();
            assert_eq!(read, block.bytes(), "block {index}");
        }
    });
}

/// A reader on another thread may be the last to hold a block or a read buffer.
#[test]
fn blocks_and_reads_may_be_dropped_on_another_thread() {
    on_each_disk(|runtime, disk| async move {
        let file = disk.create("a").await.unwrap();
        let (bytes_tx, bytes_rx) = std::sync::mpsc::channel::<bytes::Bytes>();
        let (sum_tx, sum_rx) = futures_channel::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let sum: u64 =
                bytes_rx.iter().map(|bytes| bytes.iter().map(|b| u64::from(*b)).sum::<u64>()).sum();
            sum_tx.send(sum).unwrap();
        });
        let mut expected = 0;
        for round in 0..200_usize {
            let block = pattern(&*disk, 8192, round);
            file.write_at(round as u64 * 8192, Block::clone(&block), 8192, Durability::Volatile)
                .await
                .unwrap();
            let read = file.read_at(round as u64 * 8192 + 1, 5000).await.unwrap();
            expected += block.bytes()[1..5001].iter().map(|b| u64::from(*b)).sum::<u64>();
            expected += block.bytes()[..100].iter().map(|b| u64::from(*b)).sum::<u64>();
            bytes_tx.send(block_bytes(&block, 0..100)).unwrap();
            bytes_tx.send(read).unwrap();
            drop(block);
            runtime.yield_now().await;
        }
        drop(bytes_tx);
        assert_eq!(sum_rx.await.unwrap(), expected);
        thread.join().unwrap();
        // The memory that came back serves again.
        assert!(disk.alloc(8192).bytes().iter().all(|byte| *byte == 0));
    });
}

/// Memory outlives its core: the last reference may be dropped after the executor has gone.
#[test]
fn blocks_outlive_their_core() {
    for backend in backends() {
        let dir = TempDir::on_disk();
        let path = dir.path().to_owned();
        let (tx, rx) = std::sync::mpsc::channel();
        on_cores(backend, 1, move |_, runtime| {
            let disk = runtime.disk(&path).unwrap();
            let tx = tx.clone();
            async move {
                let file = disk.create("a").await.unwrap();
                let block = pattern(&*disk, 4096, 9);
                file.write_at(0, Block::clone(&block), 4096, Durability::Synced).await.unwrap();
                tx.send(file.read_at(5, 100).await.unwrap()).unwrap();
                tx.send(block_bytes(&block, 5..105)).unwrap();
            }
        });
        let read = rx.recv().unwrap();
        let written = rx.recv().unwrap();
        assert_eq!(read, written);
    }
}
