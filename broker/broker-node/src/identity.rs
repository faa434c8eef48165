//! The node's identity file: who it is for ever, and how often it started.
//!
//! `node.luma` is text, one `name value` per line and a CRC-32 of the lines before it:
//!
//! ```text
//! lumadb-node 1
//! cluster 0f3c…            32 hex digits
//! shards 2                 fixed at the first start
//! term 7                   +1 per start: the leader epoch of this start
//! crc 1a2b3c4d
//! ```
//!
//! `node.luma.new` beside it is the file of the start before: its block is what the next start overwrites, so that a full
//! disk does not keep a node from starting. It is never read.
//!
//! Invariant: a start uses its term only after the file with it is durable, so no two starts share a leader epoch.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use log_types::{ClusterId, ShardId};

const FILE: &str = "node.luma";
const OTHER: &str = "node.luma.new";

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
    /// I/O errors; `InvalidData` when the file is damaged or of another version.
    pub(crate) fn start(dir: &Path, shards: u32, random: u128) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let identity = match Self::read(dir) {
            Ok(stored) => Self { term: stored.term + 1, ..stored },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_shard_dirs(dir, shards)?;
                Self { cluster: ClusterId(random.to_be_bytes()), shards, term: 1 }
            }
            Err(error) => return Err(error),
        };
        identity.check_shard_dirs(dir)?;
        identity.write(dir)?;
        Ok(identity)
    }

    /// A shard directory that has gone missing is lost data, never a reason to begin an empty journal.
    fn check_shard_dirs(&self, dir: &Path) -> io::Result<()> {
        let shards = (0..self.shards).map(|shard| shard_dir(dir, ShardId(shard)));
        match shards.into_iter().find(|path| !path.is_dir()) {
            None => Ok(()),
            Some(path) => {
                let what = format!("{} is missing", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    /// What the file says.
    ///
    /// # Errors
    /// I/O errors; `InvalidData` when it is damaged or of another version.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        Self::parse(&fs::read_to_string(&path)?).ok_or_else(|| {
            let what = format!("{} is damaged or of another version", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let text = self.render();
        let (path, other) = (dir.join(FILE), dir.join(OTHER));
        overwrite(&other, text.as_bytes())?;
        if path.exists() {
            exchange(&other, &path)?;
        } else {
            fs::rename(&other, &path)?;
        }
        File::open(dir)?.sync_all()?;
        if !other.exists() {
            // What it says does not matter: it holds the block for the next start.
            overwrite(&other, text.as_bytes())?;
        }
        Ok(())
    }

    fn render(&self) -> String {
        let mut text = format!(
            "lumadb-node 1\ncluster {}\nshards {}\nterm {}\n",
            self.cluster, self.shards, self.term
        );
        let crc = crc32fast::hash(text.as_bytes());
        writeln!(text, "crc {crc:08x}").expect("writing to a string does not fail");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "lumadb-node 1" {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let cluster = u128::from_str_radix(field("cluster")?, 16).ok()?;
        let shards = field("shards")?.parse().ok()?;
        let term = field("term")?.parse().ok()?;
        let identity = Self { cluster: ClusterId(cluster.to_be_bytes()), shards, term };
        (identity.render() == text && shards > 0).then_some(identity)
    }
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
