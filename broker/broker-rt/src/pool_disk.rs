//! Files through positional system calls on the disk pool: the epoll back end's disk, and the other's where the file
//! system or the device does not suit it.
//!
//! Invariants:
//! - Each file has two descriptors: one with `O_DSYNC` for synced writes, one without for everything else.
//! - Both use `O_DIRECT` where the file system takes it, and the page cache where it does not.
//! - Reads are done in whole blocks into fresh aligned memory and sliced, never copied.

use std::ffi::c_int;
use std::fs::{self, File as StdFile, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, BlockMut, Disk, Durability, File, LocalFuture};

use crate::directory;
use crate::memory::AlignedMemory;
use crate::pool::DiskPool;

pub(crate) struct PoolDisk {
    pool: Arc<DiskPool>,
    dir: PathBuf,
}

impl PoolDisk {
    pub(crate) fn open(pool: Arc<DiskPool>, dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { pool, dir: dir.to_owned() })
    }

    async fn open_file(&self, name: &str, create: bool) -> io::Result<Rc<dyn File>> {
        let path = directory::path_of(&self.dir, name)?;
        let handles = self.pool.run(move || Handles::open(&path, create)).await?;
        Ok(Rc::new(PoolFile { pool: Arc::clone(&self.pool), handles: Arc::new(handles) }))
    }
}

impl Disk for PoolDisk {
    fn alloc(&self, len: usize) -> BlockMut {
        Box::new(AlignedMemory::zeroed(len))
    }

    fn open(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let name = name.to_owned();
        Box::pin(async move { self.open_file(&name, false).await })
    }

    fn create(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let name = name.to_owned();
        Box::pin(async move { self.open_file(&name, true).await })
    }

    fn list(&self) -> LocalFuture<'_, io::Result<Vec<String>>> {
        let dir = self.dir.clone();
        Box::pin(self.pool.run(move || directory::list(&dir)))
    }

    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>> {
        let paths = directory::path_of(&self.dir, from)
            .and_then(|from| Ok((from, directory::path_of(&self.dir, to)?)));
        Box::pin(async move {
            let (from, to) = paths?;
            self.pool.run(move || fs::rename(from, to)).await
        })
    }

    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>> {
        let path = directory::path_of(&self.dir, name);
        Box::pin(async move {
            let path = path?;
            self.pool.run(move || fs::remove_file(path)).await
        })
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        let dir = self.dir.clone();
        Box::pin(self.pool.run(move || directory::sync(&dir)))
    }
}

struct Handles {
    plain: StdFile,
    synced: StdFile,
}

impl Handles {
    fn open(path: &Path, create: bool) -> io::Result<Self> {
        let plain = open_direct(path, 0, create)?;
        let synced = open_direct(path, libc::O_DSYNC, false)?;
        Ok(Self { plain, synced })
    }
}

fn open_direct(path: &Path, flags: c_int, create: bool) -> io::Result<StdFile> {
    let open = |flags: c_int, create: bool| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(create)
            .mode(0o640)
            .custom_flags(flags)
            .open(path)
    };
    match open(flags | libc::O_DIRECT, create) {
        // The file system has no direct I/O. Linux has created the file before it finds that out.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            open(flags, create && !path.exists())
        }
        result => result,
    }
}

struct PoolFile {
    pool: Arc<DiskPool>,
    handles: Arc<Handles>,
}

impl PoolFile {
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Handles) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let handles = Arc::clone(&self.handles);
        self.pool.run(move || job(&handles)).await
    }
}

impl File for PoolFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        Box::pin(self.run(move |handles| read_blocks(&handles.plain, position, len)))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        assert!(len <= block.bytes().len(), "{len} bytes lie inside the block");
        assert!(len.is_multiple_of(BLOCK_BYTES), "length {len} is in whole blocks");
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "position {position} is aligned");
        Box::pin(self.run(move |handles| {
            let file = match durability {
                Durability::Synced => &handles.synced,
                Durability::Volatile => &handles.plain,
            };
            file.write_all_at(&block.bytes()[..len], position)
        }))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.run(|handles| handles.plain.sync_data()))
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(self.run(move |handles| directory::allocate(&handles.plain, len)))
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(self.run(|handles| Ok(handles.plain.metadata()?.len())))
    }
}

/// Reads the blocks around `position..position + len`, as far as the file goes.
fn read_blocks(file: &StdFile, position: u64, len: usize) -> io::Result<Bytes> {
    let Some(range) = directory::block_range(file.metadata()?.len(), position, len) else {
        return Ok(Bytes::new());
    };
    let memory = AlignedMemory::filled_by(range.capacity, |data, capacity| {
        fill(file, range.start, data, capacity)
    })?;
    let end = range.end.min(log_io::IoMemory::bytes(&memory).len());
    Ok(memory.into_bytes(range.skip.min(end)..end))
}

#[expect(unsafe_code, reason = "reads into memory that is not initialised yet")]
fn fill(file: &StdFile, start: u64, data: *mut u8, capacity: usize) -> io::Result<usize> {
    let mut filled = 0;
    while filled < capacity {
        let position = i64::try_from(start + filled as u64)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: `data` is valid for `capacity` bytes and `filled` is below that.
        let count = unsafe {
            libc::pread(file.as_raw_fd(), data.add(filled).cast(), capacity - filled, position)
        };
        match usize::try_from(count) {
            Ok(0) => break,
            Ok(count) => {
                filled += count;
                // With direct I/O the end of the file leaves an odd length, after which a read is refused.
                if !filled.is_multiple_of(BLOCK_BYTES) {
                    break;
                }
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(filled)
}
