//! What a node is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use broker_core::config::BrokerConfigs;
use broker_core::group::GroupConfig;
use broker_rt::Reactor;

/// Settings of one node. [`NodeSettings::new`] gives the documented defaults.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    pub data_dir: PathBuf,
    /// Port 0 lets the kernel choose.
    pub kafka_addr: SocketAddr,
    /// How many ports above that of `kafka_addr` are tried when it is busy; default 0.
    pub kafka_ports_beyond_max: u16,
    /// Host that clients are told; default: the bound address.
    pub advertised_host: String,
    /// Port that clients are told; `None`: the bound port.
    pub advertised_port: Option<u16>,
    pub reactor: Reactor,
    /// Threads for shards and connections, at least 1. The shard count is fixed at the first start to this.
    pub cores: usize,
    pub node_id: i32,
    /// Static broker configuration: Kafka's names and values, on top of Kafka's defaults.
    pub broker: BTreeMap<String, String>,
    /// Journal segment size in bytes; default 64 MiB.
    pub segment_bytes: u64,
    /// Files of sealed segments kept open, all shards together; default 512.
    pub segment_files_max: usize,
    /// Largest batch the journal takes, whatever `max.message.bytes` says; default 16 MiB, and at most half a segment.
    pub frame_bytes_max: usize,
    /// How much is written to a journal between checkpoints; default 256 MiB.
    pub checkpoint_bytes: u64,
    /// Memory per shard for recently written frames; default 32 MiB.
    pub tail_bytes_max: usize,
    /// Largest Kafka request in bytes (`socket.request.max.bytes`); default 100 MiB.
    pub request_bytes_max: usize,
    /// Memory per core for the bytes of requests in flight, and as much again for what their elements become, for answers
    /// of records, and for other large answers, of which one may go beyond it; default 256 MiB.
    pub request_memory_bytes_max: usize,
    /// Kafka connections of the node; default 10,000 (`max.connections`).
    pub connections_max: usize,
    /// Kafka connections per client address; default 1,000 (`max.connections.per.ip`).
    pub connections_per_ip_max: usize,
    /// A connection without traffic is closed after this; default 10 minutes (`connections.max.idle.ms`).
    pub connection_idle_max: Duration,
    /// How often retention is checked; default 5 minutes (`log.retention.check.interval.ms`).
    pub retention_check: Duration,
    /// An idempotent producer is forgotten after being silent for this long; default 1 day (`producer.id.expiration.ms`).
    pub producer_expiration: Duration,
}

impl NodeSettings {
    #[must_use]
    pub fn new(data_dir: PathBuf, kafka_addr: SocketAddr) -> Self {
        Self {
            data_dir,
            kafka_addr,
            kafka_ports_beyond_max: 0,
            advertised_host: String::new(),
            advertised_port: None,
            reactor: Reactor::Auto,
            cores: 1,
            node_id: 1,
            broker: BTreeMap::new(),
            segment_bytes: 64 << 20,
            segment_files_max: 512,
            frame_bytes_max: 16 << 20,
            checkpoint_bytes: 256 << 20,
            tail_bytes_max: 32 << 20,
            request_bytes_max: 100 << 20,
            request_memory_bytes_max: 256 << 20,
            connections_max: 10_000,
            connections_per_ip_max: 1_000,
            connection_idle_max: Duration::from_secs(600),
            retention_check: Duration::from_secs(300),
            producer_expiration: Duration::from_secs(86_400),
        }
    }

    /// What a journal takes as one entry: `frame_bytes_max`, where two fit into a segment.
    #[must_use]
    pub(crate) fn entry_bytes_max(&self) -> usize {
        let half = usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX);
        self.frame_bytes_max.min(half)
    }

    /// Static settings with dynamic overrides on top.
    pub(crate) fn broker_config(&self, overrides: &BTreeMap<String, String>) -> BrokerConfigs {
        let mut fixed = self.broker.clone();
        let untouched = BrokerConfigs::default();
        for (name, value) in self.enforced() {
            // A client that asks where a value comes from learns whether somebody has set it.
            if untouched.value(name) == Some(&value) {
                fixed.remove(name);
            } else {
                fixed.insert(name.to_owned(), value);
            }
        }
        BrokerConfigs { fixed, dynamic: overrides.clone() }
    }

    /// The typed settings that clients know under Kafka's names: what is shown is what is enforced.
    fn enforced(&self) -> [(&'static str, String); 8] {
        // Kafka's counts and sizes are 32 bits wide; more than that is no limit.
        let int = |count: usize| i32::try_from(count).unwrap_or(i32::MAX).to_string();
        let millis = |duration: Duration| as_ms(duration).to_string();
        [
            ("connections.max.idle.ms", millis(self.connection_idle_max)),
            ("log.retention.check.interval.ms", millis(self.retention_check)),
            ("max.connections", int(self.connections_max)),
            ("max.connections.per.ip", int(self.connections_per_ip_max)),
            // A core's thread does both.
            ("num.io.threads", int(self.cores)),
            ("num.network.threads", int(self.cores)),
            ("producer.id.expiration.ms", millis(self.producer_expiration)),
            ("socket.request.max.bytes", int(self.request_bytes_max)),
        ]
    }

    /// The group coordinator's settings.
    pub(crate) fn group_config(&self) -> GroupConfig {
        let broker = self.broker_config(&BTreeMap::new());
        let number = |name: &str| broker.value(name).and_then(|value| value.parse::<i64>().ok());
        let millis = |name: &str, default: i32| {
            number(name).and_then(|value| i32::try_from(value).ok()).unwrap_or(default)
        };
        let defaults = GroupConfig::default();
        GroupConfig {
            initial_rebalance_delay_ms: millis(
                "group.initial.rebalance.delay.ms",
                defaults.initial_rebalance_delay_ms,
            ),
            session_timeout_ms_min: millis(
                "group.min.session.timeout.ms",
                defaults.session_timeout_ms_min,
            ),
            session_timeout_ms_max: millis(
                "group.max.session.timeout.ms",
                defaults.session_timeout_ms_max,
            ),
            groups_max: number("luma.groups.per.shard.max")
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(defaults.groups_max),
            group_size_max: number("group.max.size")
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(defaults.group_size_max),
            group_bytes_max: defaults.group_bytes_max.min(self.request_memory_bytes_max / 2),
            member_bytes_max: self.request_memory_bytes_max / 2,
            offset_metadata_bytes_max: number("offset.metadata.max.bytes")
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(defaults.offset_metadata_bytes_max),
            offsets_retention_ms: number("offsets.retention.minutes")
                .map_or(defaults.offsets_retention_ms, |minutes| minutes.saturating_mul(60_000)),
            offsets_retention_check_ms: number("offsets.retention.check.interval.ms")
                .unwrap_or(defaults.offsets_retention_check_ms),
            ..defaults
        }
    }
}

pub(crate) fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
