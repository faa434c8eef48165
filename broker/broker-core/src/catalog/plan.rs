//! Catalog commands: check against the catalog as it is and return the record to log.

use std::collections::BTreeMap;
use std::fmt;

use log_types::{ShardId, StreamId, TopicId};

use super::{Catalog, CatalogRecord, Declaration, PartitionPlace, Topic};
use crate::config::{BrokerConfigs, ConfigChange, ConfigError};

/// A topic that a client asks for; its name and configuration were validated by the caller.
#[derive(Clone, Debug)]
pub struct NewTopicSpec {
    pub name: String,
    /// At least 1.
    pub partition_count: usize,
    pub configs: BTreeMap<String, String>,
}

/// Which topic a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// Whichever has the name when the command is planned.
    Name(String),
    /// This one, never one that was made later under the same name.
    Id(TopicId),
}

/// What `plan_topic` decided.
#[derive(Clone, Debug)]
pub struct PlannedTopic {
    pub id: TopicId,
    pub record: CatalogRecord,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogError {
    TopicExists {
        name: String,
    },
    /// Two names that differ only in `.` and `_` would share metric names.
    NameCollides {
        name: String,
        with: String,
    },
    /// The name is that of a table declared over another topic: one name would stand for two tables.
    NameDeclared {
        name: String,
        topic: String,
    },
    TopicMissing {
        name: String,
    },
    TopicIdMissing {
        id: TopicId,
    },
    /// A topic has `current` partitions; a smaller or equal number was asked for.
    NotMorePartitions {
        name: String,
        current: usize,
        asked: usize,
    },
    PartitionsMax {
        max: usize,
    },
    TableExists {
        name: String,
    },
    TableMissing {
        name: String,
    },
    Config(ConfigError),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicExists { name } => write!(f, "Topic '{name}' already exists."),
            Self::NameCollides { name, with } => {
                write!(f, "Topic '{name}' collides with existing topic: {with}")
            }
            Self::NameDeclared { name, topic } => write!(
                f,
                "'{name}' is a table over topic '{topic}': drop the table first, or choose another name."
            ),
            Self::TopicMissing { name } => write!(f, "Topic '{name}' does not exist."),
            Self::NotMorePartitions { name, current, asked } => write!(
                f,
                "Topic '{name}' currently has {current} partitions, which is not lower than the requested {asked}."
            ),
            Self::TopicIdMissing { id } => write!(f, "No topic has the id {id}."),
            Self::Config(error) => error.fmt(f),
            Self::PartitionsMax { max } => {
                write!(f, "More than {max} partitions are not supported.")
            }
            Self::TableExists { name } => write!(f, "relation \"{name}\" already exists"),
            Self::TableMissing { name } => write!(f, "table \"{name}\" does not exist"),
        }
    }
}

impl std::error::Error for CatalogError {}

/// Partitions in one database: the design's goal is 100,000 streams on a node.
const PARTITIONS_MAX: usize = 200_000;

impl Catalog {
    /// Plans a topic. `random` is the source of its id; streams go to shards round-robin.
    ///
    /// # Errors
    /// `TopicExists`, `NameCollides`, `NameDeclared`, `PartitionsMax`.
    pub fn plan_topic(
        &self,
        spec: NewTopicSpec,
        shard_count: u32,
        random: u128,
    ) -> Result<PlannedTopic, CatalogError> {
        assert!(spec.partition_count > 0, "the caller validated the partition count");
        if self.topics.contains_key(&spec.name) {
            return Err(CatalogError::TopicExists { name: spec.name });
        }
        if let Some(with) = self.colliding_name(&spec.name) {
            return Err(CatalogError::NameCollides { name: spec.name, with });
        }
        if let Some(table) = self.declarations.get(&spec.name) {
            let topic = table.topic.clone();
            return Err(CatalogError::NameDeclared { name: spec.name, topic });
        }
        let places = self.plan_places(spec.partition_count, shard_count)?;
        let id = topic_id(random);
        let topic = Topic {
            name: spec.name,
            id,
            number: self.next_number,
            partitions: places,
            configs: spec.configs,
        };
        Ok(PlannedTopic { id, record: CatalogRecord::TopicCreated(topic) })
    }

    /// Plans raising a topic to `count` partitions.
    ///
    /// # Errors
    /// `TopicMissing`, `NotMorePartitions`, `PartitionsMax`.
    pub fn plan_partitions(
        &self,
        name: &str,
        count: usize,
        shard_count: u32,
    ) -> Result<CatalogRecord, CatalogError> {
        let topic =
            self.topic(name).ok_or_else(|| CatalogError::TopicMissing { name: name.to_owned() })?;
        let current = topic.partitions.len();
        if count <= current {
            let name = name.to_owned();
            return Err(CatalogError::NotMorePartitions { name, current, asked: count });
        }
        let places = self.plan_places(count - current, shard_count)?;
        Ok(CatalogRecord::PartitionsAdded { id: topic.id, places })
    }

