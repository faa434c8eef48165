//! Starts and stops a node: identity, cores, shards, the first catalog, listeners.
//!
//! ```text
//!  start ─► identity (term +1, durable) ─► core threads ─► each opens its shards ─► core 0 publishes the catalog
//!        ─► core 0 binds ─► every core listens ─► served
//! ```
//!
//! Invariants:
//! - Nothing is served before every shard is folded and every core has the catalog.
//! - A failed journal write ends the node: [`Node::failed`] resolves, no request is answered any more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use broker_rt::{Chosen, CoreId, Options, Queue, RtError, Runtime, choose, run_cores};
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use log_io::LocalFuture;
use log_journal::{JournalHooks, JournalOptions};
use log_types::{ClusterId, LeaderEpoch, ShardId, Term};

use crate::core::{Core, Latest, Shared};
use crate::handle::NodeHandle;
use crate::identity::{DirLock, IdentityError, NodeIdentity, cluster_id_text, shard_dir};
use crate::router::{Job, Router};
use crate::server;
use crate::settings::NodeSettings;
use crate::shard::{META_SHARD, Shard, ShardError, ShardOptions};

/// Why a node does not start, or why it ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeError {
    DataDir(std::io::Error),
    /// The identity in the data directory.
    Identity(IdentityError),
    Runtime(RtError),
    Threads(std::io::Error),
    Shard {
        shard: ShardId,
        error: ShardError,
    },
    /// The Kafka address cannot be bound.
    Bind {
        addr: SocketAddr,
        error: std::io::Error,
    },
    /// A core ended without saying why.
    CoreEnded,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(error) => write!(f, "cannot use the data directory: {error}"),
            Self::Identity(error) => write!(f, "cannot use the data directory: {error}"),
            Self::Runtime(error) => write!(f, "cannot choose a reactor: {error}"),
            Self::Threads(error) => write!(f, "cannot start the core threads: {error}"),
            Self::Shard { shard, error } => write!(f, "shard {shard}: {error}"),
            Self::Bind { addr, error } => write!(f, "cannot listen on {addr}: {error}"),
            Self::CoreEnded => f.write_str("a core ended unexpectedly"),
        }
    }
}

impl std::error::Error for NodeError {}

/// Where cores report the failure that ends the node; the first one counts.
pub(crate) type FailureSink = mpsc::UnboundedSender<NodeError>;

/// What a core needs that is made once for the node.
struct CoreSeed {
    mailbox: mpsc::UnboundedReceiver<Job>,
    shared: Arc<Shared>,
    identity: NodeIdentity,
}

/// A running node. Dropping it without [`Node::shutdown`] leaves the threads running until the process ends.
pub struct Node {
    handle: Arc<NodeHandle>,
    kafka_addr: SocketAddr,
    chosen: Chosen,
    failures: mpsc::UnboundedReceiver<NodeError>,
    thread: JoinHandle<std::io::Result<()>>,
    _lock: DirLock,
}

impl Node {
    /// Starts a node and returns when it serves.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing is left running.
    pub fn start(settings: NodeSettings) -> Result<Self, NodeError> {
        let chosen = choose(settings.reactor).map_err(NodeError::Runtime)?;
        let cores = u32::try_from(settings.cores.max(1)).unwrap_or(u32::MAX);
        let random = random_u128().map_err(NodeError::DataDir)?;
        let lock = DirLock::take(&settings.data_dir).map_err(NodeError::DataDir)?;
        let identity =
            NodeIdentity::start(&settings.data_dir, cores, random).map_err(NodeError::Identity)?;
        let (failure, mut failures) = mpsc::unbounded();
        let (started, start_result) = oneshot::channel();
        let (shared, main) = plan(settings, identity, failure, started);
        let options = Options::new(chosen.backend, shared.settings.cores.max(1));
        let threads = run_cores(&options, main).map_err(NodeError::Threads)?;
        let thread = std::thread::spawn(move || threads.join());
        let kafka_addr = match wait_for_start(start_result, &mut failures) {
            Ok(addr) => addr,
            Err(error) => {
                shared.router.stop();
                // The error that ended the start is the one to report.
                let _ = thread.join();
                return Err(error);
            }
        };
        let handle = Arc::new(NodeHandle::new(shared));
        Ok(Self { handle, kafka_addr, chosen, failures, thread, _lock: lock })
    }

