//! The columns of a topic's table: system columns first, then the value's.
//!
//! ```text
//!  _partition int4 │ _offset int8 │ _timestamp timestamptz │ _key bytea │ _headers json │ value columns …
//!  └──────────────── hidden: not in SELECT *, there when named ───────────────────────┘
//! ```
//!
//! Invariants:
//! - The five system columns have fixed indexes, [`SystemColumn`]; value columns follow.
//! - A value column never has a system column's name: the system column wins. Nor has it a name that PostgreSQL has
//!   none like ([`can_be_column`]).

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use query_api::{DataType, DeclaredColumn};

use crate::infer::Known;
use crate::types;

/// Value columns beyond this stay undecoded: a topic whose keys are data must not make a table of a million columns.
pub(crate) const COLUMNS_MAX: usize = 1000;

/// Columns every topic has; the discriminant is the index in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemColumn {
    Partition = 0,
    Offset = 1,
    Timestamp = 2,
    Key = 3,
    Headers = 4,
}

/// Names and types in index order.
pub(crate) const SYSTEM_COLUMNS: [(&str, DataType); 5] = [
    ("_partition", DataType::Int4),
    ("_offset", DataType::Int8),
    ("_timestamp", DataType::TimestampTz),
    ("_key", DataType::Bytea),
    ("_headers", DataType::Json),
];

pub(crate) fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.iter().any(|(system, _)| *system == name)
}

/// Bytes of the longest name of a value column.
const NAME_BYTES_MAX: usize = 1000;

/// Whether a field of that name is a column: PostgreSQL has no empty names and none with NUL, and clients fail over them.
pub(crate) fn can_be_column(name: &str) -> bool {
    let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0');
    is_name && !is_system_column(name)
}

/// How a record value becomes columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoding {
    /// Two columns: the record's key and value as they are.
    Raw,
    /// One JSON object per value; types were inferred, text columns take any JSON value as text.
    JsonInferred,
    /// One JSON object per value; types were declared and are strict.
    JsonDeclared,
}

/// A column of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueColumn {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
}

/// A table's columns and how they are decoded.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) decoding: Decoding,
    pub(crate) columns: Vec<ValueColumn>,
    /// System columns, then value columns.
    pub(crate) schema: SchemaRef,
    /// Where scans write down which fields have no column, or one that is too narrow.
    pub(crate) known: Option<Arc<Known>>,
    /// Records have more fields than there are columns.
    pub(crate) left_out: bool,
}

impl Shape {
    pub(crate) fn new(decoding: Decoding, columns: Vec<ValueColumn>) -> Self {
        let columns: Vec<_> = columns
            .into_iter()
            .filter(|column| can_be_column(&column.name))
            .take(COLUMNS_MAX)
            .collect();
        let system = SYSTEM_COLUMNS.iter().map(|(name, data_type)| {
            let nullable = matches!(*name, "_key");
            types::field(name, data_type, nullable)
        });
        let value = columns.iter().map(|it| types::field(&it.name, &it.data_type, true));
        let fields: Vec<Arc<Field>> = system.chain(value).map(Arc::new).collect();
        let schema = Arc::new(Schema::new(fields));
        Self { decoding, columns, schema, known: None, left_out: false }
    }

    pub(crate) fn raw() -> Self {
        let column = |name: &str| ValueColumn { name: name.to_owned(), data_type: DataType::Bytea };
        Self::new(Decoding::Raw, vec![column("key"), column("value")])
    }

    /// NOT NULL of a declaration says what producers promise, not what the log holds: columns stay nullable.
    pub(crate) fn declared(columns: &[DeclaredColumn]) -> Self {
        let columns = columns
            .iter()
            .map(|it| ValueColumn { name: it.name.clone(), data_type: it.data_type.clone() })
            .collect();
        Self::new(Decoding::JsonDeclared, columns)
    }
}
