//! The requests of one connection that were started and not answered yet, in order.
//!
//! The reader pushes, the writer pops; each waits for the other. Bounded in count and in bytes, those of answers that wait
//! to be written included, so a client that sends without reading stops being read.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Requests of a connection that are started and not answered.
pub(crate) struct Pipeline<T> {
    items: RefCell<VecDeque<(T, usize)>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    count_max: usize,
    bytes_max: usize,
}

fn wake(slot: &RefCell<Option<Waker>>) {
    if let Some(waker) = slot.borrow_mut().take() {
        waker.wake();
    }
}

impl<T> Pipeline<T> {
    /// `bytes_max` bounds the sum of the requests' sizes and their answers'; one alone may exceed it.
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Self {
        assert!(count_max > 0, "at least one request fits");
        Self {
            items: RefCell::default(),
            bytes: Cell::new(0),
            closed: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
            count_max,
            bytes_max,
        }
    }

    /// Waits until another request may be started; `false` when the writer has gone.
    pub(crate) async fn room(&self) -> bool {
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(false);
            }
            if self.items.borrow().len() < self.count_max && self.bytes.get() < self.bytes_max {
                return Poll::Ready(true);
            }
            self.reader.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    pub(crate) fn push(&self, item: T, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
        self.items.borrow_mut().push_back((item, bytes));
        wake(&self.writer);
    }

    /// The oldest request; `None` when the pipeline is closed and empty.
    pub(crate) async fn pop(&self) -> Option<(T, usize)> {
        poll_fn(|cx| {
            if let Some(item) = self.items.borrow_mut().pop_front() {
                return Poll::Ready(Some(item));
            }
            if self.closed.get() {
                return Poll::Ready(None);
            }
            self.writer.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Completes when nothing more will be pushed. For the writer, instead of [`Pipeline::pop`].
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(());
            }
            self.writer.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// An answer of `bytes` is ready and waits for its turn.
    pub(crate) fn grow(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// A popped request was answered: its bytes, and those it has grown by.
    pub(crate) fn done(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() - bytes);
        wake(&self.reader);
    }

    /// Nothing is started and unanswered.
    pub(crate) fn is_idle(&self) -> bool {
        self.bytes.get() == 0
    }

    /// Nothing more will be pushed, or nothing more will be popped.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        wake(&self.reader);
        wake(&self.writer);
    }
}

#[cfg(test)]
mod tests;
