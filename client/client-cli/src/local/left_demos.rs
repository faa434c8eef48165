//! What `lumadb demo` leaves behind when it is killed: its directory, with a lock file that nobody holds.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// How the names of demos' directories begin.
pub const DEMO_DIR_PREFIX: &str = "lumadb-demo-";

/// The file by which a demo's directory is known from any other of such a name: a copy of one, or a server's.
const DEMO_MARK: &str = ".demo";

/// Marks `dir` as the demo's own, to be removed with everything in it.
///
/// # Errors
/// When the mark cannot be written.
pub fn mark_demo(dir: &Path) -> std::io::Result<()> {
    let name = dir.file_name().unwrap_or_default();
    std::fs::write(dir.join(DEMO_MARK), name.as_encoded_bytes())
}

/// Removes the directories in `parent` of this user's demos that were killed; a line for each. Those of running demos, and of
/// such as begin just now, stay.
pub fn remove_left_demos(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let demos = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with(DEMO_DIR_PREFIX))
    });
    demos.filter_map(|entry| remove(&entry.path())).collect()
}

fn remove(dir: &Path) -> Option<String> {
    // Held until the directory is gone.
    let _lock = abandoned(dir)?;
    Some(match std::fs::remove_dir_all(dir) {
        Ok(()) => format!("removed {}, which a killed demo left", dir.display()),
        Err(error) => {
            format!("a killed demo left {}, which cannot be removed: {error}", dir.display())
        }
    })
}

/// The lock of a directory whose demo has ended. `None` for one that runs, that has not written its pid yet, that is another
/// user's, and for whatever else has such a name: it is marked with the name it was given.
fn abandoned(dir: &Path) -> Option<File> {
    let own = rustix::process::geteuid().as_raw();
    // Not through a link: what it points to is no demo's.
    let found = std::fs::symlink_metadata(dir).ok()?;
    if !found.is_dir() || found.uid() != own {
        return None;
    }
    let mark = std::fs::read(dir.join(DEMO_MARK)).ok()?;
    if mark != dir.file_name()?.as_encoded_bytes() {
        return None;
    }
    let lock = OpenOptions::new().read(true).write(true).open(dir.join("lock")).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    (lock.metadata().ok()?.len() > 0).then_some(lock)
}