    /// The bound Kafka address.
    #[must_use]
    pub fn kafka_addr(&self) -> SocketAddr {
        self.kafka_addr
    }

    /// Name of the reactor and why it was chosen.
    #[must_use]
    pub fn reactor(&self) -> (&'static str, &str) {
        (self.chosen.name, &self.chosen.reason)
    }

    /// The door to the node from other threads.
    #[must_use]
    pub fn handle(&self) -> Arc<NodeHandle> {
        Arc::clone(&self.handle)
    }

    /// Resolves when the node has failed and must be ended.
    pub async fn failed(&mut self) -> NodeError {
        self.failures.next().await.unwrap_or(NodeError::CoreEnded)
    }

    /// Stops accepting, lets the journals finish, and waits for the threads.
    ///
    /// # Errors
    /// The error of an executor.
    pub fn shutdown(self) -> std::io::Result<()> {
        self.handle.stop();
        self.thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the core threads panicked")))
    }
}

/// Who a hosted node is: what [`Node::start`] keeps in the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostedIdentity {
    pub cluster: ClusterId,
    /// At least 1, the same at every start.
    pub shards: u32,
    /// Counts the starts from 1: the leader epoch of this one.
    pub term: u32,
}

/// A node whose cores run on executors that the caller brings: how the simulator runs the real thing.
pub struct HostedNode {
    /// What each core `0..settings.cores` runs, once.
    pub main: broker_rt::CoreMain,
    /// Resolves with the bound Kafka address when clients are served.
    pub started: oneshot::Receiver<SocketAddr>,
    /// The first item is why the node must be ended; the caller drops its cores then.
    pub failures: mpsc::UnboundedReceiver<NodeError>,
    pub handle: Arc<NodeHandle>,
}

impl HostedNode {
    /// A node that is ready to run. Reads no file and starts no thread.
    #[must_use]
    pub fn new(settings: NodeSettings, identity: HostedIdentity) -> Self {
        let HostedIdentity { cluster, shards, term } = identity;
        let (failure, failures) = mpsc::unbounded();
        let (started_tx, started) = oneshot::channel();
        let identity = NodeIdentity { cluster, shards, term };
        let (shared, main) = plan(settings, identity, failure, started_tx);
        Self { main, started, failures, handle: Arc::new(NodeHandle::new(shared)) }
    }
}

/// What the cores share, and what each of them runs.
fn plan(
    settings: NodeSettings,
    identity: NodeIdentity,
    failure: FailureSink,
    started: oneshot::Sender<SocketAddr>,
) -> (Arc<Shared>, broker_rt::CoreMain) {
    let (router, mailboxes) = Router::new(settings.cores.max(1), identity.shards);
    let shared = Arc::new(Shared {
        cluster_id: cluster_id_text(identity.cluster),
        epoch: LeaderEpoch(i32::try_from(identity.term).unwrap_or(i32::MAX)),
        settings,
        router,
        catalog: Latest::default(),
        full_shards: Arc::default(),
        space: Arc::default(),
        failure,
    });
    let main = core_main(&shared, identity, mailboxes, started);
    (shared, main)
}

