//! What the kernel says of a server's process: CPU time, memory, bytes written.
//!
//! Invariants:
//! - Only processes that this harness started are looked at.
//! - CPU time is that of the process with all its threads and its waited-for children; ticks are 10 ms.
//!
//! Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_io(5).

use std::fs;

use anyhow::Context as _;

/// `USER_HZ` of Linux: the unit of the times in `/proc/PID/stat`, fixed in its interface.
const TICKS_PER_S: f64 = 100.0;

/// A reading of the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    /// Bytes that went to the block layer, page cache write-back included.
    pub(crate) written_bytes: f64,
    pub(crate) read_bytes: f64,
}

impl Usage {
    /// # Errors
    /// When the process is gone.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        Ok(Self {
            cpu_s: cpu_s(pid)?,
            written_bytes: field(&io, "write_bytes:").unwrap_or(f64::NAN),
            read_bytes: field(&io, "read_bytes:").unwrap_or(f64::NAN),
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            written_bytes: self.written_bytes - before.written_bytes,
            read_bytes: self.read_bytes - before.read_bytes,
        }
    }
}

/// # Errors
/// When the process is gone.
pub(crate) fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The second field is the name in parentheses, which may hold anything.
    let rest = stat.rsplit_once(')').context("no name in stat")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // utime, stime, cutime, cstime are fields 14 to 17; `rest` starts with the third.
    let ticks = fields.iter().skip(11).take(4).filter_map(|text| text.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS_PER_S)
}

/// Current and peak resident memory in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn memory_mib(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let kib = |name| field(&status, name).unwrap_or(f64::NAN) / 1024.0;
    Ok((kib("VmRSS:"), kib("VmHWM:")))
}

fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Binds the calling thread, and the threads and processes it starts from now on, to one processor.
///
/// # Errors
/// When the process may not run there.
pub(crate) fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("cannot pin to processor {cpu}"))
}
