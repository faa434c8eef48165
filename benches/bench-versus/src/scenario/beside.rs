//! What a consumer that reads the whole log from the device does to a producer beside it.

use anyhow::{anyhow, ensure};

use super::consume::{FETCH_BYTES, batch, fill};
use super::latency::one_in_flight;
use super::{Figure, Limits, Scenario, down, evict, up};
use crate::load::admin;
use crate::load::fetch::{self, Reader};
use crate::load::produce::{Plan, run};
use crate::peer::{Durability, Peer};
use crate::stats::percentile;

struct Beside;

pub(super) fn beside() -> Box<dyn Scenario> {
    Box::new(Beside)
}

impl Scenario for Beside {
    fn name(&self) -> String {
        "cold-beside".to_owned()
    }

    fn describe(&self) -> String {
        "one durable 1 KiB record in flight, first alone, then while another connection reads --log-mib from the device; \
         the rise is the second p99 divided by the first"
            .to_owned()
    }

    fn prepare(&mut self, peer: &mut dyn Peer, limits: &Limits) -> anyhow::Result<()> {
        fill(peer, "beside", limits.log_bytes)?;
        Ok(())
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        peer.stop()?;
        evict(peer.data_dir())?;
        peer.start()?;
        let addr = peer.addr()?;
        let plan = |name: &str| -> anyhow::Result<Plan> {
            let topic = format!("beside-{name}-{round}");
            admin::create(addr, &topic, 1, &peer.topic_config(Durability::D2))?;
            one_in_flight(addr, topic, limits)
        };
        let alone = run(&plan("alone")?)?;
        let end = admin::ends(addr, "beside", 1)?[0];
        let mut reader = Reader::open(addr, "beside", 0)?;
        reader.bytes_max = FETCH_BYTES;
        let second = plan("read")?;
        let (with_reader, (bytes, seconds)) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                // Of this thread only: both share a processor, and what is asked for is the server's delay, not that of
                // the producer's thread behind the reader's.
                rustix::process::nice(19)?;
                fetch::once(&mut reader, 0..end, limits.round * 4)
            });
            let produced = run(&second)?;
            let read = reading.join().map_err(|_| anyhow!("the reader panicked"))??;
            anyhow::Ok((produced, read))
        })?;
        ensure!(bytes >= batch()?.bytes.len() as u64, "the reader read nothing");
        let p99 = |outcome: &[u32]| percentile(outcome, 0.99);
        let (first, then) = (p99(&alone.latencies_us), p99(&with_reader.latencies_us));
        admin::delete(addr, &format!("beside-alone-{round}"))?;
        admin::delete(addr, &second.topic)?;
        #[expect(clippy::cast_precision_loss, reason = "bytes of a round are below 2^52")]
        let mb = bytes as f64 / 1e6;
        Ok(vec![
            up("read MB/s", mb / seconds),
            down("ack p99 µs alone", first),
            down("ack p99 µs beside", then),
            down("p99 rise", then / first),
        ])
    }

    fn floor(&mut self, _limits: &Limits) -> anyhow::Result<Vec<Figure>> {
        Ok(Vec::new())
    }

    fn warm_up(&self) -> bool {
        false
    }
}
