//! A single-threaded executor whose schedule is a function of its seed.
//!
//! A task is ready when its waker was called since its last poll. The next task is drawn from the ready ones by
//! the seeded generator. When none is ready the run is *stalled*: with `SimDisk::halt_at` that is how a crash in
//! the middle of an operation looks.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use log_io::LocalFuture;

use crate::SimRng;

/// Polls after which a run is declared a livelock; far above what any test needs.
const POLLS_MAX: u64 = 50_000_000;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    flag: Arc<Flag>,
    future: Option<LocalFuture<'static, ()>>,
}

/// Runs `!Send` futures in a seeded order. Dropping it drops every task: a process crash.
pub struct Executor {
    tasks: RefCell<Vec<Task>>,
    rng: SimRng,
    polls: Cell<u64>,
}

impl Executor {
    /// An executor whose schedule depends on `seed` only.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { tasks: RefCell::new(Vec::new()), rng: SimRng::new(seed), polls: Cell::new(0) }
    }

    /// Adds a task; it is first polled by the next `block_on` or `run_until_stalled`.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let task =
            Task { flag: Arc::new(Flag(AtomicBool::new(true))), future: Some(Box::pin(future)) };
        self.tasks.borrow_mut().push(task);
    }

    /// Runs everything until `future` is done, or `None` when no task can make progress before that.
    ///
    /// # Panics
    /// When the number of polls says livelock.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            let mut progressed = false;
            if flag.0.swap(false, Ordering::Relaxed) {
                progressed = true;
                if let Poll::Ready(value) =
                    Pin::as_mut(&mut future).poll(&mut Context::from_waker(&waker))
                {
                    return Some(value);
                }
            }
            progressed |= self.step();
            if !progressed && !flag.0.load(Ordering::Relaxed) {
                return None;
            }
        }
    }

    /// Runs until no task is ready.
    pub fn run_until_stalled(&self) {
        while self.step() {}
    }

    /// How many polls were made; part of a trace hash.
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Polls one ready task chosen by the seed. `false` when none is ready.
    fn step(&self) -> bool {
        let picked = {
            let mut tasks = self.tasks.borrow_mut();
            let ready: Vec<usize> = (0..tasks.len())
                .filter(|&index| {
                    tasks[index].future.is_some() && tasks[index].flag.0.load(Ordering::Relaxed)
                })
                .collect();
            if ready.is_empty() {
                return false;
            }
            let draw = usize::try_from(self.rng.below(ready.len() as u64))
                .expect("below ready.len(), a usize");
            let index = ready[draw];
            let task = &mut tasks[index];
            task.flag.0.store(false, Ordering::Relaxed);
            task.future.take().map(|future| (index, future, Arc::clone(&task.flag)))
        };
        let Some((index, mut future, flag)) = picked else { return false };
        self.polls.set(self.polls.get() + 1);
        assert!(self.polls.get() < POLLS_MAX, "livelock: {POLLS_MAX} polls");
        let waker = Waker::from(flag);
        // Polled outside the borrow: a task may spawn.
        let done = Pin::as_mut(&mut future).poll(&mut Context::from_waker(&waker)).is_ready();
        if !done {
            self.tasks.borrow_mut()[index].future = Some(future);
        }
        true
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("polls", &self.polls.get()).finish_non_exhaustive()
    }
}
