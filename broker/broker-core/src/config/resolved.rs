//! A topic's configuration as the broker uses it: typed, resolved, infallible.

use crate::config::describe::BrokerConfigs;
use crate::config::rule::split_list;
use crate::config::topic_table::topic_def;
use std::collections::BTreeMap;

/// Whose clock stamps records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampSource {
    Create,
    LogAppend,
}

/// `compression.type`: what batches are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerCompression {
    /// As the producer sent them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `luma.durability`: what an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The batch is on stable storage.
    Fsync,
    /// The batch is in the broker's memory and on its way to storage; a crash may lose it.
    Async,
}

/// The effective configuration of a topic: the settings that act. The others of [`crate::config::TOPIC_CONFIGS`] are validated,
/// kept and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy` contains `compact`: records need keys. Nothing is compacted: every record stays, which a reader of a
    /// compacted topic must be ready for anyway.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `retention.ms`; None: unlimited.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`, per partition; None: unlimited.
    pub retention_bytes: Option<i64>,
    /// `max.message.bytes`, of a whole batch.
    pub max_message_bytes: usize,
    pub timestamp_source: TimestampSource,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    pub compression: BrokerCompression,
    /// `min.insync.replicas`, ≥ 1.
    pub min_insync_replicas: i32,
    pub durability: Durability,
}

impl TopicConfig {
    /// The effective configuration under `overrides`.
    #[must_use]
    pub fn resolve(overrides: &BTreeMap<String, String>, broker: &BrokerConfigs) -> Self {
        let from = Values { overrides, broker };
        let policy = from.text("cleanup.policy");
        let has = |name: &str| split_list(&policy).any(|value| value == name);
        let limit = |name: &str| Some(from.long(name)).filter(|&value| value >= 0);
        Self {
            compact: has("compact"),
            delete: has("delete"),
            retention_ms: limit("retention.ms"),
            retention_bytes: limit("retention.bytes"),
            max_message_bytes: usize::try_from(from.long("max.message.bytes")).unwrap_or(0),
            timestamp_source: match from.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampSource::LogAppend,
                _ => TimestampSource::Create,
            },
            timestamp_before_ms_max: from.long("message.timestamp.before.max.ms"),
            timestamp_after_ms_max: from.long("message.timestamp.after.max.ms"),
            compression: compression(&from.text("compression.type")),
            min_insync_replicas: i32::try_from(from.long("min.insync.replicas")).unwrap_or(1),
            durability: match from.text("luma.durability").as_str() {
                "async" => Durability::Async,
                _ => Durability::Fsync,
            },
        }
    }
}

fn compression(name: &str) -> BrokerCompression {
    match name {
        "uncompressed" => BrokerCompression::Uncompressed,
        "gzip" => BrokerCompression::Gzip,
        "snappy" => BrokerCompression::Snappy,
        "lz4" => BrokerCompression::Lz4,
        "zstd" => BrokerCompression::Zstd,
        _ => BrokerCompression::Producer,
    }
}

struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    broker: &'a BrokerConfigs,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let own = self.overrides.get(name).cloned();
        let default = || topic_def(name).map(|def| self.broker.topic_default(def));
        own.or_else(default).unwrap_or_default()
    }

    /// The override if it parses, else the broker's value, else Kafka's default.
    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let own = self.overrides.get(name).and_then(|value| value.trim().parse().ok());
        let def = topic_def(name);
        let broker = || self.broker.topic_default(def?).trim().parse().ok();
        own.or_else(broker).or_else(|| def?.default.parse().ok())
    }

    fn long(&self, name: &str) -> i64 {
        self.parsed(name).unwrap_or(0)
    }
}
