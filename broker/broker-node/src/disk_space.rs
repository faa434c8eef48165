//! How much room the file system under the data directory has (`statvfs`).

use std::path::Path;

use broker_kafka::broker::LogDir;

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
