//! `pg_catalog` and `information_schema`, built from the statement's snapshot.
//!
//! Layouts follow PostgreSQL 15 (<https://www.postgresql.org/docs/15/catalogs.html>) in the columns that clients
//! read. Relations about things that do not exist here (indexes, constraints, triggers, policies …) are empty: that is
//! the truth, not a placeholder.
//!
//! Invariants:
//! - OIDs of tables come from the catalog's durable numbers; built-in types have PostgreSQL's OIDs.
//! - A relation is built only when a statement names it.

mod layout;
mod rows;

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Int16Builder, Int32Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder, UInt32Builder,
};
use datafusion::arrow::datatypes::{DataType as Arrow, Field, FieldRef, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ObjectNamePart, TimezoneInfo};
use query_api::{DataType, Error, ErrorKind, RegKind};

use crate::engine::Shapes;
use crate::functions::SessionInfo;
use crate::operators::exact;
use crate::snapshot::Snapshot;
use crate::types;

/// One value in text form; `None` is NULL.
type Cell = Option<String>;

/// `name` is a relation of `pg_catalog`.
pub(crate) fn is_relation(name: &str) -> bool {
    layout::layout("pg_catalog", name).is_some()
}

/// `name` is a relation of `pg_catalog` about things that do not exist here.
pub(crate) fn is_always_empty(name: &str) -> bool {
    is_relation(name) && !rows::FILLED.contains(&name)
}

/// The OID of a system relation that other relations refer to.
pub(crate) fn system_oid(name: &str) -> Option<u32> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    layout::SYSTEM_OIDS.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid)
}

/// The name of a system relation.
pub(crate) fn system_name(oid: u32) -> Option<&'static str> {
    layout::SYSTEM_OIDS.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name)
}

/// The OID of a type by its name (`int4`), SQL name (`integer`, `numeric(10,2)`) or array form (`int4[]`, `_int4`).
pub(crate) fn type_oid(name: &str) -> Option<u32> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    if let Some(quoted) = name.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        return rows::TYPES.iter().find(|row| row.is_named(quoted)).map(|row| row.oid);
    }
    let folded = name.to_lowercase();
    let name = match (folded.split_once('('), folded.split_once(')')) {
        (Some((before, _)), Some((_, after))) => format!("{}{after}", before.trim_end()),
        _ => folded,
    };
    let name = name.as_str();
    let (item, array) = match (name.strip_suffix("[]"), name.strip_prefix('_')) {
        (Some(item), _) | (None, Some(item)) => (item, true),
        (None, None) => (name, false),
    };
    let item = match item.trim() {
        "int" => "int4",
        "decimal" | "dec" => "numeric",
        "float" => "float8",
        // Without quotes this is the SQL type.
        "char" => "bpchar",
        other => other,
    };
    let row = rows::TYPES.iter().find(|row| row.is_named(item))?;
    Some(if array { row.array } else { row.oid })
}

/// The OID of a function of PostgreSQL that other relations refer to.
pub(crate) fn procedure_oid(name: &str) -> Option<u32> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    rows::PROCEDURES.iter().find(|(_, known)| *known == name).map(|(oid, _)| *oid)
}

pub(crate) fn procedure_name(oid: u32) -> Option<&'static str> {
    rows::PROCEDURES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// Schemas with their OIDs.
pub(crate) use rows::SCHEMAS;

/// Whether the relation shows the columns of tables.
pub(crate) fn needs_shapes(space: &str, name: &str) -> bool {
    matches!(
        (space, name),
        ("pg_catalog", "pg_attribute" | "pg_class") | ("information_schema", "columns")
    )
}

/// The relation `space.name`, or `None` when PostgreSQL 15 has no such relation that is known here.
///
/// # Errors
/// `Internal` when rows do not fit the layout: a bug.
pub(crate) fn table(
    space: &str,
    name: &str,
    snapshot: &Snapshot,
    shapes: &Shapes,
    info: &SessionInfo,
) -> Result<Option<Arc<dyn TableProvider>>, Error> {
    let Some(layout) = layout::layout(space, name) else { return Ok(None) };
    let rows = rows::rows(space, name, snapshot, shapes, info);
    let bug = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Internal, format!("cannot build {space}.{name}: {error}"))
            .with_sqlstate("XX000")
    };
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, (column, kind)) in layout.iter().enumerate() {
        fields.push(types::field(column, &data_type(*kind), true));
        let cells = rows.iter().map(|row| row.get(index).and_then(Option::as_deref));
        arrays.push(array(*kind, cells));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|error| bug(&error))?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(|error| bug(&error))?;
    Ok(Some(Arc::new(table)))
}

