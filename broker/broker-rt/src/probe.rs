//! Whether io_uring works here: the system call allowed (container profiles and `kernel.io_uring_disabled` forbid it) and
//! the operations there that [`crate::ring`] uses.

use std::io;

use io_uring::{IoUring, Probe, opcode};

/// # Errors
/// The reason, for a person.
pub(crate) fn io_uring_works() -> Result<(), String> {
    let ring = IoUring::new(4).map_err(|error| refusal(&error))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| {
        format!("the kernel is too old to list its operations ({error}); 5.6 is needed")
    })?;
    let needed = [
        ("read", opcode::Read::CODE),
        ("write", opcode::Write::CODE),
        ("fsync", opcode::Fsync::CODE),
    ];
    match needed.into_iter().find(|(_, code)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((name, _)) => Err(format!("the kernel lacks io_uring's {name}; 5.6 is needed")),
    }
}

fn refusal(error: &io::Error) -> String {
    let disabled =
        std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has no io_uring, or the container hides it".to_owned(),
        Some(libc::EPERM) if !matches!(disabled.trim(), "" | "0") => {
            format!(
                "the administrator has disabled it (kernel.io_uring_disabled = {})",
                disabled.trim()
            )
        }
        Some(libc::EPERM) => {
            "the system call is not permitted, probably by the container's seccomp profile"
                .to_owned()
        }
        Some(libc::ENOMEM) => "not enough locked memory (raise `ulimit -l`)".to_owned(),
        _ => format!("io_uring_setup failed: {error}"),
    }
}
