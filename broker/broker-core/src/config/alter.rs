//! Changes: IncrementalAlterConfigs (KIP-339), AlterConfigs (replace all), and their validation.

use crate::config::broker_table::{BrokerDef, broker_def};
use crate::config::describe::BrokerConfigs;
use crate::config::rule::{ConfigError, ConfigType, check, split_list};
use crate::config::topic_table::{TopicDef, topic_def};
use std::collections::{BTreeMap, BTreeSet};

/// One operation of IncrementalAlterConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterOp {
    /// 0; None is a null on the wire.
    Set(Option<String>),
    /// 1: back to the default.
    Delete,
    /// 2: adds to a list what it does not hold yet.
    Append(Option<String>),
    /// 3: removes from a list.
    Subtract(Option<String>),
}

impl AlterOp {
    /// Reads the wire form.
    ///
    /// # Errors
    /// INVALID_REQUEST for an unknown operation.
    pub fn from_wire(code: i8, value: Option<String>) -> Result<Self, ConfigError> {
        match code {
            0 => Ok(Self::Set(value)),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append(value)),
            3 => Ok(Self::Subtract(value)),
            _ => Err(ConfigError::InvalidRequest(format!("Unknown operation type {code}"))),
        }
    }
}

/// A change of a resource's overrides. It is applied where the overrides live, to what they are at that moment, so two
/// changes made at the same time both count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// AlterConfigs: exactly these; None is a null on the wire.
    Replace(Vec<(String, Option<String>)>),
    /// IncrementalAlterConfigs.
    Incremental(Vec<(String, AlterOp)>),
}

impl ConfigChange {
    /// The overrides after the change; `topic` says whether they are a topic's or the brokers'.
    ///
    /// # Errors
    /// As [`alter_incremental`].
    pub fn apply(
        &self,
        topic: bool,
        current: &BTreeMap<String, String>,
        broker: &BrokerConfigs,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        match self {
            Self::Replace(configs) => alter_replace(topic, broker, configs),
            Self::Incremental(ops) => alter_incremental(topic, current, broker, ops),
        }
    }
}

/// Checks one topic config.
///
/// # Errors
/// INVALID_CONFIG: unknown name, wrong type, out of range, or a feature that is not there.
pub fn validate_topic(name: &str, value: &str) -> Result<&'static TopicDef, ConfigError> {
    let Some(def) = topic_def(name) else {
        return Err(ConfigError::InvalidConfig(format!(
            "Unknown topic config name: {}",
            cut(name)
        )));
    };
    check_support(name, value)?;
    check(name, def.kind, def.rule, value)?;
    Ok(def)
}

/// Checks one dynamic broker config.
///
/// # Errors
/// INVALID_CONFIG: unknown name; INVALID_REQUEST: not changeable at run time, wrong value. Kafka says the latter of brokers
/// where it says INVALID_CONFIG of topics (KAFKA-13609).
pub fn validate_broker(name: &str, value: &str) -> Result<&'static BrokerDef, ConfigError> {
    let def = changeable_broker(name)?;
    let checked = check_support(name, value).and_then(|()| check(name, def.kind, def.rule, value));
    checked.map_err(|error| ConfigError::InvalidRequest(error.to_string()))?;
    Ok(def)
}

fn changeable_broker(name: &str) -> Result<&'static BrokerDef, ConfigError> {
    match broker_def(name) {
        None => {
            Err(ConfigError::InvalidConfig(format!("Unknown broker config name: {}", cut(name))))
        }
        Some(def) if !def.dynamic => Err(ConfigError::InvalidRequest(format!(
            "Cannot update these configs dynamically: {name}"
        ))),
        Some(def) => Ok(def),
    }
}

fn check_support(name: &str, value: &str) -> Result<(), ConfigError> {
    let problem = match (name, value.trim()) {
        ("luma.durability", "quorum-memory") => {
            "quorum-memory needs replicas, and this cluster has no replication; use fsync or async"
        }
        ("remote.storage.enable", value) if value.eq_ignore_ascii_case("true") => {
            "tiered storage is not available in this cluster"
        }
        _ => return Ok(()),
    };
    Err(ConfigError::InvalidConfig(format!(
        "Invalid value {} for configuration {name}: {problem}",
        value.trim()
    )))
}

fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}

