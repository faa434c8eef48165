//! `lumadb produce`: standard input, one record per line.
//!
//! Lines are sent in batches of up to [`BATCH_BYTES`], and when no further one is at hand: a person's lines, or those of a
//! program that writes one now and then, are sent as they come. A batch that the topic finds too large is sent in halves, as
//! Kafka's Java client does; a single record that is too large ends the command with the number of its line.
//! Keyed records go to a partition by murmur2 of the key, as Kafka's Java client does, so that both agree.

use bytes::Bytes;
use client_kafka::{Batch, Client, Error};

use crate::args::ProduceArgs;
use crate::connect::{block_on, connect, now_ms, pairs};
use crate::exit::{Exit, Failure};
use crate::input::Input;
use crate::terminal::Terminal;
use crate::topic;

const BATCH_BYTES: usize = 256 << 10;
/// Longest line taken: what the largest allowed topic setting would still accept.
const LINE_BYTES_MAX: usize = 64 << 20;
/// Kafka's MESSAGE_TOO_LARGE.
const MESSAGE_TOO_LARGE: i16 = 10;

type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub(crate) fn run(args: &ProduceArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let headers: Headers = pairs("--header", "NAME=VALUE", &args.header)?
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), Some(value.into_bytes())))
        .collect();
    block_on(async {
        let client = connect(&args.broker).await?;
        let partitions = partitions(&client, &args.topic).await?;
        if let Some(wanted) = args.partition.filter(|wanted| !partitions.contains(wanted)) {
            return Err(Failure::new(
                Exit::NotFound,
                format!("{} has no partition {wanted}", args.topic),
            ));
        }
        if terminal.stdin_is_tty {
            terminal.note("one record per line, Ctrl-D ends");
        }
        let mut producer = Producer::new(args, headers, &client, partitions);
        let done = producer.lines(&mut terminal.background_input()).await;
        let count = producer.produced;
        if done.is_ok() || count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            terminal.note(&format!("produced {count} record{plural} to {}", args.topic));
        }
        done
    })
}

/// The topic's partitions; a missing topic is created, as Kafka producers do by asking for its metadata.
async fn partitions(client: &Client, name: &str) -> Result<Vec<i32>, Failure> {
    match topic::existing(client, name).await {
        Ok(topic) => Ok(topic.partitions),
        Err(failure) if failure.exit == Exit::NotFound => {
            client.create_topic(name, -1, &[]).await?;
            Ok(topic::existing(client, name).await?.partitions)
        }
        Err(failure) => Err(failure),
    }
}

/// A line on its way.
struct Record {
    /// From 1.
    line: u64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

/// What waits to be sent to one partition.
#[derive(Default)]
struct Waiting {
    records: Vec<Record>,
    /// Of their keys and values.
    bytes: usize,
}

struct Producer<'a> {
    args: &'a ProduceArgs,
    headers: Headers,
    client: &'a Client,
    /// Partitions, each with what waits for it.
    waiting: Vec<(i32, Waiting)>,
    /// Bytes at which a batch is sent; less once the topic has found one too large.
    batch_bytes: usize,
    /// Lines read so far.
    lines: u64,
    /// Records that were acknowledged.
    produced: u64,
}

impl<'a> Producer<'a> {
    fn new(
        args: &'a ProduceArgs,
        headers: Headers,
        client: &'a Client,
        partitions: Vec<i32>,
    ) -> Self {
        let waiting =
            partitions.into_iter().map(|partition| (partition, Waiting::default())).collect();
        Self { args, headers, client, waiting, batch_bytes: BATCH_BYTES, lines: 0, produced: 0 }
    }

