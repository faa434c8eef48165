//! The executor: all tasks of all simulated processes on one thread, in an order drawn from the seed, in virtual time.
//!
//! ```text
//!  step: a task is ready? ─yes─► poll one, chosen by the schedule stream
//!                         └─no──► earliest timer (deadline, seq): time jumps there, its action runs
//! ```
//!
//! Invariants:
//! - Time advances only when nothing is ready; a task never sees it move between two of its polls in one instant.
//! - Killing a process drops its tasks between two polls: a crash is possible at every await and nowhere else.
//! - Nothing is borrowed while a task is polled or dropped: both may call back into the world.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use log_io::LocalFuture;

use crate::net::Network;
use crate::random::{Streams, index};
use crate::trace::{Event, Trace};

/// Polls within one instant of virtual time after which the run is declared a livelock.
const POLLS_PER_INSTANT_MAX: u64 = 1_000_000;

/// A simulated operating-system process: one start of a node, one client, or the scenario itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

/// The process of the scenario's own tasks; it is never killed.
pub const SCENARIO: ProcessId = ProcessId(0);

/// Task ids in the order they were woken.
type Ready = Arc<Mutex<Vec<u64>>>;

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            // The list is whole after every push, so a poisoned lock is as good as any.
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

struct Task {
    process: ProcessId,
    name: &'static str,
    waker: Arc<TaskWaker>,
    /// Absent while it is polled.
    future: Option<LocalFuture<'static, ()>>,
}

enum TimerAction {
    Wake(Waker),
    Run(Box<dyn FnOnce()>),
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Polled(ProcessId),
    TimePassed,
    /// No task is ready and no timer is set.
    Stalled,
}

/// Everything that is simulated.
pub struct World {
    pub seed: u64,
    pub trace: Trace,
    pub random: Streams,
    pub(crate) network: Network,
    now_ns: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Ready,
    timers: RefCell<BTreeMap<(u64, u64), TimerAction>>,
    next_id: Cell<u64>,
    polls: Cell<u64>,
    polls_this_instant: Cell<u64>,
}

