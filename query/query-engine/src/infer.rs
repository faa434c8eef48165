//! Columns from a sample of records: which JSON fields there are and the narrowest type that holds each.
//!
//! Widening: `int8 → float8 → text`, with `numeric` for what a double would round ([`crate::json::numbers`]); an object,
//! an array, or a mix with booleans is `json`. Fields keep the order
//! in which they are first seen. A topic whose sampled values are not mostly JSON objects is raw.
//!
//! Invariants:
//! - At most [`SAMPLE_RECORDS`] records of the head and of the tail of each partition are looked at, and at most
//!   [`PARTITIONS_MAX`] partitions.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Statement;
use query_api::{DataType, Error, Follow, TopicInfo};
use serde_json::value::RawValue;

use crate::engine::Shapes;
use crate::json::{self, JsonKind};
use crate::records::{self, RecordSink};
use crate::rewrite;
use crate::scan;
use crate::shape::{COLUMNS_MAX, Decoding, Shape, ValueColumn, can_be_column};

/// Records of each end of a partition.
const SAMPLE_RECORDS: i64 = 64;
/// Asked of the log per end.
const SAMPLE_BYTES: usize = 128 * 1024;
/// Partitions sampled; the first ones.
const PARTITIONS_MAX: usize = 16;

/// Looks at both ends of the topic's partitions.
///
/// # Errors
/// Those of [`Follow::read`]; undecodable values and batches are not errors here.
pub(crate) async fn infer(follow: &dyn Follow, topic: &TopicInfo) -> Result<Shape, Error> {
    let mut sample = Sample::default();
    let partitions = (0..).zip(&topic.partitions).filter(|(_, it)| it.log_start < it.end);
    for (id, range) in partitions.take(PARTITIONS_MAX) {
        let head_end = range.end.min(range.log_start.saturating_add(SAMPLE_RECORDS));
        let tail_start = head_end.max(range.end.saturating_sub(SAMPLE_RECORDS));
        for (start, end) in [(range.log_start, head_end), (tail_start, range.end)] {
            if start < end {
                sample_range(follow, topic, id, start, end, &mut sample).await?;
            }
        }
    }
    Ok(sample.shape())
}

/// The error about a column that there is none of says how a topic gets its columns.
pub(crate) fn unknown_column(error: Error, statement: &Statement, shapes: &Shapes) -> Error {
    let is_inferred =
        |name: &&String| shapes.get(*name).is_some_and(|it| it.decoding == Decoding::JsonInferred);
    let named = rewrite::relations(statement);
    let inferred = named.iter().filter_map(|it| it.last()).find(is_inferred);
    let (Some("42703"), Some(name)) = (error.sqlstate, inferred) else { return error };
    let how = format!(
        "columns of \"{name}\" are the JSON fields of records that were looked at; \
         CREATE TABLE … WITH (topic = '{name}', format = 'json') declares columns"
    );
    let hint = error.hint.as_ref().map_or(how.clone(), |it| format!("{it}; {how}"));
    error.with_hint(hint)
}

async fn sample_range(
    follow: &dyn Follow,
    topic: &TopicInfo,
    partition: i32,
    start: i64,
    end: i64,
    sample: &mut Sample,
) -> Result<(), Error> {
    let read = follow
        .read(topic.id, partition, start, end, SAMPLE_BYTES)
        .await
        .map_err(|error| scan::gone(topic, error))?;
    sample.start = start;
    sample.end = end;
    for batch in &read.batches {
        // A batch that cannot be read shows as a bad record when it is queried.
        let _ = records::each(batch, sample);
    }
    Ok(())
}

#[derive(Default)]
struct Sample {
    start: i64,
    end: i64,
    objects: usize,
    others: usize,
    names: Vec<String>,
    kinds: BTreeMap<String, JsonKind>,
}

impl RecordSink for Sample {
    fn record(&mut self, record: &records::LogRecord<'_>) -> bool {
        let Some(value) = record.value else { return true };
        if record.offset < self.start || record.offset >= self.end {
            return true;
        }
        let mut fields: Vec<(String, JsonKind)> = Vec::new();
        let parsed = json::each_field(value, |name, raw: &RawValue| {
            if fields.len() < COLUMNS_MAX && can_be_column(name) {
                fields.push((name.to_owned(), JsonKind::of(raw)));
            }
        });
        if parsed.is_err() {
            self.others += 1;
            return true;
        }
        self.objects += 1;
        for (name, kind) in fields {
            self.see(name, kind);
        }
        true
    }
}

impl Sample {
    fn see(&mut self, name: String, kind: JsonKind) {
        if let Some(known) = self.kinds.get_mut(&name) {
            *known = known.widen(kind);
        } else if self.names.len() < COLUMNS_MAX {
            self.names.push(name.clone());
            self.kinds.insert(name, kind);
        }
    }

    fn shape(self) -> Shape {
        if self.objects == 0 || self.objects < self.others {
            return Shape::raw();
        }
        let columns = self
            .names
            .iter()
            .map(|name| {
                let kind = self.kinds.get(name).copied().unwrap_or(JsonKind::Null);
                ValueColumn { name: name.clone(), data_type: column_type(kind) }
            })
            .collect();
        Shape::new(Decoding::JsonInferred, columns)
    }
}

fn column_type(kind: JsonKind) -> DataType {
    match kind {
        JsonKind::Bool => DataType::Bool,
        JsonKind::Number(numbers) => numbers.data_type(),
        // Nothing but nulls so far: text holds whatever comes.
        JsonKind::Null | JsonKind::Text => DataType::Text,
        JsonKind::Nested => DataType::Json,
    }
}
