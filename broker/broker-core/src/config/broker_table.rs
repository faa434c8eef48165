//! The broker configs that clients and tools look at.

use crate::config::rule::{ConfigType, Rule};

/// A broker config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrokerDef {
    pub name: &'static str,
    pub kind: ConfigType,
    /// None: unset.
    pub default: Option<&'static str>,
    pub rule: Rule,
    /// Can be changed while the broker runs; otherwise it is read-only.
    pub dynamic: bool,
    /// Its value is never shown.
    pub sensitive: bool,
}

use ConfigType::{Boolean, Class, Double, Int, List, Long, Password, Short, String as Text};
use Rule::{Any, AtLeast, Between, ListOf, OneOf, Ratio};

const fn fixed(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    rule: Rule,
) -> BrokerDef {
    BrokerDef { name, kind, default: Some(default), rule, dynamic: false, sensitive: false }
}

const fn live(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    rule: Rule,
) -> BrokerDef {
    BrokerDef { dynamic: true, ..fixed(name, kind, default, rule) }
}

const fn unset(name: &'static str, kind: ConfigType, rule: Rule) -> BrokerDef {
    BrokerDef { default: None, ..fixed(name, kind, "", rule) }
}

const fn live_unset(name: &'static str, kind: ConfigType, rule: Rule) -> BrokerDef {
    BrokerDef { dynamic: true, ..unset(name, kind, rule) }
}

const fn secret(name: &'static str) -> BrokerDef {
    BrokerDef { sensitive: true, ..unset(name, Password, Any) }
}

const LONG_MAX: &str = "9223372036854775807";
const PROTOCOLS: &str =
    "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT";
const COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// Our own broker configs and those of Kafka that clients and tools look at, by name. Which of Kafka's 340 are left out, and what
/// is another default, type or right to change than Kafka's, stands with its reason in
/// `broker-kafka/tests/it/configs/differences.txt`.
///
/// Dynamic ones are the defaults of topic configs: a change reaches every topic without an override at once, as far as the
/// config acts at all ([`crate::config::TopicConfig`]).
#[rustfmt::skip]
pub const BROKER_CONFIGS: &[BrokerDef] = &[
    unset("advertised.listeners", List, Any),
    unset("alter.config.policy.class.name", Class, Any),
    fixed("authorizer.class.name", Text, "", Any),
    fixed("auto.create.topics.enable", Boolean, "true", Any),
    fixed("auto.leader.rebalance.enable", Boolean, "true", Any),
    fixed("background.threads", Int, "10", AtLeast(1)),
    fixed("broker.id", Int, "-1", Any),
    unset("broker.rack", Text, Any),
    unset("client.quota.callback.class", Class, Any),
    live("compression.gzip.level", Int, "-1", Between(-1, 9)),
    live("compression.lz4.level", Int, "9", Between(1, 17)),
    live("compression.type", Text, "producer", OneOf(COMPRESSION)),
    live("compression.zstd.level", Int, "3", Between(-131_072, 22)),
    fixed("connections.max.idle.ms", Long, "600000", Any),
    fixed("connections.max.reauth.ms", Long, "0", Any),
    fixed("controlled.shutdown.enable", Boolean, "true", Any),
    unset("create.topic.policy.class.name", Class, Any),
    fixed("default.replication.factor", Int, "1", Any),
    fixed("delete.topic.enable", Boolean, "true", Any),
    fixed("fetch.max.bytes", Int, "57671680", AtLeast(1024)),
    fixed("group.consumer.session.timeout.ms", Int, "45000", AtLeast(1)),
    fixed("group.coordinator.rebalance.protocols", List, "classic", ListOf(&["classic", "consumer", "streams", "share"])),
    fixed("group.initial.rebalance.delay.ms", Int, "3000", Any),
    fixed("group.max.session.timeout.ms", Int, "1800000", Any),
    fixed("group.max.size", Int, "2147483647", AtLeast(1)),
    fixed("group.min.session.timeout.ms", Int, "6000", Any),
    unset("inter.broker.listener.name", Text, Any),
    fixed("listener.security.protocol.map", Text, PROTOCOLS, Any),
    fixed("listeners", List, "PLAINTEXT://:9092", Any),
    live("log.cleaner.delete.retention.ms", Long, "86400000", AtLeast(0)),
    fixed("log.cleaner.enable", Boolean, "false", Any),
    live("log.cleaner.max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1)),
    live("log.cleaner.min.cleanable.ratio", Double, "0.5", Ratio),
    live("log.cleaner.min.compaction.lag.ms", Long, "0", AtLeast(0)),
    fixed("log.cleaner.threads", Int, "1", AtLeast(0)),
    live("log.cleanup.policy", List, "delete", ListOf(&["compact", "delete"])),
    fixed("log.dir", List, "/tmp/kafka-logs", Any),
    unset("log.dirs", List, Any),
    live("log.flush.interval.messages", Long, LONG_MAX, AtLeast(1)),
    live_unset("log.flush.interval.ms", Long, Any),
    fixed("log.flush.scheduler.interval.ms", Long, LONG_MAX, Any),
    live("log.index.interval.bytes", Int, "4096", AtLeast(0)),
    live("log.index.size.max.bytes", Int, "10485760", AtLeast(4)),
    live("log.local.retention.bytes", Long, "-2", AtLeast(-2)),
    live("log.local.retention.ms", Long, "-2", AtLeast(-2)),
    live("log.message.timestamp.after.max.ms", Long, "3600000", AtLeast(0)),
    live("log.message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0)),
    live("log.message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"])),
    live("log.preallocate", Boolean, "false", Any),
    live("log.retention.bytes", Long, "-1", Any),
    fixed("log.retention.check.interval.ms", Long, "300000", AtLeast(1)),
    fixed("log.retention.hours", Int, "168", Any),
    unset("log.retention.minutes", Int, Any),
    live_unset("log.retention.ms", Long, AtLeast(-1)),
    fixed("log.roll.hours", Int, "168", AtLeast(1)),
    fixed("log.roll.jitter.hours", Int, "0", AtLeast(0)),
    live_unset("log.roll.jitter.ms", Long, AtLeast(0)),
    live_unset("log.roll.ms", Long, AtLeast(1)),
    live("log.segment.bytes", Int, "1073741824", AtLeast(1_048_576)),
    live("log.segment.delete.delay.ms", Long, "60000", AtLeast(0)),
    live("luma.durability", Text, "fsync", OneOf(&["fsync", "async"])),
    fixed("luma.groups.per.shard.max", Int, "100000", AtLeast(1)),
    fixed("max.connection.creation.rate", Int, "2147483647", AtLeast(0)),
    fixed("max.connections", Int, "10000", AtLeast(0)),
    fixed("max.connections.per.ip", Int, "1000", AtLeast(0)),
    fixed("max.connections.per.ip.overrides", Text, "", Any),
    fixed("max.incremental.fetch.session.cache.slots", Int, "1000", AtLeast(0)),
    live("message.max.bytes", Int, "1048588", AtLeast(0)),
    live("min.insync.replicas", Int, "1", AtLeast(1)),
    unset("node.id", Int, AtLeast(0)),
    fixed("num.io.threads", Int, "8", AtLeast(1)),
    fixed("num.network.threads", Int, "3", AtLeast(1)),
    fixed("num.partitions", Int, "1", AtLeast(1)),
    fixed("offset.metadata.max.bytes", Int, "4096", Any),
    fixed("offsets.retention.check.interval.ms", Long, "600000", AtLeast(1)),
    fixed("offsets.retention.minutes", Int, "10080", AtLeast(1)),
    fixed("offsets.topic.num.partitions", Int, "50", AtLeast(1)),
    fixed("offsets.topic.replication.factor", Short, "3", AtLeast(1)),
    fixed("offsets.topic.segment.bytes", Int, "104857600", AtLeast(1)),
    unset("process.roles", List, Any),
    fixed("producer.id.expiration.ms", Int, "86400000", AtLeast(1)),
    fixed("queued.max.requests", Int, "500", AtLeast(1)),
    fixed("remote.log.storage.system.enable", Boolean, "false", Any),
    fixed("replica.lag.time.max.ms", Long, "30000", Any),
    unset("replica.selector.class", Text, Any),
    fixed("request.timeout.ms", Int, "30000", Any),
    fixed("sasl.enabled.mechanisms", List, "GSSAPI", Any),
    fixed("security.inter.broker.protocol", Text, "PLAINTEXT", Any),
    fixed("socket.receive.buffer.bytes", Int, "102400", Any),
    fixed("socket.request.max.bytes", Int, "104857600", AtLeast(1)),
    fixed("socket.send.buffer.bytes", Int, "102400", Any),
    fixed("ssl.client.auth", Text, "none", OneOf(&["required", "requested", "none"])),
    secret("ssl.key.password"),
    secret("ssl.keystore.password"),
    secret("ssl.truststore.password"),
    fixed("transaction.max.timeout.ms", Int, "900000", AtLeast(1)),
    fixed("transaction.state.log.num.partitions", Int, "50", AtLeast(1)),
    fixed("transaction.state.log.replication.factor", Short, "3", AtLeast(1)),
    fixed("transactional.id.expiration.ms", Int, "604800000", AtLeast(1)),
    live("unclean.leader.election.enable", Boolean, "false", Any),
];

/// The definition of the broker config `name`.
#[must_use]
pub(super) fn broker_def(name: &str) -> Option<&'static BrokerDef> {
    BROKER_CONFIGS.iter().find(|def| def.name == name)
}
