//! Records → Arrow columns, only those a plan asked for.
//!
//! Invariants:
//! - Every record gives exactly one row; a field that does not fit its column is NULL and makes the record bad.
//! - A value is parsed only when a value column is projected.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, RecordBatch,
    RecordBatchOptions, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::kernels::cast_utils::{Parser, parse_decimal};
use datafusion::arrow::datatypes::{
    Date32Type, Decimal128Type, SchemaRef, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use query_api::DataType;
use serde_json::value::RawValue;

use crate::functions::json::canonical;
use crate::infer::{Known, widens};
use crate::json::{self, JsonKind, numbers};
use crate::operators::exact;
use crate::records::LogRecord;
use crate::shape::{COLUMNS_MAX, Decoding, SYSTEM_COLUMNS, Shape, SystemColumn, can_be_column};

/// Which columns of a shape to build, in output order.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    pub(crate) schema: SchemaRef,
    decoding: Decoding,
    columns: Vec<(Source, DataType)>,
    fields: Fields,
}

/// The JSON fields that are known, in the order in which records tend to have them.
#[derive(Clone, Debug, Default)]
struct Fields {
    /// Names and indexes in the columns of the projection, which has none of those that nobody asked for.
    known: Vec<(String, Vec<usize>)>,
    /// Name → index in `known`.
    index: BTreeMap<String, usize>,
    /// Where others are written down.
    learn: Option<Arc<Known>>,
    /// There is room for more columns.
    grows: bool,
    /// Columns of the projection are fields.
    asked: bool,
}

impl Fields {
    fn of(shape: &Shape) -> Self {
        let names = shape.columns.iter().map(|it| it.name.clone());
        Self {
            index: names.clone().zip(0..).collect(),
            known: names.map(|name| (name, Vec::new())).collect(),
            learn: shape.known.clone(),
            grows: shape.known.is_some() && !shape.left_out,
            asked: false,
        }
    }

    /// Column `at` of the shape is column `column` of the projection.
    fn ask(&mut self, at: usize, column: usize) {
        self.known[at].1.push(column);
        self.asked = true;
    }

    /// The index of a field in `known`, looked for at `next` first, which is moved behind it.
    fn find(&self, name: &str, next: &mut usize) -> Option<usize> {
        let at = match self.known.get(*next) {
            Some((known, _)) if known == name => *next,
            _ => *self.index.get(name)?,
        };
        *next = at + 1;
        Some(at)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    System(SystemColumn),
    Field,
    RawKey,
    RawValue,
}

impl Projection {
    /// `indexes` into the shape's schema; all of them when `None`.
    ///
    /// # Errors
    /// An index outside the schema.
    pub(crate) fn new(shape: &Shape, indexes: Option<&Vec<usize>>) -> Result<Self, ArrowError> {
        let all: Vec<usize> = (0..shape.schema.fields().len()).collect();
        let indexes = indexes.unwrap_or(&all);
        let schema = Arc::new(shape.schema.project(indexes)?);
        let mut columns = Vec::with_capacity(indexes.len());
        let mut fields = Fields::of(shape);
        for &index in indexes {
            let column = match index.checked_sub(SYSTEM_COLUMNS.len()) {
                None => system_source(index),
                Some(at) => {
                    let column = &shape.columns[at];
                    let source = match shape.decoding {
                        Decoding::Raw if at == 0 => Source::RawKey,
                        Decoding::Raw => Source::RawValue,
                        _ => {
                            fields.ask(at, columns.len());
                            Source::Field
                        }
                    };
                    (source, column.data_type.clone())
                }
            };
            columns.push(column);
        }
        Ok(Self { schema, decoding: shape.decoding, columns, fields })
    }

    /// Nothing of the records but their number is needed.
    pub(crate) fn count_only(&self) -> bool {
        self.columns.is_empty()
    }

