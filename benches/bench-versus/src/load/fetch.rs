//! Fetching: as fast as possible over a fixed range, and the check that a log holds what was sent.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use broker_kafka_wire::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use bytes::Bytes;
use log_record::{Batches, verify_crc};
use log_types::{Offset, PartitionId};

use super::{connect, receive, send};
use crate::data::Batch;

/// Fetch version that names topics and that Kafka 2.7 to 4.x and LumaDB know.
const FETCH_VERSION: i16 = 12;

/// One connection that reads one partition.
pub(crate) struct Reader {
    stream: TcpStream,
    topic: String,
    partition: i32,
    buf: Vec<u8>,
    /// Bytes asked for per request.
    pub(crate) bytes_max: i32,
    /// How long the broker may wait for the first byte.
    pub(crate) wait_ms: i32,
}

/// What a fetch returned, after the batches were walked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walked {
    /// The offset to fetch next.
    pub(crate) next: i64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Reader {
    pub(crate) fn open(addr: SocketAddr, topic: &str, partition: i32) -> anyhow::Result<Self> {
        let (stream, topic) = (connect(addr)?, topic.to_owned());
        Ok(Self { stream, topic, partition, buf: Vec::new(), bytes_max: 1 << 20, wait_ms: 500 })
    }

    fn frame(&self, offset: i64) -> anyhow::Result<Vec<Bytes>> {
        let partition = FetchPartition {
            partition: PartitionId(self.partition),
            fetch_offset: Offset(offset),
            partition_max_bytes: self.bytes_max,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: self.topic.clone(),
            partitions: vec![partition],
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: self.wait_ms,
            min_bytes: 1,
            max_bytes: self.bytes_max,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        Ok(request.encode(FETCH_VERSION, 1, Some("bench-versus"))?.into_segments())
    }

    /// Sends a fetch; the answer is taken by [`Self::answer`], in order.
    pub(crate) fn ask(&mut self, offset: i64) -> anyhow::Result<()> {
        let frame = self.frame(offset)?;
        send(&mut self.stream, &frame)
    }

    /// Takes the next answer: offsets must continue at `expected`.
    pub(crate) fn answer(
        &mut self,
        expected: i64,
        check: Option<&Batch>,
    ) -> anyhow::Result<Walked> {
        let buf = receive(&mut self.stream, std::mem::take(&mut self.buf))?;
        let bytes = Bytes::from(buf);
        let (_, response) =
            FetchResponse::decode(&bytes, FETCH_VERSION).context("bad fetch response")?;
        ensure!(response.error_code == 0, "fetch was refused with error {}", response.error_code);
        let mut walked = Walked { next: expected, ..Walked::default() };
        for topic in response.topics {
            for partition in topic.partitions {
                ensure!(
                    partition.error_code == 0,
                    "fetch was refused with error {}",
                    partition.error_code
                );
                for records in &partition.records.0 {
                    walk(records, &mut walked, check)?;
                }
            }
        }
        self.buf = Vec::from(bytes);
        Ok(walked)
    }

    pub(crate) fn fetch(&mut self, offset: i64, check: Option<&Batch>) -> anyhow::Result<Walked> {
        self.ask(offset)?;
        self.answer(offset, check)
    }
}

fn walk(records: &[u8], walked: &mut Walked, check: Option<&Batch>) -> anyhow::Result<()> {
    for batch in Batches::tolerant(records) {
        let (header, bytes) = batch.context("bad batch")?;
        if header.next_offset().0 <= walked.next {
            // A fetch into the middle of a batch starts with the whole batch.
            continue;
        }
        ensure!(
            header.base_offset.0 == walked.next,
            "offset {} instead of {}",
            header.base_offset.0,
            walked.next
        );
        if let Some(sent) = check {
            verify_crc(bytes).context("checksum")?;
            ensure!(
                &bytes[21..] == sent.kept(),
                "the batch at {} is not what was sent",
                walked.next
            );
        }
        walked.next = header.next_offset().0;
        walked.records += u64::try_from(header.records_count)?;
        walked.bytes += u64::try_from(bytes.len())?;
    }
    Ok(())
}

/// Reads `from..to` once, verifying every byte against `sent`; returns the records read.
///
/// # Errors
/// A gap, a repetition, a changed byte, or an end before `to`.
pub(crate) fn verify(
    addr: SocketAddr,
    topic: &str,
    partition: i32,
    range: std::ops::Range<i64>,
    sent: &Batch,
) -> anyhow::Result<u64> {
    let mut reader = Reader::open(addr, topic, partition)?;
    reader.bytes_max = 4 << 20;
    let (mut at, mut records) = (range.start, 0);
    while at < range.end {
        let walked = reader.fetch(at, Some(sent))?;
        ensure!(walked.next > at, "nothing to read at offset {at} of {}", range.end);
        at = walked.next;
        records += walked.records;
    }
    Ok(records)
}

/// Reads `range` again and again until `time_max`; returns bytes and seconds.
pub(crate) fn drain(
    reader: &mut Reader,
    range: std::ops::Range<i64>,
    time_max: Duration,
) -> anyhow::Result<(u64, f64)> {
    let started = Instant::now();
    let (mut at, mut bytes) = (range.start, 0);
    while started.elapsed() < time_max {
        let walked = reader.fetch(at, None)?;
        ensure!(walked.next > at, "nothing to read at offset {at}");
        bytes += walked.bytes;
        at = if walked.next >= range.end { range.start } else { walked.next };
    }
    Ok((bytes, started.elapsed().as_secs_f64()))
}

/// Reads `range` once from front to back; returns bytes and seconds.
pub(crate) fn once(
    reader: &mut Reader,
    range: std::ops::Range<i64>,
    time_max: Duration,
) -> anyhow::Result<(u64, f64)> {
    let started = Instant::now();
    let (mut at, mut bytes) = (range.start, 0);
    while at < range.end && started.elapsed() < time_max {
        let walked = reader.fetch(at, None)?;
        ensure!(walked.next > at, "nothing to read at offset {at}");
        bytes += walked.bytes;
        at = walked.next;
    }
    Ok((bytes, started.elapsed().as_secs_f64()))
}
