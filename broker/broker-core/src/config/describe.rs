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

    /// The values behind the broker config `name`, the strongest first: by source, and within a source from the finest
    /// unit to the coarsest. What stands before its own first value is left out, so a value that only a coarser unit
    /// gives has no synonyms at all: Kafka's `ConfigHelper.configSynonyms` does the same.
    fn synonyms(&self, name: &'static str) -> Vec<ConfigSynonym> {
        let names = broker_names(name);
        let mut found = Vec::new();
        for (values, source) in self.layers() {
            for &name in &names {
                if let Some(value) = values.get(name) {
                    found.push(ConfigSynonym { name, value: Some(value.clone()), source });
                }
            }
        }
        for &name in &names {
            if let Some(value) = broker_def(name).and_then(|def| def.default) {
                let source = ConfigSource::Default;
                found.push(ConfigSynonym { name, value: Some(value.to_owned()), source });
            }
        }
        found.into_iter().skip_while(|synonym| synonym.name != name).collect()
    }

    fn layers(&self) -> [(&BTreeMap<String, String>, ConfigSource); 2] {
        [
            (&self.dynamic, ConfigSource::DynamicDefaultBroker),
            (&self.fixed, ConfigSource::StaticBroker),
        ]
    }

    /// What a topic without an override gets.
    pub(super) fn topic_default(&self, def: &TopicDef) -> String {
        // A finer unit that somebody set beats a coarser one, whoever set that; defaults come after both.
        let set = |synonym: &Synonym| {
            let mut layers = self.layers().into_iter();
            layers.find_map(|(values, _)| convert(synonym, values.get(synonym.name)?))
        };
        let default = |synonym: &Synonym| convert(synonym, broker_def(synonym.name)?.default?);
        let (mut own, mut defaults) = (def.synonyms.iter(), def.synonyms.iter());
        let first = own.find_map(set).or_else(|| defaults.find_map(default));
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

/// All configs of a topic ([`TOPIC_CONFIGS`]), by name.
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
    if let Some(strongest) = def.synonyms.first() {
        synonyms.extend(broker.synonyms(strongest.name));
    }
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

/// All configs of a broker ([`BROKER_CONFIGS`]), by name.
#[must_use]
pub fn describe_broker(broker: &BrokerConfigs) -> Vec<ConfigEntry> {
    BROKER_CONFIGS.iter().map(|def| describe_broker_config(def, broker)).collect()
}

fn describe_broker_config(def: &BrokerDef, broker: &BrokerConfigs) -> ConfigEntry {
    let mut synonyms = broker.synonyms(def.name);
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

/// The config and the other units of the same (`log.retention.ms`, `.minutes`, `.hours`), the finest first.
fn broker_names(name: &'static str) -> Vec<&'static str> {
    let of = |def: &&TopicDef| def.synonyms.iter().any(|synonym| synonym.name == name);
    match TOPIC_CONFIGS.iter().find(of) {
        // It stands in for `log.flush.interval.ms`, but not the other way round.
        Some(def) if name != "log.flush.scheduler.interval.ms" => {
            def.synonyms.iter().map(|synonym| synonym.name).collect()
        }
        _ => vec![name],
    }
}
