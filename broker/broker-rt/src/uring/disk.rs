//! Files with direct I/O through the rings.
//!
//! Invariants:
//! - Each file has two descriptors: one with `O_DSYNC` for synced writes (one operation instead of write and sync), one
//!   without for everything else.
//! - The first file that glommio opens on a device holds a block of data: its trial of polled I/O takes the empty
//!   read of an empty file for success, after which every read fails with `EOPNOTSUPP`.
//! - glommio is not let near a device whose description in sysfs it could not parse (it panics there), nor near a
//!   file system without direct I/O; such directories and files are served by the disk pool.

use std::cell::Cell;
use std::fs::{self, File as StdFile};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use glommio::io::{DmaBuffer, DmaFile, OpenOptions};
use log_io::{BLOCK_BYTES, Block, BlockMut, Disk, Durability, File, LocalFuture};

use super::io_error;
use super::memory::{DmaMemory, Home};
use crate::directory;
use crate::pool::DiskPool;
use crate::pool_disk::PoolDisk;

/// The directory `dir`, through the rings where that is possible and through the pool where it is not.
pub(super) fn open(pool: &Arc<DiskPool>, home: &Arc<Home>, dir: &Path) -> io::Result<Rc<dyn Disk>> {
    let plain = PoolDisk::open(Arc::clone(pool), dir)?;
    if !sysfs_is_readable(fs::metadata(dir)?.dev()) {
        return Ok(Rc::new(plain));
    }
    Ok(Rc::new(UringDisk {
        pool: Arc::clone(pool),
        home: Arc::clone(home),
        dir: dir.to_owned(),
        plain,
        probe: Cell::new(ProbeState::Open),
    }))
}

/// Whether glommio can read what it wants to know of the device: it looks at `/sys/dev/block/MAJOR:0` and takes
/// defaults when that does not exist.
fn sysfs_is_readable(dev: u64) -> bool {
    const NUMBERS: [&str; 7] = [
        "rotational",
        "minimum_io_size",
        "optimal_io_size",
        "logical_block_size",
        "physical_block_size",
        "max_sectors_kb",
        "max_segment_size",
    ];
    let device = PathBuf::from(format!("/sys/dev/block/{}:0", libc::major(dev)));
    match fs::canonicalize(&device) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(device) => {
            let queue = device.join("queue");
            let read = |name: &str| fs::read_to_string(queue.join(name)).unwrap_or_default();
            NUMBERS.iter().all(|name| read(name).trim().parse::<isize>().is_ok())
                && matches!(read("write_cache").trim(), "write back" | "write through")
                && device.join("slaves").is_dir()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProbeState {
    Open,
    Running,
    Done,
}

struct UringDisk {
    pool: Arc<DiskPool>,
    home: Arc<Home>,
    dir: PathBuf,
    /// For names, and for files that take no direct I/O.
    plain: PoolDisk,
    probe: Cell<ProbeState>,
}

/// Lets another task try again when the one that probes is dropped half-way.
struct ProbeGuard<'a>(&'a Cell<ProbeState>);

impl Drop for ProbeGuard<'_> {
    fn drop(&mut self) {
        if self.0.get() == ProbeState::Running {
            self.0.set(ProbeState::Open);
        }
    }
}

impl UringDisk {
    /// Opens a file with data before any other; see the invariants.
    async fn probe_once(&self) {
        while self.probe.get() == ProbeState::Running {
            glommio::executor().yield_task_queue_now().await;
        }
        if self.probe.get() == ProbeState::Done {
            return;
        }
        self.probe.set(ProbeState::Running);
        let guard = ProbeGuard(&self.probe);
        let dir = self.dir.clone();
        let file = self.pool.run(move || nameless_file(&dir)).await;
        if let Ok(file) = file {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            // It serves only to be opened; a refusal shows again, and is handled, at the real file.
            drop(OpenOptions::new().read(true).write(true).dma_open(path).await);
        }
        self.probe.set(ProbeState::Done);
        drop(guard);
    }

    async fn open_file(&self, name: &str, create: bool) -> io::Result<Rc<dyn File>> {
        let path = directory::path_of(&self.dir, name)?;
        self.probe_once().await;
        let plain = match dma_open(&path, 0, create).await {
            Err(error) if refuses_direct(&error) => {
                // The file was created before direct I/O was refused.
                return self.plain.open(name).await;
            }
            result => result?,
        };
        let synced = dma_open(&path, libc::O_DSYNC, false).await?;
        Ok(Rc::new(UringFile {
            pool: Arc::clone(&self.pool),
            home: Arc::clone(&self.home),
            plain,
            synced,
        }))
    }
}

