//! Rows whose places are known without their records: those of a dense topic of which nothing else is asked, and those of
//! a batch that cannot be read.
//!
//! Invariants:
//! - A batch has as many rows as its header says, readable or not: `count(*)`, which goes by headers and offsets, agrees
//!   with the rows that other statements get.
//! - They are made at the consumer's pace, like those that are read.

use std::ops::Range;

use datafusion::common::Result;
use log_record::{BatchHeader, Headers};

use super::{Reader, ScanRange};
use crate::records::LogRecord;

/// Rows to come.
#[derive(Debug)]
pub(super) struct Due {
    offsets: Range<i64>,
    /// Of those of a batch.
    timestamp_ms: i64,
}

impl Reader {
    /// Everything up to the end of the range, which is not read.
    pub(super) fn owe_range(&mut self) {
        self.due = Some(Due { offsets: self.next..self.range.end, timestamp_ms: 0 });
        self.next = self.range.end;
    }

    /// What is left of a batch after its first `given` records, the last of them at offset `last`; the first offset and how
    /// many are in the range.
    pub(super) fn owe_rest(
        &mut self,
        header: &BatchHeader,
        given: i64,
        last: Option<i64>,
    ) -> (i64, u64) {
        let ScanRange { start, end, .. } = self.range;
        let from = last.map_or(header.base_offset.0, |it| it.saturating_add(1));
        let claimed = from.saturating_add(i64::from(header.records_count).saturating_sub(given));
        let to = claimed.min(header.next_offset().0).min(end);
        let offsets = from.max(start)..to;
        let owed = (from.max(start), u64::try_from(to - from.max(start)).unwrap_or(0));
        if !offsets.is_empty() {
            self.due = Some(Due { offsets, timestamp_ms: header.max_timestamp });
        }
        owed
    }

    /// Makes rows of `due` until a batch is full or nothing more is wanted.
    pub(super) fn push_due(&mut self, due: Due) -> Result<()> {
        let Due { offsets, timestamp_ms } = due;
        let mut offset = offsets.start;
        if self.builder.projection().count_only() {
            let owed = usize::try_from(offsets.end - offset).unwrap_or(usize::MAX);
            let room = self.context.batch_rows.saturating_sub(self.builder.rows());
            let rows = owed.min(room).min(self.left);
            self.builder.push_count(rows);
            self.left -= rows;
            offset += i64::try_from(rows).unwrap_or(0);
        }
        while offset < offsets.end && self.left > 0 && !self.full() {
            let (key, value) = (None, None);
            let record =
                LogRecord { offset, timestamp_ms, key, value, headers: Headers::default() };
            // Without a value there is nothing in it that does not fit.
            let _ = self.builder.push(self.range.partition, &record);
            self.left -= 1;
            self.seen = offset;
            offset += 1;
        }
        if offset < offsets.end {
            self.due = Some(Due { offsets: offset..offsets.end, timestamp_ms });
        }
        self.hold()
    }
}
