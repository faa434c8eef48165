//! `lumadb bench`: one connection, plain figures.
//!
//! Produce runs closed (a fixed number in flight) or open (`--rate`: a batch's latency counts from when it was due, so
//! that a stalled server cannot hide behind a waiting client). Latency runs open.
//!
//! Deliberately absent: several connections; for a server's limit run several commands at once.

use std::time::{Duration, Instant};

use client_kafka::{Batch, Client, Compression, each_record};
use serde_json::json;
use tokio::task::{JoinError, JoinSet};

use crate::args::{BenchArgs, BenchCommand};
use crate::connect::{block_on, connect, now_ms};
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows};
use crate::terminal::Terminal;
use crate::topic;

const FETCH_BYTES_MAX: i32 = 16 << 20;
const FETCH_WAIT_MS: i32 = 500;

pub(crate) fn run(
    command: BenchCommand,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let report = block_on(async {
        match command {
            BenchCommand::Produce { common, batch_size, in_flight, rate, acks } => {
                let bytes = usize::try_from(batch_size.0).unwrap_or(usize::MAX);
                produce(
                    &common,
                    &Load { batch_bytes: bytes, in_flight: in_flight.max(1), rate, acks },
                )
                .await
            }
            BenchCommand::Consume { common } => consume(&common).await,
            BenchCommand::Latency { common, rate } => latency(&common, rate.max(1)).await,
        }
    })?;
    report.rows().print(format, terminal)
}

#[derive(Default)]
struct Report {
    records: u64,
    bytes: u64,
    elapsed: Duration,
    /// One per batch or record, unsorted.
    latencies: Vec<Duration>,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn rows(mut self) -> Rows {
        self.latencies.sort_unstable();
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let micros = |permille: usize| {
            let found = percentile(&self.latencies, permille)?;
            u64::try_from(found.as_micros()).ok()
        };
        let mut rows = Rows::new(&[
            "records",
            "bytes",
            "seconds",
            "records_per_second",
            "mb_per_second",
            "p50_us",
            "p99_us",
            "p999_us",
            "max_us",
        ]);
        let round = |value: f64| (value * 100.0).round() / 100.0;
        rows.push(vec![
            json!(self.records),
            json!(self.bytes),
            json!(round(seconds)),
            json!(round(self.records as f64 / seconds)),
            json!(round(self.bytes as f64 / seconds / 1e6)),
            json!(micros(500)),
            json!(micros(990)),
            json!(micros(999)),
            json!(micros(1000)),
        ]);
        rows
    }
}

