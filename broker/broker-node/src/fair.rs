//! Lets sockets and files have their turn whenever a future yields.
//!
//! Handlers do not know the executor: they yield by waking themselves. An executor whose queue never runs empty looks at
//! sockets and files only once in a while, so a task that does nothing but yield would keep every other connection waiting
//! for many of its slices instead of one. [`fair`] notices such a wake and yields the executor's own way, which looks at
//! them first.
//!
//! ```text
//! idle ──poll──► polling ──returns──► idle                 a wake meanwhile: polling ─► woken ──returns──► yield, poll again
//! ```
//!
//! Those of a core who yield stand in one line: between two looks at sockets and files one of them does one slice. Otherwise
//! whoever has little to do would wait for a slice of each at every step.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use broker_kafka::Turns;
use broker_rt::Runtime;
use futures_util::task::AtomicWaker;
use log_io::LocalFuture;

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// The waker that the future sees.
#[derive(Default)]
struct Turn {
    state: AtomicU8,
    outer: AtomicWaker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        let noted =
            self.state.compare_exchange(POLLING, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        // Woken twice during one poll is as good as once.
        if noted == Err(IDLE) {
            self.outer.wake();
        }
    }
}

/// How those of one core yield.
#[derive(Clone)]
pub(crate) struct Yielding {
    pause: Rc<dyn Fn() -> LocalFuture<'static, ()>>,
    line: Turns,
    /// One is being polled: what that polls leaves the yielding to it, which would wait for a turn that is its own else.
    polling: Rc<Cell<bool>>,
}

impl Yielding {
    pub(crate) fn of(runtime: &Rc<dyn Runtime>) -> Self {
        let runtime = Rc::clone(runtime);
        Self::with(move || runtime.yield_now())
    }

    fn with(pause: impl Fn() -> LocalFuture<'static, ()> + 'static) -> Self {
        Self { pause: Rc::new(pause), line: Turns::new(1), polling: Rc::default() }
    }
}

/// Runs `future`; where it wakes itself while it is polled, everything else of the core has its turn first, and then those
/// who have yielded before it.
pub(crate) async fn fair<T>(yielding: Yielding, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let turn = Arc::new(Turn::default());
    let waker = Waker::from(Arc::clone(&turn));
    let mut at_work = None;
    loop {
        let polled = poll_fn(|cx| {
            if yielding.polling.get() {
                return future.as_mut().poll(cx).map(Some);
            }
            turn.outer.register(cx.waker());
            turn.state.store(POLLING, Ordering::Release);
            yielding.polling.set(true);
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            yielding.polling.set(false);
            let woken = turn.state.swap(IDLE, Ordering::AcqRel) == WOKEN;
            // Held for a slice, and not while it waits for something else.
            at_work = None;
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if woken => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        if let Some(output) = polled.await {
            return output;
        }
        at_work = Some(yielding.line.take().await);
        (yielding.pause)().await;
    }
}

#[cfg(test)]
mod tests;
