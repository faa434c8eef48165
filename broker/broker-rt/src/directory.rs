//! Blocking directory and allocation calls, run on the disk pool by both back ends, and the arithmetic of blocks.
//!
//! Invariants:
//! - A name is one path component: no separator, not empty, not `.` or `..`.
//! - A failed allocation gives back what it had reserved.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block};

use crate::memory::{AlignedMemory, Recycler};

/// The path of `name` in `dir`.
///
/// # Errors
/// `InvalidInput` when `name` is not a plain file name.
pub(crate) fn path_of(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let plain = !name.is_empty()
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == 0);
    if plain {
        Ok(dir.join(name))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot use {name:.100?} as a file name: it must be one path component"),
        ))
    }
}

/// The names of the files in `dir`, sorted. Names that are not UTF-8 are not ours and left out, as are directories.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Reserves blocks so that `file` is at least `len` bytes long, with real size; an already longer file keeps its length.
#[expect(unsafe_code, reason = "fallocate has no safe wrapper in std")]
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    let old = file.metadata()?.len();
    if len == 0 {
        return Ok(());
    }
    let Ok(wanted) = i64::try_from(len) else {
        return Err(io::ErrorKind::FileTooLarge.into());
    };
    loop {
        // SAFETY: the descriptor is open for the whole call; no memory is passed.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, wanted) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // The file system cannot reserve: the length is set, and a full disk shows at the write.
            Some(libc::EOPNOTSUPP) => return file.set_len(old.max(len)),
            _ => {
                // ext4 keeps the part it had reserved before it ran out of space.
                file.set_len(old)?;
                return Err(error);
            }
        }
    }
}

/// The whole blocks that hold a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRange {
    /// Position of the first block.
    pub(crate) start: u64,
    /// Bytes of all blocks.
    pub(crate) capacity: usize,
    /// Where the wanted bytes begin and end, counted from `start`.
    pub(crate) skip: usize,
    pub(crate) end: usize,
}

impl BlockRange {
    /// The wanted bytes, as far as `memory` was filled.
    pub(crate) fn slice_of(&self, memory: AlignedMemory, home: &Arc<Recycler>) -> Bytes {
        let end = self.end.min(memory.filled());
        memory.into_bytes(self.skip.min(end)..end, home)
    }
}

/// # Panics
/// When a write is not in whole, aligned blocks of `block`.
pub(crate) fn check_write(position: u64, block: &Block, len: usize) {
    assert!(len <= block.bytes().len(), "{len} bytes lie inside the block");
    assert!(len.is_multiple_of(BLOCK_BYTES), "length {len} is in whole blocks");
    assert!(position.is_multiple_of(BLOCK_BYTES as u64), "position {position} is aligned");
}

/// The blocks around `position..position + len`, cut at the end of the file so that a length from a damaged index
/// cannot ask for more memory than there is data; `None` when nothing is left to read.
pub(crate) fn block_range(file_len: u64, position: u64, len: usize) -> Option<BlockRange> {
    const BLOCK: u64 = BLOCK_BYTES as u64;
    let rest = file_len.checked_sub(position)?;
    let len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
    if len == 0 {
        return None;
    }
    let start = position - position % BLOCK;
    let skip = usize::try_from(position - start).ok()?;
    let end = skip.checked_add(len)?;
    let capacity = end.checked_next_multiple_of(BLOCK_BYTES)?;
    Some(BlockRange { start, capacity, skip, end })
}
