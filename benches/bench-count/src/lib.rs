//! The hot paths of produce and fetch as small kernels, to be counted in instructions and in heap allocations.
//!
//! ```text
//!  bench-count KERNEL N      prepares, then runs the kernel N times
//!  callgrind: (instructions at 2N − instructions at N) / N = cost of one run, without start-up and preparation
//! ```
//!
//! Invariants:
//! - A kernel does the same work in every run, whatever N: nothing grows with the number of runs.
//! - What a kernel computes is passed on, so that the compiler cannot leave it out.
//! - Built without `target-cpu=native`: what is counted is the code that run-time dispatch chooses.
//!
//! Deliberately absent: devices and sockets (an instruction count says nothing of them), row encoding for PostgreSQL
//! and everything else whose crate takes minutes to build.

mod journal;
mod sliced;

use std::hint::black_box;

use broker_core::config::BrokerCompression;
use broker_core::partition::{AppendRules, Partition, Verdict};
use broker_kafka_wire::{
    BatchSlices, FetchPartitionResponse, FetchResponse, FetchTopicResponse, MetadataBroker,
    MetadataPartition, MetadataResponse, MetadataTopic, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, RequestHeader, TopicProduceResponse,
};
use bytes::Bytes;
use log_record::{
    BATCH_HEADER_BYTES, BatchBuilder, Records, compute_crc, read_varlong, write_varlong,
};
use log_types::{LeaderEpoch, NodeId, Offset, PartitionId};

pub use journal::Log;

/// Version that names topics: what librdkafka and the Java client send to a broker they know little of.
pub const PRODUCE_VERSION: i16 = 9;
/// As [`PRODUCE_VERSION`], for Fetch.
pub const FETCH_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 12;
/// Records of the batch that most kernels work on: 64 KiB of 1 KiB records.
pub const RECORDS: u32 = 62;
/// Some time in 2025, in milliseconds.
const NOW_MS: i64 = 1_750_000_000_000;

/// A kernel by name, and how often it is run for a count.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub name: &'static str,
    /// Enough that the difference of two counts is far above their noise.
    pub runs: u32,
    run: fn(u32),
}

/// Every kernel; the names are those of the baseline file.
pub const KERNELS: [Kernel; 13] = [
    Kernel { name: "crc-1mib", runs: 8, run: crc },
    Kernel { name: "varint-1000", runs: 50, run: varint },
    Kernel { name: "records-62", runs: 500, run: records },
    Kernel { name: "produce-decode-64k", runs: 500, run: produce_decode },
    Kernel { name: "produce-check-64k", runs: 100, run: produce_check },
    Kernel { name: "produce-sliced-64k", runs: 100, run: sliced::check },
    Kernel { name: "produce-open-lz4-64k", runs: 20, run: sliced::open },
    Kernel { name: "produce-encode-response", runs: 500, run: produce_response },
    Kernel { name: "journal-append-64k", runs: 50, run: journal::append_batch },
    Kernel { name: "journal-append-1r", runs: 1000, run: journal::append_record },
    Kernel { name: "fetch-tail-1mib", runs: 100, run: journal::fetch_tail },
    Kernel { name: "fetch-encode-1mib", runs: 500, run: fetch_encode },
    Kernel { name: "metadata-100x4", runs: 50, run: metadata },
];

/// The kernel of that name.
#[must_use]
pub fn kernel(name: &str) -> Option<Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.name == name)
}

impl Kernel {
    /// Prepares once and runs `count` times.
    pub fn run(&self, count: u32) {
        (self.run)(count);
    }
}

/// A batch of `count` records of 1 KiB, as a client without idempotence sends it.
///
/// # Panics
/// Never for counts whose batch is below 2 GiB.
#[must_use]
pub fn batch(count: u32) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value = [0x5a; 1024];
    for index in 0..count {
        let key = index.to_be_bytes();
        builder.push(NOW_MS, Some(&key), Some(&value), &[]).expect("1 KiB records fit a batch");
    }
    builder.build().expect("the batch has records")
}

/// A whole Produce request without its size field.
///
/// # Panics
/// Never for batches below 2 GiB.
#[must_use]
pub fn produce_request(batch: &Bytes) -> Bytes {
    let request = ProduceRequest::of_batch("orders", PartitionId(3), batch.clone());
    let frame =
        request.encode(PRODUCE_VERSION, 7, Some("bench")).expect("the request fits a frame");
    frame.to_bytes().slice(4..)
}

/// What the connection does with a Produce request before the log is asked: the batch as a slice of it.
///
/// # Panics
/// When the request is not one of [`produce_request`].
#[must_use]
pub fn decode_produce(request: &Bytes) -> Bytes {
    let (header, body) = RequestHeader::parse(request).expect("a valid header");
    let mut decoded = ProduceRequest::decode(&body, header.version).expect("a valid request");
    let mut topic = decoded.topics.pop().expect("one topic");
    topic.partitions.pop().and_then(|data| data.records).expect("one batch")
}

