//! Polls a future once at once, so that its synchronous beginning happens in order, and keeps the rest.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use log_io::LocalFuture;

/// A future that was started: either it has ended already or the rest is still to be awaited.
pub(crate) enum Started<T> {
    Done(T),
    Waiting(LocalFuture<'static, T>),
}

/// Polls `future` once. Whoever awaits the rest polls again, which registers the real waker.
pub(crate) fn start<T>(mut future: LocalFuture<'static, T>) -> Started<T> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut future).poll(&mut cx) {
        Poll::Ready(output) => Started::Done(output),
        Poll::Pending => Started::Waiting(future),
    }
}
