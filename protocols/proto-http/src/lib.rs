//! The HTTP listener: health for orchestrators, metrics for Prometheus, statistics for people.
//!
//! | path | answer |
//! |---|---|
//! | `/live`, `/livez` | 200 while the process turns |
//! | `/ready`, `/readyz` | 200 when clients are served, else 503 with the reasons; what does not work meanwhile is under `degraded` |
//! | `/health`, `/healthz` | both of the above and the version, as JSON; 503 when not ready |
//! | `/metrics` | Prometheus text format 0.0.4; `?detail=groups` adds the lag of each consumer group, `?detail=partitions` the ends of each partition; other parameters are ignored |
//! | `/stats` | the numbers behind the metrics, as JSON |
//!
//! Invariants:
//! - The adapter holds no number of its own: every answer is made of one [`Ops::stats`] taken at the request.
//! - No answer depends on the network, a lock of a shard or a disk other than `/proc`: of the data's disk it says what was
//!   last heard.
//! - A request body is never read. What a client may cost is in [`HttpOptions`]: sockets, those of one address, the bytes of a
//!   request head, the time it may take to send one and to take its answer.
//!
//! Deliberately absent: console, REST, TLS, authentication (so the listener belongs on loopback).

mod deadline;
mod error;
mod metrics;
mod ops;
mod options;
mod pages;
mod places;
mod process;
mod server;

pub use metrics::{GROUP_METRIC_NAMES, METRIC_NAMES, PARTITION_METRIC_NAMES, render};
pub use ops::{
    ApiStats, Detail, GroupLag, Histogram, JournalStats, LagsFuture, LogStats, Ops, PartitionRange,
    PartitionsFuture, ProtocolStats, QueryStats, Readiness, SqlStats, Stats, StatsFuture,
    StorageStats,
};
pub use options::{HttpCounters, HttpOptions};
pub use server::serve;
