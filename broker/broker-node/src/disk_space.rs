//! How much room the file system under the data directory has (`statvfs`), and how much of it the directory takes.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use broker_kafka::broker::LogDir;

/// Bytes of the file system that holds the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// What the files of the data directory take, preallocated blocks included.
    pub used_bytes: u64,
    /// What this process may still take.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// # Errors
/// I/O errors, but for files that are gone by the time they are looked at.
pub(crate) fn of(data_dir: &Path) -> io::Result<DiskSpace> {
    let space = rustix::fs::statvfs(data_dir)?;
    Ok(DiskSpace {
        used_bytes: used(data_dir)?,
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
    })
}

fn used(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => used(&entry.path())?,
            // Blocks of 512 bytes, whatever the file system's are (stat(2)).
            Ok(found) => found.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// The data directory as DescribeLogDirs shows it.
pub(crate) fn log_dir(data_dir: &Path) -> LogDir {
    let space = rustix::fs::statvfs(data_dir);
    let bytes =
        |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX);
    LogDir {
        path: data_dir.display().to_string(),
        total_bytes: space.as_ref().map_or(-1, |space| bytes(space.f_blocks, space.f_frsize)),
        usable_bytes: space.as_ref().map_or(-1, |space| bytes(space.f_bavail, space.f_frsize)),
    }
}
