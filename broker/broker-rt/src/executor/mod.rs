//! A core's executor: tokio on the core's thread, with the ring for files where io_uring was chosen.
//!
//! Invariants:
//! - Everything runs in one `LocalSet` per core thread; when `main` ends the set is dropped with its tasks.
//! - There is one queue: [`Queue::Background`] tasks give way only by yielding.

mod net;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use log_io::{Clock, Disk, LocalFuture, Random};
use tokio::task::LocalSet;

use crate::choose::Backend;
use crate::clock::{SystemClock, SystemRandom};
use crate::cores::{CoreStart, pin_this_thread};
use crate::disk::FileDisk;
use crate::facade::{Connection, Listener, Queue, Runtime};
use crate::pool::DiskPool;
use crate::ring::Ring;
use crate::traffic::Traffic;

/// Runs one core on the calling thread until its main future ends.
pub(crate) fn run(start: &CoreStart) -> io::Result<()> {
    if let Some(cpu) = start.cpu {
        pin_this_thread(cpu)?;
    }
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_unpark(|| AWAKE_SINCE.set(Some(Instant::now())))
        .build()?;
    let ring = match start.options.backend {
        Backend::Epoll => None,
        Backend::IoUring => Some(executor.block_on(async { Ring::new() })?),
    };
    if !start.ready() {
        return Ok(());
    }
    let runtime = Rc::new(CoreRuntime {
        clock: Rc::new(SystemClock),
        random: Rc::new(SystemRandom::new()),
        pool: Arc::clone(&start.pool),
        traffic: Arc::clone(&start.traffic),
        ring: ring.clone(),
        slice: start.options.preempt,
    });
    let tasks = LocalSet::new();
    if let Some(ring) = ring {
        tasks.spawn_local(async move {
            if let Err(error) = ring.drive().await {
                panic!("the ring for files has failed: {error}");
            }
        });
    }
    // Called inside the executor, so that it may listen or spawn before it returns its future.
    let (main, core) = (Arc::clone(&start.main), start.core);
    let main = Timed(Box::pin(async move { main(core, runtime).await }));
    executor.block_on(tasks.run_until(main));
    // Tasks hold sockets that are registered with the executor, so they go first.
    executor.block_on(async { drop(tasks) });
    executor.shutdown_background();
    Ok(())
}

struct CoreRuntime {
    clock: Rc<dyn Clock>,
    random: Rc<dyn Random>,
    pool: Arc<DiskPool>,
    traffic: Arc<Traffic>,
    ring: Option<Rc<Ring>>,
    slice: Duration,
}

thread_local! {
    /// When the running task was polled.
    static POLLED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// When this core had slept last.
    static AWAKE_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When the core of the calling thread woke up; `None` when it has not slept yet, and on other threads.
pub(crate) fn awake_since() -> Option<Instant> {
    AWAKE_SINCE.get()
}

/// Notes when each poll begins, for `need_preempt`.
struct Timed(LocalFuture<'static, ()>);

impl Future for Timed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        POLLED_AT.set(Some(Instant::now()));
        self.0.as_mut().poll(cx)
    }
}

impl Runtime for CoreRuntime {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.clock)
    }

    fn random(&self) -> Rc<dyn Random> {
        Rc::clone(&self.random)
    }

    fn spawn(&self, _queue: Queue, _name: &'static str, task: LocalFuture<'static, ()>) {
        drop(tokio::task::spawn_local(Timed(task)));
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn yield_now(&self) -> LocalFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }

    fn need_preempt(&self) -> bool {
        POLLED_AT.get().is_some_and(|at| at.elapsed() >= self.slice)
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Rc<dyn Listener>> {
        Ok(Rc::new(net::TokioListener::bind(addr)?))
    }

    fn connect(&self, addr: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>> {
        Box::pin(net::connect(addr))
    }

    fn disk(&self, dir: &Path) -> io::Result<Rc<dyn Disk>> {
        let (pool, traffic) = (Arc::clone(&self.pool), Arc::clone(&self.traffic));
        Ok(Rc::new(FileDisk::open(pool, traffic, self.ring.clone(), dir)?))
    }
}