    /// Sends every line; the last one may lack its end.
    async fn lines(&mut self, input: &mut Input) -> Result<(), Failure> {
        let mut begun: Vec<u8> = Vec::new();
        while let Some(chunk) = input.next().await? {
            let mut rest = chunk.bytes.as_slice();
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                begun.extend_from_slice(rest.get(..end).unwrap_or_default());
                rest = rest.get(end + 1..).unwrap_or_default();
                self.line(&begun).await?;
                begun.clear();
            }
            begun.extend_from_slice(rest);
            if begun.len() > LINE_BYTES_MAX {
                let message = format!("line {} is above {LINE_BYTES_MAX} bytes", self.lines + 1);
                return Err(Failure::new(Exit::Failed, message));
            }
            if chunk.paused {
                self.send_all().await?;
            }
        }
        if !begun.is_empty() {
            self.line(&begun).await?;
        }
        self.send_all().await
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let (key, value) = split(self.args, line);
        let index = match (self.args.partition, key) {
            (Some(wanted), _) => {
                self.waiting.iter().position(|&(partition, _)| partition == wanted).unwrap_or(0)
            }
            (None, Some(key)) => keyed(key, self.waiting.len()),
            (None, None) => {
                usize::try_from(self.lines % (self.waiting.len().max(1) as u64)).unwrap_or(0)
            }
        };
        self.lines += 1;
        let Some((_, waiting)) = self.waiting.get_mut(index) else {
            let message = format!("{} has no partitions", self.args.topic);
            return Err(Failure::new(Exit::Failed, message));
        };
        let (key, value) = (key.map(<[u8]>::to_vec), value.to_vec());
        waiting.bytes += key.as_ref().map_or(0, Vec::len) + value.len();
        waiting.records.push(Record { line: self.lines, timestamp_ms: now_ms(), key, value });
        if waiting.bytes >= self.batch_bytes { self.send(index).await } else { Ok(()) }
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        for index in 0..self.waiting.len() {
            self.send(index).await?;
        }
        Ok(())
    }

    async fn send(&mut self, index: usize) -> Result<(), Failure> {
        let Some((partition, waiting)) = self.waiting.get_mut(index) else { return Ok(()) };
        let (partition, Waiting { records, .. }) = (*partition, std::mem::take(waiting));
        let mut parts = vec![records.as_slice()];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            let batch = self.batch(part)?;
            let bytes = batch.len();
            match self.client.produce(&self.args.topic, partition, batch).await {
                Ok(_) => self.produced += part.len() as u64,
                Err(error) if error.code() != Some(MESSAGE_TOO_LARGE) => return Err(error.into()),
                Err(error) => match part {
                    [alone] => return Err(self.too_large(alone.line, &error)),
                    _ => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                        self.batch_bytes = self.batch_bytes.min(bytes / 2);
                    }
                },
            }
        }
        Ok(())
    }

    fn batch(&self, records: &[Record]) -> Result<Bytes, Error> {
        let mut batch = Batch::default();
        for Record { timestamp_ms, key, value, .. } in records {
            batch.push(*timestamp_ms, key.as_deref(), Some(value), &self.headers)?;
        }
        batch.build(self.args.compression)
    }

    fn too_large(&self, line: u64, error: &Error) -> Failure {
        let topic = &self.args.topic;
        Failure::new(Exit::Failed, format!("line {line}: {error}"))
            .hint(format!("lumadb topic alter {topic} -c max.message.bytes=BYTES allows more"))
    }
}

fn split<'a>(args: &'a ProduceArgs, line: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let whole = (args.key.as_deref().map(str::as_bytes), line);
    let Some(separator) =
        args.key_separator.as_deref().map(str::as_bytes).filter(|text| !text.is_empty())
    else {
        return whole;
    };
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(at) => (line.get(..at), line.get(at + separator.len()..).unwrap_or_default()),
        None => whole,
    }
}

/// Index of the partition for a key: Kafka's `toPositive(murmur2(key)) % partitions`.
pub(crate) fn keyed(key: &[u8], partitions: usize) -> usize {
    let positive = usize::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0);
    positive % partitions.max(1)
}

/// MurmurHash2, 32 bit, with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (chunks, tail) = data.as_chunks::<4>();
    for chunk in chunks {
        let mut k = u32::from_le_bytes(*chunk).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (index, &byte) in tail.iter().enumerate() {
        hash ^= u32::from(byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests;
