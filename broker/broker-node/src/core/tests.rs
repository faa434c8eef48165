//! Work for another core: who reads is not served for longer than he waits, and sockets have their turn in between.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker_rt::{Connection, Listener, Queue, Runtime};
use futures_channel::mpsc;
use futures_util::FutureExt;
use log_io::{Clock, Disk, LocalFuture, Random};
use log_types::ShardId;

use super::Core;
use crate::router::Job;

mod fixture;
mod publish;

/// A runtime that counts how often the rest of the core had its turn.
struct Counting {
    inner: Rc<dyn Runtime>,
    yields: Rc<Cell<usize>>,
}

impl Runtime for Counting {
    fn clock(&self) -> Rc<dyn Clock> {
        self.inner.clock()
    }
    fn random(&self) -> Rc<dyn Random> {
        self.inner.random()
    }
    fn spawn(&self, queue: Queue, name: &'static str, task: LocalFuture<'static, ()>) {
        self.inner.spawn(queue, name, task);
    }
    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        self.inner.sleep(duration)
    }
    fn yield_now(&self) -> LocalFuture<'static, ()> {
        self.yields.set(self.yields.get() + 1);
        self.inner.yield_now()
    }
    fn need_preempt(&self) -> bool {
        self.inner.need_preempt()
    }
    fn listen(&self, addr: SocketAddr) -> io::Result<Rc<dyn Listener>> {
        self.inner.listen(addr)
    }
    fn connect(&self, addr: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>> {
        self.inner.connect(addr)
    }
    fn disk(&self, dir: &Path) -> io::Result<Rc<dyn Disk>> {
        self.inner.disk(dir)
    }
}

/// Where the only shard of the test lives: on the second core.
const FAR: ShardId = ShardId(1);

/// Two cores, of which the first asks and the second has the shard and this mailbox.
struct Two {
    near: Rc<Core>,
    far: Rc<Core>,
    mailbox: mpsc::UnboundedReceiver<Job>,
    yields: Rc<Cell<usize>>,
}

async fn two(path: &Path, runtime: Rc<dyn Runtime>) -> Two {
    let shard = fixture::shard(path, &*runtime, FAR).await;
    let (shared, mut mailboxes) = fixture::shared(path, 2);
    let yields = Rc::new(Cell::new(0));
    let runtime: Rc<dyn Runtime> = Rc::new(Counting { inner: runtime, yields: Rc::clone(&yields) });
    let near = Core::new(Rc::clone(&runtime), Arc::clone(&shared), BTreeMap::new());
    let far = Core::new(runtime, shared, BTreeMap::from([(FAR, shard)]));
    Two { near, far, mailbox: mailboxes.remove(1), yields }
}

/// Runs `body` with two cores that share one thread.
fn with_two(body: impl AsyncFn(Two) + Clone + Send + Sync + 'static) {
    fixture::on_one_thread(async move |path: PathBuf, runtime| {
        body(two(&path, runtime).await).await;
    });
}

/// A read of another core's shard went on, with the memory and the turn that it held, after its client had gone.
#[test]
fn work_that_only_reads_ends_with_whoever_waits_for_it() {
    with_two(async |mut two: Two| {
        let wait = |_| -> LocalFuture<'static, ()> { Box::pin(pending()) };
        let mut cx = Context::from_waker(Waker::noop());
        for (reads, ends) in [(true, Poll::Ready(())), (false, Poll::Pending)] {
            let asking = match reads {
                true => two.near.read_on_shard(FAR, wait),
                false => two.near.on_shard(FAR, wait),
            };
            let job = two.mailbox.try_recv().expect("sent at once");
            let mut working = pin!(job(Rc::clone(&two.far)));
            assert_eq!(working.as_mut().poll(&mut cx), Poll::Pending, "it is wanted");
            drop(asking);
            assert_eq!(working.as_mut().poll(&mut cx), ends, "reads: {reads}");
        }
    });
}

#[test]
fn work_that_only_reads_is_not_begun_for_who_has_gone() {
    with_two(async |mut two: Two| {
        let work = |_| -> LocalFuture<'static, ()> { unreachable!("nobody wants it") };
        drop(two.near.read_on_shard(FAR, work));
        let job = two.mailbox.try_recv().expect("sent at once");
        assert_eq!(job(Rc::clone(&two.far)).now_or_never(), Some(()));
    });
}

/// Such work yielded to other tasks, and not to sockets and files, which an executor that is busy looks at rarely.
#[test]
fn work_for_another_core_lets_its_sockets_have_their_turn() {
    with_two(async |mut two: Two| {
        let work = |_| -> LocalFuture<'static, ()> {
            Box::pin(async {
                for _ in 0..5 {
                    log_io::yield_once().await;
                }
            })
        };
        let asking = two.near.on_shard(FAR, work);
        two.far.take_up(two.mailbox.try_recv().expect("sent at once"));
        assert!(asking.await.is_ok());
        // The first one is where the job becomes a task.
        assert_eq!(two.yields.get(), 4);
    });
}
