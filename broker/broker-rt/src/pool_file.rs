//! A file through positional system calls on the disk pool.
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
use std::sync::Arc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, Durability, File, LocalFuture};

use crate::directory;
use crate::memory::Recycler;
use crate::pool::DiskPool;

pub(crate) struct PoolFile {
    pool: Arc<DiskPool>,
    file: Arc<StdFile>,
    recycler: Arc<Recycler>,
}

impl PoolFile {
    pub(crate) fn new(pool: Arc<DiskPool>, file: Arc<StdFile>, recycler: Arc<Recycler>) -> Self {
        Self { pool, file, recycler }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&StdFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.file);
        self.pool.run(move || job(&file)).await
    }
}

impl File for PoolFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        let recycler = Arc::clone(&self.recycler);
        Box::pin(self.run(move |file| read_blocks(file, position, len, &recycler)))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        directory::check_write(position, &block, len);
        Box::pin(self.run(move |file| write_all(file, position, &block.bytes()[..len], durability)))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.run(StdFile::sync_data))
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

/// Reads the blocks around `position..position + len`, as far as the file goes.
fn read_blocks(
    file: &StdFile,
    position: u64,
    len: usize,
    recycler: &Arc<Recycler>,
) -> io::Result<Bytes> {
    let Some(range) = directory::block_range(file.metadata()?.len(), position, len) else {
        return Ok(Bytes::new());
    };
    let mut memory = recycler.room(range.capacity);
    loop {
        let position = offset(range.start + memory.filled() as u64)?;
        let (data, room) = memory.spare();
        // SAFETY: `data` is valid for `room` bytes.
        let count = unsafe { libc::pread(file.as_raw_fd(), data.cast(), room, position) };
        let Some(count) = transferred(count)? else { continue };
        // SAFETY: the kernel has just written them.
        unsafe { memory.add_filled(count) };
        // With direct I/O the end of the file leaves an odd length, after which a read is refused.
        if count == 0 || memory.spare().1 == 0 || !memory.filled().is_multiple_of(BLOCK_BYTES) {
            return Ok(range.slice_of(memory, recycler));
        }
    }
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
