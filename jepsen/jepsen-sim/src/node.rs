//! A machine that runs the real node: start, crash at any poll, start again from what the disks kept.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use broker_node::{HostedIdentity, HostedNode, NodeSettings};
use broker_rt::{CoreId, Runtime};
use futures_util::StreamExt;
use log_io::Random;
use log_types::ClusterId;

use crate::disk::Host;
use crate::runtime::{HostClock, SimRuntime};
use crate::world::{ProcessId, SCENARIO, World};

/// The node's Kafka address; the same after every restart.
pub(crate) const NODE_ADDR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 9092);

/// The cluster of every run.
pub(crate) const CLUSTER: ClusterId = ClusterId(*b"simulated-luma-1");

/// One machine with one node.
pub struct SimNode {
    world: Rc<World>,
    pub host: Rc<Host>,
    pub clock: Rc<HostClock>,
    settings: NodeSettings,
    starts: Cell<u32>,
    process: Cell<Option<ProcessId>>,
    /// Why the node asked to be ended, since it was last started.
    failure: RefCell<Option<String>>,
}

impl SimNode {
    /// A machine that is switched off. `broker` are Kafka's static broker settings.
    #[must_use]
    pub fn new(world: &Rc<World>, cores: usize, broker: &[(&str, &str)]) -> Rc<Self> {
        let mut settings = NodeSettings::new(PathBuf::from("/data"), NODE_ADDR);
        settings.cores = cores;
        // Small, so that a short run seals segments and takes checkpoints.
        settings.frame_bytes_max = 64 << 10;
        settings.segment_bytes = 384 << 10;
        settings.checkpoint_bytes = 512 << 10;
        settings.tail_bytes_max = 64 << 10;
        settings.retention_check = Duration::from_millis(200);
        // Longer than any producer is silent, short enough that its ageing is logged.
        settings.producer_expiration = Duration::from_secs(20);
        settings.broker =
            broker.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Rc::new(Self {
            world: Rc::clone(world),
            host: Host::new(world),
            clock: HostClock::new(world),
            settings,
            starts: Cell::new(0),
            process: Cell::new(None),
            failure: RefCell::default(),
        })
    }

    /// Starts the node's process.
    ///
    /// # Panics
    /// When it is running.
    pub fn start(self: &Rc<Self>) {
        assert!(self.process.get().is_none(), "a node is started once at a time");
        self.starts.set(self.starts.get() + 1);
        let world = &self.world;
        let process = world.new_process();
        self.process.set(Some(process));
        world.note(&format!("node start {}", self.starts.get()));
        let shards = u32::try_from(self.settings.cores).expect("a few cores");
        let identity = HostedIdentity { cluster: CLUSTER, shards, term: self.starts.get() };
        let HostedNode { main, mut failures, started, .. } =
            HostedNode::new(self.settings.clone(), identity);
        for core in 0..self.settings.cores {
            let seed = world.random.faults.next_u64();
            let runtime =
                SimRuntime::new(world, process, &self.host, &self.clock, NODE_ADDR.ip(), seed);
            world.spawn(process, "core", main(CoreId(core), runtime as Rc<dyn Runtime>));
        }
        let node = Rc::clone(self);
        world.spawn(SCENARIO, "node-failures", async move {
            // Nothing comes when the process was killed first.
            if let Some(failure) = failures.next().await
                && node.process.get() == Some(process)
            {
                node.world.note(&format!("node failed: {failure}"));
                node.failure.replace(Some(failure.to_string()));
            }
        });
        let node = Rc::clone(self);
        world.spawn(SCENARIO, "node-started", async move {
            if started.await.is_ok() {
                node.world.note("node serves");
            }
        });
    }

    /// Whether the process exists.
    #[must_use]
    pub fn running(&self) -> Option<ProcessId> {
        self.process.get()
    }

    pub(crate) fn world_note(&self, text: &str) {
        self.world.note(text);
    }

    /// How often the node was started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.starts.get()
    }

    /// Why the node must be ended, when it has said so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Ends the process and cuts the power: what was not synced is kept, lost or torn.
    pub fn crash(&self) {
        let Some(process) = self.process.take() else { return };
        self.world.note("node crash");
        self.world.kill(process);
        self.failure.take();
        self.host.power_cut();
    }
}

impl std::fmt::Debug for SimNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimNode").field("starts", &self.starts).finish_non_exhaustive()
    }
}
