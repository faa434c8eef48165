//! The servers that are compared, behind one trait.
//!
//! Invariants:
//! - A peer stops only the process that it started.
//! - Servers run on processor 0, everything of the harness on processor 1.
//! - An absent peer is "skipped: not installed", never a failure.

pub(crate) mod kafka;
pub(crate) mod luma;

use std::net::SocketAddr;

/// Processor of the servers.
pub(crate) const SERVER_CPU: usize = 0;
/// Processor of the load generator.
pub(crate) const CLIENT_CPU: usize = 1;

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// In the broker's memory or page cache.
    D0,
    /// Synced.
    D2,
}

impl Durability {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::D0 => "D0",
            Self::D2 => "D2",
        }
    }
}

/// A server under test.
pub(crate) trait Peer {
    fn name(&self) -> String;
    /// Starts it on its data directory and returns when it answers; the seconds that took.
    fn start(&mut self) -> anyhow::Result<f64>;
    fn addr(&self) -> anyhow::Result<SocketAddr>;
    fn pid(&self) -> anyhow::Result<u32>;
    /// Ends it cleanly; its data stays.
    fn stop(&mut self) -> anyhow::Result<()>;
    /// Topic settings that give `durability`.
    fn topic_config(&self, durability: Durability) -> Vec<(String, String)>;
    /// Its data directory.
    fn data_dir(&self) -> &std::path::Path;
    /// How it was started, for the report.
    fn command(&self) -> String;
}
