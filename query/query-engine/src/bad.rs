//! Records that could not be decoded: counted per topic, the first one named, reported as a notice.
//!
//! A bad record stays a row: its system columns are there and what could not be decoded is NULL, so `count(*)`
//! agrees with `SELECT *`. `SET luma.on_bad_record = 'fail'` turns the first one into an error.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use query_api::{Error, ErrorKind};

/// What a statement does with a record it cannot decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRecordPolicy {
    /// NULLs in place of what could not be decoded, and a notice.
    #[default]
    Skip,
    /// SQLSTATE 22P02.
    Fail,
}

/// Bad records of one statement.
#[derive(Debug, Default)]
pub(crate) struct BadRecords {
    topics: Mutex<BTreeMap<String, Bad>>,
}

#[derive(Debug)]
struct Bad {
    count: u64,
    partition: i32,
    offset: i64,
    reason: String,
}

impl BadRecords {
    pub(crate) fn add(&self, topic: &str, partition: i32, offset: i64, reason: &str) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bad) = topics.get_mut(topic) {
            bad.count += 1;
            if (partition, offset) < (bad.partition, bad.offset) {
                (bad.partition, bad.offset) = (partition, offset);
                reason.clone_into(&mut bad.reason);
            }
        } else {
            let bad = Bad { count: 1, partition, offset, reason: reason.to_owned() };
            topics.insert(topic.to_owned(), bad);
        }
    }

    /// One sentence per topic.
    pub(crate) fn notices(&self) -> Vec<String> {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics
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
            })
            .collect()
    }
}

/// The error under [`BadRecordPolicy::Fail`].
pub(crate) fn error(topic: &str, partition: i32, offset: i64, reason: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("cannot decode a record of topic \"{topic}\": {reason}"))
        .with_sqlstate("22P02")
        .with_detail(format!("partition {partition}, offset {offset}"))
        .with_hint("set luma.on_bad_record = 'skip' to read on with NULL in its place")
}
