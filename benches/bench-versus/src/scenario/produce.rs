//! Produce throughput at four batch sizes, and few against many partitions.

use anyhow::ensure;

use super::{Figure, Limits, Scenario, down, up};
use crate::data::Batch;
use crate::floor;
use crate::load::produce::{Outcome, Plan, run};
use crate::load::{admin, fetch};
use crate::peer::{Durability, Peer};
use crate::process::{Usage, cpu_s};
use crate::stats::percentile;

/// Partitions of a throughput topic.
const PARTITIONS: i32 = 4;
/// Connections of every throughput run.
const CONNECTIONS: usize = 4;
/// How much of a round is read back and compared byte for byte; the rest is counted.
const VERIFY_BYTES: u64 = 8 << 20;

struct Throughput {
    batch_bytes: usize,
    durability: Durability,
}

pub(super) fn throughput(batch_bytes: usize, durability: Durability) -> Box<dyn Scenario> {
    Box::new(Throughput { batch_bytes, durability })
}

impl Throughput {
    /// Requests in flight per connection.
    fn depth(&self) -> usize {
        match self.batch_bytes {
            0..=4096 => 16,
            4097..=131_072 => 4,
            _ => 2,
        }
    }
}

/// One measured run on a topic that exists.
pub(super) fn measured(peer: &dyn Peer, plan: &Plan) -> anyhow::Result<(Outcome, Vec<Figure>)> {
    let before = Usage::of(peer.pid()?)?;
    let client_before = cpu_s(std::process::id())?;
    let outcome = run(plan)?;
    let used = Usage::of(peer.pid()?)?.since(before);
    let client_cpu_s = cpu_s(std::process::id())? - client_before;
    let mb = outcome.bytes(&plan.batch) / 1e6;
    let figures = vec![
        up("MB/s", mb / outcome.wall_s),
        up("MB/CPU-s", mb / used.cpu_s),
        down("ack p50 µs", percentile(&outcome.latencies_us, 0.5)),
        down("ack p99 µs", percentile(&outcome.latencies_us, 0.99)),
        down("server CPU share", used.cpu_s / outcome.wall_s),
        down("client CPU share", client_cpu_s / outcome.wall_s),
        down("written / sent", used.written_bytes / 1e6 / mb),
    ];
    Ok((outcome, figures))
}

/// Counts every record and compares the first ones byte for byte.
pub(super) fn verified(plan: &Plan, outcome: &Outcome) -> anyhow::Result<()> {
    let ends = admin::ends(plan.addr, &plan.topic, plan.partitions)?;
    let found: i64 = ends.iter().sum();
    let sent = i64::try_from(outcome.batches)? * i64::from(plan.batch.records);
    ensure!(found == sent, "{found} records in the log, {sent} acknowledged");
    let batches = i64::try_from(VERIFY_BYTES)? / i64::try_from(plan.batch.bytes.len())?;
    let end = ends[0].min(batches.max(1) * i64::from(plan.batch.records));
    let read = fetch::verify(plan.addr, &plan.topic, 0, 0..end, &plan.batch)?;
    ensure!(i64::try_from(read)? >= end, "{read} of {end} records read back");
    Ok(())
}

impl Scenario for Throughput {
    fn name(&self) -> String {
        let size = match self.batch_bytes {
            0..=4096 => "1r",
            4097..=131_072 => "64k",
            _ => "1m",
        };
        format!("produce-{size}-{}", self.durability.name().to_lowercase())
    }

    fn describe(&self) -> String {
        let batch = if self.batch_bytes <= 4096 {
            "1 record".to_owned()
        } else {
            format!("{} KiB", self.batch_bytes >> 10)
        };
        format!(
            "1 KiB records, batches of {batch}, acks=all, {}, {CONNECTIONS} connections × {} in flight, {PARTITIONS} partitions",
            self.durability.name(),
            self.depth()
        )
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let topic = format!("{}-{round}", self.name());
        let addr = peer.addr()?;
        admin::create(addr, &topic, PARTITIONS, &peer.topic_config(self.durability))?;
        let plan = Plan {
            addr,
            topic,
            partitions: PARTITIONS,
            batch: Batch::within(self.batch_bytes, 7)?,
            connections: CONNECTIONS,
            depth: self.depth(),
            time_max: limits.round,
            bytes_max: limits.round_bytes,
        };
        let (outcome, figures) = measured(peer, &plan)?;
        verified(&plan, &outcome)?;
        admin::delete(addr, &plan.topic)?;
        Ok(figures)
    }

    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        if self.durability == Durability::D0 {
            return Ok(vec![up("MB/s", floor::bulk(limits.round / 2)?)]);
        }
        let block = self.batch_bytes.next_multiple_of(4096);
        let device = floor::fio(&limits.dir, true, block, CONNECTIONS * self.depth(), 2)?;
        Ok(vec![
            up("MB/s", device.mb_per_s),
            down("ack p50 µs", device.p50_us),
            down("ack p99 µs", device.p99_us),
        ])
    }
}

/// Durable throughput over ten and over many partitions, in the same round.
struct Partitions;

pub(super) fn partitions() -> Box<dyn Scenario> {
    Box::new(Partitions)
}

const FEW: i32 = 10;

impl Scenario for Partitions {
    fn name(&self) -> String {
        "partitions".to_owned()
    }

    fn describe(&self) -> String {
        "64 KiB batches and single records, D2, 10 partitions against many (--partitions), the same round".to_owned()
    }

    fn prepare(&mut self, peer: &mut dyn Peer, limits: &Limits) -> anyhow::Result<()> {
        admin::create(peer.addr()?, "few", FEW, &peer.topic_config(Durability::D2))?;
        admin::create(peer.addr()?, "many", limits.partitions, &peer.topic_config(Durability::D2))
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (names, bytes, depth) in [
            (
                ["64k MB/s at 10", "64k MB/s at many", "64k many / 10", "64k CPU many / 10"],
                64 << 10,
                4,
            ),
            (["1r MB/s at 10", "1r MB/s at many", "1r many / 10", "1r CPU many / 10"], 1, 16),
        ] {
            let run = |topic: &str, partitions| {
                let plan = Plan {
                    addr: peer.addr()?,
                    topic: topic.to_owned(),
                    partitions,
                    batch: Batch::within(bytes, 9)?,
                    connections: CONNECTIONS,
                    depth,
                    time_max: limits.round / 2,
                    bytes_max: limits.round_bytes / 2,
                };
                let ends = |plan: &Plan| {
                    anyhow::Ok(admin::ends(plan.addr, topic, partitions)?.iter().sum::<i64>())
                };
                let before = ends(&plan)?;
                let (outcome, figures) = measured(peer, &plan)?;
                let sent = i64::try_from(outcome.batches)? * i64::from(plan.batch.records);
                ensure!(
                    ends(&plan)? - before == sent,
                    "not every acknowledged record is in {topic}"
                );
                anyhow::Ok((figures[0].value, figures[1].value))
            };
            // The order alternates, as that of the peers does.
            let (few, many) = if round.is_multiple_of(2) {
                let few = run("few", FEW)?;
                (few, run("many", limits.partitions)?)
            } else {
                let many = run("many", limits.partitions)?;
                (run("few", FEW)?, many)
            };
            figures.extend([up(names[0], few.0), up(names[1], many.0)]);
            figures.extend([up(names[2], many.0 / few.0), up(names[3], many.1 / few.1)]);
        }
        Ok(figures)
    }

    fn floor(&mut self, _limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(vec![up("64k many / 10", 1.0), up("1r many / 10", 1.0)])
    }
}
