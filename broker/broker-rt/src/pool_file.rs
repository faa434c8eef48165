//! A file through positional system calls on the disk pool, but for synced writes that the core makes itself ([`Lone`]).
//!
//! Invariants:
//! - Reads are done in whole blocks into fresh aligned memory and sliced, never copied.

#![expect(
    unsafe_code,
    reason = "positional calls with flags and into memory that is not initialised yet"
)]

use std::fs::File as StdFile;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, Durability, File, LocalFuture};

use crate::directory;
use crate::executor::awake_since;
use crate::lone::Lone;
use crate::memory::{AlignedMemory, Recycler};
use crate::pool::DiskPool;
use crate::traffic::{Traffic, Writing};

pub(crate) struct PoolFile {
    pub(crate) pool: Arc<DiskPool>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) lone: Rc<Lone>,
    pub(crate) file: Arc<StdFile>,
    pub(crate) recycler: Arc<Recycler>,
}

impl PoolFile {
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&StdFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.file);
        self.pool.run(move || job(&file)).await
    }

    /// Reads the blocks around `position..position + len`, as far as the file goes.
    async fn read(&self, position: u64, len: usize) -> io::Result<Bytes> {
        let Some(range) = directory::block_range(self.file.metadata()?.len(), position, len) else {
            return Ok(Bytes::new());
        };
        let mut memory = self.recycler.room(range.capacity);
        loop {
            let position = range.start + memory.filled() as u64;
            let turn = self.traffic.read().await;
            let bytes_max = turn.bytes_max();
            let read = self.run(move |file| {
                let count = read_part(file, position, &mut memory, bytes_max)?;
                Ok((count, memory))
            });
            let (count, back) = read.await?;
            drop(turn);
            memory = back;
            // With direct I/O the end of the file leaves an odd length, after which a read is refused.
            let full = memory.spare().1 == 0 || !memory.filled().is_multiple_of(BLOCK_BYTES);
            if count == Some(0) || (count.is_some() && full) {
                return Ok(range.slice_of(memory, &self.recycler));
            }
        }
    }
}

impl File for PoolFile {
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
        directory::check_write(position, &block, len);
        Box::pin(async move {
            let writing = (durability == Durability::Synced).then(|| self.traffic.write());
            let began = Instant::now();
            if writing.as_ref().is_some_and(Writing::is_alone)
                && self.lone.may_write(len, awake_since(), began)
            {
                let outcome = write_all(&self.file, position, &block.bytes()[..len], durability);
                self.lone.has_written(began, Instant::now());
                return outcome;
            }
            self.run(move |file| write_all(file, position, &block.bytes()[..len], durability)).await
        })
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async {
            let _writing = self.traffic.write();
            self.run(StdFile::sync_data).await
        })
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.run(move |file| directory::allocate(file, len)))
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(self.run(|file| Ok(file.metadata()?.len())))
    }
}

fn write_all(
    file: &StdFile,
    mut position: u64,
    mut bytes: &[u8],
    durability: Durability,
) -> io::Result<()> {
    let flags = match durability {
        Durability::Synced => libc::RWF_DSYNC,
        Durability::Volatile => 0,
    };
    while !bytes.is_empty() {
        let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: one slice that is alive for the call and only read by it.
        let count = unsafe {
            libc::pwritev2(file.as_raw_fd(), &raw const part, 1, offset(position)?, flags)
        };
        match transferred(count)? {
            Some(0) => return Err(io::ErrorKind::WriteZero.into()),
            Some(count) => {
                bytes = &bytes[count..];
                position += count as u64;
            }
            None => {}
        }
    }
    Ok(())
}

/// Reads once, at most `bytes_max`, into what is left of `memory`; `None` when it was interrupted.
fn read_part(
    file: &StdFile,
    position: u64,
    memory: &mut AlignedMemory,
    bytes_max: usize,
) -> io::Result<Option<usize>> {
    let position = offset(position)?;
    let (data, room) = memory.spare();
    let len = room.min(bytes_max);
    // SAFETY: `data` is valid for `room` bytes.
    let count = unsafe { libc::pread(file.as_raw_fd(), data.cast(), len, position) };
    let count = transferred(count)?;
    // SAFETY: the kernel has just written them.
    unsafe { memory.add_filled(count.unwrap_or(0)) };
    Ok(count)
}

fn offset(position: u64) -> io::Result<i64> {
    i64::try_from(position).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Bytes of a call's result; `None` when it was interrupted.
fn transferred(count: isize) -> io::Result<Option<usize>> {
    if let Ok(count) = usize::try_from(count) {
        return Ok(Some(count));
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(None) } else { Err(error) }
}
