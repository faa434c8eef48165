//! Catalog changes; they run in the meta shard only.

use std::rc::Rc;
use std::sync::Arc;

use broker_core::catalog::{Catalog, CatalogError, CatalogRecord};
use broker_kafka::broker::{CatalogCommand, CatalogFailure, Fatal};
use log_io::Durability;
use log_journal::{AppendError, Entry};
use log_types::{Offset, Position, TopicId};

use crate::core::{PlacesChanged, Shared};

use super::publish::Unpublished;
use super::{INTERNAL_STREAM, META_SHARD, Shard, kind};

/// A durable change.
pub(crate) struct CatalogChange {
    pub(crate) record: CatalogRecord,
    /// Name and id of the topic that was deleted.
    pub(crate) deleted: Option<(String, TopicId)>,
}

impl Shard {
    pub(crate) fn catalog_snapshot(&self) -> Arc<Catalog> {
        Arc::new(self.catalog.borrow().clone())
    }

    /// Plans, logs and folds one change; completes when it is durable and every core knows of it. A refusal completes when
    /// that is true of the changes that are its reason: whoever is told that a topic exists finds it, on any connection.
    pub(crate) async fn change_catalog(
        self: Rc<Self>,
        command: CatalogCommand,
        shared: Arc<Shared>,
    ) -> Result<CatalogChange, CatalogFailure> {
        let outcome = self.log_catalog_change(|shard| shard.plan(&command, &shared)).await;
        self.publish_durable(&shared).await.map_err(|Fatal| CatalogFailure::Fatal)?;
        outcome
    }

    /// Reserves the next `count` producer ids and gives the first.
    pub(crate) async fn reserve_producer_ids(
        self: Rc<Self>,
        count: i64,
        shared: Arc<Shared>,
    ) -> Result<i64, CatalogFailure> {
        let mut first = 0;
        self.log_catalog_change(|shard| {
            first = shard.catalog.borrow().next_producer_id();
            Ok(CatalogRecord::ProducerIdsReserved { next: first + count })
        })
        .await?;
        self.publish_durable(&shared).await.map_err(|Fatal| CatalogFailure::Fatal)?;
        Ok(first)
    }

    pub(super) async fn log_catalog_change(
        &self,
        mut plan: impl FnMut(&Self) -> Result<CatalogRecord, CatalogError>,
    ) -> Result<CatalogChange, CatalogFailure> {
        assert_eq!(self.id, META_SHARD, "the catalog lives in the meta shard");
        let (position, outcome) = loop {
            let record = match plan(self) {
                Ok(record) => record,
                // What made it so may still be on its way to the disk, here and where nothing is left to change.
                Err(error) => {
                    break (self.publishing.logged(), Err(CatalogFailure::Refused(error)));
                }
            };
            let deleted = deleted_topic(&record, &self.catalog.borrow());
            let change = CatalogChange { record, deleted };
            if self.catalog.borrow().holds(&change.record) {
                break (self.publishing.logged(), Ok(change));
            }
            match self.append_catalog(&change.record) {
                Ok(position) => {
                    self.fold_catalog(&change.record, position);
                    break (position, Ok(change));
                }
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull) => return Err(CatalogFailure::DiskFull),
                Err(_) => return Err(CatalogFailure::Fatal),
            }
        };
        self.journal.wait_durable(position).await.map_err(|_| CatalogFailure::Fatal)?;
        outcome
    }

    fn fold_catalog(&self, record: &CatalogRecord, position: Position) {
        let changed = places_changed(record, &self.catalog.borrow());
        self.catalog.borrow_mut().apply(record.clone());
        let catalog = self.catalog_snapshot();
        self.publishing.log(Unpublished { position, catalog, changed });
    }

    fn append_catalog(&self, record: &CatalogRecord) -> Result<Position, AppendError> {
        let version = i64::try_from(self.catalog.borrow().version).unwrap_or(i64::MAX);
        let bytes = record.encode();
        let entry = Entry {
            stream: INTERNAL_STREAM,
            kind: kind::CATALOG,
            base_offset: Offset(version),
            last_offset: Offset(version),
            max_timestamp: self.now_ms(),
            durability: Durability::Synced,
            parts: &[&bytes],
            last_part_crc: None,
        };
        if frees_space(record) {
            self.journal.append_reserved(&entry)
        } else {
            self.journal.append(&entry)
        }
    }

    fn plan(
        &self,
        command: &CatalogCommand,
        shared: &Shared,
    ) -> Result<CatalogRecord, CatalogError> {
        let catalog = self.catalog.borrow();
        let shard_count = shared.router.shard_count();
        let broker_config =
            |catalog: &Catalog| shared.settings.broker_config(&catalog.broker_configs);
        match command {
            CatalogCommand::CreateTopic(spec) => {
                let planned = catalog.plan_topic(spec.clone(), shard_count, self.random_u128())?;
                Ok(planned.record)
            }
            CatalogCommand::DeleteTopic(topic) => catalog.plan_deletion(topic),
            CatalogCommand::AddPartitions { name, count } => {
                catalog.plan_partitions(name, *count, shard_count)
            }
            CatalogCommand::ConfigureTopic { name, id, change } => {
                catalog.plan_topic_configs(name, *id, change, &broker_config(&catalog))
            }
            CatalogCommand::ConfigureBroker(change) => {
                catalog.plan_broker_configs(change, &broker_config(&catalog))
            }
            CatalogCommand::DeclareTable { name, topic, payload } => {
                catalog.plan_declaration(name, topic, payload.clone())
            }
            CatalogCommand::DropTable { name } => catalog.plan_drop_table(name),
        }
    }
}

/// Whether a change is how someone gets space back, so that it may use what is reserved for a full disk: deletions, and
/// settings, retention among them.
fn frees_space(record: &CatalogRecord) -> bool {
    match record {
        CatalogRecord::TopicDeleted { .. }
        | CatalogRecord::TopicConfigured { .. }
        | CatalogRecord::BrokerConfigured { .. }
        | CatalogRecord::TableDropped { .. } => true,
        CatalogRecord::TopicCreated(_)
        | CatalogRecord::PartitionsAdded { .. }
        | CatalogRecord::TableDeclared(_)
        | CatalogRecord::ProducerIdsReserved { .. } => false,
    }
}

/// The streams that a catalog record brings and takes; `before` still knows a deleted topic.
fn places_changed(record: &CatalogRecord, before: &Catalog) -> PlacesChanged {
    match record {
        CatalogRecord::TopicCreated(topic) => {
            PlacesChanged { added: topic.partitions.clone(), removed: Vec::new() }
        }
        CatalogRecord::PartitionsAdded { places, .. } => {
            PlacesChanged { added: places.clone(), removed: Vec::new() }
        }
        CatalogRecord::TopicDeleted { id } => {
            let removed = before.topic_by_id(*id).map(|topic| topic.partitions.clone());
            PlacesChanged { added: Vec::new(), removed: removed.unwrap_or_default() }
        }
        _ => PlacesChanged::default(),
    }
}

fn deleted_topic(record: &CatalogRecord, before: &Catalog) -> Option<(String, TopicId)> {
    let CatalogRecord::TopicDeleted { id } = record else { return None };
    before.topic_by_id(*id).map(|topic| (topic.name.clone(), topic.id))
}
