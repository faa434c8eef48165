//! The node's counters as `proto-http` wants them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker_node::{ApiCounter, DURATION_BOUNDS_US, NodeHandle};
use kafka_protocol::messages::ApiKey;
use proto_http::{
    ApiStats, Histogram, JournalStats, LogStats, Ops, ProtocolStats, Readiness, Stats, StatsFuture,
};

/// Answers for a running node.
pub(crate) struct NodeOps {
    pub(crate) node: Arc<NodeHandle>,
    pub(crate) reactor: String,
    pub(crate) started: Instant,
    /// True from when clients are served until shutdown begins.
    pub(crate) serving: Arc<AtomicBool>,
}

impl Ops for NodeOps {
    fn stats(&self) -> StatsFuture<'_> {
        Box::pin(async move {
            // A node that is stopping has no counters any more; the page then shows zeros for a moment.
            let node = self.node.stats().await.unwrap_or_default();
            let uptime = self.started.elapsed();
            let kafka = ProtocolStats {
                protocol: "kafka",
                connections_active: node.connections_active,
                connections: node.connections_accepted,
            };
            Stats {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                reactor: self.reactor.clone(),
                cores: self.node.core_count() as u64,
                uptime,
                started_at_ms: started_at_ms(uptime),
                topics: node.topics,
                partitions: node.partitions,
                protocols: vec![kafka],
                kafka_apis: node
                    .requests
                    .iter()
                    .map(|(&api, counter)| api_stats(api, counter))
                    .collect(),
                log: LogStats {
                    produced_bytes: node.produced_bytes,
                    fetched_bytes: node.fetched_bytes,
                    segments: node.journal.segments,
                    fsync_duration: Histogram { count: node.journal.syncs, ..Histogram::default() },
                },
                journal: JournalStats {
                    frames: node.journal.frames,
                    written_bytes: node.journal.bytes,
                },
            }
        })
    }

    fn readiness(&self) -> Readiness {
        let serving = self.serving.load(Ordering::SeqCst);
        Readiness {
            waiting_for: (!serving)
                .then(|| "the server is stopping".to_owned())
                .into_iter()
                .collect(),
        }
    }
}

fn started_at_ms(uptime: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(uptime).as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "durations for a scraper, which works in f64")]
fn api_stats(api: i16, counter: &ApiCounter) -> ApiStats {
    let bounds = DURATION_BOUNDS_US.iter().map(|&us| us as f64 / 1e6);
    let duration = Histogram {
        buckets: bounds.zip(counter.buckets).collect(),
        sum: counter.duration_us_sum as f64 / 1e6,
        count: counter.count,
    };
    ApiStats { api: api_name(api), duration }
}

/// Kafka's name of an API; the label stays bounded for numbers nobody knows.
fn api_name(api: i16) -> String {
    ApiKey::try_from(api).map_or_else(|()| "unknown".to_owned(), |key| format!("{key:?}"))
}
