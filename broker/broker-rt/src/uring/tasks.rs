//! A register of the live tasks of a core, so that its end can drop them while the executor runs.
//!
//! Invariants:
//! - A task is counted from `wrap` until its wrapper is dropped.
//! - The wrapped future is dropped inside a poll of its own task, where cancelling I/O is allowed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use log_io::LocalFuture;

#[derive(Default)]
pub(super) struct Tasks {
    cancelled: Cell<bool>,
    next: Cell<u64>,
    live: Cell<usize>,
    /// Of the tasks that have been polled; the others see `cancelled` at their first poll.
    wakers: RefCell<BTreeMap<u64, Waker>>,
}

impl Tasks {
    pub(super) fn wrap(self: &Rc<Self>, task: LocalFuture<'static, ()>) -> Wrapped {
        let id = self.next.get();
        self.next.set(id + 1);
        self.live.set(self.live.get() + 1);
        Wrapped { tasks: Rc::clone(self), id, polled: false, task: Some(task) }
    }

    pub(super) fn live(&self) -> usize {
        self.live.get()
    }

    /// Wakes every task so that it drops its future.
    pub(super) fn cancel(&self) {
        self.cancelled.set(true);
        let wakers = self.wakers.take();
        for waker in wakers.into_values() {
            waker.wake();
        }
    }
}

pub(super) struct Wrapped {
    tasks: Rc<Tasks>,
    id: u64,
    polled: bool,
    task: Option<LocalFuture<'static, ()>>,
}

impl Future for Wrapped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.tasks.cancelled.get() {
            this.task = None;
            return Poll::Ready(());
        }
        if !this.polled {
            // The waker of a glommio task is the same for all of its life.
            this.polled = true;
            this.tasks.wakers.borrow_mut().insert(this.id, cx.waker().clone());
        }
        match &mut this.task {
            None => Poll::Ready(()),
            Some(task) => task.as_mut().poll(cx),
        }
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.task = None;
        let waker = self.tasks.wakers.borrow_mut().remove(&self.id);
        drop(waker);
        self.tasks.live.set(self.tasks.live.get() - 1);
    }
}