fn data_type(kind: char) -> DataType {
    match kind {
        'o' => DataType::Oid,
        'p' => DataType::Reg(RegKind::Proc),
        'n' => DataType::Name,
        'c' => DataType::InternalChar,
        'b' => DataType::Bool,
        '2' => DataType::Int2,
        '4' => DataType::Int4,
        '8' => DataType::Int8,
        'f' => DataType::Float4,
        'T' => DataType::Array(Box::new(DataType::Text)),
        'O' => DataType::Array(Box::new(DataType::Oid)),
        'S' => DataType::Array(Box::new(DataType::Int2)),
        _ => DataType::Text,
    }
}

fn array<'a>(kind: char, cells: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    macro_rules! parsed {
        ($builder:ident) => {{
            let mut builder = $builder::new();
            cells.for_each(|cell| builder.append_option(cell.and_then(|it| it.parse().ok())));
            Arc::new(builder.finish())
        }};
    }
    match kind {
        'o' | 'p' => parsed!(UInt32Builder),
        'b' => parsed!(BooleanBuilder),
        '2' => parsed!(Int16Builder),
        '4' => parsed!(Int32Builder),
        '8' => parsed!(Int64Builder),
        'f' => parsed!(Float32Builder),
        'T' => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            cells.for_each(|cell| match cell {
                None => builder.append_null(),
                Some(items) => {
                    items.split(' ').filter(|it| !it.is_empty()).for_each(|it| {
                        builder.values().append_value(it);
                    });
                    builder.append(true);
                }
            });
            Arc::new(builder.finish())
        }
        // No relation has rows with other arrays.
        'O' => {
            let mut builder = ListBuilder::new(UInt32Builder::new());
            cells.for_each(|_| builder.append_null());
            Arc::new(builder.finish())
        }
        'S' => {
            let mut builder = ListBuilder::new(Int16Builder::new());
            cells.for_each(|_| builder.append_null());
            Arc::new(builder.finish())
        }
        _ => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| builder.append_option(cell));
            Arc::new(builder.finish())
        }
    }
}

/// PostgreSQL's `format_type`.
pub(crate) fn format_type(oid: u32, modifier: i32) -> String {
    let Some(row) = rows::TYPES.iter().find(|row| row.oid == oid || row.array == oid) else {
        return if oid == 0 { "-".to_owned() } else { "???".to_owned() };
    };
    let mut shown = row.shown.to_owned();
    if row.oid == 1700 && modifier >= 4 {
        let bits = modifier - 4;
        shown = format!("numeric({},{})", bits >> 16, bits & 0x7ff);
    }
    if row.oid == oid { shown } else { format!("{shown}[]") }
}

/// Type names that DataFusion does not know.
#[derive(Debug)]
pub(crate) struct PgTypes;

impl TypePlanner for PgTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> DfResult<Option<FieldRef>> {
        let name = match sql_type {
            SqlType::Custom(name, _) => match name.0.last() {
                Some(ObjectNamePart::Identifier(ident)) => ident.value.to_lowercase(),
                _ => return Ok(None),
            },
            SqlType::Regclass => "regclass".to_owned(),
            SqlType::JSON | SqlType::JSONB => "json".to_owned(),
            SqlType::TimestampNtz(_) => "timestamp".to_owned(),
            // DataFusion's nanoseconds end in 2262.
            SqlType::Timestamp(None, zone) => match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "timestamp".to_owned(),
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => "timestamptz".to_owned(),
            },
            _ => return Ok(None),
        };
        if name == exact::OPEN_NAME {
            return Ok(Some(Arc::new(Field::new("", exact::OPEN, true))));
        }
        let data_type = match name.as_str() {
            "oid" | "regclass" | "regtype" | "regproc" | "regprocedure" | "regnamespace"
            | "regrole" | "xid" => DataType::Oid,
            "name" => DataType::Name,
            "text" | "varchar" | "bpchar" | "uuid" | "inet" | "cstring" | "unknown" => {
                DataType::Text
            }
            "json" | "jsonb" => DataType::Json,
            "char" => DataType::InternalChar,
            "bool" | "boolean" => DataType::Bool,
            "int2" | "smallint" => DataType::Int2,
            "int4" | "int" | "integer" => DataType::Int4,
            "int8" | "bigint" => DataType::Int8,
            "float4" | "real" => DataType::Float4,
            "float8" => DataType::Float8,
            "numeric" | "decimal" => DataType::Numeric(38, 10),
            "bytea" => DataType::Bytea,
            "date" => DataType::Date,
            "time" => DataType::Time,
            "timestamp" => DataType::Timestamp,
            "timestamptz" => DataType::TimestampTz,
            "interval" => DataType::Interval,
            _ => return Ok(None),
        };
        let arrow: Arrow = types::to_arrow(&data_type);
        // Without the PostgreSQL type's metadata: a cast's field must be the same in logical and physical plans.
        Ok(Some(Arc::new(Field::new("", arrow, true))))
    }
}