/// The bound address, or the failure that came first.
fn wait_for_start(
    started: oneshot::Receiver<SocketAddr>,
    failures: &mut mpsc::UnboundedReceiver<NodeError>,
) -> Result<SocketAddr, NodeError> {
    let first = futures_executor::block_on(select(started, failures.next()));
    match first {
        Either::Left((Ok(addr), _)) => Ok(addr),
        Either::Left((Err(_), failure)) => {
            Err(futures_executor::block_on(failure).unwrap_or(NodeError::CoreEnded))
        }
        Either::Right((failure, _)) => Err(failure.unwrap_or(NodeError::CoreEnded)),
    }
}

fn random_u128() -> std::io::Result<u128> {
    let mut bytes = [0u8; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u128::from_be_bytes(bytes))
}

type StartedSlot = RefCell<Option<oneshot::Sender<SocketAddr>>>;

fn core_main(
    shared: &Arc<Shared>,
    identity: NodeIdentity,
    mailboxes: Vec<mpsc::UnboundedReceiver<Job>>,
    started: oneshot::Sender<SocketAddr>,
) -> broker_rt::CoreMain {
    let seeds = mailboxes
        .into_iter()
        .map(|mailbox| Some(CoreSeed { mailbox, shared: Arc::clone(shared), identity }));
    let seeds: Mutex<Vec<_>> = Mutex::new(seeds.collect());
    let started = Mutex::new(Some(started));
    Arc::new(move |core: CoreId, runtime: Rc<dyn Runtime>| -> LocalFuture<'static, ()> {
        // A poisoned lock is as good as any: each slot is taken once.
        let seed = seeds.lock().unwrap_or_else(PoisonError::into_inner)[core.0].take();
        let seed = seed.expect("each core starts once");
        let started = match core.0 {
            0 => started.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        };
        Box::pin(run_core(core.0, runtime, seed, RefCell::new(started)))
    })
}

async fn run_core(index: usize, runtime: Rc<dyn Runtime>, seed: CoreSeed, started: StartedSlot) {
    let CoreSeed { mut mailbox, shared, identity } = seed;
    let shards = match open_shards(index, &runtime, &shared, identity).await {
        Ok(shards) => shards,
        Err(error) => {
            // The node is being given up when nobody listens.
            let _ = shared.failure.unbounded_send(error);
            return;
        }
    };
    let core = Core::new(Rc::clone(&runtime), shared, shards);
    let mut running = Vec::new();
    for shard in core.shards.values() {
        running.push(start_shard(&core, shard));
    }
    if index == 0 {
        let first = first_catalog(Rc::clone(&core), started);
        runtime.spawn(Queue::Latency, "first-catalog", Box::pin(first));
    }
    while let Some(job) = mailbox.next().await {
        core.take_up(job);
        if core.stopping.get() {
            break;
        }
    }
    for shard in core.shards.values() {
        shard.journal.close();
    }
    for ended in running {
        // A shard's task that was dropped has nothing more to write.
        let _ = ended.await;
    }
}

async fn open_shards(
    index: usize,
    runtime: &Rc<dyn Runtime>,
    shared: &Shared,
    identity: NodeIdentity,
) -> Result<BTreeMap<ShardId, Rc<Shard>>, NodeError> {
    let settings = &shared.settings;
    let mut shards = BTreeMap::new();
    for shard in (0..identity.shards).map(ShardId) {
        if shared.router.core_of(shard) != index {
            continue;
        }
        let mut journal = JournalOptions::new(identity.cluster, shard);
        journal.term = Term(u64::from(identity.term));
        journal.segment_bytes = settings.segment_bytes;
        journal.files_max = settings.segment_files_max / identity.shards.max(1) as usize;
        journal.tail_bytes_max = settings.tail_bytes_max;
        journal.checkpoint_bytes = settings.checkpoint_bytes;
        journal.frame_bytes_max = settings.entry_bytes_max();
        journal.pending_bytes_max = 2 * journal.frame_bytes_max;
        journal.space = Arc::clone(&shared.space);
        let groups = settings.group_config();
        let full_shards = Arc::clone(&shared.full_shards);
        let options = ShardOptions { journal, epoch: shared.epoch, groups, full_shards };
        let dir = shard_dir(&settings.data_dir, shard);
        let opened = Shard::open(&**runtime, &dir, options).await;
        shards.insert(shard, opened.map_err(|error| NodeError::Shard { shard, error })?);
    }
    Ok(shards)
}

