//! Bounds how long an executor may sleep, to cover a defect of glommio 0.9.0.
//!
//! `LocalExecutor::run_task_queues` leaves its loop when preemption is due and then reports whether it ran anything. When
//! the preempt timer has fired before the first queue ran (the thread lost its processor for longer than the time slice,
//! common on a loaded machine with a slice of some hundred microseconds), that report is "nothing", and the executor
//! parks with runnable tasks in its queues, for ever if no event comes.
//!
//! One timer is not enough: when it is the heartbeat itself that was woken and not run, no timer is armed. So several are
//! armed ahead; each that expires ends a sleep and gives the queues another chance.
//!
//! ```text
//!   now ──┬── 1 ──┬── 2 ──┬── … ──┬── AHEAD     each INTERVAL apart; one is added for each that has passed
//! ```
//!
//! Invariants:
//! - Runnable tasks wait at most `INTERVAL` for the executor, except when the defect strikes `AHEAD` times in a row.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use log_io::LocalFuture;

/// Time between two ends of sleep on an idle core: 250 short wake-ups per second.
const INTERVAL: Duration = Duration::from_millis(4);

/// Timers armed ahead.
const AHEAD: usize = 16;

/// Never ends; dropped with the core's other tasks.
pub(super) async fn run() {
    let mut last = Instant::now();
    let mut armed: Vec<LocalFuture<'static, ()>> = Vec::with_capacity(AHEAD);
    poll_fn(|cx| {
        armed.retain_mut(|timer| timer.as_mut().poll(cx).is_pending());
        while armed.len() < AHEAD {
            let now = Instant::now();
            last = (last + INTERVAL).max(now + INTERVAL);
            let mut timer: LocalFuture<'static, ()> = Box::pin(glommio::timer::sleep(last - now));
            // The first poll arms it; it is in the future.
            if timer.as_mut().poll(cx).is_pending() {
                armed.push(timer);
            }
        }
        Poll::<()>::Pending
    })
    .await;
}
