//! The process as the kernel sees it, from `/proc/self`; what cannot be read is left out.

/// Linux reports times to user space in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) max_fds: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// (number of the core, CPU seconds of its thread), by number.
    pub(crate) cores: Vec<(u32, f64)>,
}

/// What `broker-rt` calls the thread of a core, before its number.
const CORE_THREAD: &str = "luma-core-";

impl Process {
    pub(crate) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let open =
            std::fs::read_dir("/proc/self/fd").ok().and_then(|fds| u64::try_from(fds.count()).ok());
        Self {
            open_fds: open,
            cores: cores(),
            ..Self::parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
            )
        }
    }

    fn parse(stat: &str, status: &str, limits: &str) -> Self {
        let kib = |name: &str| status_field(status, name).and_then(|kib| kib.checked_mul(1024));
        let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_seconds: cpu_seconds(stat),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            open_fds: None,
            max_fds: open_files.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            threads: status_field(status, "Threads:"),
            cores: Vec::new(),
        }
    }
}

fn cores() -> Vec<(u32, f64)> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let text = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let core = |thread: std::fs::DirEntry| {
        let core = core_of(&text(thread.path().join("comm")))?;
        Some((core, cpu_seconds(&text(thread.path().join("stat")))?))
    };
    let mut cores: Vec<_> = threads.filter_map(core).collect();
    cores.sort_unstable_by_key(|(core, _)| *core);
    // Tests run several nodes in one process; a page has one sample for each core.
    cores.dedup_by_key(|(core, _)| *core);
    cores
}

/// The core that a thread of this name runs.
fn core_of(comm: &str) -> Option<u32> {
    comm.trim_end().strip_prefix(CORE_THREAD)?.parse().ok()
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of a `stat`, counted after the command, which may itself hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_command) = stat.rsplit_once(')')?;
    let mut fields = after_command.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests;
