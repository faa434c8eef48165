//! Starts one named thread per core, each with its executor, and waits for them.
//!
//! ```text
//!  run_cores ─► thread luma-core-i: build executor ─► report ─► wait for "go" ─► main(i, runtime) ─► end
//! ```
//!
//! Invariants:
//! - No core's `main` starts before every executor is built: starting either works as a whole or is an error.
//! - A panic on a core or disk thread prints (the process's panic hook) and aborts the process.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log_io::LocalFuture;

use crate::choose::Backend;
use crate::executor;
use crate::facade::Runtime;
use crate::pool::DiskPool;
use crate::traffic::Traffic;

/// Index of a core's thread, `0..cores`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub usize);

impl fmt::Display for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What each core runs; the core stops when the future ends.
pub type CoreMain = Arc<dyn Fn(CoreId, Rc<dyn Runtime>) -> LocalFuture<'static, ()> + Send + Sync>;

/// How the cores are set up. Change the fields of [`Options::new`]'s result as needed.
#[derive(Clone, Debug)]
pub struct Options {
    /// From [`crate::choose`].
    pub backend: Backend,
    /// Threads to start, 1 to [`Options::CORES_MAX`].
    pub cores: usize,
    /// Bind each thread to one processor. Ignored when there are fewer processors than `cores`.
    pub pin: bool,
    /// Threads for blocking system calls, shared by all cores; at least 1. Without io_uring also the device queue depth.
    pub disk_threads: usize,
    /// How long a task may run before [`Runtime::need_preempt`] says so.
    pub preempt: Duration,
}

impl Options {
    /// More would exceed the shards a node may have.
    pub const CORES_MAX: usize = 1024;

    /// Unpinned, 4 disk threads, a time slice of 500 µs.
    #[must_use]
    pub fn new(backend: Backend, cores: usize) -> Self {
        Self { backend, cores, pin: false, disk_threads: 4, preempt: Duration::from_micros(500) }
    }
}

/// The running core threads. Dropping it detaches them.
pub struct Cores {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Cores {
    /// Waits until every core's main future has ended.
    ///
    /// # Errors
    /// The first error of an executor.
    pub fn join(self) -> io::Result<()> {
        let mut first = Ok(());
        for thread in self.threads {
            let ended =
                thread.join().unwrap_or_else(|_| Err(io::Error::other("core thread panicked")));
            if first.is_ok() {
                first = ended;
            }
        }
        first
    }
}

/// What a back end's thread needs.
pub(crate) struct CoreStart {
    pub(crate) core: CoreId,
    pub(crate) options: Options,
    pub(crate) cpu: Option<usize>,
    pub(crate) pool: Arc<DiskPool>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) main: CoreMain,
    gate: Gate,
}

impl CoreStart {
    /// Says that the executor stands and waits for the others; false means that one of them failed.
    pub(crate) fn ready(&self) -> bool {
        // A gone receiver means that `run_cores` has given up, and then `go` is closed too.
        let _ = self.gate.built.send(Ok(()));
        self.gate.go.recv().is_ok()
    }
}

struct Gate {
    built: mpsc::Sender<io::Result<()>>,
    go: mpsc::Receiver<()>,
}

