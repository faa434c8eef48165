//! First come, first served: a few at a time may do what would hold others up.
//!
//! ```text
//!  take ─► one is free ─────────────► Turn ──dropped──► the first who waits has it, or it is free
//!      └─► none is: wait in line ──────▲
//! ```
//!
//! Invariants:
//! - A turn that is given back goes to whoever has waited longest; who comes anew waits behind them, and is given none
//!   even when the one it went to has not run yet. (A lock that wakes waiters to try again lets newcomers in between.)
//! - Whoever stops waiting passes a turn on that was given to it meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A number of turns, shared by those who clone it.
#[derive(Clone)]
pub struct Turns(Rc<Line>);

struct Line {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Place>>>,
}

/// The right to go on; given to the next in line when dropped.
pub struct Turn(Rc<Line>);

impl Turns {
    /// So many may have a turn at one time; at least one.
    ///
    /// # Panics
    /// When `count` is zero.
    #[must_use]
    pub fn new(count: usize) -> Self {
        assert!(count > 0, "nobody would ever have a turn");
        Self(Rc::new(Line { free: Cell::new(count), waiting: RefCell::default() }))
    }

    /// Takes a turn, at once when one is free.
    pub async fn take(&self) -> Turn {
        match self.0.free.get().checked_sub(1) {
            Some(left) => self.0.free.set(left),
            None => Waiting::new(&self.0).await,
        }
        Turn(Rc::clone(&self.0))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.give();
    }
}

impl Line {
    /// Gives a turn to the next in line.
    fn give(&self) {
        loop {
            let Some(next) = self.waiting.borrow_mut().pop_front() else {
                return self.free.set(self.free.get() + 1);
            };
            if next.state.get() == State::Waits {
                next.state.set(State::Given);
                return next.waker.replace(Waker::noop().clone()).wake();
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    /// It has a turn and has not run since.
    Given,
    /// It has taken its turn, or waits no longer.
    Left,
}

/// A place in the line.
struct Place {
    state: Cell<State>,
    waker: Cell<Waker>,
}

struct Waiting {
    line: Rc<Line>,
    place: Rc<Place>,
}

impl Waiting {
    fn new(line: &Rc<Line>) -> Self {
        let place =
            Place { state: Cell::new(State::Waits), waker: Cell::new(Waker::noop().clone()) };
        let place = Rc::new(place);
        line.waiting.borrow_mut().push_back(Rc::clone(&place));
        Self { line: Rc::clone(line), place }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.state.get() == State::Given {
            self.place.state.set(State::Left);
            return Poll::Ready(());
        }
        self.place.waker.set(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.place.state.replace(State::Left) == State::Given {
            self.line.give();
        }
    }
}

#[cfg(test)]
mod tests;
