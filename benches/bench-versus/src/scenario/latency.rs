//! Latency: one durable record at a time, and end to end at half load.

use std::net::SocketAddr;

use anyhow::ensure;

use super::{Figure, Limits, Scenario, down, up};
use crate::data::{Batch, VALUE_BYTES};
use crate::floor;
use crate::load::produce::{Plan, run};
use crate::load::{admin, open};
use crate::peer::{Durability, Peer};
use crate::stats::percentile;

use super::produce::{measured, verified};

struct Single;

/// One connection, one record of 1 KiB in flight, for a round.
pub(super) fn one_in_flight(
    addr: SocketAddr,
    topic: String,
    limits: &Limits,
) -> anyhow::Result<Plan> {
    Ok(Plan {
        addr,
        topic,
        partitions: 1,
        batch: Batch::within(1, 13)?,
        connections: 1,
        depth: 1,
        time_max: limits.round,
        bytes_max: limits.round_bytes,
    })
}

pub(super) fn single() -> Box<dyn Scenario> {
    Box::new(Single)
}

impl Scenario for Single {
    fn name(&self) -> String {
        "latency".to_owned()
    }

    fn describe(&self) -> String {
        "one connection, one durable 1 KiB record in flight; the floor is one 4 KiB dsync write plus one round trip".to_owned()
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let (addr, topic) = (peer.addr()?, format!("latency-{round}"));
        admin::create(addr, &topic, 1, &peer.topic_config(Durability::D2))?;
        let plan = one_in_flight(addr, topic, limits)?;
        let (outcome, figures) = measured(peer, &plan)?;
        verified(&plan, &outcome)?;
        admin::delete(addr, &plan.topic)?;
        let keep = ["ack p50 µs", "ack p99 µs", "server CPU share"];
        Ok(figures.into_iter().filter(|figure| keep.contains(&figure.name)).collect())
    }

    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        let device = floor::fio(&limits.dir, true, 4096, 1, 2)?;
        let (p50, p99) = floor::round_trip(VALUE_BYTES, 20_000)?;
        Ok(vec![
            down("ack p50 µs", device.p50_us + p50),
            down("ack p99 µs", device.p99_us + p99),
            down("sync p50 µs", device.p50_us),
            down("round trip p50 µs", p50),
        ])
    }
}

struct EndToEnd {
    durability: Durability,
    /// Half of the slowest peer's peak, in records per second.
    rate_per_s: f64,
}

pub(super) fn end_to_end(durability: Durability) -> Box<dyn Scenario> {
    Box::new(EndToEnd { durability, rate_per_s: f64::INFINITY })
}

/// The open loop's sender sleeps and wakes for each record; beyond this the client would be measured.
const RATE_MAX: f64 = 5_000.0;

impl Scenario for EndToEnd {
    fn name(&self) -> String {
        format!("e2e-{}", self.durability.name().to_lowercase())
    }

    fn describe(&self) -> String {
        format!(
            "{}, one record per batch, open loop at {:.0}/s (half of the slowest peer's pipelined peak, at most {RATE_MAX}), \
             from the intended send time to the acknowledgement and to the consumer",
            self.durability.name(),
            self.rate_per_s
        )
    }

    fn prepare(&mut self, peer: &mut dyn Peer, limits: &Limits) -> anyhow::Result<()> {
        if let Some(rate) = limits.rate_per_s {
            self.rate_per_s = rate;
            return Ok(());
        }
        let (addr, topic) = (peer.addr()?, format!("{}-peak", self.name()));
        admin::create(addr, &topic, 1, &peer.topic_config(self.durability))?;
        let plan = Plan {
            addr,
            topic,
            partitions: 1,
            batch: Batch::within(1, 17)?,
            connections: 1,
            depth: 16,
            time_max: limits.round,
            bytes_max: limits.round_bytes,
        };
        // The first run warms the peer up.
        run(&plan)?;
        let outcome = run(&plan)?;
        #[expect(clippy::cast_precision_loss, reason = "records of some seconds are below 2^52")]
        let peak = outcome.batches as f64 / outcome.wall_s;
        self.rate_per_s = self.rate_per_s.min(peak / 2.0).min(RATE_MAX);
        admin::delete(addr, &plan.topic)
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let (addr, topic) = (peer.addr()?, format!("{}-{round}", self.name()));
        admin::create(addr, &topic, 1, &peer.topic_config(self.durability))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of at most thousands for some seconds"
        )]
        let count = (self.rate_per_s * limits.round.as_secs_f64() * 2.0) as u32;
        let batch = Batch::within(1, 17)?;
        let latencies = open::run(addr, &topic, &batch, self.rate_per_s, count, 0)?;
        ensure!(
            latencies.consumed_us.len() == usize::try_from(count)?,
            "not every record was consumed once"
        );
        admin::delete(addr, &topic)?;
        Ok(vec![
            down("ack p50 µs", percentile(&latencies.acknowledged_us, 0.5)),
            down("ack p99 µs", percentile(&latencies.acknowledged_us, 0.99)),
            down("ack p99.9 µs", percentile(&latencies.acknowledged_us, 0.999)),
            down("e2e p50 µs", percentile(&latencies.consumed_us, 0.5)),
            down("e2e p99 µs", percentile(&latencies.consumed_us, 0.99)),
            down("e2e p99.9 µs", percentile(&latencies.consumed_us, 0.999)),
            up("samples", f64::from(count)),
        ])
    }

    fn floor(&mut self, limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        let (p50, p99) = floor::round_trip(VALUE_BYTES, 20_000)?;
        if self.durability == Durability::D0 {
            return Ok(vec![down("ack p50 µs", p50), down("ack p99 µs", p99)]);
        }
        let device = floor::fio(&limits.dir, true, 4096, 1, 2)?;
        Ok(vec![down("ack p50 µs", device.p50_us + p50), down("ack p99 µs", device.p99_us + p99)])
    }
}
