//! What the block device beneath a directory needs for a write to be durable.
//!
//! A device without a volatile cache, or with forced unit access, makes a write durable in one command. Any other needs
//! a flush after it, which Linux sends from a kernel worker when the write is asynchronous (`iomap_dio_bio_end_io`): the
//! worker runs on the processor of the interrupt and waits its turn there. A blocking write sends the flush itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether a synced write to files of `dir` needs a flush of the device; `true` when that cannot be found out.
pub(crate) fn needs_flush(dir: &Path) -> bool {
    let Ok(metadata) = fs::metadata(dir) else { return true };
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    // A partition has no queue of its own.
    let queues = [device.join("queue"), device.join("../queue")];
    let attribute = |name: &str| queues.iter().find_map(|q| fs::read_to_string(q.join(name)).ok());
    flush_needed(attribute("write_cache").as_deref(), attribute("fua").as_deref())
}

fn flush_needed(write_cache: Option<&str>, fua: Option<&str>) -> bool {
    let trimmed = |text: Option<&str>| text.map(|text| text.trim().to_owned());
    trimmed(write_cache).as_deref() != Some("write through") && trimmed(fua).as_deref() != Some("1")
}

#[cfg(test)]
mod tests {
    use super::flush_needed;

    #[test]
    fn only_a_device_that_says_so_needs_no_flush() {
        assert!(!flush_needed(Some("write through\n"), Some("0\n")));
        assert!(!flush_needed(Some("write back\n"), Some("1\n")));
        assert!(flush_needed(Some("write back\n"), Some("0\n")));
        assert!(flush_needed(None, None));
    }
}
