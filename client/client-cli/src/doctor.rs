//! `lumadb doctor`: what this machine offers, each point with its fix; exit 9 when something is wrong.
//!
//! Three grades: `ok`, `warn` (it works, slower or with less room), `fail` (the server will not work).

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use config_schema::load;
use rustix::process::{Resource, getrlimit};
use serde_json::json;

use crate::args::DoctorArgs;
use crate::config::sources;
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows};
use crate::local::default_data_dir;
use crate::run::Server;
use crate::terminal::Terminal;

/// Before Linux 5.12 a ring counts against this limit, in bytes.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
/// Descriptors below this are soon used up by connections.
const OPEN_FILES_MIN: u64 = 4096;
/// A clock before this (2024-01-01) was never set.
const CLOCK_MS_MIN: i64 = 1_704_067_200_000;

struct Check {
    name: &'static str,
    grade: &'static str,
    found: String,
    fix: String,
}

fn check(
    name: &'static str,
    grade: &'static str,
    found: impl Into<String>,
    fix: impl Into<String>,
) -> Check {
    Check { name, grade, found: found.into(), fix: fix.into() }
}

pub(crate) fn run(
    args: &DoctorArgs,
    format: Format,
    server: &dyn Server,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => configured_dir(args, terminal.env)?,
    };
    let checks =
        [io_uring(server), memlock(), open_files(), clock(), file_system(&dir), write_test(&dir)];
    let mut rows = Rows::new(&["check", "result", "found", "fix"]);
    for one in &checks {
        rows.push(vec![json!(one.name), json!(one.grade), json!(one.found), json!(one.fix)]);
    }
    rows.print(if args.json { Format::Json } else { format }, terminal)?;
    match checks.iter().filter(|one| one.grade == "fail").count() {
        0 => Ok(()),
        failed => Err(Failure::new(
            Exit::Unhealthy,
            format!("{failed} of {} checks failed", checks.len()),
        )),
    }
}

fn configured_dir(args: &DoctorArgs, env: fn(&str) -> Option<String>) -> Result<PathBuf, Failure> {
    let loaded = load(&sources(&args.config)?)?;
    match loaded.config.node.data_dir.as_str() {
        "" => default_data_dir(env),
        dir => Ok(PathBuf::from(dir)),
    }
}

fn io_uring(server: &dyn Server) -> Check {
    match server.probe_io_uring() {
        Ok(()) => check("io_uring", "ok", format!("works on Linux {}", kernel()), ""),
        Err(reason) => check(
            "io_uring",
            "warn",
            reason,
            "the epoll reactor is used; in a container allow the io_uring system calls, else check kernel.io_uring_disabled",
        ),
    }
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn memlock() -> Check {
    let limit = getrlimit(Resource::Memlock).current;
    let found = format!("{} bytes", limit_text(limit));
    if limit.is_none_or(|bytes| bytes >= MEMLOCK_BYTES_MIN) {
        return check("memlock", "ok", found, "");
    }
    check(
        "memlock",
        "warn",
        found,
        "before Linux 5.12 io_uring wants 512 KiB per core: ulimit -l unlimited, or LimitMEMLOCK=infinity",
    )
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile).current;
    if limit.is_none_or(|files| files >= OPEN_FILES_MIN) {
        return check("open_files", "ok", limit_text(limit), "");
    }
    check("open_files", "warn", limit_text(limit), "ulimit -n 65536, or LimitNOFILE=1048576")
}

fn clock() -> Check {
    let now = crate::connect::now_ms();
    if now >= CLOCK_MS_MIN {
        return check("clock", "ok", format!("{now} ms since 1970"), "");
    }
    check(
        "clock",
        "fail",
        format!("{now} ms since 1970"),
        "set the system clock: records carry its time",
    )
}

/// The nearest directory that exists, so that nothing is created by looking.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or_else(|| Path::new("."))
}

/// File systems by their magic number (`statfs(2)`), and whether they hold a database.
fn file_system(dir: &Path) -> Check {
    if dir.exists() && !dir.is_dir() {
        let found = format!("{} is not a directory", dir.display());
        return check("file_system", "fail", found, "name another with --data-dir");
    }
    let stat = match rustix::fs::statfs(existing(dir)) {
        Ok(stat) => stat,
        Err(error) => {
            return check("file_system", "fail", error.to_string(), "name another with --data-dir");
        }
    };
    let free = stat.f_bavail.saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0));
    let (name, grade, fix) = match stat.f_type {
        0xef53 => ("ext4", "ok", ""),
        0x5846_5342 => ("xfs", "ok", ""),
        0x9123_683e => {
            ("btrfs", "warn", "copy on write undoes preallocation: chattr +C on the directory")
        }
        0x0102_1994 => {
            ("tmpfs", "warn", "data is lost at the next boot: choose a directory on a disk")
        }
        0x794c_7630 => ("overlayfs", "warn", "data goes with the container: mount a volume"),
        0x6969 => ("nfs", "fail", "its syncs are not a disk's: choose a local directory"),
        _ => ("unknown", "warn", "only ext4 and xfs are tested"),
    };
    check(
        "file_system",
        grade,
        format!("{name}, {free} bytes free at {}", existing(dir).display()),
        fix,
    )
}

/// Writes one block past the page cache and syncs it, in a file that is gone afterwards.
fn write_test(dir: &Path) -> Check {
    const BLOCK: usize = 4096;
    let path = existing(dir).join(format!(".lumadb-doctor-{}", std::process::id()));
    // A slice of an over-long buffer begins at a multiple of the block, as O_DIRECT demands.
    let buffer = vec![0u8; 2 * BLOCK];
    let start = buffer.as_ptr().align_offset(BLOCK).min(BLOCK);
    let block = &buffer[start..start + BLOCK];
    let write = |flags: rustix::fs::OFlags| -> std::io::Result<()> {
        let flags = i32::try_from(flags.bits()).map_err(std::io::Error::other)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).custom_flags(flags).open(&path)?;
        file.write_all(block)?;
        file.sync_data()
    };
    let direct = write(rustix::fs::OFlags::DIRECT);
    let checked = match direct {
        Ok(()) => check(
            "direct_io",
            "ok",
            format!("4 KiB written and synced in {}", existing(dir).display()),
            "",
        ),
        Err(refused) => match write(rustix::fs::OFlags::empty()) {
            Ok(()) => check(
                "direct_io",
                "warn",
                format!("O_DIRECT refused ({refused}), buffered writes work"),
                "choose a directory on ext4 or xfs",
            ),
            Err(error) => {
                check("direct_io", "fail", error.to_string(), "name another with --data-dir")
            }
        },
    };
    // It may never have been created.
    let _ = std::fs::remove_file(&path);
    checked
}
