//! The JSON fields of a topic, and what was seen in them.
//!
//! Invariants:
//! - At most [`COLUMNS_MAX`] fields are known, the first ones; who reads the table is told of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use query_api::DataType;
use serde_json::value::RawValue;

use super::Known;
use crate::json::numbers::Numbers;
use crate::json::{self, JsonKind};
use crate::records::{LogRecord, RecordSink};
use crate::shape::{COLUMNS_MAX, Decoding, Shape, ValueColumn, can_be_column};

/// Fields in the order in which they were first seen.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Values that are JSON objects, and that are not.
    objects: usize,
    others: usize,
    names: Vec<String>,
    kinds: BTreeMap<String, JsonKind>,
    /// There are more fields than these.
    left_out: bool,
}

impl Fields {
    fn see(&mut self, name: &str, kind: JsonKind) {
        if let Some(known) = self.kinds.get_mut(name) {
            *known = known.widen(kind);
        } else if self.names.len() < COLUMNS_MAX {
            self.names.push(name.to_owned());
            self.kinds.insert(name.to_owned(), kind);
        } else {
            self.left_out = true;
        }
    }

    /// Adds what a sample has, and then what scans have found.
    pub(super) fn join(&mut self, sample: Self, found: BTreeMap<String, JsonKind>) {
        self.objects += sample.objects;
        self.others += sample.others;
        self.left_out |= sample.left_out;
        let sampled = sample.names.iter().filter_map(|it| Some((it, *sample.kinds.get(it)?)));
        for (name, kind) in sampled.chain(found.iter().map(|(name, kind)| (name, *kind))) {
            self.see(name, kind);
        }
    }

    pub(super) fn shape(&self, known: &Arc<Known>) -> Shape {
        if self.objects == 0 || self.objects < self.others {
            return Shape::raw();
        }
        let columns = self.names.iter().map(|name| {
            let kind = self.kinds.get(name).copied().unwrap_or(JsonKind::Null);
            ValueColumn { name: name.clone(), data_type: column_type(kind) }
        });
        let shape = Shape::new(Decoding::JsonInferred, columns.collect());
        Shape { known: Some(Arc::clone(known)), left_out: self.left_out, ..shape }
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

/// Whether the column of a field that is `data_type` is another once such a value is known.
pub(crate) fn widens(data_type: &DataType, kind: JsonKind) -> bool {
    let own = match (Numbers::of_type(data_type), data_type) {
        (Some(numbers), _) => JsonKind::Number(numbers),
        (None, DataType::Bool) => JsonKind::Bool,
        _ => return false,
    };
    column_type(own.widen(kind)) != *data_type
}

/// Takes records from `start` to before `end`.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) fields: Fields,
}

impl RecordSink for Sample {
    fn record(&mut self, record: &LogRecord<'_>) -> bool {
        if record.offset >= self.end {
            return false;
        }
        let Some(value) = record.value else { return true };
        if record.offset < self.start {
            return true;
        }
        let mut fields: Vec<(String, JsonKind)> = Vec::new();
        let mut left_out = false;
        let parsed = json::each_field(value, |name, raw: &RawValue| {
            if !can_be_column(name) {
                return;
            }
            left_out |= fields.len() >= COLUMNS_MAX;
            if fields.len() < COLUMNS_MAX {
                fields.push((name.to_owned(), JsonKind::of(raw)));
            }
        });
        if parsed.is_err() {
            self.fields.others += 1;
            return true;
        }
        self.fields.objects += 1;
        self.fields.left_out |= left_out;
        for (name, kind) in fields {
            self.fields.see(&name, kind);
        }
        true
    }
}
