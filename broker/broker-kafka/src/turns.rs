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
//! - Whoever stops waiting leaves the line at once, and passes a turn on that was given to it meanwhile: what a line takes is
//!   what those take who wait in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A number of turns, shared by those who clone it.
#[derive(Clone)]
pub struct Turns(Rc<Line>);

struct Line {
    free: Cell<usize>,
    /// By number: who came later has a larger one.
    waiting: RefCell<BTreeMap<u64, Rc<Place>>>,
    next: Cell<u64>,
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
        let (free, next) = (Cell::new(count), Cell::new(0));
        Self(Rc::new(Line { free, waiting: RefCell::default(), next }))
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
        let next = self.waiting.borrow_mut().pop_first();
        let Some((_, next)) = next else {
            return self.free.set(self.free.get() + 1);
        };
        next.given.set(true);
        next.waker.replace(Waker::noop().clone()).wake();
    }
}

/// A place in the line.
struct Place {
    /// It has a turn and has not run since.
    given: Cell<bool>,
    waker: Cell<Waker>,
}

struct Waiting {
    line: Rc<Line>,
    number: u64,
    place: Rc<Place>,
}

impl Waiting {
    fn new(line: &Rc<Line>) -> Self {
        let (given, waker) = (Cell::new(false), Cell::new(Waker::noop().clone()));
        let place = Rc::new(Place { given, waker });
        let number = line.next.replace(line.next.get() + 1);
        line.waiting.borrow_mut().insert(number, Rc::clone(&place));
        Self { line: Rc::clone(line), number, place }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.given.replace(false) {
            return Poll::Ready(());
        }
        self.place.waker.set(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.line.waiting.borrow_mut().remove(&self.number);
        if self.place.given.get() {
            self.line.give();
        }
    }
}

#[cfg(test)]
mod tests;
