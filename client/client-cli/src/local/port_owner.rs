//! Which process listens on a port, as far as this one may look: `/proc/net/tcp` gives the socket, `/proc/PID/fd` its owner
//! (`proc(5)`). On systems without them nobody is found.

use std::fs;

/// The state of a socket that listens, as `/proc/net/tcp` writes it.
const LISTEN: &str = "0A";

/// `pid 123 (name)`.
pub(super) fn find(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let sockets: Vec<String> = tables
        .into_iter()
        .flatten()
        .flat_map(|table| table.lines().filter_map(|line| listener(line, port)).collect::<Vec<_>>())
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut numbers = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let pid = numbers.find(|pid| holds(pid, &sockets))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("pid {pid} ({})", name.trim()))
}

/// The link text of the socket when the line of the table is one that listens on `port`.
fn listener(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (_, local) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let found = u16::from_str_radix(local, 16).ok()? == port && state == LISTEN;
    found.then(|| format!("socket:[{inode}]"))
}

fn holds(pid: &str, sockets: &[String]) -> bool {
    // Another user's process does not show its files.
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| {
        target.to_str().is_some_and(|target| sockets.iter().any(|socket| socket == target))
    })
}