    /// Nothing of the records but their places is needed.
    pub(crate) fn places_only(&self) -> bool {
        let place = |source| {
            matches!(source, Source::System(SystemColumn::Partition | SystemColumn::Offset))
        };
        self.columns.iter().all(|(source, _)| place(*source))
    }
}

fn system_source(index: usize) -> (Source, DataType) {
    let column = match index {
        0 => SystemColumn::Partition,
        1 => SystemColumn::Offset,
        2 => SystemColumn::Timestamp,
        3 => SystemColumn::Key,
        _ => SystemColumn::Headers,
    };
    (Source::System(column), SYSTEM_COLUMNS[index].1.clone())
}

/// Builds batches of a projection.
pub(crate) struct Builder {
    projection: Projection,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    /// Bytes of keys and values taken since the last batch.
    bytes: usize,
    /// Fields without a column that were seen since the last batch, and values wider than theirs.
    learned: BTreeMap<String, JsonKind>,
}

impl Builder {
    pub(crate) fn new(projection: Projection) -> Self {
        let builders = projection.columns.iter().map(|(_, it)| ColumnBuilder::new(it)).collect();
        Self { projection, builders, rows: 0, bytes: 0, learned: BTreeMap::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// About what the rows pushed so far take.
    pub(crate) fn held_bytes(&self) -> usize {
        if self.builders.is_empty() {
            return 0;
        }
        self.bytes + self.rows * self.builders.len() * size_of::<i64>()
    }

    pub(crate) fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Rows of which nothing but the number is needed.
    pub(crate) fn push_count(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Appends a row; the reason when the record is bad.
    pub(crate) fn push(&mut self, partition: i32, record: &LogRecord<'_>) -> Result<(), String> {
        self.rows += 1;
        self.bytes += record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len);
        for ((source, _), builder) in self.projection.columns.iter().zip(&mut self.builders) {
            match source {
                Source::System(column) => builder.system(*column, partition, record),
                Source::RawKey => builder.bytes(record.key),
                Source::RawValue => builder.bytes(record.value),
                Source::Field => {}
            }
        }
        if !self.projection.fields.asked {
            return Ok(());
        }
        self.push_fields(record.value)
    }

    fn push_fields(&mut self, value: Option<&[u8]>) -> Result<(), String> {
        let mut found: Vec<Option<&RawValue>> = vec![None; self.builders.len()];
        let mut others: Vec<(String, JsonKind)> = Vec::new();
        let mut result = Ok(());
        if let Some(bytes) = value {
            let fields = &self.projection.fields;
            let mut next = 0;
            let parsed = json::each_field(bytes, |name, raw| match fields.find(name, &mut next) {
                Some(at) => fields.known[at].1.iter().for_each(|it| found[*it] = Some(raw)),
                None if fields.grows && can_be_column(name) => {
                    others.push((name.to_owned(), JsonKind::of(raw)));
                }
                None => {}
            });
            if let Err(error) = parsed {
                found.fill(None);
                others.clear();
                result = Err(format!("not a JSON object: {error}"));
            }
        }
        for (name, kind) in others {
            self.learn(name, kind);
        }
        for (at, raw) in found.into_iter().enumerate() {
            if self.projection.columns[at].0 == Source::Field
                && let Err(reason) = self.push_field(at, raw.filter(|raw| raw.get() != "null"))
                && result.is_ok()
            {
                result = Err(reason);
            }
        }
        result
    }

    /// Appends to a column; why what it appends is NULL although the field is not.
    fn push_field(&mut self, at: usize, raw: Option<&RawValue>) -> Result<(), String> {
        let strict = self.projection.decoding == Decoding::JsonDeclared;
        let (true, Some(raw)) = (!self.builders[at].json(raw, strict), raw) else { return Ok(()) };
        let name = self.projection.schema.field(at).name().clone();
        let reason = misfit(&name, raw);
        let kind = JsonKind::of(raw);
        if strict || !widens(&self.projection.columns[at].1, kind) {
            return Err(reason);
        }
        self.learn(name, kind);
        Err(format!("{reason} (statements after this one have a wider type)"))
    }

    /// Writes down what has no column, or one that is too narrow.
    fn learn(&mut self, name: String, kind: JsonKind) {
        if let Some(known) = self.learned.get_mut(&name) {
            *known = known.widen(kind);
        } else if self.learned.len() < COLUMNS_MAX {
            self.learned.insert(name, kind);
        }
    }

    /// Takes the rows pushed so far.
    ///
    /// # Errors
    /// Arrow's, when columns disagree: a bug.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        if let Some(known) = &self.projection.fields.learn
            && !self.learned.is_empty()
        {
            known.learn(std::mem::take(&mut self.learned));
        }
        let schema = Arc::clone(&self.projection.schema);
        RecordBatch::try_new_with_options(schema, columns, &options)
    }
}

/// Input is quoted in messages up to this many bytes.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(100);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric(Decimal128Builder, u8, i8),
    /// Of numbers that have their own digits ([`exact::OPEN`]).
    Open(Decimal256Builder),
    Text(StringBuilder),
    Json(StringBuilder),
    Jsonb(StringBuilder),
    Bytea(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bool(BooleanBuilder::new()),
            DataType::Int2 => Self::Int2(Int16Builder::new()),
            DataType::Int4 => Self::Int4(Int32Builder::new()),
            DataType::Int8 => Self::Int8(Int64Builder::new()),
            DataType::Float4 => Self::Float4(Float32Builder::new()),
            DataType::Float8 => Self::Float8(Float64Builder::new()),
            DataType::Numeric(0, exact::OPEN_SCALE) => {
                Self::Open(Decimal256Builder::new().with_data_type(exact::OPEN))
            }
            DataType::Numeric(precision, scale) => {
                let builder =
                    Decimal128Builder::new().with_data_type(crate::types::to_arrow(data_type));
                Self::Numeric(builder, *precision, *scale)
            }
            DataType::Json => Self::Json(StringBuilder::new()),
            DataType::Jsonb => Self::Jsonb(StringBuilder::new()),
            DataType::Bytea => Self::Bytea(BinaryBuilder::new()),
            DataType::Date => Self::Date(Date32Builder::new()),
            DataType::Time => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            DataType::TimestampTz => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("+00:00"))
            }
            // Declarations with other types are refused when they are made.
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn system(&mut self, column: SystemColumn, partition: i32, record: &LogRecord<'_>) {
        match (column, self) {
            (SystemColumn::Partition, Self::Int4(builder)) => builder.append_value(partition),
            (SystemColumn::Offset, Self::Int8(builder)) => builder.append_value(record.offset),
            (SystemColumn::Timestamp, Self::Timestamp(builder)) => {
                builder.append_value(record.timestamp_ms.saturating_mul(1000));
            }
            (SystemColumn::Key, builder) => builder.bytes(record.key),
            (_, Self::Json(builder)) => builder.append_value(headers_json(record)),
            _ => {}
        }
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        if let Self::Bytea(builder) = self {
            builder.append_option(bytes);
        }
    }

