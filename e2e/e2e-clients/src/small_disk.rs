//! A small file system that a test may fill: ext4 in a file on a loop device, or, where there is no loop device, tmpfs.
//!
//! Mounting needs root. The file system is gone with the value.

use crate::process;
use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Making and mounting 100 MiB on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A mounted file system of its own.
#[derive(Debug)]
pub struct SmallDisk {
    /// Holds the mount point and the image.
    dir: PathBuf,
    /// `ext4` or `tmpfs`.
    pub kind: &'static str,
}

impl SmallDisk {
    /// Makes and mounts a file system of `mebibytes`.
    ///
    /// # Errors
    /// With what the operating system said, when neither kind can be mounted.
    pub fn mount(name: &str, mebibytes: u64) -> Result<Self, String> {
        let dir = empty_mount_point(name)?;
        match mount_ext4(&dir, mebibytes) {
            Ok(()) => Ok(Self { dir, kind: "ext4" }),
            Err(no_ext4) => {
                mount_tmpfs(&dir, mebibytes)
                    .map_err(|no_tmpfs| format!("{no_ext4}; {no_tmpfs}"))?;
                Ok(Self { dir, kind: "tmpfs" })
            }
        }
    }

    /// The same in memory: there a file of many blocks takes them one by one, also while another file does.
    ///
    /// # Errors
    /// With what the operating system said.
    pub fn mount_in_memory(name: &str, mebibytes: u64) -> Result<Self, String> {
        let dir = empty_mount_point(name)?;
        mount_tmpfs(&dir, mebibytes)?;
        Ok(Self { dir, kind: "tmpfs" })
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join("mounted")
    }

    /// Takes every free block, for a file whose name begins with `ballast`.
    ///
    /// # Errors
    /// Any but that there is no space left.
    pub fn take_the_rest(&self) -> Result<(), String> {
        let path = self.path().join("ballast-rest");
        let mut file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        // What fails large may fit small.
        for bytes in [1 << 20, 1 << 12, 1] {
            let filler = vec![0; bytes];
            loop {
                match file.write_all(&filler).and_then(|()| file.sync_data()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(format!("{}: {error}", path.display())),
                }
            }
        }
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that was killed a moment ago may still hold a file: the lazy form waits for it.
        let _gone = run(&self.dir, "umount", &["--lazy", "mounted"]);
        let _removed = fs::remove_dir_all(&self.dir);
    }
}

fn empty_mount_point(name: &str) -> Result<PathBuf, String> {
    let dir = env::temp_dir().join(format!("lumadb-disk-{name}-{}", std::process::id()));
    let _absent = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("mounted")).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}

fn mount_tmpfs(dir: &Path, mebibytes: u64) -> Result<(), String> {
    let size = format!("size={mebibytes}m");
    run(dir, "mount", &["-t", "tmpfs", "-o", &size, "tmpfs", "mounted"])
}

fn mount_ext4(dir: &Path, mebibytes: u64) -> Result<(), String> {
    let image = dir.join("image");
    let file = File::create(&image).map_err(|e| format!("{}: {e}", image.display()))?;
    file.set_len(mebibytes << 20).map_err(|e| format!("{}: {e}", image.display()))?;
    // Without blocks reserved for root, which would not be full when others find it so.
    run(dir, "mkfs.ext4", &["-q", "-F", "-m", "0", "image"])?;
    run(dir, "mount", &["-o", "loop", "image", "mounted"])
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    // Where administrators' programs are, which is not on everyone's path.
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.current_dir(dir).args(arguments).env("PATH", path);
    let (status, _, err) = process::run(&mut command, dir, program, DEADLINE)?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {}", err.trim())) }
}
