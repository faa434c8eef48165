//! Catalog changes; they run in the meta shard only.

use std::rc::Rc;
use std::sync::Arc;

use broker_core::catalog::{Catalog, CatalogError, CatalogRecord};
use broker_kafka::broker::{CatalogCommand, CatalogFailure};
use log_io::Durability;
use log_journal::{AppendError, Entry};
use log_types::{Offset, Position};

use crate::core::PlacesChanged;

use super::{INTERNAL_STREAM, META_SHARD, Shard, kind};

/// A durable change and the catalog right after it.
pub(crate) struct CatalogChange {
    pub(crate) record: CatalogRecord,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) changed: PlacesChanged,
}

impl Shard {
    pub(crate) fn catalog_snapshot(&self) -> Arc<Catalog> {
        Arc::new(self.catalog.borrow().clone())
    }

    /// Plans, logs and folds one change; completes when it is durable.
    pub(crate) async fn change_catalog(
        self: Rc<Self>,
        command: CatalogCommand,
        shard_count: u32,
    ) -> Result<CatalogChange, CatalogFailure> {
        self.log_catalog_change(|shard| shard.plan(&command, shard_count)).await
    }

    /// Reserves the next `count` producer ids and gives the first.
    pub(crate) async fn reserve_producer_ids(
        self: Rc<Self>,
        count: i64,
    ) -> Result<i64, CatalogFailure> {
        let mut first = 0;
        self.log_catalog_change(|shard| {
            first = shard.catalog.borrow().next_producer_id();
            Ok(CatalogRecord::ProducerIdsReserved { next: first + count })
        })
        .await?;
        Ok(first)
    }

    async fn log_catalog_change(
        &self,
        mut plan: impl FnMut(&Self) -> Result<CatalogRecord, CatalogError>,
    ) -> Result<CatalogChange, CatalogFailure> {
        assert_eq!(self.id, META_SHARD, "the catalog lives in the meta shard");
        let (position, change) = loop {
            let record = plan(self).map_err(CatalogFailure::Refused)?;
            match self.append_catalog(&record) {
                Ok(position) => {
                    let changed = places_changed(&record, &self.catalog.borrow());
                    self.catalog.borrow_mut().apply(record.clone());
                    let catalog = self.catalog_snapshot();
                    break (position, CatalogChange { record, catalog, changed });
                }
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull) => return Err(CatalogFailure::DiskFull),
                Err(_) => return Err(CatalogFailure::Fatal),
            }
        };
        self.journal.wait_durable(position).await.map_err(|_| CatalogFailure::Fatal)?;
        Ok(change)
    }

    fn append_catalog(&self, record: &CatalogRecord) -> Result<Position, AppendError> {
        let version = i64::try_from(self.catalog.borrow().version).unwrap_or(i64::MAX);
        self.journal.append(&Entry {
            stream: INTERNAL_STREAM,
            kind: kind::CATALOG,
            base_offset: Offset(version),
            last_offset: Offset(version),
            max_timestamp: self.now_ms(),
            durability: Durability::Synced,
            parts: &[&record.encode()],
            last_part_crc: None,
        })
    }

    fn plan(
        &self,
        command: &CatalogCommand,
        shard_count: u32,
    ) -> Result<CatalogRecord, CatalogError> {
        let catalog = self.catalog.borrow();
        let topic_id = |name: &str| {
            let missing = || CatalogError::TopicMissing { name: name.to_owned() };
            catalog.topic(name).map(|topic| topic.id).ok_or_else(missing)
        };
        match command {
            CatalogCommand::CreateTopic(spec) => {
                let planned = catalog.plan_topic(spec.clone(), shard_count, self.random_u128())?;
                Ok(planned.record)
            }
            CatalogCommand::DeleteTopic { name } => {
                Ok(CatalogRecord::TopicDeleted { id: topic_id(name)? })
            }
            CatalogCommand::AddPartitions { name, count } => {
                catalog.plan_partitions(name, *count, shard_count)
            }
            CatalogCommand::ConfigureTopic { name, configs } => {
                Ok(CatalogRecord::TopicConfigured { id: topic_id(name)?, configs: configs.clone() })
            }
            CatalogCommand::ConfigureBroker { configs } => {
                Ok(CatalogRecord::BrokerConfigured { configs: configs.clone() })
            }
            CatalogCommand::DeclareTable { name, topic, payload } => {
                catalog.plan_declaration(name, topic, payload.clone())
            }
            CatalogCommand::DropTable { name } => catalog.plan_drop_table(name),
        }
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
