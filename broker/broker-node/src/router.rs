//! Messages between cores: a closure goes to the core that owns the data, its result comes back.
//!
//! ```text
//!  core A ── Job(FnOnce(Rc<Core>) → future) ──► mailbox of core B ── runs, spawns the rest ──► oneshot ──► core A
//!  tokio thread ───────────────────────────────┘
//! ```
//!
//! Invariants:
//! - Jobs of one sender to one core start in the order they were sent; each runs up to its first await before the
//!   next starts, so two appends of one connection keep their order.
//! - A job's result is `Send`; nothing else crosses.
//!
//! The mailbox is unbounded: what bounds it are the limits on requests in flight per connection.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, select};
use log_io::LocalFuture;
use log_types::ShardId;

use crate::core::Core;

/// Work for another core.
pub(crate) type Job = Box<dyn FnOnce(Rc<Core>) -> LocalFuture<'static, ()> + Send>;

/// The other core has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoreGone;

/// Senders to every core; clonable and usable from any thread.
#[derive(Clone)]
pub(crate) struct Router {
    mailboxes: Arc<Vec<mpsc::UnboundedSender<Job>>>,
    shard_count: u32,
}

impl Router {
    /// A router over `cores` mailboxes, and the receiving ends in core order.
    pub(crate) fn new(cores: usize, shard_count: u32) -> (Self, Vec<mpsc::UnboundedReceiver<Job>>) {
        assert!(cores > 0, "a node runs on at least one core");
        assert!(shard_count > 0, "a database has at least one shard");
        let (senders, receivers) = (0..cores).map(|_| mpsc::unbounded()).unzip();
        (Self { mailboxes: Arc::new(senders), shard_count }, receivers)
    }

    pub(crate) fn core_count(&self) -> usize {
        self.mailboxes.len()
    }

    pub(crate) fn shard_count(&self) -> u32 {
        self.shard_count
    }

    /// The core that hosts a shard.
    pub(crate) fn core_of(&self, shard: ShardId) -> usize {
        shard.0 as usize % self.mailboxes.len()
    }

    /// The shard that coordinates a group; fixed for ever, because its records are in that shard's journal.
    pub(crate) fn shard_of_group(&self, group: &str) -> ShardId {
        ShardId(crc32fast::hash(group.as_bytes()) % self.shard_count)
    }

    /// Tells every core to stop; what was sent before is still started.
    pub(crate) fn stop(&self) {
        for mailbox in self.mailboxes.iter() {
            let job: Job = Box::new(|core| {
                core.stop();
                Box::pin(async {})
            });
            // A core that has ended needs no telling.
            let _ = mailbox.unbounded_send(job);
        }
    }

    /// Runs `work` on a core and gives its result. The message is sent before this returns; the future only waits, and the
    /// work is done also when nobody does any more.
    pub(crate) fn submit<T, F>(
        &self,
        core: usize,
        work: F,
    ) -> impl Future<Output = Result<T, CoreGone>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Core>) -> LocalFuture<'static, T> + Send + 'static,
    {
        self.ask(core, |tx| {
            Box::new(move |core| {
                let work = work(core);
                Box::pin(async move {
                    // The asker may have gone away; then nobody wants the result.
                    let _ = tx.send(work.await);
                })
            })
        })
    }

    /// The same for work that leaves nothing undone when it is dropped, as it is when the asker has gone.
    pub(crate) fn submit_while_wanted<T, F>(
        &self,
        core: usize,
        work: F,
    ) -> impl Future<Output = Result<T, CoreGone>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Core>) -> LocalFuture<'static, T> + Send + 'static,
    {
        self.ask(core, |mut tx| {
            Box::new(move |core| {
                if tx.is_canceled() {
                    return Box::pin(async {});
                }
                let work = work(core);
                Box::pin(async move {
                    let unwanted = tx.cancellation();
                    if let Either::Left((result, _)) = select(work, unwanted).await {
                        // The asker may have gone away just now.
                        let _ = tx.send(result);
                    }
                })
            })
        })
    }

    /// Sends a job that answers; the future waits for that.
    fn ask<T, F>(
        &self,
        core: usize,
        job: F,
    ) -> impl Future<Output = Result<T, CoreGone>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(oneshot::Sender<T>) -> Job,
    {
        let (tx, rx) = oneshot::channel();
        let sent = self.mailboxes[core].unbounded_send(job(tx));
        async move {
            sent.map_err(|_| CoreGone)?;
            rx.await.map_err(|_| CoreGone)
        }
    }
}
