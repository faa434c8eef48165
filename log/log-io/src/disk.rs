//! One directory of files with direct, asynchronous, positioned I/O.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::{Block, BlockMut, LocalFuture};

/// Alignment and unit of every write, in bytes.
pub const BLOCK_BYTES: usize = 4096;

/// Whether a write must be on stable storage before it completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Completed means on stable storage (`O_DSYNC` or write + `fdatasync`). Covers this write only.
    Synced,
    /// Completed means handed to the device; lost by a power cut until `sync_data`.
    Volatile,
}

/// One flat directory. Names are plain file names without separators.
///
/// Creating, renaming or removing a file is durable only after `sync_dir`.
pub trait Disk {
    /// Zeroed memory of `len` bytes; `len` is a positive multiple of [`BLOCK_BYTES`].
    fn alloc(&self, len: usize) -> BlockMut;
    /// Opens an existing file for reading and writing. `NotFound` when it does not exist.
    fn open(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>>;
    /// Creates an empty file. `AlreadyExists` when there is one.
    fn create(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>>;
    /// The names in the directory, sorted.
    fn list(&self) -> LocalFuture<'_, io::Result<Vec<String>>>;
    /// Renames, replacing `to` atomically when it exists.
    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>>;
    /// Removes the name, and the file with it when it has no other: nobody may have it open any more.
    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>>;
    /// Makes earlier creates, renames and removes durable.
    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>>;
}

/// An open file. Reads and writes may be in flight together; overlapping ones are the caller's mistake.
#[expect(
    clippy::len_without_is_empty,
    reason = "the length is asked of the disk; nobody asks for emptiness"
)]
pub trait File {
    /// Reads up to `len` bytes at `position` (any alignment); shorter only at the end of the file.
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>>;
    /// Writes the first `len` bytes of `block` at `position`; both are multiples of [`BLOCK_BYTES`]. All or an error.
    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        durability: Durability,
    ) -> LocalFuture<'_, io::Result<()>>;
    /// Makes every completed write durable (`fdatasync`).
    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>>;
    /// Reserves space and sets the length to at least `len` (`fallocate` with real size). `StorageFull` when there is none.
    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>>;
    /// Current length in bytes.
    fn len(&self) -> LocalFuture<'_, io::Result<u64>>;
}
