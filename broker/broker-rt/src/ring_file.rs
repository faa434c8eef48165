//! A file through the core's io_uring. What the ring has no operation for runs on the disk pool, and so do synced writes
//! where the device needs a flush after each (see [`crate::device`]).
//!
//! Invariants:
//! - Reads are done in whole blocks into fresh aligned memory and sliced, never copied.
//! - A transfer that the kernel cut short goes on where it stopped.

#![expect(unsafe_code, reason = "counts what the kernel has written as initialised")]

use std::fs::File as StdFile;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, Durability, File, LocalFuture};

use crate::directory;
use crate::pool_file::PoolFile;
use crate::ring::{Ended, Ring};

pub(crate) struct RingFile {
    ring: Rc<Ring>,
    pool_file: PoolFile,
    /// The device needs a flush for a write to be durable.
    flushes: bool,
}

impl RingFile {
    pub(crate) fn new(ring: Rc<Ring>, pool_file: PoolFile, flushes: bool) -> Self {
        Self { ring, pool_file, flushes }
    }

    fn file(&self) -> &Arc<StdFile> {
        &self.pool_file.file
    }

    async fn write(
        &self,
        mut position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> io::Result<()> {
        let synced = durability == Durability::Synced;
        let _writing = synced.then(|| self.pool_file.traffic.write());
        let mut written = 0;
        while written < len {
            let ended = self.ring.write(self.file(), position, &block, written..len, synced).await;
            match transferred(ended.outcome)? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => {
                    written += count;
                    position += count as u64;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Reads the blocks around `position..position + len`, as far as the file goes.
    async fn read(&self, position: u64, len: usize) -> io::Result<Bytes> {
        let Some(range) = directory::block_range(self.file().metadata()?.len(), position, len)
        else {
            return Ok(Bytes::new());
        };
        let mut memory = self.pool_file.recycler.room(range.capacity);
        loop {
            let position = range.start + memory.filled() as u64;
            let turn = self.pool_file.traffic.read().await;
            let read = self.ring.read(self.file(), position, memory, turn.bytes_max());
            let Ended { outcome, room } = read.await;
            drop(turn);
            memory = room.expect("a read gives its memory back");
            let Some(count) = transferred(outcome)? else { continue };
            // SAFETY: the kernel has written them.
            unsafe { memory.add_filled(count) };
            // With direct I/O the end of the file leaves an odd length, after which a read is refused.
            if count == 0 || memory.spare().1 == 0 || !memory.filled().is_multiple_of(BLOCK_BYTES) {
                return Ok(range.slice_of(memory, &self.pool_file.recycler));
            }
        }
    }
}

impl File for RingFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        Box::pin(self.read(position, len))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        if self.flushes && durability == Durability::Synced {
            return self.pool_file.write_at(position, block, len, durability);
        }
        directory::check_write(position, &block, len);
        Box::pin(self.write(position, block, len, durability))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async {
            let _writing = self.pool_file.traffic.write();
            self.ring.sync_data(self.file()).await.outcome.map(drop)
        })
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        self.pool_file.allocate(len)
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(async { Ok(self.file().metadata()?.len()) })
    }
}

/// Bytes of an operation's outcome; `None` when it was interrupted and is to be tried again.
fn transferred(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
