//! The parts of a server's start that need no server: data directory, its lock, listeners, the ready file.
//!
//! Invariants:
//! - The lock is an advisory lock of the kernel on an open file, so a killed process leaves nothing behind; the pid
//!   inside is for the message only.
//! - The ready file appears whole or not at all.
//! - A port that nobody chose may move to the next free one; a chosen one never does.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::exit::{Exit, Failure};

/// How many ports beyond the default are tried.
pub const PORTS_TRIED_MAX: u16 = 100;

/// Keeps other servers out of a data directory until it is dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Creates the directory when missing and locks it for this process.
///
/// # Errors
/// `Conflict` naming the pid that holds it; `NotPermitted` or `Failed` when the directory cannot be used.
pub fn lock_data_dir(dir: &Path) -> Result<DataDirLock, Failure> {
    let failed = |error: std::io::Error| {
        let exit = if error.kind() == ErrorKind::PermissionDenied {
            Exit::NotPermitted
        } else {
            Exit::Failed
        };
        Failure::new(exit, format!("cannot use data directory {}: {error}", dir.display()))
            .hint("name another with --data-dir DIR")
    };
    if dir.exists() && !dir.is_dir() {
        return Err(failed(ErrorKind::NotADirectory.into()));
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(failed(error.into()));
        }
        let mut pid = String::new();
        // The holder may be writing it just now; the message does without.
        let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut pid);
        let message =
            format!("data directory {} is already in use by pid {}", dir.display(), pid.trim());
        return Err(Failure::new(Exit::Conflict, message)
            .hint("stop that server or name another --data-dir"));
    }
    // Over the block that it has: on a full disk an emptied file would not get another.
    let pid = format!("{}\n", std::process::id());
    file.rewind().map_err(failed)?;
    file.write_all(pid.as_bytes()).map_err(failed)?;
    file.set_len(pid.len() as u64).map_err(failed)?;
    Ok(DataDirLock { _file: file })
}

/// Why a listener cannot be bound.
#[derive(Debug)]
pub struct PortError {
    /// The configuration's name of the address, such as `kafka.addr`.
    pub key: &'static str,
    pub addr: SocketAddr,
    pub error: std::io::Error,
}

/// Binds `addr`. When it is busy and `chosen` is false, takes the next free port above it; the flag tells.
///
/// # Errors
/// [`PortError`] when a chosen address cannot be bound, or no port near the default is free.
pub fn bind_listener(
    key: &'static str,
    addr: SocketAddr,
    chosen: bool,
) -> Result<(TcpListener, bool), PortError> {
    let mut tried = addr;
    for step in 0..=PORTS_TRIED_MAX {
        match TcpListener::bind(tried) {
            Ok(listener) => return Ok((listener, step > 0)),
            Err(error)
                if error.kind() == ErrorKind::AddrInUse && !chosen && step < PORTS_TRIED_MAX =>
            {
                let Some(next) = tried.port().checked_add(1) else {
                    return Err(PortError { key, addr, error });
                };
                tried.set_port(next);
            }
            Err(error) => return Err(PortError { key, addr, error }),
        }
    }
    Err(PortError { key, addr, error: ErrorKind::AddrInUse.into() })
}

impl From<PortError> for Failure {
    fn from(failed: PortError) -> Self {
        let PortError { key, addr, error } = failed;
        let flag = key.strip_suffix(".addr").unwrap_or(key);
        let another =
            format!("choose another address with --{flag} ADDR ({key}), or port 0 for a free one");
        if error.kind() != ErrorKind::AddrInUse {
            return Self::usage(format!("cannot listen on {addr} ({key}): {error}")).hint(another);
        }
        let message = format!("cannot listen on {addr} ({key}): port {} is in use", addr.port());
        match port_owner::find(addr.port()) {
            Some(owner) => Self::usage(format!("{message} by {owner}"))
                .hint(format!("stop that process, or {another}")),
            None => Self::usage(message).hint(another),
        }
    }
}

/// Writes the bound addresses as JSON: a temporary file beside `path`, synced, then renamed over it.
///
/// # Errors
/// `Failed`, naming the file.
pub fn write_ready_file(path: &Path, addrs: &[(&str, SocketAddr)]) -> Result<(), Failure> {
    let map: serde_json::Map<String, serde_json::Value> =
        addrs.iter().map(|(name, addr)| ((*name).to_owned(), addr.to_string().into())).collect();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        writeln!(file, "{}", serde_json::Value::Object(map))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The failure to report is the first one.
        let _ = std::fs::remove_file(&temporary);
        Failure::new(Exit::Failed, format!("cannot write ready file {}: {error}", path.display()))
    })
}

/// Tells the service manager that clients are served: `READY=1` to the socket that `$NOTIFY_SOCKET` names, a path or, after
/// an `@`, an abstract name (`sd_notify(3)`).
///
/// # Errors
/// `Failed`, naming the socket.
pub fn notify_ready(socket: &str) -> Result<(), Failure> {
    let address = match socket.strip_prefix('@') {
        Some(name) => UnixAddr::from_abstract_name(name),
        None => UnixAddr::from_pathname(socket),
    };
    let sent =
        address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address));
    sent.map(drop).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot tell {socket} that clients are served: {error}"))
    })
}

/// The data directory when nobody names one, from the environment's `STATE_DIRECTORY`, `XDG_DATA_HOME` and `HOME`.
///
/// # Errors
/// `Usage` when none of them is set.
pub fn default_data_dir(env: impl Fn(&str) -> Option<String>) -> Result<PathBuf, Failure> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    // systemd separates several state directories by colons; the first is ours.
    if let Some(state) = set("STATE_DIRECTORY") {
        return Ok(PathBuf::from(state.split(':').next().unwrap_or(&state)));
    }
    if let Some(data) = set("XDG_DATA_HOME") {
        return Ok(Path::new(&data).join("lumadb"));
    }
    let home = set("HOME").ok_or_else(|| {
        Failure::usage("no data directory: HOME is not set").hint("give --data-dir DIR")
    })?;
    Ok(Path::new(&home).join(".local/share/lumadb"))
}

pub use left_demos::{DEMO_DIR_PREFIX, mark_demo, remove_left_demos};

mod left_demos;
mod port_owner;

#[cfg(test)]
mod tests;