    /// Plans deleting a topic.
    ///
    /// # Errors
    /// `TopicMissing`, `TopicIdMissing`.
    pub fn plan_deletion(&self, topic: &TopicRef) -> Result<CatalogRecord, CatalogError> {
        let id = match topic {
            TopicRef::Name(name) => self.topic(name).map(|topic| topic.id),
            TopicRef::Id(id) => self.topic_by_id(*id).map(|topic| topic.id),
        };
        let id = id.ok_or_else(|| match topic {
            TopicRef::Name(name) => CatalogError::TopicMissing { name: name.clone() },
            TopicRef::Id(id) => CatalogError::TopicIdMissing { id: *id },
        })?;
        Ok(CatalogRecord::TopicDeleted { id })
    }

    /// Plans new overrides for the topic that has this name and id; `broker` holds the broker's values.
    ///
    /// # Errors
    /// `TopicMissing`, also when another topic has the name by now; `Config`.
    pub fn plan_topic_configs(
        &self,
        name: &str,
        id: TopicId,
        change: &ConfigChange,
        broker: &BrokerConfigs,
    ) -> Result<CatalogRecord, CatalogError> {
        let topic = self.topic(name).filter(|topic| topic.id == id);
        let topic = topic.ok_or_else(|| CatalogError::TopicMissing { name: name.to_owned() })?;
        let configs = change.apply(true, &topic.configs, broker).map_err(CatalogError::Config)?;
        Ok(CatalogRecord::TopicConfigured { id, configs })
    }

    /// Plans new overrides for the brokers; `broker` holds the broker's values.
    ///
    /// # Errors
    /// `Config`.
    pub fn plan_broker_configs(
        &self,
        change: &ConfigChange,
        broker: &BrokerConfigs,
    ) -> Result<CatalogRecord, CatalogError> {
        let changed = change.apply(false, &self.broker_configs, broker);
        Ok(CatalogRecord::BrokerConfigured { configs: changed.map_err(CatalogError::Config)? })
    }

    /// Whether the record gives overrides that are in force already, so that nothing is left to log.
    #[must_use]
    pub fn holds(&self, record: &CatalogRecord) -> bool {
        match record {
            CatalogRecord::TopicConfigured { id, configs } => {
                self.topic_by_id(*id).is_some_and(|topic| topic.configs == *configs)
            }
            CatalogRecord::BrokerConfigured { configs } => *self.broker_configs == *configs,
            _ => false,
        }
    }

    /// Plans a declaration; its number is assigned here.
    ///
    /// # Errors
    /// `TopicMissing`, `TableExists` (a topic of that name is a table already, unless it is the declared topic itself).
    pub fn plan_declaration(
        &self,
        name: &str,
        topic: &str,
        payload: Vec<u8>,
    ) -> Result<CatalogRecord, CatalogError> {
        if !self.topics.contains_key(topic) {
            return Err(CatalogError::TopicMissing { name: topic.to_owned() });
        }
        let shadows_other_topic = name != topic && self.topics.contains_key(name);
        if self.declarations.contains_key(name) || shadows_other_topic {
            return Err(CatalogError::TableExists { name: name.to_owned() });
        }
        Ok(CatalogRecord::TableDeclared(Declaration {
            name: name.to_owned(),
            topic: topic.to_owned(),
            number: self.next_number,
            payload,
        }))
    }

    /// Plans dropping a declaration.
    ///
    /// # Errors
    /// `TableMissing`.
    pub fn plan_drop_table(&self, name: &str) -> Result<CatalogRecord, CatalogError> {
        if !self.declarations.contains_key(name) {
            return Err(CatalogError::TableMissing { name: name.to_owned() });
        }
        Ok(CatalogRecord::TableDropped { name: name.to_owned() })
    }

    fn plan_places(
        &self,
        count: usize,
        shard_count: u32,
    ) -> Result<Vec<PartitionPlace>, CatalogError> {
        assert!(shard_count > 0, "a database has at least one shard");
        let used: usize = self.topics.values().map(|topic| topic.partitions.len()).sum();
        if used.saturating_add(count) > PARTITIONS_MAX {
            return Err(CatalogError::PartitionsMax { max: PARTITIONS_MAX });
        }
        let places = (self.next_stream..).take(count).map(|stream| {
            let shard = u32::try_from(stream % u64::from(shard_count)).expect("below a u32");
            PartitionPlace { stream: StreamId(stream), shard: ShardId(shard) }
        });
        Ok(places.collect())
    }

    fn colliding_name(&self, name: &str) -> Option<String> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let folded = name.replace('.', "_");
        let mut names = self.topics.keys();
        names.find(|other| other.replace('.', "_") == folded).cloned()
    }
}

/// A version 4 UUID from random bits (RFC 9562 §5.4), so that it is never all zero.
fn topic_id(random: u128) -> TopicId {
    let mut bytes = random.to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    TopicId(bytes)
}
