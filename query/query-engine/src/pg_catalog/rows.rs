//! Rows of the catalog relations that are not empty.
//!
//! Invariants:
//! - A row has a cell per column of its layout, in order; missing cells at the end are NULL.

use query_api::DataType;

use super::Cell;
use crate::bad::BadTotal;
use crate::engine::Shapes;
use crate::functions::SessionInfo;
use crate::settings::SETTINGS;
use crate::snapshot::{Relation, Snapshot};

/// OIDs of PostgreSQL's own objects.
const OWNER: &str = "10";
const PG_CATALOG: &str = "11";
const PUBLIC: &str = "2200";
const INFORMATION_SCHEMA: &str = "13000";
const HEAP: &str = "2";
const DATABASE: u32 = 16380;

/// Schemas with their OIDs.
pub(crate) const SCHEMAS: [(u32, &str); 3] =
    [(11, "pg_catalog"), (2200, "public"), (13_000, "information_schema")];

/// Relations of `pg_catalog` that have rows.
pub(super) const FILLED: [&str; 20] = [
    "luma_bad_records",
    "pg_am",
    "pg_attribute",
    "pg_authid",
    "pg_class",
    "pg_collation",
    "pg_cursors",
    "pg_database",
    "pg_language",
    "pg_namespace",
    "pg_roles",
    "pg_settings",
    "pg_stat_activity",
    "pg_stat_user_tables",
    "pg_tables",
    "pg_tablespace",
    "pg_type",
    "pg_user",
    "pg_views",
    "pg_description",
];

/// A built-in type.
pub(super) struct TypeRow {
    pub(super) oid: u32,
    pub(super) array: u32,
    name: &'static str,
    pub(super) shown: &'static str,
    len: i16,
    category: char,
    input: u32,
}

impl TypeRow {
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name || self.shown == name
    }
}

const fn ty(
    oid: u32,
    array: u32,
    name: &'static str,
    shown: &'static str,
    len: i16,
    category: char,
    input: u32,
) -> TypeRow {
    TypeRow { oid, array, name, shown, len, category, input }
}

/// The types that results have. <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_type.dat>
pub(super) const TYPES: [TypeRow; 30] = [
    ty(16, 1000, "bool", "boolean", 1, 'B', 1242),
    ty(17, 1001, "bytea", "bytea", -1, 'U', 1244),
    ty(18, 1002, "char", "\"char\"", 1, 'Z', 1245),
    ty(19, 1003, "name", "name", 64, 'S', 34),
    ty(20, 1016, "int8", "bigint", 8, 'N', 460),
    ty(21, 1005, "int2", "smallint", 2, 'N', 38),
    ty(23, 1007, "int4", "integer", 4, 'N', 42),
    ty(24, 1008, "regproc", "regproc", 4, 'N', 44),
    ty(25, 1009, "text", "text", -1, 'S', 46),
    ty(26, 1028, "oid", "oid", 4, 'N', 1798),
    ty(114, 199, "json", "json", -1, 'U', 321),
    ty(700, 1021, "float4", "real", 4, 'N', 200),
    ty(701, 1022, "float8", "double precision", 8, 'N', 214),
    ty(705, 0, "unknown", "unknown", -2, 'X', 109),
    ty(1042, 1014, "bpchar", "character", -1, 'S', 1044),
    ty(1043, 1015, "varchar", "character varying", -1, 'S', 1046),
    ty(1082, 1182, "date", "date", 4, 'D', 1084),
    ty(1083, 1183, "time", "time without time zone", 8, 'D', 1143),
    ty(1114, 1115, "timestamp", "timestamp without time zone", 8, 'D', 1312),
    ty(1184, 1185, "timestamptz", "timestamp with time zone", 8, 'D', 1150),
    ty(1186, 1187, "interval", "interval", 16, 'T', 1160),
    ty(1700, 1231, "numeric", "numeric", -1, 'N', 1701),
    ty(2205, 2210, "regclass", "regclass", 4, 'N', 2218),
    ty(2206, 2211, "regtype", "regtype", 4, 'N', 2220),
    ty(2202, 2207, "regprocedure", "regprocedure", 4, 'N', 2212),
    ty(2278, 0, "void", "void", 4, 'P', 2298),
    ty(2950, 2951, "uuid", "uuid", 16, 'U', 2952),
    ty(3802, 3807, "jsonb", "jsonb", -1, 'U', 3806),
    ty(4089, 4090, "regnamespace", "regnamespace", 4, 'N', 4084),
    ty(4096, 4097, "regrole", "regrole", 4, 'N', 4098),
];

