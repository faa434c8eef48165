//! One core: its shards, its copy of the catalog, and the [`Broker`] that its connections talk to.
//!
//! Invariants:
//! - Every core sees a catalog change before a client is answered that made it or was refused because of it, and all cores
//!   see it at the same moment: a client that learnt of a topic on one connection never misses it on the next.
//! - A shard knows the streams of a change before any core's catalog names them.
//! - A core never touches another core's shards: it sends a job.

mod broker_impl;
mod latest;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use broker_core::catalog::{Catalog, PartitionPlace, Topic};
use broker_core::config::{BrokerConfigs, TopicConfig};
use broker_kafka::broker::{Fatal, Identity};
use broker_rt::{Queue, Runtime};
use futures_util::future::join_all;
use log_io::LocalFuture;
use log_journal::SharedSpace;
use log_types::{LeaderEpoch, ShardId, TopicId};

use crate::fair::{Yielding, fair};
use crate::limits::Memory;
use crate::opening::Opening;
use crate::router::{Job, Router};
use crate::settings::NodeSettings;
use crate::shard::Shard;
use crate::spawned::{Started, start};
use crate::stats::ConnectionCounters;

pub(crate) use broker_impl::CoreBroker;
pub(crate) use latest::Latest;

/// What every core of the node shares.
pub(crate) struct Shared {
    pub(crate) settings: NodeSettings,
    pub(crate) cluster_id: String,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) router: Router,
    pub(crate) catalog: Latest,
    /// Shards that cannot write because the disk is full.
    pub(crate) full_shards: Arc<AtomicU64>,
    /// The shards' directories are in one file system.
    pub(crate) space: Arc<SharedSpace>,
    pub(crate) failure: crate::node::FailureSink,
}

/// State of one core. Used as `Rc<Core>` on its own thread.
pub(crate) struct Core {
    pub(crate) runtime: Rc<dyn Runtime>,
    pub(crate) yielding: Yielding,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shards: BTreeMap<ShardId, Rc<Shard>>,
    pub(crate) identity: RefCell<Arc<Identity>>,
    catalog: RefCell<Arc<Catalog>>,
    broker_config: RefCell<Arc<BrokerConfigs>>,
    topic_configs: RefCell<BTreeMap<TopicId, CachedConfig>>,
    /// For the bytes of requests.
    pub(crate) memory: Memory,
    /// For what their elements become: apart, because a request comes to hold both.
    pub(crate) decoded: Memory,
    /// For records on their way to consumers.
    pub(crate) answers: Memory,
    /// For other answers that are large: apart, because those wait for memory, and answers of records never do.
    pub(crate) listings: Memory,
    pub(crate) opening: Opening,
    pub(crate) connections: ConnectionCounters,
    pub(crate) producer_ids: Cell<std::ops::Range<i64>>,
    pub(crate) stopping: Cell<bool>,
}

/// A topic's configuration as resolved from these overrides.
struct CachedConfig {
    topic: Arc<BTreeMap<String, String>>,
    broker: Arc<BrokerConfigs>,
    config: Arc<TopicConfig>,
}

/// What changed in the catalog, besides configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlacesChanged {
    pub(crate) added: Vec<PartitionPlace>,
    pub(crate) removed: Vec<PartitionPlace>,
}

impl Core {
    pub(crate) fn new(
        runtime: Rc<dyn Runtime>,
        shared: Arc<Shared>,
        shards: BTreeMap<ShardId, Rc<Shard>>,
    ) -> Rc<Self> {
        let settings = &shared.settings;
        let broker_config = Arc::new(settings.broker_config(&BTreeMap::new()));
        let identity = Identity {
            node_id: settings.node_id,
            cluster_id: shared.cluster_id.clone(),
            host: settings.advertised_host.clone(),
            port: 0,
        };
        Rc::new(Self {
            yielding: Yielding::of(&runtime),
            runtime,
            shards,
            identity: RefCell::new(Arc::new(identity)),
            catalog: RefCell::new(Arc::new(Catalog::new())),
            broker_config: RefCell::new(broker_config),
            topic_configs: RefCell::default(),
            memory: Memory::new(settings.request_memory_bytes_max),
            decoded: Memory::new(settings.request_memory_bytes_max),
            answers: Memory::new(settings.request_memory_bytes_max),
            listings: Memory::new(settings.request_memory_bytes_max),
            opening: Opening::new(settings.request_memory_bytes_max),
            connections: ConnectionCounters::default(),
            producer_ids: Cell::new(0..0),
            stopping: Cell::new(false),
            shared,
        })
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.refresh();
        Arc::clone(&self.catalog.borrow())
    }

