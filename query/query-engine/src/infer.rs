//! Columns of a topic from its records: which JSON fields there are and the narrowest type that holds each.
//!
//! Widening: `int8 → float8 → text`, with `numeric` for what a double would round ([`crate::json::numbers`]); an object,
//! an array, or a mix with booleans is `json`. Fields keep the order in which they are first seen. A topic whose sampled
//! values are not mostly JSON objects is raw.
//!
//! ```text
//!  first statement   │head 64│  · 56 ·   · 56 ·  …  16 places  …   · 56 ·  │tail 64│
//!  each later one                                               what is new: │tail 64│
//!  its scans         fields without a column, values wider than theirs ──► columns of the next statement
//! ```
//!
//! Invariants:
//! - Of each of the first [`PARTITIONS_MAX`] partitions with records, at most [`END_RECORDS`] of each end are looked at,
//!   and between them [`BETWEEN_RECORDS`] of the topic in at most [`BETWEEN_PLACES`] places and [`BETWEEN_BYTES`] bytes.
//!   That is done again when a partition has as many records that are new; in between only the new ones of its end are.
//! - What is known is only added to while the process runs: columns stay, and become wider. It is forgotten when none
//!   of the records is left that were there when it was learned.
//! - The same log and the same statements make the same columns: those that scans have found are in order of their names.

mod fields;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::sql::sqlparser::ast::Statement;
use query_api::{Error, Follow, PartitionInfo, TopicInfo};

pub(crate) use self::fields::widens;
use self::fields::{Fields, Sample};
use crate::engine::Shapes;
use crate::json::JsonKind;
use crate::records;
use crate::rewrite;
use crate::scan;
use crate::shape::{COLUMNS_MAX, Decoding, Shape};

/// Records of each end of a partition.
const END_RECORDS: i64 = 64;
/// Asked of the log at a time.
const READ_BYTES: usize = 128 * 1024;
/// Partitions sampled; the first ones.
const PARTITIONS_MAX: usize = 16;
/// Records between the ends, of all partitions together.
const BETWEEN_RECORDS: i64 = 896;
/// Places that they are taken from.
const BETWEEN_PLACES: i64 = 16;
/// Of batches that are read for them, at which no further one is.
const BETWEEN_BYTES: usize = 16 * 1024 * 1024;
/// Topics of which something is known.
const TOPICS_MAX: usize = 10_000;

/// What is known of each topic.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    topics: Mutex<BTreeMap<[u8; 16], Arc<Known>>>,
}

impl Learned {
    fn of(&self, topic: [u8; 16]) -> Arc<Known> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.len() >= TOPICS_MAX && !topics.contains_key(&topic) {
            topics.pop_first();
        }
        Arc::clone(topics.entry(topic).or_default())
    }
}

/// What is known of a topic.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    fields: Fields,
    /// The log's ranges when it was looked at last.
    seen: Vec<PartitionInfo>,
    /// What scans have found since.
    found: BTreeMap<String, JsonKind>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a scan has found, for the next statement.
    pub(crate) fn learn(&self, found: BTreeMap<String, JsonKind>) {
        let mut state = self.lock();
        for (name, kind) in found {
            if let Some(known) = state.found.get_mut(&name) {
                *known = known.widen(kind);
            } else if state.found.len() < COLUMNS_MAX {
                state.found.insert(name, kind);
            }
        }
    }
}

/// Looks at what is new in the topic's partitions.
///
/// # Errors
/// Those of [`Follow::read`]; undecodable values and batches are not errors here.
pub(crate) async fn infer(
    follow: &dyn Follow,
    topic: &TopicInfo,
    learned: &Learned,
) -> Result<Shape, Error> {
    let known = learned.of(topic.id);
    let mut seen = known.lock().seen.clone();
    let is_new = is_gone(topic, &seen);
    if is_new {
        seen.clear();
    }
    let mut sample = Sample::default();
    let partitions: Vec<(i32, PartitionInfo)> = (0..)
        .zip(&topic.partitions)
        .filter(|(_, it)| it.log_start < it.end)
        .map(|(id, it)| (id, *it))
        .collect();
    let sampled = &partitions[..partitions.len().min(PARTITIONS_MAX)];
    for (id, range) in sampled {
        let before = usize::try_from(*id).ok().and_then(|id| seen.get(id));
        let share = i64::try_from(sampled.len()).unwrap_or(i64::MAX);
        sample_partition(follow, topic, *id, &places(*range, before, share), &mut sample).await?;
    }
    let mut state = known.lock();
    if is_new {
        *state = State::default();
    }
    state.seen.clone_from(&topic.partitions);
    let found = std::mem::take(&mut state.found);
    state.fields.join(sample.fields, found);
    Ok(state.fields.shape(&known))
}

