//! Records that could not be decoded: counted per topic, the first one named, reported as a notice; and counted over
//! all statements since the start, the last one named, for `/metrics` and `luma_bad_records`.
//!
//! A bad record stays a row: its system columns are there and what could not be decoded is NULL, so `count(*)`
//! agrees with `SELECT *`. `SET luma.on_bad_record = 'fail'` turns the first one into an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use query_api::{Error, ErrorKind, TopicInfo};

use crate::shape::COLUMNS_MAX;

/// What a statement does with a record it cannot decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRecordPolicy {
    /// NULLs in place of what could not be decoded, and a notice.
    #[default]
    Skip,
    /// SQLSTATE 22P02.
    Fail,
}

/// Bad records that all statements read since the start; one that is read twice counts twice.
#[derive(Debug, Default)]
pub(crate) struct BadTotals {
    topics: Mutex<BTreeMap<[u8; 16], BadTotal>>,
}

/// Those of one topic.
#[derive(Clone, Debug)]
pub(crate) struct BadTotal {
    pub(crate) count: u64,
    /// Where the last one was, and what was wrong with it.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) reason: String,
}

impl BadTotals {
    fn add(&self, topic: [u8; 16], partition: i32, offset: i64, reason: &str, count: u64) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let total = topics.entry(topic).or_insert_with(|| BadTotal {
            count: 0,
            partition,
            offset,
            reason: String::new(),
        });
        total.count += count;
        (total.partition, total.offset) = (partition, offset);
        reason.clone_into(&mut total.reason);
    }

    /// Over all topics, those that were deleted among them.
    pub(crate) fn count(&self) -> u64 {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.values().map(|it| it.count).sum()
    }

    pub(crate) fn of(&self, topic: [u8; 16]) -> Option<BadTotal> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(&topic).cloned()
    }
}

/// Bad records of one statement.
#[derive(Debug)]
pub(crate) struct BadRecords {
    topics: Mutex<BTreeMap<String, Bad>>,
    /// Names of topics whose records have more fields than there are columns.
    left_out: Mutex<BTreeSet<String>>,
    totals: Arc<BadTotals>,
}

#[derive(Debug)]
struct Bad {
    count: u64,
    partition: i32,
    offset: i64,
    reason: String,
}

impl BadRecords {
    pub(crate) fn new(totals: &Arc<BadTotals>) -> Self {
        let totals = Arc::clone(totals);
        Self { topics: Mutex::default(), left_out: Mutex::default(), totals }
    }

    /// Counts records that stay rows, `count` of them from `offset` on.
    pub(crate) fn add(
        &self,
        topic: &TopicInfo,
        partition: i32,
        offset: i64,
        reason: &str,
        count: u64,
    ) {
        self.totals.add(topic.id, partition, offset, reason, count);
        let topic = topic.name.as_str();
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bad) = topics.get_mut(topic) {
            bad.count += count;
            if (partition, offset) < (bad.partition, bad.offset) {
                (bad.partition, bad.offset) = (partition, offset);
                reason.clone_into(&mut bad.reason);
            }
        } else {
            let bad = Bad { count, partition, offset, reason: reason.to_owned() };
            topics.insert(topic.to_owned(), bad);
        }
    }

    /// Counts a record that ends the statement; the error under [`BadRecordPolicy::Fail`].
    pub(crate) fn fail(
        &self,
        topic: &TopicInfo,
        partition: i32,
        offset: i64,
        reason: &str,
    ) -> Error {
        self.totals.add(topic.id, partition, offset, reason, 1);
        let message = format!("cannot decode a record of topic \"{}\": {reason}", topic.name);
        Error::new(ErrorKind::Invalid, message)
            .with_sqlstate("22P02")
            .with_detail(format!("partition {partition}, offset {offset}"))
            .with_hint("set luma.on_bad_record = 'skip' to read on with NULL in its place")
    }

    /// Says of a topic that its records have more fields than there are columns.
    pub(crate) fn leave_out(&self, topic: &TopicInfo) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.insert(topic.name.clone());
    }

    /// One sentence per topic, and one for fields that are no columns.
    pub(crate) fn notices(&self) -> Vec<String> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = left_out.iter().map(|topic| {
            format!(
                "records of topic \"{topic}\" have more than {COLUMNS_MAX} different fields, of which the first \
                 {COLUMNS_MAX} are columns; CREATE TABLE … WITH (topic = '{topic}', format = 'json') declares others"
            )
        });
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let records = topics
            .iter()
            .map(|(topic, bad)| {
                let (records, were) =
                    if bad.count == 1 { ("record", "was") } else { ("records", "were") };
                format!(
                    "{} {records} of topic \"{topic}\" {were} not fully decoded (first: partition {} \
                     offset {}: {}); what could not be decoded is NULL, set luma.on_bad_record = 'fail' \
                     to fail instead",
                    bad.count, bad.partition, bad.offset, bad.reason
                )
            });
        fields.chain(records).collect()
    }
}