/// Input functions of types, and what else the catalog refers to.
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_proc.dat>
pub(super) const PROCEDURES: [(u32, &str); 33] = [
    (3, "heap_tableam_handler"),
    (34, "namein"),
    (38, "int2in"),
    (42, "int4in"),
    (44, "regprocin"),
    (46, "textin"),
    (109, "unknownin"),
    (200, "float4in"),
    (214, "float8in"),
    (321, "json_in"),
    (330, "bthandler"),
    (460, "int8in"),
    (750, "array_in"),
    (1044, "bpcharin"),
    (1046, "varcharin"),
    (1084, "date_in"),
    (1143, "time_in"),
    (1150, "timestamptz_in"),
    (1160, "interval_in"),
    (1242, "boolin"),
    (1244, "byteain"),
    (1245, "charin"),
    (1312, "timestamp_in"),
    (1701, "numeric_in"),
    (1798, "oidin"),
    (2212, "regprocedurein"),
    (2218, "regclassin"),
    (2220, "regtypein"),
    (2298, "void_in"),
    (2952, "uuid_in"),
    (3806, "jsonb_in"),
    (4084, "regnamespacein"),
    (4098, "regrolein"),
];

/// The input function of every array type.
const ARRAY_IN: u32 = 750;

/// PostgreSQL's OID of a type.
fn type_oid(data_type: &DataType) -> u32 {
    let name = match data_type {
        DataType::Bool => "bool",
        DataType::Int2 => "int2",
        DataType::Int4 => "int4",
        DataType::Int8 => "int8",
        DataType::Float4 => "float4",
        DataType::Float8 => "float8",
        DataType::Numeric(..) => "numeric",
        DataType::Text | DataType::Unknown => "text",
        DataType::Name => "name",
        DataType::InternalChar => "char",
        DataType::Bytea => "bytea",
        DataType::Date => "date",
        DataType::Time => "time",
        DataType::Timestamp => "timestamp",
        DataType::TimestampTz => "timestamptz",
        DataType::Interval => "interval",
        DataType::Json => "json",
        DataType::Jsonb => "jsonb",
        DataType::Oid => "oid",
        DataType::Reg(kind) => kind.type_name(),
        DataType::Array(item) => {
            let item = type_oid(item);
            return TYPES.iter().find(|row| row.oid == item).map_or(1009, |row| row.array);
        }
    };
    TYPES.iter().find(|row| row.name == name).map_or(25, |row| row.oid)
}

fn type_modifier(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Numeric(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        _ => -1,
    }
}

/// Cells from a line: fields parted by `|`, `~` is NULL.
fn line(text: &str) -> Vec<Cell> {
    text.split('|').map(|cell| (cell != "~").then(|| cell.to_owned())).collect()
}

pub(super) fn rows(
    space: &str,
    name: &str,
    snapshot: &Snapshot,
    shapes: &Shapes,
    info: &SessionInfo,
) -> Vec<Vec<Cell>> {
    let user = info.user.as_str();
    let database = info.database.as_str();
    match (space, name) {
        ("pg_catalog", "pg_class") => each(snapshot, |it| vec![class(it, shapes)]),
        ("pg_catalog", "pg_attribute") => each(snapshot, |it| attributes(it, shapes)),
        ("pg_catalog", "pg_tables") => each(snapshot, |it| {
            vec![cells(["public", &it.name, user, "~", "false", "false", "false", "false"])]
        }),
        ("pg_catalog", "pg_stat_user_tables") => each(snapshot, |it| {
            let count = live(it).to_string();
            vec![cells([&it.oid.to_string(), "public", &it.name, "0", &count, "0"])]
        }),
        ("pg_catalog", "luma_bad_records") => each(snapshot, |it| bad_records(it, info)),
        ("pg_catalog", _) => server_rows(name, info),
        ("information_schema", _) => standard_rows(name, snapshot, shapes, user, database),
        _ => Vec::new(),
    }
}

/// The names of the database; [`DATABASE`] is the one of this session.
fn databases(user: &str, current: &str) -> Vec<Vec<Cell>> {
    let names = query_api::databases(user);
    let others = names.into_iter().filter(|it| *it != current);
    let named = [current].into_iter().chain(others).zip(DATABASE..);
    let rows = named.map(|(name, oid)| {
        cells([
            &oid.to_string(),
            name,
            OWNER,
            "6",
            "c",
            "false",
            "true",
            "-1",
            "0",
            "1",
            "1663",
            "C.UTF-8",
            "C.UTF-8",
            "~",
            "~",
            "~",
            "1262",
        ])
    });
    rows.collect()
}

