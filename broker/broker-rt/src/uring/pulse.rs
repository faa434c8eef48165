//! Wakes every io_uring core a few hundred times a second from outside, to cover a defect of glommio 0.9.0.
//!
//! `LocalExecutor::run_task_queues` leaves its loop when preemption is due and then reports whether it ran anything. When
//! the preempt timer has fired before the first queue ran (the thread lost its processor for longer than the time slice,
//! common on a loaded machine), that report is "nothing", and the executor parks with runnable tasks in its queues, for
//! ever if no event comes. Timers of the core itself cannot be relied on: the task that arms them may be the one that
//! does not run. A wake-up from another thread always ends the park, and the next one comes whatever happened to this.
//!
//! ```text
//!  thread luma-pulse: every INTERVAL ──wake──► main future of each core (its waker is kept fresh at each poll)
//! ```
//!
//! Invariants:
//! - A runnable task waits at most about `INTERVAL` for its executor, unless the defect strikes again; it cannot be lost.
//! - A core that has ended is forgotten at the next pulse.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// Time between two wake-ups of an idle core.
const INTERVAL: Duration = Duration::from_millis(4);

/// Where a core leaves the waker of its main future.
#[derive(Default)]
struct Slot {
    waker: Mutex<Option<Waker>>,
}

static SLOTS: OnceLock<Mutex<Vec<Weak<Slot>>>> = OnceLock::new();

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values only are stored, so a poisoned lock is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A future whose executor is woken again and again while it lives.
pub(super) struct Pulsed<F> {
    inner: Pin<Box<F>>,
    slot: Arc<Slot>,
}

impl<F: Future> Pulsed<F> {
    /// # Errors
    /// When the pulse thread cannot be started.
    pub(super) fn new(inner: F) -> io::Result<Self> {
        let slot = Arc::new(Slot::default());
        let slots = match SLOTS.get() {
            Some(slots) => slots,
            None => {
                let slots = SLOTS.get_or_init(Mutex::default);
                thread::Builder::new().name("luma-pulse".to_owned()).spawn(move || pulse(slots))?;
                slots
            }
        };
        locked(slots).push(Arc::downgrade(&slot));
        Ok(Self { inner: Box::pin(inner), slot })
    }
}

impl<F: Future> Future for Pulsed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        *locked(&self.slot.waker) = Some(cx.waker().clone());
        let polled = self.inner.as_mut().poll(cx);
        if polled.is_ready() {
            locked(&self.slot.waker).take();
        }
        polled
    }
}

fn pulse(slots: &Mutex<Vec<Weak<Slot>>>) {
    loop {
        thread::sleep(INTERVAL);
        let live: Vec<Arc<Slot>> = {
            let mut slots = locked(slots);
            slots.retain(|slot| slot.strong_count() > 0);
            slots.iter().filter_map(Weak::upgrade).collect()
        };
        for slot in live {
            let waker = locked(&slot.waker).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