fn refuses_direct(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

/// A file of one block without a name.
fn nameless_file(dir: &Path) -> io::Result<StdFile> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o600)
        .open(dir)?;
    file.write_all_at(&[0; BLOCK_BYTES], 0)?;
    Ok(file)
}

async fn dma_open(path: &Path, flags: libc::c_int, create: bool) -> io::Result<DmaFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(create).custom_flags(flags).mode(0o640);
    options.dma_open(path).await.map_err(io_error)
}

impl Disk for UringDisk {
    fn alloc(&self, len: usize) -> BlockMut {
        Box::new(self.home.alloc(len))
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
        self.plain.list()
    }

    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>> {
        self.plain.rename(from, to)
    }

    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>> {
        self.plain.remove(name)
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        self.plain.sync_dir()
    }
}

struct UringFile {
    pool: Arc<DiskPool>,
    home: Arc<Home>,
    plain: DmaFile,
    synced: DmaFile,
}

impl UringFile {
    /// A descriptor of its own, for the pool.
    #[expect(unsafe_code, reason = "glommio's file lends its descriptor as a number only")]
    fn duplicate(&self) -> io::Result<StdFile> {
        // SAFETY: `plain` owns the descriptor and outlives the call.
        let fd = unsafe { BorrowedFd::borrow_raw(self.plain.as_raw_fd()) };
        Ok(StdFile::from(fd.try_clone_to_owned()?))
    }

    /// The current length, straight from the inode in memory: no device is asked.
    #[expect(unsafe_code, reason = "fstat on a borrowed descriptor")]
    fn len_now(&self) -> io::Result<u64> {
        // SAFETY: an all-zero stat is valid, and the descriptor is open while `self` lives.
        let stat = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            if libc::fstat(self.plain.as_raw_fd(), &raw mut stat) != 0 {
                return Err(io::Error::last_os_error());
            }
            stat
        };
        u64::try_from(stat.st_size).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    async fn read(&self, position: u64, len: usize) -> io::Result<Bytes> {
        self.home.drain();
        let Some(range) = directory::block_range(self.len_now()?, position, len) else {
            return Ok(Bytes::new());
        };
        let read =
            self.plain.read_at_aligned(range.start, range.capacity).await.map_err(io_error)?;
        let count = read.len();
        if count >= range.end {
            return Ok(self.home.bytes_of(read, range.skip..range.end));
        }
        // Interrupted, or the file was cut meanwhile: gather the rest in whole blocks.
        let mut all = BytesMut::from(&read[..]);
        while all.len() < range.end && !all.is_empty() && all.len().is_multiple_of(BLOCK_BYTES) {
            let next = range.start + all.len() as u64;
            let more = self
                .plain
                .read_at_aligned(next, range.capacity - all.len())
                .await
                .map_err(io_error)?;
            if more.is_empty() {
                break;
            }
            all.extend_from_slice(&more);
        }
        let end = range.end.min(all.len());
        Ok(all.freeze().slice(range.skip.min(end)..end))
    }

    async fn write(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> io::Result<()> {
        let file = match durability {
            Durability::Synced => &self.synced,
            Durability::Volatile => &self.plain,
        };
        let own = block.as_any().downcast_ref::<DmaMemory>();
        let mut buffer = own
            .and_then(|memory| memory.for_write(&self.home, len))
            .unwrap_or_else(|| Rc::new(copied(&block.bytes()[..len])));
        let mut written = 0;
        while written < len {
            let count = file
                .write_rc_at(Rc::clone(&buffer), position + written as u64)
                .await
                .map_err(io_error)?;
            // A partial block cannot be continued with direct I/O; it is written once more.
            let whole = count - count % BLOCK_BYTES;
            if whole == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            written += whole;
            if written < len {
                buffer = Rc::new(copied(&block.bytes()[written..len]));
            }
        }
        Ok(())
    }
}

/// For the rare block that another core allocated, or the rest of a short write.
fn copied(bytes: &[u8]) -> DmaBuffer {
    let mut buffer = glommio::allocate_dma_buffer(bytes.len());
    buffer.as_bytes_mut().copy_from_slice(bytes);
    buffer
}

impl File for UringFile {
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
        assert!(len <= block.bytes().len(), "{len} bytes lie inside the block");
        assert!(len.is_multiple_of(BLOCK_BYTES), "length {len} is in whole blocks");
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "position {position} is aligned");
        Box::pin(async move {
            if len == 0 {
                return Ok(());
            }
            self.write(position, block, len, durability).await
        })
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async { self.plain.fdatasync().await.map_err(io_error) })
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let file = self.duplicate()?;
            self.pool.run(move || directory::allocate(&file, len)).await
        })
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        Box::pin(async { self.len_now() })
    }
}