/// Nearest-rank percentile of sorted values.
fn percentile(sorted: &[Duration], permille: usize) -> Option<Duration> {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

struct Load {
    batch_bytes: usize,
    in_flight: u16,
    rate: Option<u32>,
    acks: i16,
}

async fn open_topic(client: &Client, common: &BenchArgs) -> Result<Vec<i32>, Failure> {
    match topic::existing(client, &common.topic).await {
        Ok(topic) => Ok(topic.partitions),
        Err(failure) if failure.exit == Exit::NotFound => {
            client.create_topic(&common.topic, common.partitions, &[]).await?;
            Ok(topic::existing(client, &common.topic).await?.partitions)
        }
        Err(failure) => Err(failure),
    }
}

fn value(common: &BenchArgs) -> Result<Vec<u8>, Failure> {
    const RECORD_BYTES_MAX: u64 = 64 << 20;
    let size = usize::try_from(common.record_size.0.min(RECORD_BYTES_MAX)).unwrap_or(0);
    if common.record_size.0 > RECORD_BYTES_MAX {
        return Err(Failure::usage("--record-size is above 64MiB"));
    }
    // Not compressible to nothing, and the same in every run: a 64-bit linear congruential sequence (Knuth, MMIX).
    let mut state: u64 = 42;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    Ok(std::iter::repeat_with(next).take(size).collect())
}

async fn produce(common: &BenchArgs, load: &Load) -> Result<Report, Failure> {
    let client = connect(&common.broker).await?;
    let partitions = open_topic(&client, common).await?;
    let value = value(common)?;
    let mut report = Report::default();
    let mut flying: JoinSet<Acknowledged> = JoinSet::new();
    let began = Instant::now();
    let mut sent: u32 = 0;
    while began.elapsed() < common.duration.0 {
        let due = match load.rate {
            None => Instant::now(),
            Some(rate) => {
                let due = began + Duration::from_secs(1) / rate.max(1) * sent;
                tokio::time::sleep_until(due.into()).await;
                due
            }
        };
        let mut batch = Batch::default();
        let now = now_ms();
        while batch.count() == 0 || batch.bytes() + value.len() <= load.batch_bytes {
            batch.push(now, None, Some(&value), &[])?;
        }
        report.records += batch.count() as u64;
        report.bytes += batch.bytes() as u64;
        let index = usize::try_from(sent).unwrap_or(0) % partitions.len().max(1);
        let partition = partitions.get(index).copied().unwrap_or(0);
        let built = batch.build(Compression::None)?;
        let pending = client.start_produce(&common.topic, partition, built, load.acks).await?;
        flying.spawn(async move {
            pending.wait().await?;
            Ok(due.elapsed())
        });
        sent = sent.wrapping_add(1);
        while let Some(done) = flying.try_join_next() {
            settle(done, &mut report)?;
        }
        if load.rate.is_none()
            && flying.len() >= usize::from(load.in_flight)
            && let Some(done) = flying.join_next().await
        {
            settle(done, &mut report)?;
        }
    }
    while let Some(done) = flying.join_next().await {
        settle(done, &mut report)?;
    }
    report.elapsed = began.elapsed();
    Ok(report)
}

/// Time from when a batch was due to its acknowledgement.
type Acknowledged = Result<Duration, client_kafka::Error>;

fn settle(done: Result<Acknowledged, JoinError>, report: &mut Report) -> Result<(), Failure> {
    let acknowledged = done.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    report.latencies.push(acknowledged?);
    Ok(())
}

async fn consume(common: &BenchArgs) -> Result<Report, Failure> {
    let client = connect(&common.broker).await?;
    let partitions = topic::existing(&client, &common.topic).await?.partitions;
    let starts = client.offsets(&common.topic, &partitions, -2).await?;
    let ends = client.offsets(&common.topic, &partitions, -1).await?;
    let mut left: Vec<(i32, i64, i64)> = starts
        .iter()
        .zip(&ends)
        .map(|(start, end)| (start.partition, start.offset, end.offset))
        .collect();
    let mut report = Report::default();
    let began = Instant::now();
    while began.elapsed() < common.duration.0 {
        left.retain(|(_, next, end)| next < end);
        let wanted: Vec<(i32, i64)> =
            left.iter().map(|&(partition, next, _)| (partition, next)).collect();
        if wanted.is_empty() {
            break;
        }
        let asked = Instant::now();
        for fetched in client.fetch(&common.topic, &wanted, FETCH_WAIT_MS, FETCH_BYTES_MAX).await? {
            report.bytes += fetched.records.len() as u64;
            let Some((_, next, _)) = left.iter_mut().find(|(id, ..)| *id == fetched.partition)
            else {
                continue;
            };
            *next = each_record(&fetched.records, *next, |_| {
                report.records += 1;
                true
            })?;
        }
        report.latencies.push(asked.elapsed());
    }
    report.elapsed = began.elapsed();
    Ok(report)
}

/// One record at a time on partition 0: from when it was due to when a waiting fetch has brought it back.
async fn latency(common: &BenchArgs, rate: u32) -> Result<Report, Failure> {
    let producer = connect(&common.broker).await?;
    let consumer = connect(&common.broker).await?;
    let partitions = open_topic(&producer, common).await?;
    let partition = partitions.first().copied().unwrap_or(0);
    let end = consumer.offsets(&common.topic, &[partition], -1).await?;
    let mut next = end.first().map_or(0, |end| end.offset);
    let value = value(common)?;
    let mut report = Report::default();
    let began = Instant::now();
    let mut sent: u32 = 0;
    while began.elapsed() < common.duration.0 {
        let due = began + Duration::from_secs(1) / rate * sent;
        tokio::time::sleep_until(due.into()).await;
        let mut batch = Batch::default();
        batch.push(now_ms(), None, Some(&value), &[])?;
        report.bytes += batch.bytes() as u64;
        let pending = producer
            .start_produce(&common.topic, partition, batch.build(Compression::None)?, -1)
            .await?;
        let target = next + 1;
        while next < target {
            for fetched in consumer
                .fetch(&common.topic, &[(partition, next)], FETCH_WAIT_MS, FETCH_BYTES_MAX)
                .await?
            {
                next = each_record(&fetched.records, next, |_| true)?;
            }
        }
        report.latencies.push(due.elapsed());
        pending.wait().await?;
        report.records += 1;
        sent = sent.wrapping_add(1);
    }
    report.elapsed = began.elapsed();
    Ok(report)
}
