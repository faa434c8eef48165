//! First come, first served: one appender at a time may wait for room in the journal.
//!
//! Without it a request that finds room could overtake an earlier one of the same connection that is still waiting,
//! and an idempotent producer's sequence would break.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use futures_channel::oneshot;

/// A queue of appenders. Free most of the time.
#[derive(Default)]
pub(super) struct Turn {
    taken: Cell<bool>,
    waiting: RefCell<VecDeque<oneshot::Sender<TurnGuard>>>,
}

/// The right to append; gives it to the next in line when dropped.
pub(super) struct TurnGuard(Option<Rc<Turn>>);

impl Turn {
    /// Takes the turn, at once when nobody has it.
    pub(super) async fn take(self: &Rc<Self>) -> TurnGuard {
        if !self.taken.replace(true) {
            return TurnGuard(Some(Rc::clone(self)));
        }
        let (tx, rx) = oneshot::channel();
        self.waiting.borrow_mut().push_back(tx);
        rx.await.expect("the queue lives as long as its waiters hold it")
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        let Some(turn) = self.0.take() else { return };
        loop {
            let next = turn.waiting.borrow_mut().pop_front();
            let Some(next) = next else {
                turn.taken.set(false);
                return;
            };
            match next.send(TurnGuard(Some(Rc::clone(&turn)))) {
                Ok(()) => return,
                // That appender has gone away; its guard must not pass the turn on by itself.
                Err(mut guard) => guard.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