    pub(crate) fn broker_config(&self) -> Arc<BrokerConfigs> {
        self.refresh();
        Arc::clone(&self.broker_config.borrow())
    }

    /// The topic's effective configuration; resolved once per change.
    pub(crate) fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig> {
        let broker = self.broker_config();
        let mut cache = self.topic_configs.borrow_mut();
        if let Some(cached) = cache.get(&topic.id)
            && *cached.topic == topic.configs
            && Arc::ptr_eq(&cached.broker, &broker)
        {
            return Arc::clone(&cached.config);
        }
        let config = Arc::new(TopicConfig::resolve(&topic.configs, &broker));
        let cached = CachedConfig {
            topic: Arc::new(topic.configs.clone()),
            broker,
            config: Arc::clone(&config),
        };
        cache.insert(topic.id, cached);
        config
    }

    /// Takes over the node's catalog when it is newer than this core's.
    fn refresh(&self) {
        let Some(catalog) = self.shared.catalog.newer_than(self.catalog.borrow().version) else {
            return;
        };
        let config = self.shared.settings.broker_config(&catalog.broker_configs);
        if config != **self.broker_config.borrow() {
            self.broker_config.replace(Arc::new(config));
        }
        self.topic_configs.borrow_mut().retain(|id, _| catalog.topic_by_id(*id).is_some());
        self.catalog.replace(catalog);
    }

    fn add_streams(&self, places: &[PartitionPlace]) {
        for place in places {
            if let Some(shard) = self.shards.get(&place.shard) {
                shard.add_stream(place.stream);
            }
        }
    }

    fn remove_streams(&self, places: &[PartitionPlace]) {
        for place in places {
            if let Some(shard) = self.shards.get(&place.shard) {
                shard.remove_stream(place.stream);
            }
        }
    }

    /// At start: the catalog as the meta shard folded it; every shard drops what it does not name.
    pub(crate) fn install_first_catalog(&self, catalog: &Arc<Catalog>) {
        for shard in self.shards.values() {
            let topics = catalog.topics.values();
            let places = topics.flat_map(|topic| topic.partitions.iter());
            shard.reconcile(places.filter(|p| p.shard == shard.id).map(|place| place.stream));
        }
        self.shared.catalog.offer(catalog);
        self.refresh();
    }

    /// Runs `work` where the shard lives: at once when that is here. It is done also when nobody waits for it any more.
    pub(crate) fn on_shard<T, F>(
        &self,
        shard: ShardId,
        work: F,
    ) -> LocalFuture<'static, Result<T, Fatal>>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Shard>) -> LocalFuture<'static, T> + Send + 'static,
    {
        if let Some(local) = self.shards.get(&shard) {
            let work = work(Rc::clone(local));
            return Box::pin(async move { Ok(work.await) });
        }
        let router = &self.shared.router;
        let answer = router.submit(router.core_of(shard), move |core| work(hosted(&core, shard)));
        Box::pin(async move { answer.await.map_err(|_| Fatal) })
    }

    /// The same for work that only reads: it ends with whoever waits for it.
    pub(crate) fn read_on_shard<T, F>(
        &self,
        shard: ShardId,
        work: F,
    ) -> LocalFuture<'static, Result<T, Fatal>>
    where
        T: Send + 'static,
        F: FnOnce(Rc<Shard>) -> LocalFuture<'static, T> + Send + 'static,
    {
        if self.shards.contains_key(&shard) {
            return self.on_shard(shard, work);
        }
        let (router, core) = (&self.shared.router, self.shared.router.core_of(shard));
        let answer = router.submit_while_wanted(core, move |core| work(hosted(&core, shard)));
        Box::pin(async move { answer.await.map_err(|_| Fatal) })
    }

