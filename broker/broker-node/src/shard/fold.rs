//! The fold of a shard's journal: what replay rebuilds and what a checkpoint holds.
//!
//! The checkpoint's bytes are in `log/FORMAT.md`, "The owner's state". They end with what the state has and the journal has not.
//!
//! That last part is empty unless the disk was full: then groups go on in memory, and retention frees what is missing.
//! It is logged as soon as that is possible, so replay may meet it again; folding it twice changes nothing.

use std::collections::BTreeMap;

use broker_core::catalog::{Catalog, CatalogRecord};
use broker_core::fields::{FieldError, FieldReader, FieldWriter};
use broker_core::group::{Backlog, GroupConfig, GroupRecord, Groups};
use broker_core::partition::Partition;
use log_journal::{EntryHead, ReplaySink};
use log_record::BatchHeader;
use log_types::{LeaderEpoch, Offset, Position, StreamId};

use super::producers::AgeStep;
use super::{ShardError, kind};

const VERSION: u8 = 2;

/// Changes that the state has and the journal has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unlogged {
    pub(super) groups: Backlog,
    pub(super) log_starts: BTreeMap<StreamId, Offset>,
}

/// Collects the state while the journal replays.
pub(super) struct Fold {
    pub(super) partitions: BTreeMap<StreamId, Partition>,
    pub(super) groups: Groups,
    pub(super) catalog: Catalog,
    pub(super) unlogged: Unlogged,
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
            unlogged: Unlogged::default(),
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

    /// Where the first entry lies that did not decode.
    pub(super) fn failed_at(&self) -> Option<Position> {
        self.failure.as_ref().map(|(position, _)| *position)
    }

    fn fail(&mut self, position: Position, error: &dyn std::fmt::Display) {
        if self.failure.is_none() {
            self.failure = Some((position, error.to_string()));
        }
    }

    pub(super) fn import(&mut self, state: &[u8]) -> Result<(), FieldError> {
        let mut input = FieldReader::new(state);
        if input.u8("checkpoint version")? != VERSION {
            return Err(FieldError { what: "checkpoint version", offset: 0 });
        }
        self.partitions.clear();
        for _ in 0..input.count(8, "stream count")? {
            let stream = StreamId(input.u64("stream id")?);
            self.partitions.insert(stream, Partition::import(&mut input)?);
        }
        self.groups = Groups::new(self.settings.clone());
        for _ in 0..input.count(4, "group records")? {
            self.groups.apply(&GroupRecord::decode(input.bytes("group record")?)?);
        }
        self.catalog = Catalog::import(input.bytes("catalog")?)?;
        self.unlogged = Unlogged::default();
        let mut records = Vec::new();
        for _ in 0..input.count(4, "unlogged group records")? {
            records.push(GroupRecord::decode(input.bytes("unlogged group record")?)?);
        }
        self.unlogged.groups.add(records);
        for _ in 0..input.count(16, "unlogged log starts")? {
            let stream = StreamId(input.u64("stream id")?);
            let log_start = Offset(input.i64("unlogged log start")?);
            self.unlogged.log_starts.insert(stream, log_start);
        }
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
                let unlogged = &mut self.unlogged.log_starts;
                if unlogged.get(&head.stream).is_some_and(|start| *start <= head.base_offset) {
                    unlogged.remove(&head.stream);
                }
            }
            kind::PRODUCERS_AGED => {
                let step = AgeStep::decode(payload).map_err(|error| error.to_string())?;
                if let Some(partition) = self.partitions.get_mut(&head.stream) {
                    partition.age_producers(step.elapsed_ms, step.expiration_ms);
                }
            }
            kind::GROUP => {
                let record = GroupRecord::decode(payload).map_err(|error| error.to_string())?;
                self.groups.apply(&record);
                self.unlogged.groups.logged(&record);
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
    unlogged: &Unlogged,
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
    out.count(unlogged.groups.iter().len());
    for record in unlogged.groups.iter() {
        out.bytes(&record.encode());
    }
    out.count(unlogged.log_starts.len());
    for (stream, log_start) in &unlogged.log_starts {
        out.u64(stream.0).i64(log_start.0);
    }
    out.finish()
}

#[cfg(test)]
mod tests;
