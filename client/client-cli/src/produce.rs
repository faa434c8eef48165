//! `lumadb produce`: standard input, one record per line.
//!
//! Lines are sent in batches of up to [`BATCH_BYTES`], and when no further one is at hand: a person's lines, or those of a
//! program that writes one now and then, are sent as they come.
//! Keyed records go to a partition by murmur2 of the key, as Kafka's Java client does, so that both agree.

use std::io::BufRead;

use client_kafka::{Batch, Client};

use crate::args::ProduceArgs;
use crate::connect::{block_on, connect, now_ms, pairs};
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;
use crate::topic;

const BATCH_BYTES: usize = 256 << 10;
/// Longest line taken: what the largest allowed topic setting would still accept.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn run(args: &ProduceArgs, terminal: &mut Terminal) -> Result<(), Failure> {
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
        let count = produce_lines(args, &client, &partitions, terminal).await?;
        let plural = if count == 1 { "" } else { "s" };
        terminal.note(&format!("produced {count} record{plural} to {}", args.topic));
        Ok(())
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

async fn produce_lines(
    args: &ProduceArgs,
    client: &Client,
    partitions: &[i32],
    terminal: &mut Terminal,
) -> Result<u64, Failure> {
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = pairs("--header", &args.header)?
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), Some(value.into_bytes())))
        .collect();
    let mut batches: Vec<Batch> = partitions.iter().map(|_| Batch::default()).collect();
    let mut count: u64 = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut terminal.input, LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let (key, value) = split(args, &line);
        let index = match (args.partition, key) {
            (Some(wanted), _) => {
                partitions.iter().position(|&partition| partition == wanted).unwrap_or(0)
            }
            (None, Some(key)) => keyed(key, partitions.len()),
            (None, None) => usize::try_from(count % (partitions.len().max(1) as u64)).unwrap_or(0),
        };
        let (Some(batch), Some(&partition)) = (batches.get_mut(index), partitions.get(index))
        else {
            return Err(Failure::new(Exit::Failed, format!("{} has no partitions", args.topic)));
        };
        batch.push(now_ms(), key, Some(value), &headers)?;
        count += 1;
        if batch.bytes() >= BATCH_BYTES {
            let full = std::mem::take(batch).build(args.compression)?;
            client.produce(&args.topic, partition, full).await?;
        }
        if !terminal.input.buffer().contains(&b'\n') && (terminal.input_pauses)() {
            send_all(args, client, partitions, &mut batches).await?;
        }
    }
    send_all(args, client, partitions, &mut batches).await?;
    Ok(count)
}

async fn send_all(
    args: &ProduceArgs,
    client: &Client,
    partitions: &[i32],
    batches: &mut [Batch],
) -> Result<(), Failure> {
    for (batch, &partition) in batches.iter_mut().zip(partitions) {
        if batch.count() > 0 {
            let batch = std::mem::take(batch).build(args.compression)?;
            client.produce(&args.topic, partition, batch).await?;
        }
    }
    Ok(())
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