/// What kind of resource a change is for.
#[derive(Clone, Copy)]
enum Table<'a> {
    /// With the broker's values, where APPEND starts from when the topic has none.
    Topic(&'a BrokerConfigs),
    Broker(&'a BrokerConfigs),
}

impl Table<'_> {
    fn kind(self, name: &str) -> Result<ConfigType, ConfigError> {
        match self {
            Self::Topic(_) => match topic_def(name) {
                Some(def) => Ok(def.kind),
                None => validate_topic(name, "").map(|def| def.kind),
            },
            Self::Broker(_) => changeable_broker(name).map(|def| def.kind),
        }
    }

    fn default(self, name: &str) -> String {
        match self {
            Self::Topic(broker) => topic_def(name).map(|def| broker.topic_default(def)),
            Self::Broker(broker) => broker.value(name).map(str::to_owned),
        }
        .unwrap_or_default()
    }

    fn check(self, configs: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, value) in configs {
            match self {
                Self::Topic(_) => validate_topic(name, value).map(|_| ())?,
                Self::Broker(_) => validate_broker(name, value).map(|_| ())?,
            }
        }
        let Self::Topic(_) = self else { return Ok(()) };
        let lag = |name: &str| {
            let value = configs.get(name).cloned().unwrap_or_else(|| self.default(name));
            value.trim().parse::<i64>().ok()
        };
        let (min, max) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
        match (min, max) {
            (Some(min), Some(max)) if min > max => Err(ConfigError::InvalidConfig(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            ))),
            _ => Ok(()),
        }
    }
}

/// The overrides after IncrementalAlterConfigs; `topic` says whether they are a topic's or the brokers'. Nothing is
/// applied when any operation is wrong, so `validate_only` is: drop the result.
///
/// # Errors
/// INVALID_REQUEST: a key twice, a null value, a config that cannot change. INVALID_CONFIG: a wrong name or value.
pub fn alter_incremental(
    topic: bool,
    current: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
    ops: &[(String, AlterOp)],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let table = if topic { Table::Topic(broker) } else { Table::Broker(broker) };
    check_keys(ops.iter().map(|(name, op)| {
        let null =
            matches!(op, AlterOp::Set(None) | AlterOp::Append(None) | AlterOp::Subtract(None));
        (name.as_str(), null)
    }))?;
    let mut configs = current.clone();
    for (name, op) in ops {
        apply_op(table, &mut configs, name, op)?;
    }
    table.check(&configs)?;
    Ok(configs)
}

fn apply_op(
    table: Table<'_>,
    configs: &mut BTreeMap<String, String>,
    name: &str,
    op: &AlterOp,
) -> Result<(), ConfigError> {
    let kind = table.kind(name)?;
    let (word, change) = match op {
        AlterOp::Delete => {
            configs.remove(name);
            return Ok(());
        }
        AlterOp::Set(value) => {
            configs.insert(name.to_owned(), value.clone().unwrap_or_default());
            return Ok(());
        }
        AlterOp::Append(value) => ("APPEND", value.as_deref().unwrap_or("")),
        AlterOp::Subtract(value) => ("SUBTRACT", value.as_deref().unwrap_or("")),
    };
    if kind != ConfigType::List {
        return Err(ConfigError::InvalidConfig(format!(
            "Can't {word} to key {name} because its type is not LIST."
        )));
    }
    let before = configs.get(name).cloned().unwrap_or_else(|| table.default(name));
    let mut values: Vec<&str> = split_list(&before).collect();
    for value in split_list(change) {
        let held = values.contains(&value);
        match op {
            AlterOp::Append(_) if !held => values.push(value),
            AlterOp::Subtract(_) if held => values.retain(|other| *other != value),
            _ => {}
        }
    }
    configs.insert(name.to_owned(), values.join(","));
    Ok(())
}

/// The overrides after AlterConfigs: exactly the given ones. `topic` as for [`alter_incremental`].
///
/// # Errors
/// As [`alter_incremental`].
pub fn alter_replace(
    topic: bool,
    broker: &BrokerConfigs,
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, ConfigError> {
    let table = if topic { Table::Topic(broker) } else { Table::Broker(broker) };
    check_keys(configs.iter().map(|(name, value)| (name.as_str(), value.is_none())))?;
    let configs: BTreeMap<String, String> = configs
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
        .collect();
    table.check(&configs)?;
    Ok(configs)
}

fn check_keys<'a>(keys: impl Iterator<Item = (&'a str, bool)>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for (name, null) in keys {
        if !seen.insert(name) {
            return Err(ConfigError::InvalidRequest(format!(
                "Error due to duplicate config keys: {}",
                cut(name)
            )));
        }
        if null {
            return Err(ConfigError::InvalidRequest(format!(
                "Null value not supported for : {}",
                cut(name)
            )));
        }
    }
    Ok(())
}