    /// Appends a JSON value or NULL; false when it does not fit, after appending NULL.
    fn json(&mut self, raw: Option<&RawValue>, strict: bool) -> bool {
        let text = raw.map(RawValue::get);
        match self {
            Self::Bool(builder) => {
                let value = text.and_then(|it| it.parse().ok());
                builder.append_option(value);
                value.is_some() || raw.is_none()
            }
            Self::Int2(builder) => fits(raw, integer(raw), |it| builder.append_option(it)),
            Self::Int4(builder) => fits(raw, integer(raw), |it| builder.append_option(it)),
            Self::Int8(builder) => fits(raw, integer(raw), |it| builder.append_option(it)),
            Self::Float4(builder) => {
                fits(raw, text.and_then(numbers::rounded), |it| builder.append_option(it))
            }
            Self::Float8(builder) if strict => {
                fits(raw, text.and_then(numbers::rounded), |it| builder.append_option(it))
            }
            Self::Float8(builder) => {
                fits(raw, text.and_then(numbers::double), |it| builder.append_option(it))
            }
            Self::Numeric(builder, _, scale) if !strict => {
                let value = text.and_then(|it| numbers::unscaled(it, *scale)?.to_i128());
                fits(raw, value, |it| builder.append_option(it))
            }
            Self::Open(builder) => {
                let value = text.and_then(|it| numbers::unscaled(it, exact::OPEN_SCALE));
                fits(raw, value, |it| builder.append_option(it))
            }
            Self::Json(builder) => {
                builder.append_option(text);
                true
            }
            Self::Jsonb(builder) => {
                fits(raw, text.and_then(|it| canonical(it).ok()), |it| builder.append_option(it))
            }
            Self::Text(builder) => {
                let string = raw.and_then(string);
                let lenient = text.filter(|it| !strict && !it.starts_with('"'));
                let value = string.as_deref().or(lenient);
                builder.append_option(value);
                value.is_some() || raw.is_none()
            }
            _ => self.json_from_string(raw),
        }
    }

