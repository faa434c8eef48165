//! A server for measuring: `broker_node::Node` with the production settings, without SQL and HTTP.
//!
//! It builds in minutes where the full binary needs the query engine. Everything on the Kafka path is the product's.
//!
//! ```text
//! bench-server --data-dir DIR --ready-file PATH [--reactor auto|io_uring|epoll] [--cores N] [--preempt-us N]
//! ```
//!
//! Invariants:
//! - The ready file appears, whole, once clients are served: `127.0.0.1:PORT`.
//! - The end of standard input stops the server cleanly, so it never outlives whoever started it.
//! - With `--preempt-us` the same node runs on executors with that time slice; only the reactor's options differ.
//!
//! Deliberately absent: configuration files, signals, every listener but Kafka's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker_node::{HostedIdentity, HostedNode, Node, NodeSettings};
use broker_rt::{Options, choose, run_cores};
use log_types::ClusterId;

fn main() -> anyhow::Result<()> {
    let args = arguments(std::env::args().skip(1))?;
    let settings = settings(&args)?;
    let ready = PathBuf::from(args.get("ready-file").context("--ready-file PATH is missing")?);
    match args.get("preempt-us") {
        None => run_node(settings, &ready),
        Some(text) => run_hosted(settings, &ready, Duration::from_micros(text.parse()?)),
    }
}

fn arguments(words: impl Iterator<Item = String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut words = words;
    let mut args = BTreeMap::new();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { bail!("unexpected argument {word:?}") };
        if !["data-dir", "ready-file", "reactor", "cores", "preempt-us"].contains(&name) {
            bail!("unknown option --{name}");
        }
        let value = words.next().with_context(|| format!("--{name} needs a value"))?;
        args.insert(name.to_owned(), value);
    }
    Ok(args)
}

fn settings(args: &BTreeMap<String, String>) -> anyhow::Result<NodeSettings> {
    let data_dir = args.get("data-dir").context("--data-dir DIR is missing")?;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = NodeSettings::new(PathBuf::from(data_dir), loopback);
    if let Some(name) = args.get("reactor") {
        settings.reactor = name.parse()?;
    }
    if let Some(cores) = args.get("cores") {
        settings.cores = cores.parse().context("--cores")?;
    }
    settings.broker.insert("auto.create.topics.enable".to_owned(), "false".to_owned());
    Ok(settings)
}

fn run_node(settings: NodeSettings, ready: &Path) -> anyhow::Result<()> {
    let node = Node::start(settings)?;
    announce(ready, node.kafka_addr())?;
    wait_for_end()?;
    Ok(node.shutdown()?)
}

/// A node on executors with another time slice. It counts its starts in a file of its own: a term must never repeat.
fn run_hosted(settings: NodeSettings, ready: &Path, preempt: Duration) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.data_dir)?;
    let counter = settings.data_dir.join("starts");
    let starts = match std::fs::read_to_string(&counter) {
        Ok(text) => text.trim().parse::<u32>().context("starts")?,
        Err(_) => 0,
    };
    std::fs::write(&counter, (starts + 1).to_string())?;
    let chosen = choose(settings.reactor)?;
    let mut options = Options::new(chosen.backend, settings.cores);
    options.preempt = preempt;
    let shards = u32::try_from(settings.cores)?;
    let identity =
        HostedIdentity { cluster: ClusterId(*b"bench-versus-001"), shards, term: starts + 1 };
    let hosted = HostedNode::new(settings, identity);
    let main: broker_rt::CoreMain = Arc::clone(&hosted.main);
    let cores = run_cores(&options, main)?;
    let addr = futures_executor::block_on(hosted.started).context("the node did not start")?;
    announce(ready, addr)?;
    wait_for_end()?;
    // A hosted node is ended by dropping its cores: what was acknowledged is in the journal, the rest needs no goodbye.
    drop(cores);
    std::process::exit(0)
}

fn announce(ready: &Path, addr: SocketAddr) -> anyhow::Result<()> {
    let partial = ready.with_extension("partial");
    std::fs::write(&partial, addr.to_string())?;
    std::fs::rename(&partial, ready)?;
    Ok(())
}

/// Returns when whoever started this process closes its standard input.
fn wait_for_end() -> std::io::Result<()> {
    let mut buf = [0; 64];
    while std::io::stdin().read(&mut buf)? > 0 {}
    Ok(())
}
