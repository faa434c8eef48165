//! A yield becomes the executor's own; a wait stays a wait, and no wake is lost.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_channel::oneshot;
use futures_util::future::{join, join_all};
use log_testkit::Executor;

use super::{Yielding, fair};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the pauses, which are over at once.
fn counting(pauses: &Rc<Cell<usize>>) -> Yielding {
    let pauses = Rc::clone(pauses);
    Yielding::with(move || {
        pauses.set(pauses.get() + 1);
        Box::pin(async {})
    })
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

/// Three that always have more to do: each pause, which is a look at sockets and files, is followed by one slice.
#[test]
fn between_two_pauses_one_of_those_who_yield_does_one_slice() {
    let events = Rc::new(RefCell::new(String::new()));
    let log = |event: char| {
        let events = Rc::clone(&events);
        move || events.borrow_mut().push(event)
    };
    let pause = log('.');
    let yielding = Yielding::with(move || {
        pause();
        Box::pin(log_io::yield_once())
    });
    let worker = |name: char| {
        let slice = log(name);
        let slices = async move {
            for _ in 0..3 {
                log_io::yield_once().await;
                slice();
            }
        };
        Box::pin(fair(yielding.clone(), slices))
    };
    let executor = Executor::new(1);
    let all = join_all(['a', 'b', 'c'].map(worker));
    assert!(executor.block_on(all).is_some(), "nobody waits for ever");
    assert_eq!(*events.borrow(), ".a.b.c.a.b.c.a.b.c", "in the order in which they yielded");
}

/// Who waits for something else is not in the way of those who have more to do.
#[test]
fn a_wait_gives_the_turn_back() {
    let pauses = Rc::new(Cell::new(0));
    let yielding = counting(&pauses);
    let (tx, rx) = oneshot::channel();
    let waits = fair(yielding.clone(), async {
        log_io::yield_once().await;
        rx.await
    });
    let works = fair(yielding, async {
        log_io::yield_once().await;
        tx.send(5).expect("it waits");
    });
    let both = Executor::new(1).block_on(join(waits, works));
    assert_eq!(both.map(|it| it.0), Some(Ok(5)));
}

/// The story: a request in slices opened a batch in slices, and was woken by its pause: it waited for the turn that the opening
/// had, which was not polled meanwhile, and nobody on the core who yielded went on.
#[test]
fn one_within_another_does_not_wait_for_itself() {
    let pauses = Rc::new(Cell::new(0));
    let count = Rc::clone(&pauses);
    let yielding = Yielding::with(move || {
        count.set(count.get() + 1);
        Box::pin(log_io::yield_once())
    });
    let slices = async {
        for _ in 0..3 {
            log_io::yield_once().await;
        }
    };
    let within = fair(yielding.clone(), slices);
    let around = fair(yielding, async move {
        log_io::yield_once().await;
        within.await;
    });
    assert!(Executor::new(1).block_on(around).is_some(), "it ends");
    assert_eq!(pauses.get(), 4, "each yield once");
}