/// Whether none of the records is left that were there when the topic was looked at.
fn is_gone(topic: &TopicInfo, seen: &[PartitionInfo]) -> bool {
    let had_records = seen.iter().any(|it| it.log_start < it.end);
    had_records && topic.partitions.iter().zip(seen).all(|(now, then)| now.log_start >= then.end)
}

/// Offsets to look at: of the ends, and between them.
#[derive(Debug, Default)]
struct Places {
    ends: Vec<(i64, i64)>,
    between: Vec<(i64, i64)>,
    between_bytes: usize,
}

/// Where to look in a partition with records; one of `share` of its topic.
fn places(range: PartitionInfo, before: Option<&PartitionInfo>, share: i64) -> Places {
    let start = before.map_or(range.log_start, |it| range.log_start.max(it.end));
    let (old, new) = (start - range.log_start, range.end - start);
    if new <= 0 {
        return Places::default();
    }
    let tail = range.end.saturating_sub(END_RECORDS).max(start);
    if new < old {
        return Places { ends: vec![(tail, range.end)], ..Places::default() };
    }
    let head = range.end.min(start.saturating_add(END_RECORDS));
    let tail = tail.max(head);
    let (records, count) = (BETWEEN_RECORDS / share, (BETWEEN_PLACES / share).max(1));
    let gap = tail - head;
    let between = if gap <= records {
        vec![(head, tail)]
    } else {
        let place = |at| {
            let start = head + gap / count * at;
            (start, start + records / count)
        };
        (0..count).map(place).collect()
    };
    let between_bytes = BETWEEN_BYTES / usize::try_from(share).unwrap_or(1).max(1);
    Places { ends: vec![(start, head), (tail, range.end)], between, between_bytes }
}

async fn sample_partition(
    follow: &dyn Follow,
    topic: &TopicInfo,
    partition: i32,
    places: &Places,
    sample: &mut Sample,
) -> Result<(), Error> {
    for (start, end) in &places.ends {
        if start < end {
            sample_once(follow, topic, partition, *start, *end, sample).await?;
        }
    }
    let mut bytes = 0;
    for (start, end) in &places.between {
        let mut next = *start;
        while next < *end && bytes < places.between_bytes {
            let (read, read_next) =
                sample_once(follow, topic, partition, next, *end, sample).await?;
            if read_next <= next {
                break;
            }
            bytes += read;
            next = read_next;
        }
    }
    Ok(())
}

/// Looks at what one read gives: its bytes, and the offset after it.
async fn sample_once(
    follow: &dyn Follow,
    topic: &TopicInfo,
    partition: i32,
    start: i64,
    end: i64,
    sample: &mut Sample,
) -> Result<(usize, i64), Error> {
    let read = follow
        .read(topic.id, partition, start, end, READ_BYTES)
        .await
        .map_err(|error| scan::gone(topic, error))?;
    sample.start = start;
    sample.end = end;
    let mut bytes = 0;
    for batch in &read.batches {
        bytes += batch.len();
        // A batch that cannot be read shows as a bad record when it is queried.
        let _ = records::each(batch, sample);
    }
    Ok((bytes, read.next))
}

/// The error about a column that there is none of says how a topic gets its columns.
pub(crate) fn unknown_column(error: Error, statement: &Statement, shapes: &Shapes) -> Error {
    let is_inferred =
        |name: &&String| shapes.get(*name).is_some_and(|it| it.decoding == Decoding::JsonInferred);
    let named = rewrite::relations(statement);
    let inferred = named.iter().filter_map(|it| it.last()).find(is_inferred);
    let (Some("42703"), Some(name)) = (error.sqlstate, inferred) else { return error };
    let how = format!(
        "columns of \"{name}\" are the JSON fields of records that were looked at, all of them after SELECT * FROM \
         \"{name}\"; CREATE TABLE … WITH (topic = '{name}', format = 'json') declares columns"
    );
    let hint = error.hint.as_ref().map_or(how.clone(), |it| format!("{it}; {how}"));
    error.with_hint(hint)
}
