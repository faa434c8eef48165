//! What clients that mean harm do to a producer beside them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use broker_kafka_wire::{
    FetchPartition, FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsTopic, MetadataRequest, MetadataRequestTopic,
};
use bytes::Bytes;
use log_types::{Offset, PartitionId};

use super::consume::fill;
use super::latency::one_in_flight;
use super::{Figure, Limits, Scenario, down};
use crate::load::{admin, connect, produce, receive, send};
use crate::peer::{Durability, Peer};
use crate::stats::percentile;

const CLIENT: Option<&str> = Some("bench-hostile");

/// What the clients do. A connection that goes on asking has a thread of the lowest priority.
#[derive(Clone, Copy)]
pub(super) enum Attack {
    /// 100 connections, 50 fetches of 50 MiB in flight on each, no answer is read.
    Unread,
    /// 400 connections that say nothing, and 100 that announce 100 MiB and send 64 KiB.
    Silent,
    /// 4 connections that ask for the metadata of 5,000 topics that are not there, again and again.
    Metadata,
    /// 4 connections that ask for the offsets of 20,000 partitions that are not there, again and again.
    Offsets,
}

struct Hostile(Attack);

pub(super) fn hostile(attack: Attack) -> Box<dyn Scenario> {
    Box::new(Hostile(attack))
}

impl Scenario for Hostile {
    fn name(&self) -> String {
        match self.0 {
            Attack::Unread => "hostile-unread",
            Attack::Silent => "hostile-silent",
            Attack::Metadata => "hostile-metadata",
            Attack::Offsets => "hostile-offsets",
        }
        .to_owned()
    }

    fn describe(&self) -> String {
        let attack = match self.0 {
            Attack::Unread => {
                "100 connections with 50 fetches of 50 MiB in flight each, whose answers nobody reads"
            }
            Attack::Silent => {
                "400 silent connections and 100 that announce 100 MiB and send 64 KiB of them"
            }
            Attack::Metadata => {
                "4 connections that ask for the metadata of 5,000 unknown topics, again and again"
            }
            Attack::Offsets => {
                "4 connections that ask for the offsets of 20,000 unknown partitions, again and again"
            }
        };
        format!("one durable 1 KiB record in flight, first alone, then beside {attack}")
    }

    fn prepare(&mut self, peer: &mut dyn Peer, limits: &Limits) -> anyhow::Result<()> {
        fill(peer, &self.name(), limits.log_bytes)?;
        Ok(())
    }

    fn round(
        &mut self,
        peer: &mut dyn Peer,
        limits: &Limits,
        round: usize,
    ) -> anyhow::Result<Vec<Figure>> {
        let addr = peer.addr()?;
        let produced = |name: &str| -> anyhow::Result<Vec<u32>> {
            let topic = format!("hostile-{name}-{round}");
            admin::create(addr, &topic, 1, &peer.topic_config(Durability::D2))?;
            let outcome = produce::run(&one_in_flight(addr, topic.clone(), limits)?)?;
            admin::delete(addr, &topic)?;
            Ok(outcome.latencies_us)
        };
        let alone = produced("alone")?;
        let stop = AtomicBool::new(false);
        let beside = std::thread::scope(|scope| {
            let attackers = self.0.begin(addr, &self.name())?;
            // Those that only hold what they have are kept and do nothing.
            let (busy, held): (Vec<_>, Vec<_>) =
                attackers.into_iter().partition(|attacker| attacker.goes_on);
            for attacker in busy {
                scope.spawn(|| attacker.run(&stop));
            }
            let beside = produced("beside");
            stop.store(true, Ordering::Relaxed);
            drop(held);
            beside
        })?;
        ensure!(!beside.is_empty(), "nothing was acknowledged");
        let (first, then) = (percentile(&alone, 0.99), percentile(&beside, 0.99));
        Ok(vec![
            down("ack p50 µs alone", percentile(&alone, 0.5)),
            down("ack p50 µs beside", percentile(&beside, 0.5)),
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

/// One connection and what it sends.
struct Attacker {
    stream: TcpStream,
    frame: Vec<Bytes>,
    /// Whether each answer is read, and followed by the next request.
    goes_on: bool,
}

impl Attacker {
    /// Until it is told to stop, or the server has closed the connection, as it may.
    fn run(mut self, stop: &AtomicBool) {
        // Only the producer's delay is measured.
        let _ = rustix::process::nice(19);
        let mut buf = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let Ok(answer) = receive(&mut self.stream, std::mem::take(&mut buf)) else { return };
            buf = answer;
            if send(&mut self.stream, &self.frame).is_err() {
                return;
            }
        }
    }

    fn open(
        addr: SocketAddr,
        frame: &[Bytes],
        first: usize,
        goes_on: bool,
    ) -> anyhow::Result<Self> {
        let mut attacker = Self { stream: connect(addr)?, frame: frame.to_vec(), goes_on };
        // As often as `first` says, before the producer begins.
        for _ in 0..first {
            send(&mut attacker.stream, &attacker.frame)?;
        }
        Ok(attacker)
    }
}

impl Attack {
    /// `topic` has a log to read.
    fn begin(self, addr: SocketAddr, topic: &str) -> anyhow::Result<Vec<Attacker>> {
        let open = |count: usize, frame: &[Bytes], first, goes_on| -> anyhow::Result<Vec<_>> {
            (0..count).map(|_| Attacker::open(addr, frame, first, goes_on)).collect()
        };
        match self {
            Self::Unread => open(100, &fetch(topic)?, 50, false),
            Self::Silent => {
                let mut all = open(400, &[], 0, false)?;
                for _ in 0..100 {
                    let mut attacker = Attacker::open(addr, &[], 0, false)?;
                    attacker.stream.write_all(&(100_i32 << 20).to_be_bytes())?;
                    attacker.stream.write_all(&[0; 64 << 10])?;
                    all.push(attacker);
                }
                Ok(all)
            }
            Self::Metadata => open(4, &metadata()?, 1, true),
            Self::Offsets => open(4, &offsets(topic)?, 1, true),
        }
    }
}

fn fetch(topic: &str) -> anyhow::Result<Vec<Bytes>> {
    let bytes_max = 50 << 20;
    let partition = FetchPartition {
        partition: PartitionId(0),
        fetch_offset: Offset(0),
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes_max,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    Ok(request.encode(12, 1, CLIENT)?.into_segments())
}

fn metadata() -> anyhow::Result<Vec<Bytes>> {
    let topic = |n: u32| MetadataRequestTopic {
        name: Some(format!("not-there-{n}")),
        ..MetadataRequestTopic::default()
    };
    let request = MetadataRequest {
        topics: Some((0..5_000).map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    Ok(request.encode(9, 1, CLIENT)?.into_segments())
}

fn offsets(topic: &str) -> anyhow::Result<Vec<Bytes>> {
    let partition = |n: i32| ListOffsetsPartition {
        partition: PartitionId(n + 1),
        timestamp: -1,
        ..ListOffsetsPartition::default()
    };
    let partitions = (0..20_000).map(partition).collect();
    let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions }];
    let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
    Ok(request.encode(6, 1, CLIENT)?.into_segments())
}
