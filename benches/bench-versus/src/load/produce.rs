//! Closed-loop produce: each connection keeps `depth` requests in flight until time or bytes are used up.

use std::io::BufReader;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use broker_kafka_wire::ProduceResponse;
use bytes::Bytes;

use super::{connect, receive, send};
use crate::data::{Batch, PRODUCE_VERSION, produce_frame};

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) addr: SocketAddr,
    pub(crate) topic: String,
    /// Connections take the partitions in turn, starting at different ones.
    pub(crate) partitions: i32,
    pub(crate) batch: Batch,
    pub(crate) connections: usize,
    /// Requests in flight per connection.
    pub(crate) depth: usize,
    pub(crate) time_max: Duration,
    pub(crate) bytes_max: u64,
}

/// What was acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) batches: u64,
    pub(crate) wall_s: f64,
    /// Microseconds from send to acknowledgement, sorted.
    pub(crate) latencies_us: Vec<u32>,
}

impl Outcome {
    #[expect(clippy::cast_precision_loss, reason = "a run acknowledges far fewer than 2^52 bytes")]
    pub(crate) fn bytes(&self, batch: &Batch) -> f64 {
        self.batches as f64 * batch.bytes.len() as f64
    }
}

/// Runs the plan; every acknowledgement is decoded and must be free of errors.
///
/// # Errors
/// The first refused, lost or malformed acknowledgement: the round is void then.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let frames = (0..plan.partitions)
        .map(|partition| produce_frame(&plan.topic, partition, &plan.batch))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let frames = Arc::new(frames);
    let requests_max = plan.bytes_max / u64::try_from(plan.batch.bytes.len() * plan.connections)?;
    let started = Instant::now();
    let mut threads = Vec::new();
    for index in 0..plan.connections {
        let (frames, plan) = (Arc::clone(&frames), plan.clone());
        let first = index * frames.len() / plan.connections;
        threads.push(std::thread::spawn(move || {
            connection(&plan, &frames, first, requests_max.max(1), started)
        }));
    }
    let mut outcome = Outcome::default();
    for thread in threads {
        let latencies = thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
        outcome.batches += u64::try_from(latencies.len())?;
        outcome.latencies_us.extend(latencies);
    }
    outcome.wall_s = started.elapsed().as_secs_f64();
    outcome.latencies_us.sort_unstable();
    Ok(outcome)
}

fn connection(
    plan: &Plan,
    frames: &[Vec<Bytes>],
    first: usize,
    requests_max: u64,
    started: Instant,
) -> anyhow::Result<Vec<u32>> {
    let mut writer = connect(plan.addr)?;
    let mut reader = BufReader::with_capacity(16 << 10, writer.try_clone()?);
    let mut sent_at = std::collections::VecDeque::with_capacity(plan.depth);
    let (mut next, mut sent) = (first, 0);
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut buf = Vec::new();
    loop {
        let more = sent < requests_max && started.elapsed() < plan.time_max;
        if more && sent_at.len() < plan.depth {
            sent_at.push_back(Instant::now());
            send(&mut writer, &frames[next])?;
            next = (next + 1) % frames.len();
            sent += 1;
            continue;
        }
        let Some(at) = sent_at.pop_front() else { return Ok(latencies) };
        buf = check(receive(&mut reader, buf)?)?;
        latencies.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

/// Checks an acknowledgement and gives its buffer back.
pub(crate) fn check(answer: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let bytes = Bytes::from(answer);
    let (_, response) =
        ProduceResponse::decode(&bytes, PRODUCE_VERSION).context("bad acknowledgement")?;
    let mut count = 0;
    for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
        ensure!(
            partition.error_code == 0,
            "produce was refused with error {}",
            partition.error_code
        );
        count += 1;
    }
    ensure!(count == 1, "{count} partitions acknowledged instead of one");
    Ok(Vec::from(bytes))
}
