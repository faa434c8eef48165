//! The production back end on Linux: glommio, three io_uring rings per core.
//!
//! Invariants:
//! - The time slice is `Options::preempt`, and the latency queue asks for the same. Tasks yield on their own.
//! - glommio's own blocking pool is never used; what blocks runs on the crate's [`DiskPool`].
//! - A heartbeat bounds every sleep; see [`heartbeat`] for the defect it covers.
//! - The executor is built before the thread is pinned, so that no helper thread inherits the processor.
//! - Every spawned task is wrapped, so that at the end all are dropped while the executor still runs: dropping an
//!   executor with live tasks may panic.

mod disk;
mod heartbeat;
mod memory;
mod net;
mod tasks;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use glommio::{
    Latency, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle,
};
use log_io::{Clock, Disk, LocalFuture, Random};

use crate::clock::{SystemClock, SystemRandom};
use crate::cores::{CoreStart, pin_this_thread};
use crate::facade::{Connection, Listener, Queue, Runtime};
use crate::pool::DiskPool;

use memory::Home;
use tasks::Tasks;

/// Entries of each ring; more operations in flight wait inside glommio.
const RING_DEPTH: usize = 256;

/// Shares of processor time when both queues are busy.
const SHARES_LATENCY: usize = 1000;
const SHARES_BACKGROUND: usize = 200;

/// Turns given to cancelled tasks to end; each ends in its first.
const END_TURNS_MAX: usize = 1000;

fn build(io_memory_bytes: usize, preempt: Duration) -> io::Result<LocalExecutor> {
    LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(io_memory_bytes)
        .ring_depth(RING_DEPTH)
        .preempt_timer(preempt)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(io_error)
}

/// Builds an executor as a core does and lets it run once.
pub(crate) fn trial() -> io::Result<()> {
    // A long time slice: there is no heartbeat here, see that module.
    let executor = build(0, Duration::from_secs(1))?;
    executor.run(glommio::timer::sleep(Duration::from_micros(1)));
    Ok(())
}

/// Runs one core on the calling thread until its main future ends.
pub(crate) fn run(start: &CoreStart) -> io::Result<()> {
    let executor = build(start.options.io_memory_bytes, start.options.preempt)?;
    if let Some(cpu) = start.cpu {
        pin_this_thread(cpu)?;
    }
    if !start.ready() {
        return Ok(());
    }
    let home = Home::of_this_thread();
    let tasks = Rc::new(Tasks::default());
    executor.run(run_main(start, Arc::clone(&home), Rc::clone(&tasks)));
    home.close();
    if tasks.live() > 0 {
        // A task that blocks its own end; its memory is worth less than a panic.
        std::mem::forget(executor);
    }
    Ok(())
}

async fn run_main(start: &CoreStart, home: Arc<Home>, tasks: Rc<Tasks>) {
    let executor = glommio::executor();
    let latency = executor.create_task_queue(
        Shares::Static(SHARES_LATENCY),
        Latency::Matters(start.options.preempt),
        "latency",
    );
    let background = executor.create_task_queue(
        Shares::Static(SHARES_BACKGROUND),
        Latency::NotImportant,
        "background",
    );
    let runtime = Rc::new(UringRuntime {
        clock: Rc::new(SystemClock),
        random: Rc::new(SystemRandom::new()),
        pool: Arc::clone(&start.pool),
        home,
        tasks: Rc::clone(&tasks),
        latency,
        background,
    });
    runtime.spawn(Queue::Latency, "heartbeat", Box::pin(heartbeat::run()));
    let (main, core) = (Arc::clone(&start.main), start.core);
    let main = glommio::spawn_local_into(async move { main(core, runtime).await }, latency);
    match main {
        Ok(main) => main.await,
        Err(error) => panic!("the latency queue exists: {error}"),
    }
    tasks.cancel();
    for _ in 0..END_TURNS_MAX {
        // Also lets the reactor see the operations that the dropped tasks have cancelled.
        glommio::executor().yield_task_queue_now().await;
        if tasks.live() == 0 {
            break;
        }
    }
}

struct UringRuntime {
    clock: Rc<dyn Clock>,
    random: Rc<dyn Random>,
    pool: Arc<DiskPool>,
    home: Arc<Home>,
    tasks: Rc<Tasks>,
    latency: TaskQueueHandle,
    background: TaskQueueHandle,
}

impl Runtime for UringRuntime {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.clock)
    }

    fn random(&self) -> Rc<dyn Random> {
        Rc::clone(&self.random)
    }

    fn spawn(&self, queue: Queue, _name: &'static str, task: LocalFuture<'static, ()>) {
        let queue = match queue {
            Queue::Latency => self.latency,
            Queue::Background => self.background,
        };
        match glommio::spawn_local_into(self.tasks.wrap(task), queue) {
            Ok(task) => drop(task.detach()),
            Err(error) => panic!("both queues live as long as the executor: {error}"),
        }
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(glommio::timer::sleep(duration))
    }

    fn yield_now(&self) -> LocalFuture<'static, ()> {
        Box::pin(async { glommio::executor().yield_task_queue_now().await })
    }

    fn need_preempt(&self) -> bool {
        glommio::executor().need_preempt()
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Rc<dyn Listener>> {
        Ok(Rc::new(net::UringListener::bind(addr)?))
    }

    fn connect(&self, addr: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>> {
        Box::pin(net::connect(addr))
    }

    fn disk(&self, dir: &Path) -> io::Result<Rc<dyn Disk>> {
        disk::open(&self.pool, &self.home, dir)
    }
}

/// The system's error without glommio's wrapping, so that kind and number stay what callers expect.
fn io_error(error: glommio::GlommioError<()>) -> io::Error {
    match error {
        glommio::GlommioError::EnhancedIoError { source, .. } => source,
        error => error.into(),
    }
}
