//! L8: where the log of a partition may start.

use super::{History, State};

impl History {
    /// The topics have a retention that may delete within the run.
    pub(crate) fn retention_deletes(&self) {
        self.state.borrow_mut().retention = true;
    }

    /// Whether retention may delete records of any topic.
    pub(crate) fn may_retain(&self) -> bool {
        self.state.borrow().retention
    }

    /// Highest acknowledged offset + 1.
    pub(crate) fn acked_end(&self, partition: i32) -> i64 {
        self.state.borrow_mut().partitions.entry(partition).or_default().acked_end
    }

    /// A deletion of everything below `offset` is about to be asked for.
    pub(crate) fn deleting(&self, partition: i32, offset: i64) {
        let mut state = self.state.borrow_mut();
        let known = state.partitions.entry(partition).or_default();
        known.delete_asked = known.delete_asked.max(offset);
    }

    /// A deletion was acknowledged: the log starts at `log_start`.
    pub(crate) fn deleted(&self, partition: i32, log_start: i64) {
        let mut state = self.state.borrow_mut();
        state.counts.deletes += 1;
        let known = state.partitions.entry(partition).or_default();
        known.delete_acked = known.delete_acked.max(log_start);
    }

    /// Where the log must start at least, for what is asked now.
    pub(crate) fn start_floor(&self, partition: i32) -> i64 {
        self.state.borrow_mut().partitions.entry(partition).or_default().delete_acked
    }

    /// A log start was reported; `floor` was taken when it was asked for.
    pub(crate) fn log_start(&self, partition: i32, floor: i64, log_start: i64, who: &str) {
        self.state.borrow_mut().check_start(partition, floor, log_start, who);
    }

    /// Whether the offset may be gone by now.
    pub(crate) fn may_be_deleted(&self, partition: i32, offset: i64) -> bool {
        let mut state = self.state.borrow_mut();
        state.retention || offset < state.partitions.entry(partition).or_default().delete_asked
    }
}

impl State {
    pub(super) fn check_start(&mut self, partition: i32, floor: i64, log_start: i64, who: &str) {
        let asked = self.partitions.entry(partition).or_default().delete_asked;
        if log_start < floor {
            self.violation(format!(
                "L8: {who}: partition {partition} starts at {log_start} after {floor} was acknowledged"
            ));
        }
        if log_start > asked && self.retention {
            self.counts.retained += 1;
        } else if log_start > asked {
            self.violation(format!(
                "L8: {who}: partition {partition} starts at {log_start}, at most {asked} was asked for"
            ));
        }
    }
}
