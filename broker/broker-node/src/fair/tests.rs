//! A yield becomes the executor's own; a wait stays a wait, and no wake is lost.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_channel::oneshot;
use log_io::LocalFuture;

use super::fair;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the pauses, which are over at once.
fn counting(pauses: &Rc<Cell<usize>>) -> impl Fn() -> LocalFuture<'static, ()> {
    let pauses = Rc::clone(pauses);
    move || {
        pauses.set(pauses.get() + 1);
        Box::pin(async {})
    }
}

#[test]
fn each_yield_is_one_pause() {
    let pauses = Rc::new(Cell::new(0));
    let yields = async {
        for _ in 0..5 {
            log_io::yield_once().await;
        }
        7
    };
    let mut future = pin!(fair(counting(&pauses), yields));
    let wakes = Arc::new(Wakes::default());
    let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&wakes))));
    assert_eq!((polled, pauses.get()), (Poll::Ready(7), 5));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "the executor's queue is not used");
}

#[test]
fn a_wait_pauses_nothing_and_is_woken() {
    let pauses = Rc::new(Cell::new(0));
    let (tx, rx) = oneshot::channel();
    let mut future = pin!(fair(counting(&pauses), rx));
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    tx.send(3).expect("it waits");
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(3)));
    assert_eq!(pauses.get(), 0);
}

#[test]
fn a_wake_from_another_thread_during_a_poll_is_not_lost() {
    let pauses = Rc::new(Cell::new(0));
    let mut polls = 0;
    let woken_elsewhere = poll_fn(|cx| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        std::thread::spawn(move || waker.wake()).join().expect("it wakes");
        Poll::Pending
    });
    let mut future = pin!(fair(counting(&pauses), woken_elsewhere));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(pauses.get(), 1);
}
