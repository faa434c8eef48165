//! Every topic config of Kafka 4.3.1 and our own, with the broker configs that stand behind it.

use crate::config::rule::{ConfigType, Rule};

/// How a broker value becomes a topic value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Same,
    MinutesToMs,
    HoursToMs,
}

/// A broker config behind a topic config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    pub unit: Unit,
}

/// A topic config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicDef {
    pub name: &'static str,
    pub kind: ConfigType,
    pub default: &'static str,
    pub rule: Rule,
    /// Broker configs, the strongest first.
    pub synonyms: &'static [Synonym],
}

/// The definition of the topic config `name`.
#[must_use]
pub fn topic_def(name: &str) -> Option<&'static TopicDef> {
    TOPIC_CONFIGS.iter().find(|def| def.name == name)
}

macro_rules! synonyms {
    ($($name:literal),*) => { &[$(Synonym { name: $name, unit: Unit::Same }),*] };
}

const fn def(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    rule: Rule,
    synonyms: &'static [Synonym],
) -> TopicDef {
    TopicDef { name, kind, default, rule, synonyms }
}

use ConfigType::{Boolean, Double, Int, List, Long, String as Text};
use Rule::{Any, AtLeast, Between, ListOf, OneOf, Ratio, ThrottledReplicas};

const LONG_MAX: &str = "9223372036854775807";
/// Codec names in Kafka's order.
const COMPRESSION: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const ROLL: &[Synonym] = &[
    Synonym { name: "log.roll.ms", unit: Unit::Same },
    Synonym { name: "log.roll.hours", unit: Unit::HoursToMs },
];
const ROLL_JITTER: &[Synonym] = &[
    Synonym { name: "log.roll.jitter.ms", unit: Unit::Same },
    Synonym { name: "log.roll.jitter.hours", unit: Unit::HoursToMs },
];
const RETENTION: &[Synonym] = &[
    Synonym { name: "log.retention.ms", unit: Unit::Same },
    Synonym { name: "log.retention.minutes", unit: Unit::MinutesToMs },
    Synonym { name: "log.retention.hours", unit: Unit::HoursToMs },
];
const FLUSH: &[Synonym] = synonyms!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

/// Every topic config of Kafka 4.3.1, with its default, and our own, by name.
#[rustfmt::skip]
pub const TOPIC_CONFIGS: &[TopicDef] = &[
    def("cleanup.policy", List, "delete", ListOf(&["compact", "delete"]), synonyms!["log.cleanup.policy"]),
    def("compression.gzip.level", Int, "-1", Between(-1, 9), synonyms!["compression.gzip.level"]),
    def("compression.lz4.level", Int, "9", Between(1, 17), synonyms!["compression.lz4.level"]),
    def("compression.type", Text, "producer", OneOf(COMPRESSION), synonyms!["compression.type"]),
    def("compression.zstd.level", Int, "3", Between(-131_072, 22), synonyms!["compression.zstd.level"]),
    def("delete.retention.ms", Long, "86400000", AtLeast(0), synonyms!["log.cleaner.delete.retention.ms"]),
    def("file.delete.delay.ms", Long, "60000", AtLeast(0), synonyms!["log.segment.delete.delay.ms"]),
    def("flush.messages", Long, LONG_MAX, AtLeast(1), synonyms!["log.flush.interval.messages"]),
    def("flush.ms", Long, LONG_MAX, AtLeast(0), FLUSH),
    def("follower.replication.throttled.replicas", List, "", ThrottledReplicas, &[]),
    def("index.interval.bytes", Int, "4096", AtLeast(0), synonyms!["log.index.interval.bytes"]),
    def("leader.replication.throttled.replicas", List, "", ThrottledReplicas, &[]),
    def("local.retention.bytes", Long, "-2", AtLeast(-2), synonyms!["log.local.retention.bytes"]),
    def("local.retention.ms", Long, "-2", AtLeast(-2), synonyms!["log.local.retention.ms"]),
    def("luma.durability", Text, "fsync", OneOf(&["fsync", "async"]), synonyms!["luma.durability"]),
    def("max.compaction.lag.ms", Long, LONG_MAX, AtLeast(1), synonyms!["log.cleaner.max.compaction.lag.ms"]),
    def("max.message.bytes", Int, "1048588", AtLeast(0), synonyms!["message.max.bytes"]),
    def("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), synonyms!["log.message.timestamp.after.max.ms"]),
    def("message.timestamp.before.max.ms", Long, LONG_MAX, AtLeast(0), synonyms!["log.message.timestamp.before.max.ms"]),
    def("message.timestamp.type", Text, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), synonyms!["log.message.timestamp.type"]),
    def("min.cleanable.dirty.ratio", Double, "0.5", Ratio, synonyms!["log.cleaner.min.cleanable.ratio"]),
    def("min.compaction.lag.ms", Long, "0", AtLeast(0), synonyms!["log.cleaner.min.compaction.lag.ms"]),
    def("min.insync.replicas", Int, "1", AtLeast(1), synonyms!["min.insync.replicas"]),
    def("preallocate", Boolean, "false", Any, synonyms!["log.preallocate"]),
    def("remote.log.copy.disable", Boolean, "false", Any, &[]),
    def("remote.log.delete.on.disable", Boolean, "false", Any, &[]),
    def("remote.storage.enable", Boolean, "false", Any, &[]),
    def("retention.bytes", Long, "-1", Any, synonyms!["log.retention.bytes"]),
    def("retention.ms", Long, "604800000", AtLeast(-1), RETENTION),
    def("segment.bytes", Int, "1073741824", AtLeast(1_048_576), synonyms!["log.segment.bytes"]),
    def("segment.index.bytes", Int, "10485760", AtLeast(4), synonyms!["log.index.size.max.bytes"]),
    def("segment.jitter.ms", Long, "0", AtLeast(0), ROLL_JITTER),
    def("segment.ms", Long, "604800000", AtLeast(1), ROLL),
    def("unclean.leader.election.enable", Boolean, "false", Any, synonyms!["unclean.leader.election.enable"]),
];
