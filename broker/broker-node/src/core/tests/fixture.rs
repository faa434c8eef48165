//! Cores with a shard, on one thread, whose mailboxes the test empties.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use broker_core::group::GroupConfig;
use broker_rt::{Backend, Options, Runtime, run_cores};
use futures_channel::mpsc;
use log_journal::JournalOptions;
use log_types::{ClusterId, LeaderEpoch, ShardId};

use crate::core::{Latest, Shared};
use crate::router::{Job, Router};
use crate::settings::NodeSettings;
use crate::shard::{Shard, ShardOptions};

/// An empty shard in `path`.
pub(super) async fn shard(path: &Path, runtime: &dyn Runtime, id: ShardId) -> Rc<Shard> {
    let options = ShardOptions {
        journal: JournalOptions::new(ClusterId([7; 16]), id),
        epoch: LeaderEpoch(1),
        groups: GroupConfig::default(),
        full_shards: Arc::default(),
    };
    Shard::open(runtime, path, options).await.expect("opens")
}

/// What `cores` cores with a shard each share, and their mailboxes.
pub(super) fn shared(
    path: &Path,
    cores: usize,
) -> (Arc<Shared>, Vec<mpsc::UnboundedReceiver<Job>>) {
    let (router, mailboxes) = Router::new(cores, u32::try_from(cores).expect("a few"));
    let shared = Shared {
        settings: NodeSettings::new(path.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0))),
        cluster_id: String::new(),
        epoch: LeaderEpoch(1),
        router,
        catalog: Latest::default(),
        full_shards: Arc::default(),
        space: Arc::default(),
        failure: mpsc::unbounded().0,
    };
    (Arc::new(shared), mailboxes)
}

/// Runs `body` with an empty directory on a thread of its own.
pub(super) fn on_one_thread(
    body: impl AsyncFn(PathBuf, Rc<dyn Runtime>) + Clone + Send + Sync + 'static,
) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let running = run_cores(
        &Options::new(Backend::Epoll, 1),
        Arc::new(move |_, runtime: Rc<dyn Runtime>| {
            let (path, body) = (path.clone(), body.clone());
            Box::pin(async move { body(path, runtime).await })
        }),
    );
    running.expect("the core starts").join().expect("the core ends well");
}
