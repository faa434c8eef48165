//! Waits until nobody works in the background, so that no round pays for the one before it.
//!
//! A peer deletes a topic's files a second after it was told to, and the kernel writes cached pages back when it
//! likes. On a file system that is mounted with `discard`, removing 64 MiB holds up every write on the device for some
//! 45 ms: in the round of whoever comes next.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// How long no peer may create or remove a file. Sizes say nothing: Kafka's metadata log grows while it idles.
const STILL_FOR: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longer than any peer takes to remove what it was told to: Kafka begins half a minute after its start.
const PATIENCE: Duration = Duration::from_secs(90);
/// How Kafka names the directory of a topic that it still has to remove.
const KAFKA_DELETED: &str = "-delete";

/// Waits until no file under `dir` comes or goes and everything written is on the device.
///
/// # Errors
/// When they do not within [`PATIENCE`], or the file system cannot be written back.
pub(crate) fn wait(dir: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut before, mut since) = (files(dir), Instant::now());
    while since.elapsed() < STILL_FOR {
        ensure!(
            begun.elapsed() < PATIENCE,
            "files under {} come and go although nobody uses them",
            dir.display()
        );
        std::thread::sleep(LOOK_EVERY);
        let now = files(dir);
        if !now.keys().eq(before.keys()) || now.keys().any(|path| deleted(path)) {
            (before, since) = (now, Instant::now());
        }
    }
    rustix::fs::syncfs(File::open(dir)?).context("cannot write the file system back")
}

fn deleted(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.to_string_lossy().ends_with(KAFKA_DELETED))
}

/// Sizes of all files under `dir`, in bytes.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        // Directories and files may be removed while they are looked at.
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => left.push(entry.path()),
                Ok(meta) => drop(found.insert(entry.path(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found
}