/// Starts the tasks of a shard; the receiver resolves when its journal has ended.
fn start_shard(core: &Rc<Core>, shard: &Rc<Shard>) -> oneshot::Receiver<()> {
    let (ended_tx, ended) = oneshot::channel();
    let hooks: Rc<dyn JournalHooks> = Rc::clone(shard) as Rc<dyn JournalHooks>;
    let (running, failure) = (shard.journal.run(hooks), core.shared.failure.clone());
    let id = shard.id;
    let run = async move {
        if let Err(error) = running.await {
            tracing::error!(shard = id.0, %error, "journal failed: this node stops");
            // The first failure is enough.
            let _ = failure.unbounded_send(NodeError::Shard { shard: id, error: error.into() });
        }
        // Nobody waits any more when the core is ending.
        let _ = ended_tx.send(());
    };
    core.runtime.spawn(Queue::Latency, "journal", Box::pin(run));
    let deadlines = Rc::clone(shard).group_deadlines(Rc::clone(&core.runtime));
    core.runtime.spawn(Queue::Latency, "group-deadlines", Box::pin(deadlines));
    let retention = crate::housekeeping::run(Rc::clone(core), Rc::clone(shard));
    core.runtime.spawn(Queue::Background, "housekeeping", Box::pin(retention));
    ended
}

/// On core 0, once its shards are open: gives every core the catalog, then has every core listen.
async fn first_catalog(core: Rc<Core>, started: StartedSlot) {
    let catalog = core.shards[&META_SHARD].catalog_snapshot();
    let router = &core.shared.router;
    for index in 0..router.core_count() {
        let catalog = Arc::clone(&catalog);
        let installed = router.submit(index, move |core| {
            core.install_first_catalog(&catalog);
            Box::pin(async {})
        });
        if installed.await.is_err() {
            // That core could not open its shards and has reported why.
            return;
        }
    }
    let bound = match serve_first(&core).await {
        Ok(bound) => bound,
        Err(error) => {
            // The node is being given up when nobody listens.
            let _ = core.shared.failure.unbounded_send(error);
            return;
        }
    };
    for index in 1..router.core_count() {
        let served = router.submit(index, move |core| {
            let served = server::serve(&core, bound).map(drop);
            Box::pin(async move { served })
        });
        if let Ok(Err(error)) = served.await {
            let _ = core.shared.failure.unbounded_send(NodeError::Bind { addr: bound, error });
            return;
        }
    }
    if let Some(started) = started.take() {
        // The starter gave up.
        let _ = started.send(bound);
    }
}

/// How often an address is tried that was asked for and is in use: a killed predecessor's sockets may outlive it for a
/// moment, until the kernel has taken its rings down.
const BIND_TRIES: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);

/// Listens on the first free port of those that the settings allow. Binding is the test, so no other process can take
/// the port between the two.
async fn serve_first(core: &Rc<Core>) -> Result<SocketAddr, NodeError> {
    let settings = &core.shared.settings;
    let (wanted, beyond_max) = (settings.kafka_addr, settings.kafka_ports_beyond_max);
    let last = wanted.port().saturating_add(beyond_max);
    let mut addr = wanted;
    let mut patience = if beyond_max == 0 { BIND_TRIES } else { 0 };
    loop {
        match server::serve(core, addr) {
            Ok(bound) => return Ok(bound),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && patience > 0 => {
                patience -= 1;
                core.runtime.sleep(BIND_PAUSE).await;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && addr.port() < last => {
                addr.set_port(addr.port() + 1);
            }
            Err(error) => return Err(NodeError::Bind { addr: wanted, error }),
        }
    }
}