/// Relations about the server and the session, which topics do not change.
fn server_rows(name: &str, info: &SessionInfo) -> Vec<Vec<Cell>> {
    let user = info.user.as_str();
    let database = info.database.as_str();
    match name {
        "pg_namespace" => vec![
            cells([PG_CATALOG, "pg_catalog", OWNER, "~", "2615"]),
            cells([PUBLIC, "public", OWNER, "~", "2615"]),
            cells([INFORMATION_SCHEMA, "information_schema", OWNER, "~", "2615"]),
        ],
        "pg_database" => databases(user, database),
        "pg_am" => vec![line("2|heap|3|t"), line("403|btree|330|i")],
        "pg_type" => TYPES.iter().flat_map(type_rows).collect(),
        "pg_tablespace" => {
            vec![line("1663|pg_default|10|~|~"), line("1664|pg_global|10|~|~")]
        }
        "pg_collation" => {
            vec![line("100|default|11|10|d|true|-1|~|~|~|~"), line("950|C|11|10|c|true|-1|C|C|~|~")]
        }
        "pg_language" => vec![line("14|sql|10|false|true|0|0|0|~|2612")],
        "pg_roles" => vec![cells([
            user, "true", "true", "true", "true", "true", "true", "-1", "********", "~", "true",
            "~", OWNER,
        ])],
        "pg_authid" => {
            vec![cells([OWNER, user, "true", "true", "true", "true", "true", "true", "true", "-1"])]
        }
        "pg_user" => {
            vec![cells([user, OWNER, "true", "true", "true", "true", "********"])]
        }
        "pg_cursors" => {
            let row = |(name, sql, hold): &(String, String, bool)| {
                let hold = if *hold { "true" } else { "false" };
                cells([name, sql, hold, "false", "false"])
            };
            info.cursors.iter().map(row).collect()
        }
        "pg_settings" => settings(info),
        "pg_stat_activity" => {
            let pid = info.process_id.to_string();
            let application = info.settings.get("application_name").unwrap_or_default();
            vec![cells([
                &DATABASE.to_string(),
                database,
                &pid,
                OWNER,
                user,
                &application,
                "~",
                "active",
                "~",
            ])]
        }
        _ => Vec::new(),
    }
}

/// Topics of which a statement could not decode a record, with the last such record.
fn bad_records(relation: &Relation, info: &SessionInfo) -> Vec<Vec<Cell>> {
    let row = |bad: BadTotal| {
        let last = [bad.count.to_string(), bad.partition.to_string(), bad.offset.to_string()];
        let [count, partition, offset] = last;
        let (oid, name) = (relation.oid.to_string(), relation.name.clone());
        vec![oid, name, count, partition, offset, bad.reason].into_iter().map(Some).collect()
    };
    info.bad.of(relation.topic.id).map(row).into_iter().collect()
}

/// The rows of `information_schema`.
fn standard_rows(
    name: &str,
    snapshot: &Snapshot,
    shapes: &Shapes,
    user: &str,
    database: &str,
) -> Vec<Vec<Cell>> {
    match name {
        "schemata" => ["pg_catalog", "public", "information_schema"]
            .map(|it| cells([database, it, user]))
            .into(),
        "tables" => each(snapshot, |it| {
            let name = it.name.as_str();
            let none = "~";
            let row = [
                database,
                "public",
                name,
                "BASE TABLE",
                none,
                none,
                none,
                none,
                none,
                "YES",
                "NO",
                none,
            ];
            vec![cells(row)]
        }),
        "columns" => each(snapshot, |it| columns(it, shapes, database)),
        _ => Vec::new(),
    }
}

fn cells<const N: usize>(values: [&str; N]) -> Vec<Cell> {
    values.iter().map(|value| (*value != "~").then(|| (*value).to_owned())).collect()
}

/// Rows of each table; internal topics are not listed.
fn each(snapshot: &Snapshot, rows: impl FnMut(&Relation) -> Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    snapshot.relations().values().filter(|it| !it.topic.internal).flat_map(rows).collect()
}

fn live(relation: &Relation) -> i64 {
    relation
        .topic
        .partitions
        .iter()
        .map(|it| it.end.saturating_sub(it.log_start))
        .fold(0, i64::saturating_add)
}

/// The columns that `SELECT *` shows.
fn visible(relation: &Relation, shapes: &Shapes) -> Vec<(String, DataType)> {
    let Some(shape) = shapes.get(&relation.name) else { return Vec::new() };
    shape.columns.iter().map(|it| (it.name.clone(), it.data_type.clone())).collect()
}