    /// Begins a job that was sent here; the rest of it is a task that lets sockets in whenever it yields, as a
    /// connection's requests do.
    pub(crate) fn take_up(self: &Rc<Self>, job: Job) {
        if let Started::Waiting(rest) = start(job(Rc::clone(self))) {
            let rest = fair(self.yielding.clone(), rest);
            self.runtime.spawn(Queue::Latency, "job", Box::pin(rest));
        }
    }
}

impl Shared {
    /// Makes a catalog that of every core, at one moment, and completes when the shards have followed it: streams come
    /// before a catalog names them and go after none does. `changed` are all places since the catalog before this one.
    pub(crate) async fn publish(
        &self,
        catalog: Arc<Catalog>,
        changed: PlacesChanged,
    ) -> Result<(), Fatal> {
        let PlacesChanged { added, removed } = changed;
        if !added.is_empty() {
            self.on_every_core(move |core| core.add_streams(&added)).await?;
        }
        self.catalog.offer(&catalog);
        self.on_every_core(move |core| {
            core.refresh();
            core.remove_streams(&removed);
        })
        .await
    }

    async fn on_every_core(
        &self,
        work: impl Fn(&Core) + Clone + Send + 'static,
    ) -> Result<(), Fatal> {
        let router = &self.router;
        let sent = (0..router.core_count()).map(|core| {
            let work = work.clone();
            router.submit(core, move |core| {
                work(&core);
                Box::pin(async {})
            })
        });
        let answers = join_all(sent.collect::<Vec<_>>()).await;
        if answers.iter().all(Result::is_ok) { Ok(()) } else { Err(Fatal) }
    }
}

fn hosted(core: &Core, shard: ShardId) -> Rc<Shard> {
    Rc::clone(core.shards.get(&shard).expect("the router knows which core hosts a shard"))
}

impl Core {
    /// Remembers where this core listens; clients are told that unless settings say otherwise.
    pub(crate) fn bound(&self, addr: std::net::SocketAddr) {
        let settings = &self.shared.settings;
        let mut identity = Identity::clone(&self.identity.borrow());
        if identity.host.is_empty() {
            identity.host = addr.ip().to_string();
        }
        identity.port = settings.advertised_port.unwrap_or(addr.port());
        self.identity.replace(Arc::new(identity));
    }

    /// Counts a new connection in; `false` when a limit is reached.
    pub(crate) fn admit(&self, ip: std::net::IpAddr) -> bool {
        let settings = &self.shared.settings;
        let cores = self.shared.router.core_count();
        let counters = &self.connections;
        let mut per_ip = counters.per_ip.borrow_mut();
        let here = per_ip.get(&ip).copied().unwrap_or(0);
        // The kernel spreads connections over the cores, so each core takes its share of the limits.
        let total_max = settings.connections_max.div_ceil(cores);
        let ip_max = settings.connections_per_ip_max.div_ceil(cores);
        let reached = if counters.active.get() >= total_max {
            Some("kafka.connections_max")
        } else {
            (here >= ip_max).then_some("kafka.connections_per_address_max")
        };
        if let Some(limit) = reached {
            let now_ns = self.runtime.clock().mono_ns();
            counters.refuse(ip, limit, now_ns);
            return false;
        }
        per_ip.insert(ip, here + 1);
        counters.active.set(counters.active.get() + 1);
        counters.accepted.set(counters.accepted.get() + 1);
        true
    }

    /// Counts a connection out.
    pub(crate) fn release(&self, ip: std::net::IpAddr) {
        let counters = &self.connections;
        counters.active.set(counters.active.get().saturating_sub(1));
        let mut per_ip = counters.per_ip.borrow_mut();
        if let Some(here) = per_ip.get_mut(&ip) {
            *here -= 1;
            if *here == 0 {
                per_ip.remove(&ip);
            }
        }
    }

    /// Counts an answered request.
    pub(crate) fn observe(&self, api_key: i16, started_ns: u64) {
        let duration_us = self.runtime.clock().mono_ns().saturating_sub(started_ns) / 1000;
        self.connections.requests.borrow_mut().entry(api_key).or_default().observe(duration_us);
    }

    /// Starts no more work; the main loop ends after this job.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }
}

#[cfg(test)]
mod tests;