impl World {
    /// An empty world at time 0.
    #[must_use]
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            seed,
            trace: Trace::default(),
            random: Streams::new(seed),
            network: Network::default(),
            now_ns: Cell::new(0),
            tasks: RefCell::default(),
            ready: Ready::default(),
            timers: RefCell::default(),
            next_id: Cell::new(1),
            polls: Cell::new(0),
            polls_this_instant: Cell::new(0),
        })
    }

    /// Virtual nanoseconds since the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// Polls made so far.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Records a notable event in words.
    pub fn note(&self, text: &str) {
        self.trace.note(format!("{:>12.6}s  {text}", self.now_ns.get() as f64 / 1e9));
    }

    pub(crate) fn next_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// A process id that was never used.
    #[must_use]
    pub fn new_process(&self) -> ProcessId {
        ProcessId(self.next_id())
    }

    /// Adds a task; it is ready at once.
    pub fn spawn(
        &self,
        process: ProcessId,
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
    ) {
        let id = self.next_id();
        let waker = Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        let task =
            Task { process, name, waker: Arc::clone(&waker), future: Some(Box::pin(future)) };
        self.tasks.borrow_mut().insert(id, task);
        waker.wake_by_ref();
    }

    /// Ends a process at once: its sockets first, then its tasks.
    pub fn kill(&self, process: ProcessId) {
        self.trace.fold(Event::Crash, process.0, self.now_ns.get());
        self.network.kill(self, process);
        let dead: Vec<Task> = {
            let mut tasks = self.tasks.borrow_mut();
            let of_process = |task: &Task| task.process == process;
            let ids: Vec<u64> =
                tasks.iter().filter(|(_, task)| of_process(task)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| tasks.remove(id)).collect()
        };
        // Dropped outside the borrow: what a future holds may wake or close something.
        drop(dead);
    }

    /// Names of the live tasks of a process, for a report of what hangs.
    #[must_use]
    pub fn task_names(&self, process: ProcessId) -> Vec<&'static str> {
        let tasks = self.tasks.borrow();
        tasks.values().filter(|task| task.process == process).map(|task| task.name).collect()
    }

    /// Drops everything that is left; the world cannot be used after that.
    pub fn end(&self) {
        self.network.clear();
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        drop(timers);
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.network.clear();
    }

    /// Polls one task, or lets time pass.
    ///
    /// # Panics
    /// When tasks keep waking each other without time passing: a livelock. The message has the seed.
    pub fn step(&self) -> Step {
        while let Some(id) = self.pick() {
            if let Some(process) = self.poll(id) {
                return Step::Polled(process);
            }
        }
        let first = self.timers.borrow_mut().pop_first();
        let Some(((deadline_ns, seq), action)) = first else { return Step::Stalled };
        assert!(deadline_ns >= self.now_ns.get(), "time does not go back");
        if deadline_ns > self.now_ns.get() {
            self.polls_this_instant.set(0);
        }
        self.now_ns.set(deadline_ns);
        self.trace.fold(Event::Timer, deadline_ns, seq);
        match action {
            TimerAction::Wake(waker) => waker.wake(),
            TimerAction::Run(action) => action(),
        }
        Step::TimePassed
    }

    fn pick(&self) -> Option<u64> {
        // See `TaskWaker`.
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let chosen = index(&self.random.schedule, ready.len());
        Some(ready.swap_remove(chosen))
    }

    /// Polls the task unless it has ended meanwhile.
    fn poll(&self, id: u64) -> Option<ProcessId> {
        let (process, waker, mut future) = {
            let mut tasks = self.tasks.borrow_mut();
            let task = tasks.get_mut(&id)?;
            task.waker.queued.store(false, Ordering::Relaxed);
            (task.process, Arc::clone(&task.waker), task.future.take()?)
        };
        self.polls.set(self.polls.get() + 1);
        self.polls_this_instant.set(self.polls_this_instant.get() + 1);
        assert!(
            self.polls_this_instant.get() < POLLS_PER_INSTANT_MAX,
            "livelock at {} ns with seed {}: {POLLS_PER_INSTANT_MAX} polls and no time passed",
            self.now_ns.get(),
            self.seed
        );
        self.trace.fold(Event::Poll, id, self.now_ns.get());
        let waker = Waker::from(waker);
        let polled = Pin::as_mut(&mut future).poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        match polled {
            Poll::Pending => {
                // A task that killed its own process has no entry any more.
                if let Some(task) = tasks.get_mut(&id) {
                    task.future = Some(future);
                    return Some(process);
                }
                drop(tasks);
                drop(future);
            }
            Poll::Ready(()) => {
                let ended = tasks.remove(&id);
                drop(tasks);
                drop(future);
                drop(ended);
            }
        }
        Some(process)
    }

    fn set_timer(&self, deadline_ns: u64, action: TimerAction) -> (u64, u64) {
        let key = (deadline_ns.max(self.now_ns.get()), self.next_id());
        self.timers.borrow_mut().insert(key, action);
        key
    }

    /// Runs `action` at `deadline_ns`, outside of any task.
    pub(crate) fn run_at(&self, deadline_ns: u64, action: impl FnOnce() + 'static) {
        self.set_timer(deadline_ns, TimerAction::Run(Box::new(action)));
    }

    /// Waits for `duration` of virtual time.
    pub fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Sleep {
            world: Rc::clone(self),
            deadline_ns: self.now_ns.get().saturating_add(nanos),
            timer: None,
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now_ns", &self.now_ns)
            .finish_non_exhaustive()
    }
}

/// A wait in virtual time; dropping it cancels the timer.
#[derive(Debug)]
pub struct Sleep {
    world: Rc<World>,
    deadline_ns: u64,
    timer: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now_ns.get() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let action = TimerAction::Wake(cx.waker().clone());
        match self.timer {
            Some(key) => {
                self.world.timers.borrow_mut().insert(key, action);
            }
            None => self.timer = Some(self.world.set_timer(self.deadline_ns, action)),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            let timer = self.world.timers.borrow_mut().remove(&key);
            drop(timer);
        }
    }
}

/// Lets every other ready task have its chance once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