    /// Types that JSON has no literal for: read from the string, or from a number's digits.
    fn json_from_string(&mut self, raw: Option<&RawValue>) -> bool {
        let written = raw.map(RawValue::get).filter(|it| !it.starts_with('"'));
        let string = raw.and_then(json::string);
        let text = string.as_deref().or(written);
        match self {
            Self::Numeric(builder, precision, scale) => {
                let value = text
                    .and_then(|it| parse_decimal::<Decimal128Type>(it, *precision, *scale).ok());
                fits(raw, value, |it| builder.append_option(it))
            }
            Self::Date(builder) => {
                fits(raw, text.and_then(Date32Type::parse), |it| builder.append_option(it))
            }
            Self::Time(builder) => {
                let value = text.and_then(Time64MicrosecondType::parse);
                fits(raw, value, |it| builder.append_option(it))
            }
            Self::Timestamp(builder) => {
                // A bare number is milliseconds since the epoch, as in Kafka.
                let millis = text.and_then(|it| it.parse::<i64>().ok());
                let micros = millis.and_then(|it| it.checked_mul(1000));
                let value = micros.or_else(|| text.and_then(TimestampMicrosecondType::parse));
                fits(raw, value, |it| builder.append_option(it))
            }
            Self::Bytea(builder) => {
                let value = text.map(|it| unhex(it).unwrap_or_else(|| it.as_bytes().to_vec()));
                fits(raw, value, |it| builder.append_option(it))
            }
            _ => raw.is_none(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(it) => Arc::new(it.finish()),
            Self::Int2(it) => Arc::new(it.finish()),
            Self::Int4(it) => Arc::new(it.finish()),
            Self::Int8(it) => Arc::new(it.finish()),
            Self::Float4(it) => Arc::new(it.finish()),
            Self::Float8(it) => Arc::new(it.finish()),
            Self::Numeric(it, _, _) => Arc::new(it.finish()),
            Self::Open(it) => Arc::new(it.finish()),
            Self::Text(it) | Self::Json(it) | Self::Jsonb(it) => Arc::new(it.finish()),
            Self::Bytea(it) => Arc::new(it.finish()),
            Self::Date(it) => Arc::new(it.finish()),
            Self::Time(it) => Arc::new(it.finish()),
            Self::Timestamp(it) => Arc::new(it.finish()),
        }
    }
}

fn fits<T>(raw: Option<&RawValue>, value: Option<T>, append: impl FnOnce(Option<T>)) -> bool {
    let fits = value.is_some() || raw.is_none();
    append(value);
    fits
}

fn integer<T: std::str::FromStr>(raw: Option<&RawValue>) -> Option<T> {
    raw.and_then(|raw| raw.get().parse().ok())
}

/// A JSON string as text, which has no NUL, and no half of a surrogate pair, which JSON can write.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    json::string(raw).filter(|it| !it.contains('\0'))
}

/// Why a value of a column is NULL.
fn misfit(name: &str, raw: &RawValue) -> String {
    let written = raw.get();
    let reason = match written.starts_with('"').then(|| json::string(raw)) {
        Some(None) => "has half of a surrogate pair, which is no character",
        Some(Some(text)) if text.contains('\0') => "has a \\u0000, which text cannot hold",
        _ => "does not fit its type",
    };
    format!("field \"{name}\" {reason}: {}", cut(written))
}

/// PostgreSQL's hex form, `\x…`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

/// `[{"key": …, "value": …}, …]` in record order, duplicates kept; a value that is not UTF-8 is `\x…` hex.
fn headers_json(record: &LogRecord<'_>) -> String {
    let headers: Vec<serde_json::Value> = record
        .headers
        .map_while(Result::ok)
        .map(|header| {
            let value = header.value.map(|bytes| {
                std::str::from_utf8(bytes).map_or_else(|_| hex(bytes), ToOwned::to_owned)
            });
            serde_json::json!({ "key": String::from_utf8_lossy(header.key), "value": value })
        })
        .collect();
    serde_json::Value::Array(headers).to_string()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
