//! Threads for system calls that block: directory operations, and the file I/O that no ring does (see [`crate::disk`]).
//!
//! One pool per process, started by `run_cores` and shared by its cores.
//!
//! Invariants:
//! - Jobs are taken in order of arrival; with several threads they finish in any order.
//! - The queue has no limit of its own: each entry is an awaited operation, and those are bounded by the callers.
//! - A panic inside a job aborts the process, like one on a core.
//! - Dropping the pool lets queued jobs finish and then ends the threads.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures_channel::oneshot;

use crate::cores::{abort_on_panic_in_this_thread, run_this_thread_soon};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held, and a panic aborts anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the threads; the last one dropped closes the pool.
pub(crate) struct DiskPool {
    shared: Arc<Shared>,
}

impl DiskPool {
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(threads: usize) -> io::Result<Arc<Self>> {
        assert!(threads > 0, "a pool has at least one thread");
        let pool = Arc::new(Self { shared: Arc::default() });
        for index in 0..threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name(format!("luma-disk-{index}")).spawn(move || {
                abort_on_panic_in_this_thread();
                run_this_thread_soon();
                work(&shared);
            })?;
        }
        Ok(pool)
    }

    /// Runs `job` on a pool thread. Dropping the future does not stop it.
    ///
    /// # Errors
    /// That of `job`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tx, rx) = oneshot::channel();
        self.shared.state().jobs.push_back(Box::new(move || {
            // The receiver is gone when the caller was cancelled.
            let _ = tx.send(job());
        }));
        self.shared.ready.notify_one();
        rx.await.unwrap_or_else(|_| Err(io::Error::other("disk pool is closed")))
    }
}

impl Drop for DiskPool {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.ready.notify_all();
    }
}

fn work(shared: &Shared) {
    loop {
        let mut state = shared.state();
        let job = loop {
            if let Some(job) = state.jobs.pop_front() {
                break job;
            }
            if state.closed {
                return;
            }
            state = shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        job();
    }
}
