//! The catalog: the fold of the meta shard's catalog records. Topics, their streams and placement, configuration
//! overrides, declared tables, and the producer-id counter.
//!
//! Invariants:
//! - `Catalog::apply` is the only way it changes; the same records in the same order give the same catalog.
//! - Stream ids, topic numbers and table numbers are never reused.
//! - Commands (`plan_*`) decide without changing anything: they return the record to log, or an error.
//!
//! ```text
//!  command ─plan_*─► CatalogRecord ─journal of shard 0─► durable ─apply─► Catalog ─shared─► every core
//! ```

mod plan;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use log_types::{PartitionId, ShardId, StreamId, TopicId};

pub use plan::{CatalogError, NewTopicSpec, PlannedTopic, TopicRef};
pub use record::CatalogRecord;
use record::NUMBER_MAX;

use crate::fields::{FieldError, FieldReader, FieldWriter};

/// Stream ids below this are internal to a shard and never name a partition.
pub const STREAM_ID_MIN: u64 = 16;

/// Where a partition lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPlace {
    pub stream: StreamId,
    pub shard: ShardId,
}

/// A topic as every core sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    /// Durable number; OIDs derive from it.
    pub number: u64,
    /// Index is the partition id.
    pub partitions: Vec<PartitionPlace>,
    /// Configuration overrides (`DYNAMIC_TOPIC_CONFIG`).
    pub configs: BTreeMap<String, String>,
}

impl Topic {
    /// The place of a partition; `None` when the topic has no such partition.
    #[must_use]
    pub fn place(&self, partition: PartitionId) -> Option<PartitionPlace> {
        self.partitions.get(usize::try_from(partition.0).ok()?).copied()
    }
}

/// A table declared over a topic. The columns are opaque to the broker: the query side encodes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    pub name: String,
    pub topic: String,
    pub number: u64,
    pub payload: Vec<u8>,
}

/// The catalog at one moment; cheap to clone, shared by all cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// +1 per applied record.
    pub version: u64,
    pub topics: BTreeMap<String, Arc<Topic>>,
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    pub declarations: BTreeMap<String, Arc<Declaration>>,
    /// Configuration overrides of the brokers (`DYNAMIC_DEFAULT_BROKER_CONFIG`).
    pub broker_configs: Arc<BTreeMap<String, String>>,
    next_stream: u64,
    next_number: u64,
    next_producer_id: i64,
}

impl Catalog {
    #[must_use]
    pub fn new() -> Self {
        Self { next_stream: STREAM_ID_MIN, next_number: 1, ..Self::default() }
    }

    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// The first producer id that was never handed out.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// Folds one record. Records that name an object that is gone change nothing but the version.
    pub fn apply(&mut self, record: CatalogRecord) {
        self.version += 1;
        match record {
            CatalogRecord::TopicCreated(topic) => self.apply_created(topic),
            CatalogRecord::TopicDeleted { id } => {
                if let Some(topic) = self.by_id.remove(&id) {
                    self.topics.remove(&topic.name);
                    self.declarations.retain(|_, declaration| declaration.topic != topic.name);
                }
            }
            CatalogRecord::PartitionsAdded { id, places } => {
                self.raise_next_stream(&places);
                self.change_topic(id, |topic| topic.partitions.extend(places));
            }
            CatalogRecord::TopicConfigured { id, configs } => {
                self.change_topic(id, |topic| topic.configs = configs);
            }
            CatalogRecord::BrokerConfigured { configs } => self.broker_configs = Arc::new(configs),
            CatalogRecord::TableDeclared(declaration) => {
                self.next_number = self.next_number.max(declaration.number + 1);
                self.declarations.insert(declaration.name.clone(), Arc::new(declaration));
            }
            CatalogRecord::TableDropped { name } => {
                self.declarations.remove(&name);
            }
            CatalogRecord::ProducerIdsReserved { next } => self.next_producer_id = next,
        }
    }

    fn apply_created(&mut self, topic: Topic) {
        self.raise_next_stream(&topic.partitions);
        self.next_number = self.next_number.max(topic.number + 1);
        // Plans refuse a name or id that is taken; a record that has one replaces its topic whole, in both maps.
        if let Some(same_id) = self.by_id.remove(&topic.id) {
            self.topics.remove(&same_id.name);
        }
        let topic = Arc::new(topic);
        self.by_id.insert(topic.id, Arc::clone(&topic));
        if let Some(same_name) = self.topics.insert(topic.name.clone(), Arc::clone(&topic))
            && same_name.id != topic.id
        {
            self.by_id.remove(&same_name.id);
        }
    }

    fn raise_next_stream(&mut self, places: &[PartitionPlace]) {
        for place in places {
            self.next_stream = self.next_stream.max(place.stream.0 + 1);
        }
    }

    fn change_topic(&mut self, id: TopicId, change: impl FnOnce(&mut Topic)) {
        let Some(topic) = self.by_id.get(&id) else { return };
        let mut changed = Topic::clone(topic);
        change(&mut changed);
        let changed = Arc::new(changed);
        self.topics.insert(changed.name.clone(), Arc::clone(&changed));
        self.by_id.insert(id, changed);
    }

    /// The whole state for a checkpoint.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut out = FieldWriter::new();
        out.u8(1)
            .u64(self.version)
            .u64(self.next_stream)
            .u64(self.next_number)
            .i64(self.next_producer_id);
        out.count(self.topics.len());
        for topic in self.topics.values() {
            out.bytes(&CatalogRecord::TopicCreated(Topic::clone(topic)).encode());
        }
        out.count(self.declarations.len());
        for declaration in self.declarations.values() {
            out.bytes(&CatalogRecord::TableDeclared(Declaration::clone(declaration)).encode());
        }
        out.bytes(
            &CatalogRecord::BrokerConfigured { configs: (*self.broker_configs).clone() }.encode(),
        );
        out.finish()
    }

    /// The inverse of [`Catalog::export`].
    ///
    /// # Errors
    /// When the bytes do not decode.
    pub fn import(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut input = FieldReader::new(bytes);
        if input.u8("catalog version")? != 1 {
            return Err(FieldError { what: "catalog version", offset: 0 });
        }
        let mut catalog = Self::new();
        let version = record::read_number(&mut input, u64::MAX / 2, "version")?;
        let next_stream = record::read_number(&mut input, NUMBER_MAX + 1, "next stream")?;
        let next_number = record::read_number(&mut input, NUMBER_MAX + 1, "next number")?;
        let next_producer_id = input.i64("next producer id")?;
        for what in ["topic", "declaration"] {
            for _ in 0..input.count(4, what)? {
                catalog.apply(CatalogRecord::decode(input.bytes(what)?)?);
            }
        }
        catalog.apply(CatalogRecord::decode(input.bytes("broker configuration")?)?);
        Ok(Self { version, next_stream, next_number, next_producer_id, ..catalog })
    }
}

#[cfg(test)]
mod tests;
