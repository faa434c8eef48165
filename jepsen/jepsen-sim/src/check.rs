//! What clients saw, and whether that is allowed.
//!
//! Rules, with the ids of the invariant catalogue:
//! - L1: an acknowledged record is in the final log, at its offset, once.
//! - L2: every record read was sent to that partition, bytes equal (the bytes are compared in `payload`).
//! - L3: no record is in the log twice. L4: an offset holds one record for ever, whoever reads it, before and after crashes.
//! - L5: what is sent after an acknowledgement gets a higher offset; an idempotent producer's records keep their order.
//! - L6: the high watermark never goes back in real time; no record at or above it is returned; what was read stays.
//! - L8: the log starts at 0 until somebody asks for a deletion, never beyond what was asked, and never goes back behind an
//!   acknowledged one.
//! - G1: an acknowledged committed offset is what the next member finds; it does not go back. G2: a partition has one owner
//!   per generation. G3: a generation is refused once a later one has begun.
//! - T: a topic is there from the answer to its creation to its deletion, and not after that.
//! - F5: a fetch gets no error without a cause: reads go on while the disk is full.
//!
//! Real time is the order of the calls to these methods: a request takes its floor when it is sent, its answer is held
//! against that floor.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::payload::RecordId;

mod groups;
mod starts;

/// Violations kept; more of them say nothing new.
const VIOLATIONS_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Sent; nothing definite is known.
    Unknown,
    Acked(i64),
}

struct Sent {
    partition: i32,
    fate: Fate,
    /// Retried until acknowledged, in order.
    idempotent: bool,
}

#[derive(Default)]
struct Partition {
    /// Highest acknowledged offset + 1.
    acked_end: i64,
    /// Highest high watermark seen or implied.
    watermark: i64,
    /// Highest log start that somebody asked for.
    delete_asked: i64,
    /// Highest log start that was acknowledged.
    delete_acked: i64,
    seen: BTreeMap<i64, RecordId>,
}

#[derive(Default)]
struct Committed {
    /// Highest offset whose commit was acknowledged.
    acked: i64,
    /// Every offset a commit was sent for.
    attempted: Vec<i64>,
}

/// How much happened, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub deletes: u64,
    /// Log starts seen that only retention can have moved.
    pub retained: u64,
    pub topics_deleted: u64,
    pub sent: u64,
    pub acked: u64,
    pub read: u64,
    pub fetches: u64,
    pub commits: u64,
    pub rebalances: u64,
    /// Requests of generations that had ended, all of them refused unless there is a violation.
    pub zombies: u64,
    /// Fetches answered within a session.
    pub session_fetches: u64,
    /// Batches sent compressed.
    pub compressed: u64,
    /// States in checkpoints that were proven to be the fold of the journal.
    pub states_proven: u64,
}

#[derive(Default)]
struct State {
    sent: BTreeMap<RecordId, Sent>,
    partitions: BTreeMap<i32, Partition>,
    committed: BTreeMap<(String, i32), Committed>,
    groups: BTreeMap<String, groups::Generations>,
    /// Retention may move log starts at any time.
    retention: bool,
    counts: Counts,
    violations: Vec<String>,
}

/// The history of a run.
#[derive(Default)]
pub struct History {
    state: RefCell<State>,
}

impl State {
    fn violation(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(text);
        }
    }
}

impl History {
    pub(crate) fn violation(&self, text: String) {
        self.state.borrow_mut().violation(text);
    }

