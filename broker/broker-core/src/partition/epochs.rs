//! Which leader epoch wrote which offsets (KIP-101, KIP-279, KIP-320).
//!
//! Invariant: entries ascend strictly in epoch and in start offset.

use log_types::{LeaderEpoch, Offset};

use crate::fields::{FieldError, FieldReader, FieldWriter};

/// Start offset per leader epoch, for the epochs that wrote something still in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    entries: Vec<(LeaderEpoch, Offset)>,
}

/// A node restart is one epoch; what is older than this many is answered by the oldest kept one.
const ENTRIES_MAX: usize = 1024;

impl EpochHistory {
    /// Notes that `epoch` writes from `start` on, if it is newer than all before.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        let latest = self.entries.last().map(|(epoch, _)| *epoch);
        if latest.is_some_and(|latest| latest >= epoch) {
            return;
        }
        self.entries.retain(|(_, offset)| *offset < start);
        if self.entries.len() == ENTRIES_MAX {
            self.entries.remove(0);
        }
        self.entries.push((epoch, start));
    }

    /// Drops epochs that end at or before `log_start`; the one that covers it now starts there.
    pub fn truncate_start(&mut self, log_start: Offset) {
        let covering = self.entries.partition_point(|(_, start)| *start <= log_start);
        if covering == 0 {
            return;
        }
        self.entries.drain(..covering - 1);
        if let Some(first) = self.entries.first_mut() {
            first.1 = first.1.max(log_start);
        }
    }

    /// The epoch that wrote `offset`, if that is known.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        Some(self.entries.get(after.checked_sub(1)?)?.0)
    }

    /// OffsetForLeaderEpoch: the largest epoch ≤ `asked` and where it ends, given the current leader epoch and log
    /// end. `None` when nothing is known (Kafka answers −1, −1).
    #[must_use]
    pub fn end_of(
        &self,
        asked: LeaderEpoch,
        current: LeaderEpoch,
        end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if asked == current {
            return Some((current, end));
        }
        if asked > current {
            return None;
        }
        let after = self.entries.partition_point(|(epoch, _)| *epoch <= asked);
        let end_offset = self.entries.get(after).map_or(end, |(_, start)| *start);
        match after.checked_sub(1).and_then(|at| self.entries.get(at)) {
            Some((epoch, _)) => Some((*epoch, end_offset)),
            // Older than everything kept: it ends where the log begins to be known.
            None => self.entries.first().map(|(_, start)| (asked, *start)),
        }
    }

    /// Whether a follower or consumer whose last record is of `last_epoch` and that asks for `offset` has diverged:
    /// then where its epoch really ends (KIP-595's `DivergingEpoch`).
    #[must_use]
    pub fn divergence(
        &self,
        last_epoch: LeaderEpoch,
        offset: Offset,
        current: LeaderEpoch,
        end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let (epoch, epoch_end) = self.end_of(last_epoch, current, end)?;
        (epoch < last_epoch || epoch_end < offset).then_some((epoch, epoch_end))
    }

    pub(crate) fn export(&self, out: &mut FieldWriter) {
        out.count(self.entries.len());
        for (epoch, start) in &self.entries {
            out.i32(epoch.0).i64(start.0);
        }
    }

    pub(crate) fn import(input: &mut FieldReader<'_>) -> Result<Self, FieldError> {
        let count = input.count(12, "leader epochs")?;
        let mut history = Self::default();
        for _ in 0..count {
            let epoch = LeaderEpoch(input.i32("leader epoch")?);
            history.assign(epoch, Offset(input.i64("epoch start")?));
        }
        Ok(history)
    }
}
