//! The table of targets. A corpus file of the same name belongs to each.

mod codec;
mod internal;
mod journal;
mod now;
mod pg;
mod record;
mod wire;

use crate::target::{Limit, MEMORY, STEPS, Target};

macro_rules! corpus {
    ($name:literal) => {
        include_str!(concat!("../corpus/", $name, ".txt"))
    };
}

/// What most targets look like; rows below name what differs.
const PLAIN: Target = Target {
    name: "",
    corpus: "",
    seeds: Vec::new,
    dictionary: &[],
    input_bytes_max: 4096,
    memory: MEMORY,
    steps: STEPS,
    run: |_, _| crate::target::Verdict::Refused,
};

/// All targets, in the order in which they run.
pub const TARGETS: &[Target] = &[
    Target {
        name: "kafka-header",
        corpus: corpus!("kafka-header"),
        dictionary: wire::DICTIONARY,
        run: wire::header,
        ..PLAIN
    },
    Target {
        name: "kafka-request",
        corpus: corpus!("kafka-request"),
        seeds: wire::request_seeds,
        dictionary: wire::DICTIONARY,
        memory: wire::MEMORY,
        run: wire::request,
        ..PLAIN
    },
    Target {
        name: "kafka-response",
        corpus: corpus!("kafka-response"),
        seeds: wire::response_seeds,
        dictionary: wire::DICTIONARY,
        memory: wire::MEMORY,
        run: wire::response,
        ..PLAIN
    },
    Target {
        name: "record-batch",
        corpus: corpus!("record-batch"),
        seeds: record::seeds,
        dictionary: record::DICTIONARY,
        run: record::batch,
        ..PLAIN
    },
    Target {
        name: "append",
        corpus: corpus!("append"),
        seeds: record::append_seeds,
        dictionary: record::DICTIONARY,
        memory: record::APPEND_MEMORY,
        steps: Limit { base: 4_000, factor: 16 },
        run: record::append,
        ..PLAIN
    },
    Target {
        name: "gzip",
        corpus: corpus!("gzip"),
        seeds: codec::gzip_seeds,
        memory: codec::memory(64 << 10),
        run: codec::gzip,
        ..PLAIN
    },
    Target {
        name: "snappy",
        corpus: corpus!("snappy"),
        seeds: codec::snappy_seeds,
        dictionary: codec::SNAPPY_DICTIONARY,
        memory: codec::memory(0),
        run: codec::snappy,
        ..PLAIN
    },
    Target {
        name: "lz4",
        corpus: corpus!("lz4"),
        seeds: codec::lz4_seeds,
        dictionary: codec::LZ4_DICTIONARY,
        memory: codec::memory(12 << 20),
        run: codec::lz4,
        ..PLAIN
    },
    Target {
        name: "zstd",
        corpus: corpus!("zstd"),
        seeds: codec::zstd_seeds,
        dictionary: codec::ZSTD_DICTIONARY,
        memory: codec::memory(64 << 10),
        run: codec::zstd,
        ..PLAIN
    },
    Target {
        name: "catalog-record",
        corpus: corpus!("catalog-record"),
        seeds: internal::catalog_record_seeds,
        run: internal::catalog_record,
        ..PLAIN
    },
    Target {
        name: "catalog-state",
        corpus: corpus!("catalog-state"),
        seeds: internal::catalog_state_seeds,
        run: internal::catalog_state,
        ..PLAIN
    },
    Target {
        name: "group-record",
        corpus: corpus!("group-record"),
        seeds: internal::group_record_seeds,
        run: internal::group_record,
        ..PLAIN
    },
    Target {
        name: "partition-state",
        corpus: corpus!("partition-state"),
        seeds: internal::partition_state_seeds,
        run: internal::partition_state,
        ..PLAIN
    },
    Target {
        name: "journal",
        corpus: corpus!("journal"),
        seeds: journal::seeds,
        dictionary: journal::DICTIONARY,
        input_bytes_max: 512,
        memory: journal::MEMORY,
        steps: journal::STEPS,
        run: journal::damage,
    },
    Target {
        name: "pg-startup",
        corpus: corpus!("pg-startup"),
        seeds: pg::startup_seeds,
        dictionary: pg::DICTIONARY,
        run: pg::startup,
        ..PLAIN
    },
    Target {
        name: "pg-messages",
        corpus: corpus!("pg-messages"),
        seeds: pg::message_seeds,
        dictionary: pg::DICTIONARY,
        run: pg::messages,
        ..PLAIN
    },
];
