//! The proof that a checkpoint's state is the fold of the journal up to it (M1 of docs/invariants.md).
//!
//! Two things are not in a shard's own journal, and are allowed for:
//! - Which streams exist is the catalog's, in the meta shard: a stream without an entry may be there, empty; one with
//!   entries may be gone, if the catalog has no partition of that number ([`ShardProof::dropped`]).
//! - What could not be logged is listed in the checkpoint itself (`fold::Unlogged`) and folded on top.

use std::collections::BTreeSet;

use broker_core::catalog::Catalog;
use broker_core::fields::FieldWriter;
use broker_core::group::{GroupConfig, Groups};
use broker_core::partition::Partition;
use log_journal::{EntryHead, ReplaySink, StateFold, StateMismatch};
use log_types::{LeaderEpoch, Position, StreamId};

use super::fold::Fold;

/// Folds a shard's journal for `verify`.
pub(crate) struct ShardProof {
    fold: Fold,
    /// Streams that entries name and a checkpoint has not.
    dropped: BTreeSet<StreamId>,
}

impl ShardProof {
    pub(crate) fn new() -> Self {
        Self { fold: empty(), dropped: BTreeSet::new() }
    }

    /// The catalog as of the end of the journal; only the meta shard has one.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.fold.catalog
    }

    /// Streams that a checkpoint has dropped although the catalog still names them.
    pub(crate) fn lost<'a>(&'a self, catalog: &'a Catalog) -> impl Iterator<Item = StreamId> + 'a {
        let places = catalog.topics.values().flat_map(|topic| &topic.partitions);
        places.map(|place| place.stream).filter(|stream| self.dropped.contains(stream))
    }

    fn prove_partitions(&mut self, stored: &Fold) -> Result<(), StateMismatch> {
        for (stream, found) in &stored.partitions {
            let mut expected = self.fold.partitions.get(stream).cloned().unwrap_or_default();
            if let Some(log_start) = stored.unlogged.log_starts.get(stream) {
                expected.raise_log_start((*log_start).min(expected.end()));
            }
            let (expected, found) = (exported(&expected), exported(found));
            if expected != found {
                let what = "state of the stream of this number against the fold of its entries";
                let at = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
                return Err(StateMismatch { what, expected: stream.0, found: at as u64 });
            }
        }
        let gone = self.fold.partitions.keys().filter(|id| !stored.partitions.contains_key(id));
        self.dropped.extend(gone);
        Ok(())
    }

    fn prove_groups(&self, stored: &Fold) -> Result<(), StateMismatch> {
        let mut expected = Groups::new(GroupConfig::default());
        for record in self.fold.groups.export().iter().chain(stored.unlogged.groups.iter()) {
            expected.apply(record);
        }
        let (expected, found) = (expected.export(), stored.groups.export());
        if expected == found {
            return Ok(());
        }
        let at = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
        let what = "record of this number of the groups against the fold of their entries";
        Err(StateMismatch { what, expected: at as u64, found: found.len() as u64 })
    }
}

fn empty() -> Fold {
    Fold::new(LeaderEpoch(i32::MAX), GroupConfig::default())
}

fn exported(partition: &Partition) -> Vec<u8> {
    let mut out = FieldWriter::new();
    partition.export(&mut out);
    out.finish()
}

impl ReplaySink for ShardProof {
    fn checkpoint(&mut self, position: Position, state: &[u8]) {
        self.fold = empty();
        self.fold.checkpoint(position, state);
    }

    fn entry(&mut self, position: Position, head: &EntryHead, payload: &[u8]) {
        self.fold.entry(position, head, payload);
    }
}

impl StateFold for ShardProof {
    fn prove(&mut self, _position: Position, state: &[u8]) -> Result<(), StateMismatch> {
        if let Some(position) = self.fold.failed_at() {
            let what = "entries of this position do not decode";
            return Err(StateMismatch { what, expected: position.0, found: 0 });
        }
        let mut stored = empty();
        if let Err(error) = stored.import(state) {
            let found = error.offset as u64;
            return Err(StateMismatch { what: error.what, expected: 0, found });
        }
        self.prove_partitions(&stored)?;
        self.prove_groups(&stored)?;
        if self.fold.catalog == stored.catalog {
            return Ok(());
        }
        let what = "version of the catalog, or its content, against the fold of its entries";
        let (expected, found) = (self.fold.catalog.version, stored.catalog.version);
        Err(StateMismatch { what, expected, found })
    }
}

#[cfg(test)]
mod tests;
