//! A core's budgets of memory: for requests in flight, whose readers wait for it before they take a large one in, and for
//! answers, which are made smaller as it runs out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use broker_kafka::broker::Held;
use futures_channel::oneshot;

/// Bytes that may be held at one time on this core.
#[derive(Clone)]
pub(crate) struct Memory(Rc<Budget>);

struct Budget {
    bytes_max: usize,
    used: Cell<usize>,
    waiting: RefCell<VecDeque<(usize, oneshot::Sender<Lease>)>>,
}

/// Memory that was granted; given back when dropped.
pub(crate) struct Lease {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        assert!(bytes_max > 0, "a core needs memory for requests");
        let waiting = RefCell::default();
        Self(Rc::new(Budget { bytes_max, used: Cell::new(0), waiting }))
    }

    pub(crate) fn used(&self) -> usize {
        self.0.used.get()
    }

    /// Somebody waits for some.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.waiting.borrow().iter().any(|(_, sender)| !sender.is_canceled())
    }

    /// Waits for `bytes`, first come first served; a request larger than the whole budget gets all of it.
    pub(crate) async fn take(&self, bytes: usize) -> Lease {
        let bytes = bytes.min(self.0.bytes_max);
        if self.0.waiting.borrow().is_empty() && self.0.fits(bytes) {
            return self.0.grant(bytes);
        }
        let (tx, rx) = oneshot::channel();
        self.0.waiting.borrow_mut().push_back((bytes, tx));
        rx.await.expect("the budget lives as long as its core")
    }

    /// Grants `wanted` or half of what is left, and `least` also when nothing is: many holders who give nothing back leave
    /// something to each other.
    pub(crate) fn take_up_to(&self, wanted: usize, least: usize) -> Lease {
        let left = self.0.bytes_max.saturating_sub(self.0.used.get());
        self.0.grant(wanted.min(least.max(left / 2)))
    }
}

impl Lease {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Held for Lease {
    /// May be more than was granted.
    fn resize(&mut self, bytes: usize) {
        self.budget.used.set(self.budget.used.get() - self.bytes + bytes);
        self.bytes = bytes;
        self.budget.grant_waiting();
    }
}

impl Budget {
    fn fits(&self, bytes: usize) -> bool {
        self.used.get() + bytes <= self.bytes_max
    }

    fn grant(self: &Rc<Self>, bytes: usize) -> Lease {
        self.used.set(self.used.get() + bytes);
        Lease { budget: Rc::clone(self), bytes }
    }

    fn grant_waiting(self: &Rc<Self>) {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let Some((bytes, _)) = waiting.front() else { return };
            if !self.fits(*bytes) {
                return;
            }
            let (bytes, sender) = waiting.pop_front().expect("looked at just now");
            drop(waiting);
            // A reader that has gone away leaves its lease to the next one, here and not when it is dropped: many may have.
            if let Err(mut lease) = sender.send(self.grant(bytes)) {
                self.used.set(self.used.get() - std::mem::take(&mut lease.bytes));
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.resize(0);
        }
    }
}

#[cfg(test)]
mod tests;