/// Starts `options.cores` threads that each run `main`.
///
/// # Errors
/// `InvalidInput` for options out of range; otherwise why a thread or an executor could not be made, in which case
/// nothing is left running.
pub fn run_cores(options: &Options, main: CoreMain) -> io::Result<Cores> {
    check(options)?;
    let pool = DiskPool::start(options.disk_threads)?;
    let traffic = Arc::<Traffic>::default();
    let cpus = if options.pin { allowed_cpus()? } else { Vec::new() };
    let (built, built_rx) = mpsc::channel();
    let mut threads = Vec::with_capacity(options.cores);
    let mut gates = Vec::with_capacity(options.cores);
    for index in 0..options.cores {
        let (go_tx, go) = mpsc::channel();
        gates.push(go_tx);
        let start = CoreStart {
            core: CoreId(index),
            options: options.clone(),
            cpu: if cpus.len() >= options.cores { Some(cpus[index]) } else { None },
            pool: Arc::clone(&pool),
            traffic: Arc::clone(&traffic),
            main: Arc::clone(&main),
            gate: Gate { built: built.clone(), go },
        };
        threads.push(
            thread::Builder::new()
                .name(format!("luma-core-{index}"))
                .spawn(move || run_core(start))?,
        );
    }
    drop(built);
    for _ in 0..options.cores {
        // Returning drops `gates`, which ends the threads that wait there.
        built_rx.recv().map_err(|_| io::Error::other("a core thread ended while starting"))??;
    }
    for go in gates {
        // The thread waits for this message.
        let _ = go.send(());
    }
    Ok(Cores { threads })
}

fn check(options: &Options) -> io::Result<()> {
    let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if options.cores == 0 || options.cores > Options::CORES_MAX {
        return invalid(format!(
            "cannot start {} cores: allowed are 1 to {}",
            options.cores,
            Options::CORES_MAX
        ));
    }
    if options.disk_threads == 0 || options.disk_threads > 256 {
        return invalid(format!(
            "cannot start {} disk threads: allowed are 1 to 256",
            options.disk_threads
        ));
    }
    Ok(())
}

fn run_core(start: CoreStart) -> io::Result<()> {
    abort_on_panic_in_this_thread();
    let built = start.gate.built.clone();
    let result = executor::run(&start);
    if let Err(error) = &result {
        // Nobody listens any more when the error came after the start.
        let _ = built.send(Err(io::Error::new(error.kind(), error.to_string())));
    }
    result
}

thread_local! {
    static ABORTS: Cell<bool> = const { Cell::new(false) };
}

/// From now on a panic in the calling thread ends the process, after the process's own panic hook has reported it.
///
/// Executors catch panics of tasks, so the hook is the one place where none is missed.
pub(crate) fn abort_on_panic_in_this_thread() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            report(info);
            // The thread-local is gone when the thread is ending; then no task runs any more.
            if ABORTS.try_with(Cell::get).unwrap_or(false) {
                std::process::abort();
            }
        }));
    });
    ABORTS.set(true);
}

/// The processors this process may run on.
#[expect(unsafe_code, reason = "affinity masks have no safe interface in std")]
fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero cpu_set_t is valid, and the kernel writes at most the size it is given.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    let max = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: every index is below CPU_SETSIZE.
    Ok((0..max).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Binds the calling thread to `cpu`.
///
/// # Errors
/// When the process may not run there.
#[expect(unsafe_code, reason = "affinity masks have no safe interface in std")]
pub(crate) fn pin_this_thread(cpu: usize) -> io::Result<()> {
    assert!(cpu < usize::try_from(libc::CPU_SETSIZE).unwrap_or(0), "cpu {cpu} is a valid index");
    // SAFETY: an all-zero cpu_set_t is valid, `cpu` is below CPU_SETSIZE, and the kernel only reads the set.
    let status = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The shortest slice that Linux grants (`sched_setattr(2)`).
const SLICE_MIN_NS: u64 = 100_000;

/// Lets the calling thread run as soon as it wakes, though a core is busy on the same processor: since Linux 6.12 a thread
/// with a shorter slice goes first. Otherwise it waits for the end of the other's slice, some milliseconds. Older kernels
/// and systems that forbid it leave the thread as it is.
#[expect(unsafe_code, reason = "scheduling attributes have no safe interface in std")]
pub(crate) fn run_this_thread_soon() {
    // SAFETY: all zero is a valid `sched_attr`: the default policy, nice 0. The kernel only reads it.
    unsafe {
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        attributes.size = u32::try_from(size_of_val(&attributes)).unwrap_or(0);
        attributes.sched_nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        attributes.sched_runtime = SLICE_MIN_NS;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}
