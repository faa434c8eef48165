//! What a server costs while nothing happens, and how long it takes to serve.

use std::time::Duration;

use anyhow::ensure;

use super::{Figure, Limits, Scenario, consume, down};
use crate::load::admin;
use crate::peer::{Durability, Peer};
use crate::process::{Usage, memory_mib};

/// How long an idle server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

struct Idle;
struct Startup;

pub(super) fn idle() -> Box<dyn Scenario> {
    Box::new(Idle)
}

pub(super) fn startup() -> Box<dyn Scenario> {
    Box::new(Startup)
}

/// An empty data directory under a stopped peer.
fn wipe(peer: &mut dyn Peer) -> anyhow::Result<()> {
    peer.stop()?;
    if peer.data_dir().exists() {
        std::fs::remove_dir_all(peer.data_dir())?;
    }
    Ok(())
}

impl Scenario for Idle {
    fn name(&self) -> String {
        "idle".to_owned()
    }

    fn describe(&self) -> String {
        "a fresh server left alone for 2 s, then with --partitions idle partitions; CPU share over 4 s".to_owned()
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        _round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        wipe(peer)?;
        peer.start()?;
        std::thread::sleep(SETTLE);
        let (empty, _) = memory_mib(peer.pid()?)?;
        let before = Usage::of(peer.pid()?)?;
        std::thread::sleep(2 * SETTLE);
        let used = Usage::of(peer.pid()?)?.since(before);
        admin::create(peer.addr()?, "idle", limits.partitions, &peer.topic_config(Durability::D2))?;
        std::thread::sleep(SETTLE);
        let (with, peak) = memory_mib(peer.pid()?)?;
        Ok(vec![
            down("idle RSS MiB", empty),
            down("idle CPU share", used.cpu_s / (2 * SETTLE).as_secs_f64()),
            down("RSS MiB with partitions", with),
            down("KiB per idle partition", (with - empty) * 1024.0 / f64::from(limits.partitions)),
            down("peak RSS MiB", peak),
        ])
    }

    fn floor(&mut self, _limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(Vec::new())
    }

    fn warm_up(&self) -> bool {
        false
    }
}

impl Scenario for Startup {
    fn name(&self) -> String {
        "startup".to_owned()
    }

    fn describe(&self) -> String {
        "from exec to the first answer: empty directory, then the same with --log-bytes of log after a clean stop".to_owned()
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        _round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        wipe(peer)?;
        let empty_s = peer.start()?;
        let end = consume::fill(peer, "startup", limits.log_bytes)?;
        peer.stop()?;
        super::evict(peer.data_dir())?;
        let full_s = peer.start()?;
        // The log is there, whole, or the time is void.
        let found = admin::ends(peer.addr()?, "startup", 1)?[0];
        ensure!(found == end, "{found} of {end} records after the restart");
        Ok(vec![down("empty ms", empty_s * 1e3), down("with log ms", full_s * 1e3)])
    }

    fn floor(&mut self, _limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(Vec::new())
    }

    fn warm_up(&self) -> bool {
        false
    }
}
