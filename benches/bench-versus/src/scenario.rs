//! Workloads. Each measures one subject once per round and returns named figures.
//!
//! Invariants:
//! - What was written is counted and compared with what was sent before a figure counts; a mismatch voids the run.
//! - A round ends by time or by bytes, whichever comes first, and its topic is deleted.

mod beside;
mod consume;
mod hostile;
mod latency;
mod process;
mod produce;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hostile::Attack;

use crate::peer::{Durability, Peer};

/// A figure of one round.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) more_is_better: bool,
}

/// More is better.
pub(crate) fn up(name: &'static str, value: f64) -> Figure {
    Figure { name, value, more_is_better: true }
}

/// Less is better.
pub(crate) fn down(name: &'static str, value: f64) -> Figure {
    Figure { name, value, more_is_better: false }
}

/// What rounds are limited to.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) round: Duration,
    pub(crate) round_bytes: u64,
    /// Records per second of the open loop; `None`: half of what the slowest peer manages.
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) partitions: i32,
    /// Log that the cold and the start-up workloads write first.
    pub(crate) log_bytes: u64,
    /// Where the floor probes keep their file.
    pub(crate) dir: PathBuf,
}

/// One workload.
pub(crate) trait Scenario {
    fn name(&self) -> String;
    /// What runs, for the report.
    fn describe(&self) -> String;
    /// Once per peer, before the rounds.
    fn prepare(&mut self, _peer: &mut dyn Peer, _limits: &Limits) -> anyhow::Result<()> {
        Ok(())
    }
    /// One round. `round` is unique in the run.
    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>>;
    /// The machine's limit for the same work, as figures of the same names.
    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>>;
    /// Whether a discarded round comes first.
    fn warm_up(&self) -> bool {
        true
    }
}

/// Every workload by name.
pub(crate) fn by_name(name: &str) -> Option<Box<dyn Scenario>> {
    let (d0, d2) = (Durability::D0, Durability::D2);
    Some(match name {
        "produce-1r-d2" => produce::throughput(1, d2),
        "produce-64k-d2" => produce::throughput(64 << 10, d2),
        "produce-256k-d2" => produce::throughput(256 << 10, d2),
        "produce-1m-d2" => produce::throughput(1 << 20, d2),
        "produce-1r-d0" => produce::throughput(1, d0),
        "produce-64k-d0" => produce::throughput(64 << 10, d0),
        "produce-1m-d0" => produce::throughput(1 << 20, d0),
        "partitions" => produce::partitions(),
        "tail" => consume::tail(),
        "cold" => consume::cold(),
        "cold-beside" => beside::beside(),
        "latency" => latency::single(),
        "e2e-d2" => latency::end_to_end(d2),
        "e2e-d0" => latency::end_to_end(d0),
        "hostile-unread" => hostile::hostile(Attack::Unread),
        "hostile-silent" => hostile::hostile(Attack::Silent),
        "hostile-metadata" => hostile::hostile(Attack::Metadata),
        "hostile-offsets" => hostile::hostile(Attack::Offsets),
        "idle" => process::idle(),
        "startup" => process::startup(),
        _ => return None,
    })
}

/// The names [`by_name`] knows, in the order of a full run.
pub(crate) const ALL: [&str; 20] = [
    "produce-1r-d2",
    "produce-64k-d2",
    "produce-256k-d2",
    "produce-1m-d2",
    "produce-1r-d0",
    "produce-64k-d0",
    "produce-1m-d0",
    "latency",
    "e2e-d2",
    "e2e-d0",
    "tail",
    "cold",
    "cold-beside",
    "partitions",
    "hostile-unread",
    "hostile-silent",
    "hostile-metadata",
    "hostile-offsets",
    "idle",
    "startup",
];

/// Drops what the page cache holds of a directory's files, ours and nobody else's, so that a cold read is cold.
pub(crate) fn evict(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
        } else if let Ok(file) = std::fs::File::open(&path) {
            // Dirty pages cannot be dropped.
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
