//! The node's identity in its data directory: who it is for ever, and how often it started.
//!
//! `node.luma` holds it (`identity::file`). `node.luma.new` beside it is the identity of the start before: its block is what
//! the next start overwrites, so that a full disk does not keep a node from starting, and a person may put it in the place of
//! a `node.luma` that is lost or damaged. A start never does that by itself.
//!
//! Invariants:
//! - A start uses its term only after the file with it is durable, so no two starts share a leader epoch; also not when
//!   `node.luma.new` was put in the place of the other: it is one start behind, and the next start counts two.
//! - An identity is made only where no journal has one: a start that is refused changes nothing.

mod error;
mod file;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use log_types::{ClusterId, ShardId};

pub use error::IdentityError;

pub(crate) const FILE: &str = "node.luma";
pub(crate) const OTHER: &str = "node.luma.new";

/// What the file says, with this start's term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeIdentity {
    pub(crate) cluster: ClusterId,
    pub(crate) shards: u32,
    pub(crate) term: u32,
}

impl NodeIdentity {
    /// Reads or makes the identity, counts this start, and makes that durable.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub(crate) fn start(dir: &Path, shards: u32, random: u128) -> Result<Self, IdentityError> {
        fs::create_dir_all(dir)?;
        let identity = match Self::read(dir)? {
            Some(stored) => Self { term: stored.next_term(dir), ..stored },
            None => {
                make_shard_dirs(dir, shards)?;
                Self { cluster: ClusterId(random.to_be_bytes()), shards, term: 1 }
            }
        };
        identity.check_shard_dirs(dir)?;
        identity.write(dir)?;
        Ok(identity)
    }

    /// What `node.luma` says; `None` in a directory where no node has ever started.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => match file::parse(&bytes) {
                Ok(identity) => Ok(Some(identity)),
                Err(damage) => Err(IdentityError::Damaged { dir: dir.to_owned(), damage }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => match shard_in_use(dir)? {
                Some(shard) => Err(IdentityError::Missing { dir: dir.to_owned(), shard }),
                None => Ok(None),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The identity of the start before, from `node.luma.new`; `None` when that is damaged or absent.
    pub(crate) fn read_other(dir: &Path) -> Option<Self> {
        file::parse(&fs::read(dir.join(OTHER)).ok()?).ok()
    }

    /// One more than the last start's. Unless the other file is of an earlier start, this one may be that one, put here by a
    /// person, and then the next term has been used.
    fn next_term(&self, dir: &Path) -> u32 {
        let before = Self::read_other(dir).map(|other| other.term);
        if before.is_some_and(|term| term < self.term) { self.term + 1 } else { self.term + 2 }
    }

    /// A shard directory that has gone missing is lost data, never a reason to begin an empty journal.
    fn check_shard_dirs(&self, dir: &Path) -> Result<(), IdentityError> {
        let shards = (0..self.shards).map(|shard| shard_dir(dir, ShardId(shard)));
        match shards.into_iter().find(|path| !path.is_dir()) {
            None => Ok(()),
            Some(path) => Err(IdentityError::ShardMissing { path }),
        }
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let (path, other) = (dir.join(FILE), dir.join(OTHER));
        overwrite(&other, self.render().as_bytes())?;
        if path.exists() {
            exchange(&other, &path)?;
        } else {
            fs::rename(&other, &path)?;
        }
        File::open(dir)?.sync_all()?;
        if !other.exists() {
            let before = Self { term: self.term - 1, ..*self };
            overwrite(&other, before.render().as_bytes())?;
        }
        Ok(())
    }
}

/// The first shard directory with anything in it.
fn shard_in_use(dir: &Path) -> io::Result<Option<ShardId>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut used = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let shard = name.to_str().and_then(|name| name.strip_prefix("shard-")?.parse().ok());
        let Some(shard) = shard.map(ShardId) else { continue };
        // A first start that was cut short leaves empty ones.
        if entry.file_type()?.is_dir() && fs::read_dir(entry.path())?.next().is_some() {
            used.push(shard);
        }
    }
    Ok(used.into_iter().min())
}

/// Writes a file durably, over the blocks that it has.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Swaps two files in one step; where the file system cannot, the first replaces the second.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(new, old),
        Err(error) => Err(error.into()),
    }
}

/// The directory of a shard's journal.
/// How many shards a data directory has; 0 for one that is new.
#[must_use]
pub fn shards_in(dir: &Path) -> usize {
    (0..).take_while(|shard| shard_dir(dir, ShardId(*shard)).is_dir()).count()
}

pub(crate) fn shard_dir(dir: &Path, shard: ShardId) -> PathBuf {
    dir.join(format!("shard-{shard}"))
}

/// Makes the directories durable before the identity that names them.
fn make_shard_dirs(dir: &Path, shards: u32) -> io::Result<()> {
    for shard in (0..shards).map(ShardId) {
        fs::create_dir_all(shard_dir(dir, shard))?;
    }
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Keeps other processes out of a data directory for as long as it lives (`flock`, so it ends with the process).
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// # Errors
    /// `WouldBlock` when another process has the directory.
    pub(crate) fn take(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = File::create(dir.join("node.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => {
                let what = format!("{} is in use by another process", dir.display());
                Err(io::Error::new(io::ErrorKind::WouldBlock, what))
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The cluster id as Kafka writes it: 16 bytes in URL-safe base64 without padding, 22 characters.
pub(crate) fn cluster_id_text(cluster: ClusterId) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(cluster.0);
    let digit = |index: u32| {
        // 22 digits of 6 bits hold 132 bits: the last digit has 4 of the 128, shifted up.
        let value = if index < 21 { bits >> (122 - 6 * index) } else { bits << 4 };
        char::from(ALPHABET[(value & 0x3f) as usize])
    };
    (0..22).map(digit).collect()
}

#[cfg(test)]
mod tests;
