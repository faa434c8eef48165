//! A directory of files for direct I/O. Directory operations run on the disk pool; a file's reads and writes go through
//! the core's ring where there is one ([`RingFile`]) and through the pool otherwise ([`PoolFile`]).
//!
//! Invariants:
//! - Files use `O_DIRECT` where the file system takes it, and the page cache where it does not.

use std::ffi::c_int;
use std::fs::{self, File as StdFile, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use log_io::{BlockMut, Disk, File, LocalFuture};

use crate::device;
use crate::directory;
use crate::lone::Lone;
use crate::memory::{AlignedMemory, Recycler};
use crate::pool::DiskPool;
use crate::pool_file::PoolFile;
use crate::removal;
use crate::ring::Ring;
use crate::ring_file::RingFile;
use crate::traffic::Traffic;

pub(crate) struct FileDisk {
    pool: Arc<DiskPool>,
    traffic: Arc<Traffic>,
    lone: Rc<Lone>,
    ring: Option<Rc<Ring>>,
    dir: PathBuf,
    flushes: bool,
    recycler: Arc<Recycler>,
}

impl FileDisk {
    pub(crate) fn open(
        pool: Arc<DiskPool>,
        traffic: Arc<Traffic>,
        ring: Option<Rc<Ring>>,
        dir: &Path,
    ) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let flushes = device::needs_flush(dir);
        let (dir, lone, recycler) = (dir.to_owned(), Rc::default(), Arc::default());
        Ok(Self { pool, traffic, lone, ring, dir, flushes, recycler })
    }

    async fn open_file(&self, name: &str, create: bool) -> io::Result<Rc<dyn File>> {
        let path = directory::path_of(&self.dir, name)?;
        let file = Arc::new(self.pool.run(move || open_direct(&path, create)).await?);
        let pool_file = PoolFile {
            pool: Arc::clone(&self.pool),
            traffic: Arc::clone(&self.traffic),
            lone: Rc::clone(&self.lone),
            file,
            recycler: Arc::clone(&self.recycler),
        };
        Ok(match &self.ring {
            Some(ring) => Rc::new(RingFile::new(Rc::clone(ring), pool_file, self.flushes)),
            None => Rc::new(pool_file),
        })
    }
}

impl Disk for FileDisk {
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
        Box::pin(async move { removal::remove(&self.pool, &self.traffic, path?).await })
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        let dir = self.dir.clone();
        Box::pin(self.pool.run(move || directory::sync(&dir)))
    }
}

fn open_direct(path: &Path, create: bool) -> io::Result<StdFile> {
    let open = |flags: c_int, create: bool| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(create)
            .mode(0o640)
            .custom_flags(flags)
            .open(path)
    };
    match open(libc::O_DIRECT, create) {
        // The file system has no direct I/O. Linux has created the file before it finds that out.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            open(0, create && !path.exists())
        }
        result => result,
    }
}