fn class(relation: &Relation, shapes: &Shapes) -> Vec<Cell> {
    let oid = relation.oid.to_string();
    let columns = visible(relation, shapes).len().to_string();
    let live = live(relation).to_string();
    cells([
        &oid,
        &relation.name,
        PUBLIC,
        "0",
        "0",
        OWNER,
        HEAP,
        &oid,
        "0",
        "0",
        &live,
        "0",
        "0",
        "false",
        "false",
        "p",
        "r",
        &columns,
        "0",
        "false",
        "false",
        "false",
        "false",
        "false",
        "true",
        "d",
        "false",
        "0",
        "0",
        "0",
        "~",
        "~",
        "~",
        "1259",
    ])
}

fn attributes(relation: &Relation, shapes: &Shapes) -> Vec<Vec<Cell>> {
    let oid = relation.oid.to_string();
    (1..)
        .zip(visible(relation, shapes))
        .map(|(number, (name, data_type)): (i32, _)| {
            let type_oid = type_oid(&data_type);
            let len = TYPES.iter().find(|row| row.oid == type_oid).map_or(-1, |row| row.len);
            let collation = if type_oid == 25 { "100" } else { "0" };
            let storage = if len < 0 { "x" } else { "p" };
            cells([
                &oid,
                &name,
                &type_oid.to_string(),
                "-1",
                &len.to_string(),
                &number.to_string(),
                "0",
                "-1",
                &type_modifier(&data_type).to_string(),
                "false",
                "i",
                storage,
                "",
                "false",
                "false",
                "false",
                "",
                "",
                "false",
                "true",
                "0",
                collation,
            ])
        })
        .collect()
}

fn type_rows(row: &TypeRow) -> Vec<Vec<Cell>> {
    let category = row.category.to_string();
    let kind = if row.category == 'P' { "p" } else { "b" };
    let collation = if row.category == 'S' { "100" } else { "0" };
    let base = |oid: u32, name: &str, len: i16, category: &str, elem: u32, array: u32| {
        let input = if elem == 0 { row.input } else { ARRAY_IN };
        cells([
            &oid.to_string(),
            name,
            PG_CATALOG,
            OWNER,
            &len.to_string(),
            "false",
            kind,
            category,
            "false",
            "true",
            ",",
            "0",
            "0",
            &elem.to_string(),
            &array.to_string(),
            &input.to_string(),
            "0",
            "0",
            "0",
            "0",
            "0",
            "0",
            "i",
            if len < 0 { "x" } else { "p" },
            "false",
            "0",
            "-1",
            "0",
            collation,
            "~",
            "~",
            "~",
            "1247",
        ])
    };
    let mut rows = vec![base(row.oid, row.name, row.len, &category, 0, row.array)];
    if row.array != 0 {
        rows.push(base(row.array, &format!("_{}", row.name), -1, "A", row.oid, 0));
    }
    rows
}

fn settings(info: &SessionInfo) -> Vec<Vec<Cell>> {
    info.settings
        .all()
        .iter()
        .map(|(name, value, about)| {
            let default = SETTINGS.iter().find(|it| it.0 == name).map_or("", |it| it.1);
            let source = if value == default { "default" } else { "session" };
            cells([
                name, value, "~", "LumaDB", about, "~", "user", "string", source, "~", "~", "~",
                default, default, "~", "~", "false",
            ])
        })
        .collect()
}

fn columns(relation: &Relation, shapes: &Shapes, database: &str) -> Vec<Vec<Cell>> {
    (1..)
        .zip(visible(relation, shapes))
        .map(|(number, (name, data_type)): (i32, _)| {
            let oid = type_oid(&data_type);
            let row = TYPES.iter().find(|row| row.oid == oid);
            let shown = row.map_or("ARRAY", |row| row.shown);
            let udt = row.map_or("_text", |row| row.name);
            let (precision, scale) = match &data_type {
                DataType::Int2 => ("16".to_owned(), "0".to_owned()),
                DataType::Int4 => ("32".to_owned(), "0".to_owned()),
                DataType::Int8 => ("64".to_owned(), "0".to_owned()),
                DataType::Numeric(precision, scale) => (precision.to_string(), scale.to_string()),
                _ => ("~".to_owned(), "~".to_owned()),
            };
            let radix = if precision == "~" { "~" } else { "2" };
            cells([
                database,
                "public",
                &relation.name,
                &name,
                &number.to_string(),
                "~",
                "YES",
                shown,
                "~",
                "~",
                &precision,
                radix,
                &scale,
                "~",
                database,
                "pg_catalog",
                udt,
                "NO",
                "NEVER",
                "YES",
            ])
        })
        .collect()
}
