//! DescribeConfigs: every config with its value, where it comes from, and the values it hides (KIP-226).

use crate::config::broker_table::{BROKER_CONFIGS, BrokerDef, broker_def};
use crate::config::rule::ConfigType;
use crate::config::topic_table::{Synonym, TOPIC_CONFIGS, TopicDef, Unit};
use std::collections::BTreeMap;

/// Where a value comes from; [`ConfigSource::code`] is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

impl ConfigSource {
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// The broker's own values, over [`BROKER_CONFIGS`]' defaults. Names outside the table have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerConfigs {
    /// From the configuration file, environment and command line (`STATIC_BROKER_CONFIG`).
    pub fixed: BTreeMap<String, String>,
    /// Changed at run time for the whole cluster (`DYNAMIC_DEFAULT_BROKER_CONFIG`).
    pub dynamic: BTreeMap<String, String>,
}

/// One value that stands, or would stand, behind a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: &'static str,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// One config of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: &'static str,
    /// None: unset, or sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub kind: ConfigType,
    pub read_only: bool,
    pub sensitive: bool,
    /// In order of precedence, the one in force first. Empty when nothing but our own default applies.
    pub synonyms: Vec<ConfigSynonym>,
}

impl BrokerConfigs {
    /// The value in force under exactly this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let own = self.dynamic.get(name).or_else(|| self.fixed.get(name)).map(String::as_str);
        own.or_else(|| broker_def(name)?.default)
    }

    fn synonyms(&self, names: &[&'static str]) -> Vec<ConfigSynonym> {
        let mut found = Vec::new();
        let layers = [
            (&self.dynamic, ConfigSource::DynamicDefaultBroker),
            (&self.fixed, ConfigSource::StaticBroker),
        ];
        for &name in names {
            for (values, source) in layers {
                if let Some(value) = values.get(name) {
                    found.push(ConfigSynonym { name, value: Some(value.clone()), source });
                }
            }
        }
        for &name in names {
            if let Some(value) = broker_def(name).and_then(|def| def.default) {
                let source = ConfigSource::Default;
                found.push(ConfigSynonym { name, value: Some(value.to_owned()), source });
            }
        }
        found
    }

    /// What a topic without an override gets.
    pub(super) fn topic_default(&self, def: &TopicDef) -> String {
        let names: Vec<&'static str> = def.synonyms.iter().map(|synonym| synonym.name).collect();
        let first = self.synonyms(&names).into_iter().find_map(|found| {
            let synonym = def.synonyms.iter().find(|synonym| synonym.name == found.name)?;
            convert(synonym, &found.value?)
        });
        first.unwrap_or_else(|| def.default.to_owned())
    }
}

fn convert(synonym: &Synonym, value: &str) -> Option<String> {
    let factor = match synonym.unit {
        Unit::Same => return Some(value.to_owned()),
        Unit::MinutesToMs => 60_000,
        Unit::HoursToMs => 3_600_000,
    };
    let number: i64 = value.trim().parse().ok()?;
    // −1 means unlimited in every unit.
    Some(if number < 0 { number } else { number.saturating_mul(factor) }.to_string())
}

/// All configs of a topic, by name.
#[must_use]
pub fn describe_topic(
    overrides: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
) -> Vec<ConfigEntry> {
    TOPIC_CONFIGS.iter().map(|def| describe_topic_config(def, overrides, broker)).collect()
}

fn describe_topic_config(
    def: &TopicDef,
    overrides: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
) -> ConfigEntry {
    let own = overrides.get(def.name);
    let mut synonyms = Vec::new();
    if let Some(value) = own {
        let source = ConfigSource::DynamicTopic;
        synonyms.push(ConfigSynonym { name: def.name, value: Some(value.clone()), source });
    }
    let names: Vec<&'static str> = def.synonyms.iter().map(|synonym| synonym.name).collect();
    synonyms.extend(broker.synonyms(&names));
    ConfigEntry {
        name: def.name,
        value: Some(own.cloned().unwrap_or_else(|| broker.topic_default(def))),
        source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
        kind: def.kind,
        read_only: false,
        sensitive: false,
        synonyms,
    }
}

/// All configs of a broker, by name.
#[must_use]
pub fn describe_broker(broker: &BrokerConfigs) -> Vec<ConfigEntry> {
    BROKER_CONFIGS.iter().map(|def| describe_broker_config(def, broker)).collect()
}

fn describe_broker_config(def: &BrokerDef, broker: &BrokerConfigs) -> ConfigEntry {
    let mut synonyms = broker.synonyms(&broker_names(def.name));
    if def.sensitive {
        for synonym in &mut synonyms {
            synonym.value = None;
        }
    }
    let own = synonyms.iter().find(|synonym| synonym.name == def.name);
    ConfigEntry {
        name: def.name,
        value: own.and_then(|synonym| synonym.value.clone()),
        source: synonyms.first().map_or(ConfigSource::Default, |first| first.source),
        kind: def.kind,
        read_only: !def.dynamic,
        sensitive: def.sensitive,
        synonyms,
    }
}

/// The config itself and the weaker names that stand in for it (`log.retention.ms` → `.minutes` → `.hours`).
fn broker_names(name: &'static str) -> Vec<&'static str> {
    let group = TOPIC_CONFIGS.iter().find_map(|def| {
        let at = def.synonyms.iter().position(|synonym| synonym.name == name)?;
        Some(&def.synonyms[at..])
    });
    match group {
        Some(group) => group.iter().map(|synonym| synonym.name).collect(),
        None => vec![name],
    }
}
