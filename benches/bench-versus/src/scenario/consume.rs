//! Consume: the tail from memory, and a whole log after a restart.

use std::time::Duration;

use anyhow::ensure;

use super::{Figure, Limits, Scenario, evict, up};
use crate::data::Batch;
use crate::floor;
use crate::load::admin;
use crate::load::fetch::{self, Reader};
use crate::load::produce::{Plan, run};
use crate::peer::{Durability, Peer};
use crate::process::Usage;

/// What the tail workload reads again and again: well inside every peer's memory.
const TAIL_BYTES: u64 = 12 << 20;
/// Asked for per fetch.
pub(super) const FETCH_BYTES: i32 = 4 << 20;
const FILL_MAX: Duration = Duration::from_secs(50);

struct Tail;
struct Cold;

pub(super) fn tail() -> Box<dyn Scenario> {
    Box::new(Tail)
}

pub(super) fn cold() -> Box<dyn Scenario> {
    Box::new(Cold)
}

pub(super) fn batch() -> anyhow::Result<Batch> {
    Batch::within(64 << 10, 11)
}

/// Writes about `bytes` into a new topic of one partition; the offset it ends at.
pub(super) fn fill(peer: &dyn Peer, topic: &str, bytes: u64) -> anyhow::Result<i64> {
    let addr = peer.addr()?;
    admin::create(addr, topic, 1, &peer.topic_config(Durability::D2))?;
    let plan = Plan {
        addr,
        topic: topic.to_owned(),
        partitions: 1,
        batch: Batch { ..batch()? },
        connections: 4,
        depth: 4,
        time_max: FILL_MAX,
        bytes_max: bytes,
    };
    let outcome = run(&plan)?;
    let end = admin::ends(addr, topic, 1)?[0];
    let sent = i64::try_from(outcome.batches)? * i64::from(plan.batch.records);
    ensure!(end == sent, "{end} records in the log, {sent} acknowledged");
    Ok(end)
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a round are below 2^52")]
fn figures(bytes: u64, seconds: f64, used: Usage) -> Vec<Figure> {
    let mb = bytes as f64 / 1e6;
    vec![up("MB/s", mb / seconds), up("MB/CPU-s", mb / used.cpu_s)]
}

impl Scenario for Tail {
    fn name(&self) -> String {
        "tail".to_owned()
    }

    fn describe(&self) -> String {
        format!(
            "one consumer reads the last {} MiB again and again, fetches of 4 MiB, 64 KiB batches",
            TAIL_BYTES >> 20
        )
    }

    fn prepare(&mut self, peer: &mut dyn Peer, _limits: &Limits) -> anyhow::Result<()> {
        let end = fill(peer, "tail", TAIL_BYTES)?;
        fetch::verify(peer.addr()?, "tail", 0, 0..end, &batch()?)?;
        Ok(())
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        _round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let end = admin::ends(peer.addr()?, "tail", 1)?[0];
        let mut reader = Reader::open(peer.addr()?, "tail", 0)?;
        reader.bytes_max = FETCH_BYTES;
        let before = Usage::of(peer.pid()?)?;
        let (bytes, seconds) = fetch::drain(&mut reader, 0..end, limits.round)?;
        Ok(figures(bytes, seconds, Usage::of(peer.pid()?)?.since(before)))
    }

    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(vec![up("MB/s", floor::bulk(limits.round)?)])
    }
}

impl Scenario for Cold {
    fn name(&self) -> String {
        "cold".to_owned()
    }

    fn describe(&self) -> String {
        "one consumer reads --log-bytes once after a restart with an empty page cache, fetches of 4 MiB".to_owned()
    }

    fn prepare(&mut self, peer: &mut dyn Peer, limits: &Limits) -> anyhow::Result<()> {
        let end = fill(peer, "cold", limits.log_bytes)?;
        fetch::verify(peer.addr()?, "cold", 0, 0..end, &batch()?)?;
        Ok(())
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        _round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        peer.stop()?;
        evict(peer.data_dir())?;
        peer.start()?;
        let end = admin::ends(peer.addr()?, "cold", 1)?[0];
        let mut reader = Reader::open(peer.addr()?, "cold", 0)?;
        reader.bytes_max = FETCH_BYTES;
        let before = Usage::of(peer.pid()?)?;
        let (bytes, seconds) = fetch::once(&mut reader, 0..end, limits.round * 4)?;
        Ok(figures(bytes, seconds, Usage::of(peer.pid()?)?.since(before)))
    }

    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(vec![up("MB/s", floor::fio(&limits.dir, false, 1 << 20, 4, 2)?.mb_per_s)])
    }

    fn warm_up(&self) -> bool {
        false
    }
}