    /// What was found wrong so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state.borrow().violations.clone()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.borrow().counts
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.state.borrow_mut().counts);
    }

    pub(crate) fn rebalanced(&self) {
        self.state.borrow_mut().counts.rebalances += 1;
    }

    /// A record leaves its producer for the first time. Gives the lowest offset it may get.
    pub(crate) fn sent(&self, id: RecordId, partition: i32, idempotent: bool) -> i64 {
        let mut state = self.state.borrow_mut();
        state.counts.sent += 1;
        let earlier = state.sent.insert(id, Sent { partition, fate: Fate::Unknown, idempotent });
        assert!(earlier.is_none(), "{id:?} is sent for the first time once");
        state.partitions.entry(partition).or_default().acked_end
    }

    /// A batch was acknowledged; `floor` is what [`History::sent`] gave for it.
    pub(crate) fn acked(&self, partition: i32, base_offset: i64, ids: &[RecordId], floor: i64) {
        let mut state = self.state.borrow_mut();
        if base_offset < floor {
            state.violation(format!(
                "L5: partition {partition}: {:?} was sent after offset {} was acknowledged and got {base_offset}",
                ids.first(),
                floor - 1
            ));
        }
        for (offset, id) in (base_offset..).zip(ids) {
            state.counts.acked += 1;
            let sent = state.sent.get_mut(id).expect("what is acknowledged was sent");
            sent.fate = Fate::Acked(offset);
        }
        let end = base_offset + i64::try_from(ids.len()).expect("a few records");
        let known = state.partitions.entry(partition).or_default();
        known.acked_end = known.acked_end.max(end);
        known.watermark = known.watermark.max(end);
    }

    /// What a fetch sent now must find as high watermark, at least.
    pub(crate) fn watermark_floor(&self, partition: i32) -> i64 {
        self.state.borrow_mut().partitions.entry(partition).or_default().watermark
    }

    /// A high watermark was reported; `floor` was taken when it was asked for.
    pub(crate) fn watermark(&self, partition: i32, floor: i64, watermark: i64, who: &str) {
        let mut state = self.state.borrow_mut();
        if watermark < floor {
            state.violation(format!(
                "L6: {who}: the high watermark of partition {partition} is {watermark} after {floor} was seen"
            ));
        }
        let known = state.partitions.entry(partition).or_default();
        known.watermark = known.watermark.max(watermark);
    }

    /// Records were read from `position` on.
    pub(crate) fn read(
        &self,
        partition: i32,
        position: i64,
        watermark: i64,
        records: &[(i64, RecordId)],
        who: &str,
    ) {
        let mut state = self.state.borrow_mut();
        state.counts.fetches += 1;
        let mut expected = None;
        for (offset, id) in records {
            state.counts.read += 1;
            if *offset >= watermark {
                state.violation(format!(
                    "L6: {who}: offset {offset} of partition {partition} was returned with high watermark {watermark}"
                ));
            }
            if expected.is_some_and(|expected| expected != *offset)
                || (expected.is_none() && *offset > position)
            {
                state.violation(format!(
                    "L1: {who}: partition {partition} skips from {expected:?} (position {position}) to {offset}"
                ));
            }
            expected = Some(offset + 1);
            state.seen(partition, *offset, *id, who);
        }
    }

    /// A member is about to commit.
    pub(crate) fn committing(&self, group: &str, partition: i32, offset: i64) {
        let mut state = self.state.borrow_mut();
        state.committed.entry((group.to_owned(), partition)).or_default().attempted.push(offset);
    }

    pub(crate) fn committed(&self, group: &str, partition: i32, offset: i64) {
        let mut state = self.state.borrow_mut();
        state.counts.commits += 1;
        let known = state.committed.entry((group.to_owned(), partition)).or_default();
        known.acked = known.acked.max(offset);
    }

    pub(crate) fn committed_floor(&self, group: &str, partition: i32) -> i64 {
        let key = (group.to_owned(), partition);
        self.state.borrow().committed.get(&key).map_or(0, |known| known.acked)
    }

    /// Whether a group has committed everything that was acknowledged.
    pub(crate) fn caught_up(&self, group: &str) -> bool {
        let state = self.state.borrow();
        state.partitions.iter().all(|(partition, known)| {
            let committed = state.committed.get(&(group.to_owned(), *partition));
            committed.map_or(0, |committed| committed.acked) >= known.acked_end
        })
    }

    /// A member found a committed offset (−1: none); `floor` was taken when it asked.
    pub(crate) fn committed_seen(&self, group: &str, partition: i32, floor: i64, offset: i64) {
        let mut state = self.state.borrow_mut();
        let known = state.committed.entry((group.to_owned(), partition)).or_default();
        let attempted = offset < 0 || known.attempted.contains(&offset);
        // Whoever has seen it may count on it, also when the answer to the commit was lost.
        known.acked = known.acked.max(offset);
        if offset.max(0) < floor {
            state.violation(format!(
                "G1: group {group} partition {partition}: offset {offset} is committed after {floor} was acknowledged"
            ));
        }
        if !attempted {
            state.violation(format!(
                "G1: group {group} partition {partition}: offset {offset} is committed, nobody asked for it"
            ));
        }
    }

    /// Holds the whole log, as read at the end, against everything seen before.
    pub(crate) fn check_final(
        &self,
        partition: i32,
        start: i64,
        end: i64,
        log: &[(i64, RecordId)],
    ) {
        let mut state = self.state.borrow_mut();
        let mut at: BTreeMap<RecordId, i64> = BTreeMap::new();
        let mut last: BTreeMap<u32, RecordId> = BTreeMap::new();
        state.check_start(partition, 0, start, "final reader");
        for (expected, (offset, id)) in (start..).zip(log) {
            if expected != *offset {
                state.violation(format!(
                    "L1: partition {partition} has offset {offset} where {expected} is due"
                ));
                break;
            }
            if let Some(first) = at.insert(*id, *offset) {
                state.violation(format!(
                    "L3: partition {partition}: {id:?} is at {first} and at {offset}"
                ));
            }
            let ordered = state.sent.get(id).is_some_and(|sent| sent.idempotent);
            if ordered
                && let Some(before) = last.insert(id.producer, *id)
                && before >= *id
            {
                state.violation(format!(
                    "L5: partition {partition}: {id:?} at {offset} follows {before:?}"
                ));
            }
            state.seen(partition, *offset, *id, "final reader");
        }
        if log.len() as u64 != (end - start).unsigned_abs() {
            state.violation(format!(
                "L1: partition {partition} has {} records from {start} to {end}",
                log.len()
            ));
        }
        state.compare(partition, start, end, &at);
    }
}

