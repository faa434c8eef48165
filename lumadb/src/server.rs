//! Assembly: one node, one engine, three listeners, from one configuration.
//!
//! ```text
//!  Config ──► Node (Kafka port, core threads) ──handle──► Engine ──Sql──► proto-pg
//!                                    └──────────counters─────────────────► proto-http
//! ```
//!
//! Invariants:
//! - Ports are tried before there is a data directory, so a busy one costs nothing. The node binds its own, one per core.
//! - [`Running::stop`] ends the adapters first and the node last, and returns when its journals are synced.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use broker_node::{Node, NodeError, NodeSettings, shards_in};
use client_cli::{Exit, Failure, PORTS_TRIED_MAX, PortError, bind_listener};
use config_schema::{Config, Loaded};
use proto_http::HttpOptions;
use proto_pg::PgOptions;
use query_engine::{Engine, EngineOptions};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::descriptors::{self, Connections, Shares};
use crate::metered::{Metered, SqlMeter};
use crate::ops::NodeOps;

/// How long adapters may take to end before the node is stopped under them.
const ADAPTERS_STOP_MAX: Duration = Duration::from_secs(10);

/// A server that serves.
pub(crate) struct Running {
    pub(crate) kafka: SocketAddr,
    pub(crate) pg: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) cores: usize,
    pub(crate) reactor: (&'static str, String),
    /// What a person should know, such as ports that moved.
    pub(crate) notes: Vec<String>,
    pub(crate) runtime: Runtime,
    node: Node,
    stop: watch::Sender<bool>,
    serving: Arc<AtomicBool>,
    adapters: Vec<Adapter>,
}

/// The runtime of everything that is not the node.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn tokio_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// The sockets that are bound before there is a data directory, so that a busy port changes nothing.
pub(crate) struct Ports {
    pg: TcpListener,
    http: TcpListener,
    /// What a person should know.
    notes: Vec<String>,
}

impl Ports {
    /// # Errors
    /// `Usage` for addresses that are busy or that nobody accepted the risk of.
    pub(crate) fn bind(loaded: &Loaded) -> Result<Self, Failure> {
        let config = &loaded.config;
        let mut notes = Vec::new();
        refuse_public(loaded, "kafka.addr", config.kafka.addr)?;
        if !loaded.is_default("kafka.addr") {
            try_kafka(config.kafka.addr)?;
        }
        let pg = bind(loaded, "pg.addr", config.pg.addr, &mut notes)?;
        let http = bind(loaded, "http.addr", config.http.addr, &mut notes)?;
        Ok(Self { pg, http, notes })
    }
}

/// How long an address that was asked for may be busy: a killed predecessor's sockets may outlive it for a moment, until the
/// kernel has taken its rings down.
const KAFKA_TRIES: u32 = 20;
const KAFKA_PAUSE: Duration = Duration::from_millis(100);

/// The cores bind the Kafka address themselves; this finds out early whether they can.
fn try_kafka(addr: SocketAddr) -> Result<(), Failure> {
    for left in (0..KAFKA_TRIES).rev() {
        match bind_listener("kafka.addr", addr, true) {
            Ok(_) => return Ok(()),
            Err(busy) if busy.error.kind() == std::io::ErrorKind::AddrInUse && left > 0 => {
                std::thread::sleep(KAFKA_PAUSE);
            }
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(())
}

/// Starts everything.
///
/// # Errors
/// `Usage` for settings, else why the node did not start.
pub(crate) fn start(
    loaded: &Loaded,
    ports: Ports,
    data_dir: PathBuf,
    runtime: Runtime,
) -> Result<Running, Failure> {
    let started = Instant::now();
    let config = &loaded.config;
    let Ports { pg: pg_listener, http: http_listener, mut notes } = ports;
    let (pg, http) = (pg_listener.local_addr()?, http_listener.local_addr()?);
    let cores = cores(config, &mut notes);
    // Each shard has a journal, also those that were made for more cores.
    let journals = cores.max(shards_in(&data_dir));
    let shares = descriptors(config, journals, &mut notes)?;
    let settings = node_settings(loaded, data_dir, cores, &shares)?;
    let node = Node::start(settings).map_err(node_failure)?;
    let kafka = node.kafka_addr();
    if config.kafka.addr.port() != 0 && kafka.port() != config.kafka.addr.port() {
        notes.push(moved("kafka.addr", config.kafka.addr, kafka));
    }
    notes.extend(advertised_nowhere(config, kafka));
    let handle = node.handle();
    let options = EngineOptions {
        memory_bytes_max: usize_of(config.pg.memory_bytes_max.0),
        query_memory_bytes_max: usize_of(config.pg.query_memory_bytes_max.0),
        worker_threads: cores,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, handle.clone(), handle.clone()).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot start the query engine: {error}"))
    })?;

    let (stop, stopping) = watch::channel(false);
    let serving = Arc::new(AtomicBool::new(true));
    let (name, reason) = node.reactor();
    let reactor = (name, reason.to_owned());
    let pg_options = PgOptions {
        connections_max: shares.connections.pg,
        startups_max: shares.pg_startups,
        ..PgOptions::default()
    };
    let http_options = HttpOptions {
        connections_max: shares.connections.http,
        connections_per_address_max: count(config.http.connections_per_address_max),
        ..HttpOptions::default()
    };
    let meter = Arc::<SqlMeter>::default();
    let ops = NodeOps {
        node: handle,
        engine: Arc::clone(&engine),
        pg: Arc::clone(&pg_options.counters),
        meter: Arc::clone(&meter),
        http: Arc::clone(&http_options.counters),
        storage: Arc::default(),
        reactor: name.to_owned(),
        started,
        serving: Arc::clone(&serving),
    };
    let listeners = (pg_listener, http_listener);
    let sql = Arc::new(Metered { sql: engine, meter });
    let adapters =
        adapters(&runtime, listeners, (sql, pg_options), (Arc::new(ops), http_options), stopping)?;
    Ok(Running { kafka, pg, http, cores, reactor, notes, runtime, node, stop, serving, adapters })
}