/// The defaults of a topic.
#[must_use]
pub fn rules() -> AppendRules {
    AppendRules {
        batch_bytes_max: 2 << 20,
        log_append_time: false,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: i64::MAX,
        key_required: false,
        compression: BrokerCompression::Producer,
    }
}

/// Validates a batch as the partition's shard does.
///
/// # Panics
/// When the batch is refused.
#[must_use]
pub fn check_append(
    partition: &Partition,
    batch: &Bytes,
    rules: &AppendRules,
) -> log_record::BatchHeader {
    match partition.check_append(batch, rules, NOW_MS).expect("a valid batch") {
        Verdict::Append(prepared) => prepared.header,
        Verdict::Duplicate { .. } => unreachable!("the batch has no producer"),
    }
}

/// A Fetch response that carries `slices`; its length.
///
/// # Panics
/// Never below 2 GiB.
#[must_use]
pub fn encode_fetch(slices: Vec<Bytes>) -> usize {
    let partition = FetchPartitionResponse {
        partition: PartitionId(3),
        high_watermark: Offset(1000),
        last_stable_offset: Offset(1000),
        log_start_offset: Offset(0),
        records: BatchSlices(slices),
        ..FetchPartitionResponse::default()
    };
    let topic = FetchTopicResponse {
        topic: "orders".to_owned(),
        partitions: vec![partition],
        ..FetchTopicResponse::default()
    };
    let response = FetchResponse { topics: vec![topic], ..FetchResponse::default() };
    response.encode(FETCH_VERSION, 7).expect("the response fits a frame").len()
}

fn crc(count: u32) {
    let batch = batch(1000);
    for _ in 0..count {
        black_box(compute_crc(black_box(&batch)).expect("a whole batch"));
    }
}

fn varint(count: u32) {
    let mut buf = Vec::with_capacity(10_000);
    for _ in 0..count {
        buf.clear();
        for value in 0..1000_i64 {
            write_varlong(&mut buf, black_box(value * value * value));
        }
        let mut rest = buf.as_slice();
        let mut sum = 0_i64;
        while let Ok(value) = read_varlong(&mut rest) {
            sum = sum.wrapping_add(value);
        }
        black_box(sum);
    }
}

fn records(count: u32) {
    let batch = batch(RECORDS);
    let records_count = i32::try_from(RECORDS).expect("a small constant");
    for _ in 0..count {
        let mut bytes = 0;
        for record in Records::new(black_box(&batch[BATCH_HEADER_BYTES..]), records_count) {
            let record = record.expect("a valid record");
            bytes += record.value.map_or(0, <[u8]>::len);
        }
        black_box(bytes);
    }
}

fn produce_decode(count: u32) {
    let request = produce_request(&batch(RECORDS));
    for _ in 0..count {
        black_box(decode_produce(black_box(&request)));
    }
}

fn produce_check(count: u32) {
    let (batch, rules, partition) = (batch(RECORDS), rules(), Partition::default());
    for _ in 0..count {
        black_box(check_append(&partition, black_box(&batch), &rules));
    }
}

fn produce_response(count: u32) {
    for _ in 0..count {
        let partition = PartitionProduceResponse {
            partition: PartitionId(3),
            base_offset: Offset(1000),
            log_start_offset: Offset(0),
            ..PartitionProduceResponse::default()
        };
        let topic = TopicProduceResponse {
            name: "orders".to_owned(),
            partitions: vec![partition],
            ..TopicProduceResponse::default()
        };
        let response =
            ProduceResponse { topics: vec![black_box(topic)], ..ProduceResponse::default() };
        black_box(response.encode(PRODUCE_VERSION, 7).expect("the response fits a frame"));
    }
}

fn fetch_encode(count: u32) {
    let slices = vec![batch(RECORDS); 16];
    for _ in 0..count {
        black_box(encode_fetch(black_box(slices.clone())));
    }
}

fn metadata(count: u32) {
    let partitions = (0..4).map(|index| MetadataPartition {
        partition: PartitionId(index),
        leader_id: NodeId(1),
        leader_epoch: LeaderEpoch(5),
        replica_nodes: vec![NodeId(1)],
        isr_nodes: vec![NodeId(1)],
        ..MetadataPartition::default()
    });
    let partitions: Vec<_> = partitions.collect();
    let topics = (0..100).map(|index| MetadataTopic {
        name: Some(format!("topic-{index}")),
        partitions: partitions.clone(),
        ..MetadataTopic::default()
    });
    let broker = MetadataBroker {
        node_id: NodeId(1),
        host: "127.0.0.1".to_owned(),
        port: 9092,
        ..MetadataBroker::default()
    };
    let response = MetadataResponse {
        brokers: vec![broker],
        cluster_id: Some("AAAAAAAAQACAAAAAAAAAAA".to_owned()),
        controller_id: NodeId(1),
        topics: topics.collect(),
        ..MetadataResponse::default()
    };
    for _ in 0..count {
        black_box(
            black_box(&response).encode(METADATA_VERSION, 7).expect("the response fits a frame"),
        );
    }
}
