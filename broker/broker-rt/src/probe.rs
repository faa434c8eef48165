//! Whether io_uring works here, found out without glommio, which panics or exits where it does not.
//!
//! Invariants:
//! - Every reason for which glommio would end the process is met by a check before it is started: the system call
//!   refused (container seccomp profiles, `kernel.io_uring_disabled`), operations missing, memlock too small.
//! - The last check runs glommio itself in a thread of its own, so that even a panic is only a reason.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

/// What glommio insists on, in bytes.
const MEMLOCK_MIN: u64 = 512 << 10;

/// The operations glommio 0.9.0 insists on, as numbered in `linux/io_uring.h`: NOP, READV, WRITEV, FSYNC, READ_FIXED,
/// WRITE_FIXED, POLL_ADD, POLL_REMOVE, SENDMSG, RECVMSG, TIMEOUT, TIMEOUT_REMOVE, ACCEPT, LINK_TIMEOUT, CONNECT,
/// FALLOCATE, OPENAT, CLOSE, STATX, READ, WRITE, SEND, RECV.
const OPS_NEEDED: [u8; 23] =
    [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 21, 22, 23, 26, 27];

const REGISTER_PROBE: libc::c_uint = 8;
const OP_SUPPORTED: u16 = 1;
const PROBE_OPS: usize = 64;

/// # Errors
/// The reason, for a person.
pub(crate) fn io_uring_works() -> Result<(), String> {
    memlock_suffices()?;
    let ring = set_up_ring()?;
    operations_suffice(&ring)?;
    drop(ring);
    let trial =
        thread::Builder::new().name("luma-io-uring-probe".to_owned()).spawn(crate::uring::trial);
    match trial.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) | Err(error) => Err(format!("a trial executor failed: {error}")),
        Ok(Err(_)) => Err("a trial executor panicked".to_owned()),
    }
}

#[expect(unsafe_code, reason = "resource limits have no safe interface in std")]
fn memlock_suffices() -> Result<(), String> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit to a valid place.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(format!("cannot read the memlock limit: {}", io::Error::last_os_error()));
    }
    if limit.rlim_cur < MEMLOCK_MIN {
        return Err(format!(
            "the memlock limit is {} bytes, {MEMLOCK_MIN} are needed (raise `ulimit -l`)",
            limit.rlim_cur
        ));
    }
    Ok(())
}

/// The first 120 bytes of `struct io_uring_params`; a probe looks at none of them.
#[repr(C, align(8))]
struct Params([u8; 120]);

#[expect(unsafe_code, reason = "io_uring_setup has no wrapper")]
fn set_up_ring() -> Result<OwnedFd, String> {
    let mut params = Params([0; 120]);
    // SAFETY: `params` is a zeroed io_uring_params of the size the kernel reads and writes.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, &raw mut params) };
    if fd < 0 {
        return Err(refusal(&io::Error::last_os_error()));
    }
    let fd = libc::c_int::try_from(fd).map_err(|_| "the kernel gave no descriptor".to_owned())?;
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn refusal(error: &io::Error) -> String {
    let disabled =
        std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has no io_uring, or the container hides it".to_owned(),
        Some(libc::EPERM) if matches!(disabled.trim(), "1" | "2") => {
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

#[repr(C)]
#[derive(Clone, Copy)]
struct ProbeOp {
    op: u8,
    reserved: u8,
    flags: u16,
    reserved_2: u32,
}

/// `struct io_uring_probe` with its operations.
#[repr(C)]
struct Probe {
    last_op: u8,
    ops_len: u8,
    reserved: u16,
    reserved_2: [u32; 3],
    ops: [ProbeOp; PROBE_OPS],
}

#[expect(unsafe_code, reason = "io_uring_register has no wrapper")]
fn operations_suffice(ring: &OwnedFd) -> Result<(), String> {
    let none = ProbeOp { op: 0, reserved: 0, flags: 0, reserved_2: 0 };
    let mut probe =
        Probe { last_op: 0, ops_len: 0, reserved: 0, reserved_2: [0; 3], ops: [none; PROBE_OPS] };
    // SAFETY: `probe` is zeroed, as the kernel demands, and has room for the number of operations passed.
    let status = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_PROBE,
            &raw mut probe,
            PROBE_OPS,
        )
    };
    if status != 0 {
        return Err(format!(
            "the kernel is too old to list its operations ({}); 5.8 is needed",
            io::Error::last_os_error()
        ));
    }
    let supported =
        |op: u8| op < probe.ops_len && probe.ops[usize::from(op)].flags & OP_SUPPORTED != 0;
    match OPS_NEEDED.into_iter().find(|op| !supported(*op)) {
        None => Ok(()),
        Some(op) => Err(format!("the kernel lacks io_uring operation {op}; 5.8 is needed")),
    }
}