impl State {
    /// Acknowledged and observed records against where the final log has them.
    fn compare(&mut self, partition: i32, start: i64, end: i64, at: &BTreeMap<RecordId, i64>) {
        let mut found = Vec::new();
        for (id, sent) in self.sent.iter().filter(|(_, sent)| sent.partition == partition) {
            match (sent.fate, at.get(id)) {
                (Fate::Acked(offset), None) if offset >= start => {
                    found.push(format!(
                        "L1: {id:?} was acknowledged at {partition}/{offset} and is gone"
                    ));
                }
                (Fate::Acked(offset), Some(now)) if offset != *now => {
                    found.push(format!(
                        "L4: {id:?} was acknowledged at {partition}/{offset} and is at {now}"
                    ));
                }
                _ => {}
            }
        }
        if let Some(known) = self.partitions.get(&partition) {
            for (offset, id) in known.seen.range(end..) {
                found.push(format!(
                    "L6: {id:?} was read at {partition}/{offset}, the log ends at {end}"
                ));
            }
        }
        for text in found {
            self.violation(text);
        }
    }

    fn seen(&mut self, partition: i32, offset: i64, id: RecordId, who: &str) {
        match self.sent.get(&id) {
            None => {
                self.violation(format!("L2: {who}: {id:?} at {partition}/{offset} was never sent"))
            }
            Some(sent) if sent.partition != partition => {
                let there = sent.partition;
                self.violation(format!(
                    "L2: {who}: {id:?} at {partition}/{offset} was sent to {there}"
                ));
            }
            Some(_) => {}
        }
        let known = self.partitions.entry(partition).or_default();
        let first = *known.seen.entry(offset).or_insert(id);
        if first != id {
            self.violation(format!("L4: {who}: {partition}/{offset} is {id:?}, it was {first:?}"));
        }
    }
}

#[cfg(test)]
mod tests;
