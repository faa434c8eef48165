//! Open-loop end-to-end latency: one-record batches at a fixed rate, and a consumer on another connection.
//!
//! ```text
//! sender  ── at start + i·interval ──► broker ──► consumer sees offset first+i at t
//! acks    ◄───────────────────────────── latency of the i-th acknowledgement, from its intended time
//! ```
//!
//! Invariants:
//! - Latency counts from the intended send time, so a stalled broker or client is charged for the queue it causes
//!   (no coordinated omission).
//! - The topic has one partition and one producing connection, so record i has offset first + i.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::fetch::Reader;
use super::produce::check;
use super::{connect, receive, send};
use crate::data::{Batch, produce_frame};

/// Microseconds from the intended send time, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    pub(crate) acknowledged_us: Vec<u32>,
    pub(crate) consumed_us: Vec<u32>,
}

/// Sends `count` batches of one record at `rate_per_s` and waits until all were acknowledged and consumed.
///
/// # Errors
/// A refused record, or one that never arrives.
pub(crate) fn run(
    addr: SocketAddr,
    topic: &str,
    batch: &Batch,
    rate_per_s: f64,
    count: u32,
    first: i64,
) -> anyhow::Result<Latencies> {
    ensure!(batch.records == 1, "an end-to-end batch has one record");
    let frame = produce_frame(topic, 0, batch)?;
    let mut writer = connect(addr)?;
    let mut acks = std::io::BufReader::new(writer.try_clone()?);
    let mut consumer = Reader::open(addr, topic, 0)?;
    // Connections are warm before the clock starts.
    let start = Instant::now() + Duration::from_millis(50);
    let due = move |index: u32| start + Duration::from_secs_f64(f64::from(index) / rate_per_s);
    let late =
        move |index: u32| u32::try_from(due(index).elapsed().as_micros()).unwrap_or(u32::MAX);
    let acknowledged = std::thread::spawn(move || -> anyhow::Result<Vec<u32>> {
        let mut latencies = Vec::new();
        let mut buf = Vec::new();
        for index in 0..count {
            buf = check(receive(&mut acks, buf)?)?;
            latencies.push(late(index));
        }
        Ok(latencies)
    });
    let consumed = std::thread::spawn(move || -> anyhow::Result<Vec<u32>> {
        let mut latencies: Vec<u32> = Vec::new();
        let end = first + i64::from(count);
        let mut at = first;
        while at < end {
            let walked = consumer.fetch(at, None)?;
            for offset in at..walked.next.min(end) {
                latencies.push(late(u32::try_from(offset - first)?));
            }
            at = walked.next;
        }
        Ok(latencies)
    });
    for index in 0..count {
        let wait = due(index).saturating_duration_since(Instant::now());
        // Short waits spin away in the kernel's timer slack; what they add is charged to the latency of both peers.
        if wait > Duration::from_micros(60) {
            std::thread::sleep(wait.checked_sub(Duration::from_micros(55)).unwrap_or_default());
        }
        send(&mut writer, &frame)?;
    }
    let joined = |thread: std::thread::JoinHandle<anyhow::Result<Vec<u32>>>| {
        let mut latencies =
            thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
        latencies.sort_unstable();
        anyhow::Ok(latencies)
    };
    Ok(Latencies {
        acknowledged_us: joined(acknowledged).context("acknowledgements")?,
        consumed_us: joined(consumed).context("consumer")?,
    })
}
