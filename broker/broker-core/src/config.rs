//! Configuration of topics and brokers as Kafka clients see it: names, types, defaults, validation, synonyms, changes.
//!
//! A topic's value comes from the first of: the topic's override, the broker's dynamic value, the broker's static value,
//! Kafka's default; a broker value may stand under several names (`log.retention.ms`, `.minutes`, `.hours`).
//!
//! Invariants:
//! - Every topic config of Kafka 4.3.1 is in [`TOPIC_CONFIGS`], whether or not this broker's storage gives it a meaning; what
//!   cannot be honoured and would mislead is refused (`remote.storage.enable=true`, `luma.durability=quorum-memory`).
//! - [`BROKER_CONFIGS`] has those of Kafka's that clients and tools look at. Both are compared with what Kafka 4.3.1 describes, in
//!   `broker-kafka`'s tests: what differs is listed there, with its reason.
//! - The README names those that act. What says how Kafka keeps its files does not, and `cleanup.policy=compact` does in part:
//!   Connect, Streams and schema registries create such topics and could not start if it were refused.
//! - Overrides are stored as text, validated before; [`TopicConfig::resolve`] therefore never fails: a value that an older
//!   program cannot read falls back to the next source.
//!
//! Rules: Kafka 4.x `LogConfig`, `ServerTopicConfigSynonyms`, `ConfigHelper`, `ConfigurationControlManager`; KIP-226, 339, 569.
//!
//! Deliberately absent: users' quotas, loggers, documentation texts, who may change what.

mod alter;
mod broker_table;
mod describe;
mod resolved;
mod rule;
mod topic_name;
mod topic_table;

#[cfg(test)]
mod tests;

pub use alter::{
    AlterOp, ConfigChange, alter_incremental, alter_replace, validate_broker, validate_topic,
};
pub use broker_table::{BROKER_CONFIGS, BrokerDef};
pub use describe::{
    BrokerConfigs, ConfigEntry, ConfigSource, ConfigSynonym, describe_broker, describe_topic,
};
pub use resolved::{BrokerCompression, Durability, TimestampSource, TopicConfig};
pub use rule::{ConfigError, ConfigType, Rule};
pub use topic_name::{TOPIC_NAME_CHARS_MAX, topic_name_error, topic_names_collide};
pub use topic_table::{Synonym, TOPIC_CONFIGS, TopicDef, Unit, topic_def};