type Adapter = tokio::task::JoinHandle<std::io::Result<()>>;

/// Starts what serves beside the node.
fn adapters(
    runtime: &Runtime,
    (pg_listener, http_listener): (TcpListener, TcpListener),
    (sql, pg_options): (Arc<Metered>, PgOptions),
    (ops, http_options): (Arc<NodeOps>, HttpOptions),
    stopping: watch::Receiver<bool>,
) -> std::io::Result<Vec<Adapter>> {
    let _inside = runtime.enter();
    let pg_listener = tokio::net::TcpListener::from_std(pg_listener)?;
    let http_listener = tokio::net::TcpListener::from_std(http_listener)?;
    let pg_stop = stopped(stopping.clone());
    let pg = proto_pg::serve(pg_listener, sql, pg_options, pg_stop);
    let http = proto_http::serve(http_listener, ops, http_options, stopped(stopping));
    Ok(vec![runtime.spawn(pg), runtime.spawn(http)])
}

/// The configured number, else that of the processors.
fn cores(config: &Config, notes: &mut Vec<String>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = match config.node.cores {
        0 => processors,
        cores => usize::try_from(cores).unwrap_or(1),
    };
    notes.extend(too_many_cores(cores, processors));
    cores
}

impl Running {
    /// Resolves when the node has failed.
    pub(crate) async fn failed(&mut self) -> Failure {
        node_failure(self.node.failed().await)
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// When a core did not end cleanly.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        self.serving.store(false, Ordering::SeqCst);
        // Adapters that ended by themselves no longer listen.
        let _ = self.stop.send(true);
        let adapters = self.adapters;
        self.runtime.block_on(async {
            for adapter in adapters {
                let _ = tokio::time::timeout(ADAPTERS_STOP_MAX, adapter).await;
            }
        });
        self.runtime.shutdown_background();
        self.node
            .shutdown()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot stop cleanly: {error}")))
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// # Errors
/// `Usage` for an address beyond loopback that nobody accepted the risk of.
fn refuse_public(loaded: &Loaded, key: &str, addr: SocketAddr) -> Result<(), Failure> {
    if addr.ip().is_loopback() || loaded.config.node.insecure {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{key} = {addr} from {}: anybody who reaches it could read and write, since there is no login yet",
        loaded.origin(key)
    ))
    .hint("listen on 127.0.0.1, or add --insecure to accept that"))
}

fn bind(
    loaded: &Loaded,
    key: &'static str,
    addr: SocketAddr,
    notes: &mut Vec<String>,
) -> Result<TcpListener, Failure> {
    refuse_public(loaded, key, addr)?;
    let (listener, other_port) = bind_listener(key, addr, !loaded.is_default(key))?;
    let bound = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    if other_port {
        notes.push(moved(key, addr, bound));
    }
    Ok(listener)
}

fn too_many_cores(cores: usize, processors: usize) -> Option<String> {
    (cores > processors).then(|| {
        format!(
            "node.cores is {cores}, but this process may use {processors} processors: threads that share one are slower than \
             {processors} cores would be"
        )
    })
}

