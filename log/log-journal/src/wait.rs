//! Futures that wait for the flusher. A waiter is one map entry, registered at its first poll.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use log_types::Position;

use crate::error::JournalError;
use crate::journal::Inner;

/// Resolves when a position is durable. Waiters wake in order of position.
#[must_use = "a future does nothing unless awaited"]
pub struct WaitDurable {
    pub(crate) inner: Rc<Inner>,
    pub(crate) position: Position,
    pub(crate) ticket: Option<u64>,
}

impl Future for WaitDurable {
    type Output = Result<(), JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = Rc::clone(&self.inner);
        let mut state = inner.state.borrow_mut();
        if state.durable >= self.position {
            return Poll::Ready(Ok(()));
        }
        if state.failed {
            return Poll::Ready(Err(JournalError::Failed));
        }
        if state.closed {
            return Poll::Ready(Err(JournalError::Closed));
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            state.ticket += 1;
            state.ticket
        });
        match state.waiters.get_mut(&(self.position, ticket)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                state.waiters.insert((self.position, ticket), context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl Drop for WaitDurable {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.inner.state.borrow_mut().waiters.remove(&(self.position, ticket));
        }
    }
}

/// Resolves when `append` may be tried again after `AppendError::Full` or `DiskFull`, or when the journal failed.
#[must_use = "a future does nothing unless awaited"]
pub struct Room {
    pub(crate) inner: Rc<Inner>,
    pub(crate) seen: Option<u64>,
}

impl Future for Room {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let inner = Rc::clone(&self.inner);
        let mut state = inner.state.borrow_mut();
        let first = *self.seen.get_or_insert(state.room_epoch);
        if first != state.room_epoch || state.has_room() || state.failed || state.closing {
            return Poll::Ready(());
        }
        state.room_waiters.push(context.waker().clone());
        Poll::Pending
    }
}
