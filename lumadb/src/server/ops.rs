//! What the operations endpoints show: the node's counters, copied once a second so that a request never waits for a core.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker_kafka_wire::ApiKey;
use broker_node::{ApiCounter, DURATION_BOUNDS_US, NodeHandle, NodeStats};
use proto_http::{ApiStats, Histogram, JournalStats, LogStats, Ops, ProtocolStats, Readiness, Stats};
use tokio::sync::watch;

/// How old the numbers may be.
const REFRESH: Duration = Duration::from_secs(1);

/// The node for operators.
pub(super) struct NodeOps {
    latest: Mutex<Option<NodeStats>>,
    reactor: &'static str,
    cores: u64,
    started: Instant,
    started_at_ms: u64,
}

impl NodeOps {
    /// Refreshes the numbers until `stopped`.
    pub(super) fn start(
        handle: Arc<NodeHandle>,
        reactor: &'static str,
        mut stopped: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ops = Arc::new(Self {
            latest: Mutex::new(None),
            reactor,
            cores: handle.core_count() as u64,
            started: Instant::now(),
            started_at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        });
        let refreshed = Arc::clone(&ops);
        tokio::spawn(async move {
            loop {
                let stats = handle.stats().await.ok();
                *refreshed.latest.lock().unwrap_or_else(PoisonError::into_inner) = stats;
                tokio::select! {
                    () = tokio::time::sleep(REFRESH) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        });
        ops
    }

    fn latest(&self) -> Option<NodeStats> {
        // The value is replaced as a whole, so a poisoned lock is as good as any.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ops for NodeOps {
    fn stats(&self) -> Stats {
        let node = self.latest().unwrap_or_default();
        Stats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reactor: self.reactor.to_owned(),
            cores: self.cores,
            uptime: self.started.elapsed(),
            started_at_ms: self.started_at_ms,
            topics: node.topics,
            partitions: node.partitions,
            protocols: vec![ProtocolStats {
                protocol: "kafka",
                connections_active: node.connections_active,
                connections: node.connections_accepted,
            }],
            kafka_apis: node.requests.iter().filter_map(|(key, counter)| api(*key, counter)).collect(),
            log: LogStats {
                produced_bytes: node.produced_bytes,
                fetched_bytes: node.fetched_bytes,
                segments: node.journal.segments,
                fsync_duration: Histogram::default(),
            },
            journal: JournalStats { frames: node.journal.frames, written_bytes: node.journal.bytes },
        }
    }

    fn readiness(&self) -> Readiness {
        match self.latest() {
            Some(_) => Readiness::default(),
            None => Readiness { waiting_for: vec!["the node does not answer".to_owned()] },
        }
    }
}

fn api(key: i16, counter: &ApiCounter) -> Option<ApiStats> {
    let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
    let buckets = DURATION_BOUNDS_US.iter().zip(&counter.buckets);
    Some(ApiStats {
        api: ApiKey::from_key(key)?.info().name,
        duration: Histogram {
            buckets: buckets.map(|(bound, count)| (seconds(*bound), *count)).collect(),
            sum: seconds(counter.duration_us_sum),
            count: counter.count,
        },
    })
}