/// Kafka's clients connect again to the address that they are told.
fn advertised_nowhere(config: &Config, kafka: SocketAddr) -> Option<String> {
    (kafka.ip().is_unspecified() && config.kafka.advertised().is_none()).then(|| {
        format!(
            "clients are told to connect to {kafka}, which leads those on other machines to themselves: set \
             kafka.advertised_addr to a host and a port that they reach"
        )
    })
}

fn moved(key: &str, wanted: SocketAddr, bound: SocketAddr) -> String {
    format!("port {} is busy: {key} is {bound}", wanted.port())
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Raises the limit of open files and shares it out.
///
/// # Errors
/// `Usage` when it is too low to serve anybody.
fn descriptors(
    config: &Config,
    journals: usize,
    notes: &mut Vec<String>,
) -> Result<Shares, Failure> {
    let wanted = Connections {
        kafka: count(config.kafka.connections_max),
        pg: count(config.pg.connections_max),
        http: count(config.http.connections_max),
    };
    let limit = descriptors::raise();
    let shares = descriptors::share(limit, journals, wanted)?;
    notes.extend(descriptors::note(limit, wanted, &shares));
    Ok(shares)
}

fn node_settings(
    loaded: &Loaded,
    data_dir: PathBuf,
    cores: usize,
    shares: &Shares,
) -> Result<NodeSettings, Failure> {
    let config = &loaded.config;
    let mut settings = NodeSettings::new(data_dir, config.kafka.addr);
    if loaded.is_default("kafka.addr") {
        settings.kafka_ports_beyond_max = PORTS_TRIED_MAX;
    }
    settings.reactor = config
        .node
        .reactor
        .parse()
        .map_err(|error: broker_rt::RtError| Failure::usage(error.to_string()))?;
    settings.cores = cores;
    if let Some((host, port)) = config.kafka.advertised() {
        settings.advertised_host = host;
        settings.advertised_port = Some(port);
    }
    settings.segment_bytes = config.log.segment_bytes.0;
    settings.frame_bytes_max =
        settings.frame_bytes_max.max(usize_of(config.log.message_bytes_max.0));
    settings.tail_bytes_max = usize_of(config.log.tail_bytes_max.0);
    settings.request_bytes_max = usize_of(config.kafka.request_bytes_max.0);
    settings.request_memory_bytes_max = usize_of(config.kafka.request_memory_bytes_max.0);
    settings.segment_files_max = shares.segment_files;
    settings.connections_max = shares.connections.kafka;
    settings.connections_per_ip_max = count(config.kafka.connections_per_address_max);
    settings.broker = broker_settings(loaded);
    Ok(settings)
}

/// Kafka's broker configuration as far as somebody set it: our defaults are Kafka's, so an untouched key stays a default
/// to clients that ask where a value comes from.
fn broker_settings(loaded: &Loaded) -> BTreeMap<String, String> {
    let (kafka, log) = (&loaded.config.kafka, &loaded.config.log);
    let none_is = |limit: Option<i64>| limit.unwrap_or(-1).to_string();
    let retention_bytes = log.retention_bytes.at();
    let retention_bytes = retention_bytes.map(|size| i64::try_from(size.0).unwrap_or(i64::MAX));
    let settings = [
        (
            "kafka.auto_create_topics",
            "auto.create.topics.enable",
            kafka.auto_create_topics.to_string(),
        ),
        ("kafka.num_partitions", "num.partitions", kafka.num_partitions.to_string()),
        (
            "kafka.group_initial_rebalance_delay_ms",
            "group.initial.rebalance.delay.ms",
            kafka.group_initial_rebalance_delay_ms.to_string(),
        ),
        (
            "kafka.groups_per_shard_max",
            "luma.groups.per.shard.max",
            kafka.groups_per_shard_max.to_string(),
        ),
        ("log.retention", "log.retention.ms", none_is(log.retention.at().map(|span| span.as_ms()))),
        ("log.retention_bytes", "log.retention.bytes", none_is(retention_bytes)),
        ("log.message_bytes_max", "message.max.bytes", log.message_bytes_max.0.to_string()),
    ];
    let set = settings.into_iter().filter(|(key, _, _)| !loaded.is_default(key));
    set.map(|(_, name, value)| (name.to_owned(), value)).collect()
}

fn node_failure(error: NodeError) -> Failure {
    match error {
        NodeError::Bind { addr, error } => PortError { key: "kafka.addr", addr, error }.into(),
        NodeError::Runtime(_) => Failure::usage(error.to_string()),
        NodeError::Identity(ref cause) => {
            Failure { hint: cause.hint(), ..Failure::new(Exit::Failed, error.to_string()) }
        }
        _ => Failure::new(Exit::Failed, error.to_string()),
    }
}
