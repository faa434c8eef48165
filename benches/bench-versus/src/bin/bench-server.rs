//! A server for measuring: `broker_node::Node` with the production settings, without SQL and HTTP.
//!
//! It builds in minutes where the full binary needs the query engine. Everything on the Kafka path is the product's.
//!
//! ```text
//! bench-server --data-dir DIR --ready-file PATH [--reactor auto|io_uring|epoll] [--cores N]
//! ```
//!
//! Invariants:
//! - The ready file appears, whole, once clients are served: `127.0.0.1:PORT`.
//! - The end of standard input stops the server cleanly, so it never outlives whoever started it.
//!
//! Deliberately absent: configuration files, signals, every listener but Kafka's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use broker_node::{Node, NodeSettings};

fn main() -> anyhow::Result<()> {
    let args = arguments(std::env::args().skip(1))?;
    let settings = settings(&args)?;
    let ready = PathBuf::from(args.get("ready-file").context("--ready-file PATH is missing")?);
    let node = Node::start(settings)?;
    announce(&ready, node.kafka_addr())?;
    wait_for_end()?;
    Ok(node.shutdown()?)
}

fn arguments(words: impl Iterator<Item = String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut words = words;
    let mut args = BTreeMap::new();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { bail!("unexpected argument {word:?}") };
        if !["data-dir", "ready-file", "reactor", "cores"].contains(&name) {
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
