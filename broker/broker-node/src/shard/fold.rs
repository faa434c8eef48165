//! The fold of a shard's journal: what replay rebuilds and what a checkpoint holds.
//!
//! Checkpoint state, version 1: version byte, stream count, per stream its number and `Partition::export`, group
//! record count, group records, then the catalog (empty bytes outside the meta shard's use of it).

use std::collections::BTreeMap;

use broker_core::catalog::{Catalog, CatalogRecord};
use broker_core::fields::{FieldError, FieldReader, FieldWriter};
use broker_core::group::{GroupConfig, GroupRecord, Groups};
use broker_core::partition::Partition;
use log_journal::{EntryHead, ReplaySink};
use log_record::BatchHeader;
use log_types::{LeaderEpoch, Position, StreamId};

use super::{ShardError, kind};

const VERSION: u8 = 1;

/// Collects the state while the journal replays.
pub(super) struct Fold {
    pub(super) partitions: BTreeMap<StreamId, Partition>,
    pub(super) groups: Groups,
    pub(super) catalog: Catalog,
    settings: GroupConfig,
    /// The epoch of this start: nothing in the journal may be newer.
    epoch: LeaderEpoch,
    failure: Option<(Position, String)>,
}

impl Fold {
    pub(super) fn new(epoch: LeaderEpoch, settings: GroupConfig) -> Self {
        Self {
            partitions: BTreeMap::new(),
            groups: Groups::new(settings.clone()),
            catalog: Catalog::new(),
            settings,
            epoch,
            failure: None,
        }
    }

    /// # Errors
    /// When an entry did not decode: it passed its checksum, so it is of a newer version or a bug.
    pub(super) fn finish(&self) -> Result<(), ShardError> {
        match &self.failure {
            None => Ok(()),
            Some((position, what)) => {
                Err(ShardError::Replay { position: *position, what: what.clone() })
            }
        }
    }

    fn fail(&mut self, position: Position, error: &dyn std::fmt::Display) {
        if self.failure.is_none() {
            self.failure = Some((position, error.to_string()));
        }
    }

    fn import(&mut self, state: &[u8]) -> Result<(), FieldError> {
        let mut input = FieldReader::new(state);
        if input.u8("checkpoint version")? != VERSION {
            return Err(FieldError { what: "checkpoint version", offset: 0 });
        }
        for _ in 0..input.count(8, "stream count")? {
            let stream = StreamId(input.u64("stream id")?);
            self.partitions.insert(stream, Partition::import(&mut input)?);
        }
        self.groups = Groups::new(self.settings.clone());
        for _ in 0..input.count(4, "group records")? {
            self.groups.apply(&GroupRecord::decode(input.bytes("group record")?)?);
        }
        self.catalog = Catalog::import(input.bytes("catalog")?)?;
        Ok(())
    }

    fn apply(&mut self, head: &EntryHead, payload: &[u8]) -> Result<(), String> {
        match head.kind {
            kind::BATCH => {
                let header = BatchHeader::parse(payload).map_err(|error| error.to_string())?;
                let partition = self.partitions.entry(head.stream).or_default();
                partition.record_append(&header, head.base_offset, header.partition_leader_epoch);
                partition.raise_visible(partition.end());
            }
            kind::LOG_START => {
                if let Some(partition) = self.partitions.get_mut(&head.stream) {
                    partition.raise_log_start(head.base_offset);
                }
            }
            kind::GROUP => {
                let record = GroupRecord::decode(payload).map_err(|error| error.to_string())?;
                self.groups.apply(&record);
            }
            kind::CATALOG => {
                let record = CatalogRecord::decode(payload).map_err(|error| error.to_string())?;
                self.catalog.apply(record);
            }
            other => return Err(format!("entry of unknown kind {}", other.0)),
        }
        Ok(())
    }
}

impl ReplaySink for Fold {
    fn checkpoint(&mut self, position: Position, state: &[u8]) {
        if let Err(error) = self.import(state) {
            self.fail(position, &error);
        }
    }

    fn entry(&mut self, position: Position, head: &EntryHead, payload: &[u8]) {
        debug_assert!(self.epoch.0 > 0);
        if let Err(error) = self.apply(head, payload) {
            self.fail(position, &error);
        }
    }
}

/// The checkpoint form of a shard's state.
pub(super) fn export(
    partitions: &BTreeMap<StreamId, Partition>,
    groups: &Groups,
    catalog: &Catalog,
) -> Vec<u8> {
    let mut out = FieldWriter::new();
    out.u8(VERSION).count(partitions.len());
    for (stream, partition) in partitions {
        out.u64(stream.0);
        partition.export(&mut out);
    }
    let records = groups.export();
    out.count(records.len());
    for record in &records {
        out.bytes(&record.encode());
    }
    out.bytes(&catalog.export());
    out.finish()
}
