//! `CREATE TABLE` and `DROP TABLE`: declarations over topics, kept in the broker's catalog.
//!
//! - `CREATE TABLE t (…) WITH (topic = 'x', format = 'json'|'raw')` declares `t` over topic `x`.
//! - `CREATE TABLE t (…)` without `topic` declares `t` over the topic `t`, and creates that topic when there is none.
//! - `DROP TABLE` drops the declaration. The topic stays, whoever created it: producers and groups may use it, and SQL
//!   deletes no records. A notice says so and how to delete it.

use datafusion::sql::sqlparser::ast::{
    CharacterLength, ColumnOption, CreateTable, CreateTableOptions, DataType as SqlType,
    ExactNumberInfo, Expr, SqlOption, Statement, TimezoneInfo, Value as SqlValue,
};
use query_api::{
    DataType, DeclaredColumn, DeclaredFormat, DeclaredTable, Error, ErrorKind, Execution, NewTopic,
};

use crate::engine::{PlanContext, Shared};
use crate::error::unsupported;
use crate::query;
use crate::rewrite::parts;
use crate::shape::{COLUMNS_MAX, is_system_column};

/// # Errors
/// 42P07 exists, 42P01 does not, 42701 duplicate column, 0A000 for types and options that are not built.
pub(crate) async fn execute(
    shared: &Shared,
    context: &PlanContext,
    statement: &Statement,
) -> Result<Execution, Error> {
    match statement {
        Statement::CreateTable(create) => create_table(shared, context, create).await,
        Statement::Drop { if_exists, names, .. } => {
            let mut notices = Vec::new();
            for name in names {
                notices.push(drop_table(shared, context, &public(parts(name))?, *if_exists).await?);
            }
            Ok(query::noticed("DROP TABLE", Vec::new(), notices))
        }
        _ => Err(unsupported("this statement is not supported")),
    }
}

fn public(mut path: Vec<String>) -> Result<String, Error> {
    let name = path.pop().unwrap_or_default();
    match path.last().map(String::as_str) {
        None | Some("public") => Ok(name),
        Some(schema) => {
            Err(Error::new(ErrorKind::NotFound, format!("schema \"{schema}\" does not exist"))
                .with_sqlstate("3F000")
                .with_hint("tables are in schema public"))
        }
    }
}

#[derive(Default)]
struct Options {
    topic: Option<String>,
    format: Option<DeclaredFormat>,
    partitions: Option<i32>,
}

async fn create_table(
    shared: &Shared,
    context: &PlanContext,
    create: &CreateTable,
) -> Result<Execution, Error> {
    if create.query.is_some() || create.temporary || create.like.is_some() {
        return Err(unsupported("CREATE TABLE AS, TEMPORARY and LIKE are not supported"));
    }
    let name = public(parts(&create.name))?;
    let options = options(&create.table_options)?;
    reserved(&name)?;
    let created = query::done("CREATE TABLE", Vec::new());
    let declared =
        context.snapshot.relation(&name).is_some_and(|relation| relation.declared.is_some());
    let topic = options.topic.clone().unwrap_or_else(|| name.clone());
    let topic_exists = context.snapshot.topics.iter().any(|it| it.name == topic);
    let names_a_topic = context.snapshot.topics.iter().any(|it| it.name == name);
    // A topic is a table already: whoever wants other columns for it says so.
    let name_taken = names_a_topic && options.topic.as_ref() != Some(&name);
    if declared || name_taken {
        if create.if_not_exists {
            return Ok(created);
        }
        return Err(exists(&name, !declared));
    }
    if !topic_exists && options.topic.is_some() {
        return Err(Error::new(ErrorKind::NotFound, format!("topic \"{topic}\" does not exist"))
            .with_sqlstate("42704")
            .with_hint("create the topic first, or leave out the option topic to create one"));
    }
    let columns = columns(create)?;
    let format = options.format.unwrap_or(if columns.is_empty() {
        DeclaredFormat::Raw
    } else {
        DeclaredFormat::Json
    });
    if format == DeclaredFormat::Raw && !columns.is_empty() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "a table of format raw has the columns key and value only",
        )
        .with_sqlstate("42P16")
        .with_hint("leave out the column list: CREATE TABLE t () WITH (format = 'raw')"));
    }
    if !topic_exists {
        let new =
            NewTopic { name: topic.clone(), partitions: options.partitions, configs: Vec::new() };
        shared.ingest.create_topic(new).await?;
    }
    let table = DeclaredTable { name, topic, format, columns, number: 0 };
    shared.ingest.declare_table(table).await?;
    Ok(created)
}

/// 42P07. `topic`: what has the name is a topic that no table is declared over.
fn exists(name: &str, topic: bool) -> Error {
    let message = format!("relation \"{name}\" already exists");
    let error = Error::new(ErrorKind::Conflict, message).with_sqlstate("42P07");
    if !topic {
        return error;
    }
    error
        .with_detail("It is a topic, whose columns are inferred from its records.")
        .with_hint(format!("WITH (topic = '{name}') declares columns over the topic."))
}

/// System relations would hide the table, now or in a later version.
///
/// # Errors
/// 42939.
fn reserved(name: &str) -> Result<(), Error> {
    if !name.starts_with("pg_") && !name.starts_with("luma_") {
        return Ok(());
    }
    let message = format!("unacceptable table name \"{name}\"");
    Err(Error::new(ErrorKind::Invalid, message)
        .with_sqlstate("42939")
        .with_detail("The prefixes \"pg_\" and \"luma_\" are reserved for system relations."))
}

/// What a client is told when the declaration is gone.
async fn drop_table(
    shared: &Shared,
    context: &PlanContext,
    name: &str,
    if_exists: bool,
) -> Result<String, Error> {
    match context.snapshot.relation(name) {
        Some(relation) if relation.declared.is_some() => {
            shared.ingest.drop_table(name).await?;
            Ok(what_stays(name, &relation.topic.name))
        }
        Some(_) => Err(Error::new(
            ErrorKind::Invalid,
            format!("\"{name}\" is a topic, not a declared table"),
        )
        .with_sqlstate("42809")
        .with_hint("topics are deleted with the Kafka API or `lumadb topic delete`")),
        None if if_exists => Ok(format!("NOTICE: table \"{name}\" does not exist, skipping")),
        None => Err(Error::new(ErrorKind::NotFound, format!("table \"{name}\" does not exist"))
            .with_sqlstate("42P01")),
    }
}

fn what_stays(name: &str, topic: &str) -> String {
    let shown = if name == topic {
        ", and are still a table of that name, with the columns that they show"
    } else {
        ""
    };
    format!(
        "NOTICE: topic \"{topic}\" and its records stay{shown}; `lumadb topic delete {topic}` deletes them"
    )
}

fn options(options: &CreateTableOptions) -> Result<Options, Error> {
    let list = match options {
        CreateTableOptions::None => return Ok(Options::default()),
        CreateTableOptions::With(list) => list,
        _ => return Err(unsupported("only WITH (…) options are supported")),
    };
    let mut found = Options::default();
    for option in list {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(unsupported(format!("option {option} is not supported")));
        };
        let text = match value {
            Expr::Value(value) => match &value.value {
                SqlValue::SingleQuotedString(text) => text.clone(),
                other => other.to_string(),
            },
            other => other.to_string(),
        };
        let bad = |hint: &str| {
            Error::new(
                ErrorKind::Invalid,
                format!("invalid value for option \"{key}\": \"{text}\""),
            )
            .with_sqlstate("22023")
            .with_hint(hint.to_owned())
        };
        match key.value.to_lowercase().as_str() {
            "topic" => found.topic = Some(text),
            "format" => {
                found.format = Some(match text.to_lowercase().as_str() {
                    "json" => DeclaredFormat::Json,
                    "raw" => DeclaredFormat::Raw,
                    _ => return Err(bad("available values: json, raw")),
                });
            }
            "partitions" => {
                let count = text.parse().ok().filter(|count: &i32| *count > 0);
                found.partitions = Some(count.ok_or_else(|| bad("a whole number from 1"))?);
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("unrecognized option \"{other}\""),
                )
                .with_sqlstate("22023")
                .with_hint("available options: topic, format, partitions"));
            }
        }
    }
    Ok(found)
}

fn columns(create: &CreateTable) -> Result<Vec<DeclaredColumn>, Error> {
    if create.columns.len() > COLUMNS_MAX {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        )
        .with_sqlstate("54011"));
    }
    if !create.constraints.is_empty() {
        return Err(unsupported("constraints are not supported on a topic"));
    }
    let mut columns: Vec<DeclaredColumn> = Vec::new();
    for column in &create.columns {
        let name = if column.name.quote_style.is_some() {
            column.name.value.clone()
        } else {
            column.name.value.to_lowercase()
        };
        let invalid = |message: String, sqlstate| {
            Error::new(ErrorKind::Invalid, message).with_sqlstate(sqlstate)
        };
        if is_system_column(&name) {
            let message = format!("column name \"{name}\" conflicts with a system column name");
            return Err(invalid(message, "42701"));
        }
        if columns.iter().any(|it| it.name == name) {
            return Err(invalid(format!("column \"{name}\" specified more than once"), "42701"));
        }
        let mut nullable = true;
        for option in &column.options {
            match &option.option {
                ColumnOption::NotNull => nullable = false,
                ColumnOption::Null => {}
                other => return Err(unsupported(format!("{other} is not supported on a topic"))),
            }
        }
        columns.push(DeclaredColumn { name, data_type: data_type(&column.data_type)?, nullable });
    }
    Ok(columns)
}

/// The type of a column or a parameter.
///
/// # Errors
/// 0A000 for what no column can be of.
pub(crate) fn data_type(sql_type: &SqlType) -> Result<DataType, Error> {
    Ok(match sql_type {
        SqlType::Bool | SqlType::Boolean => DataType::Bool,
        SqlType::SmallInt(_) | SqlType::Int2(_) => DataType::Int2,
        SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => DataType::Int4,
        SqlType::BigInt(_) | SqlType::Int8(_) => DataType::Int8,
        SqlType::Real | SqlType::Float4 => DataType::Float4,
        SqlType::Float8 | SqlType::DoublePrecision | SqlType::Double(_) | SqlType::Float(_) => {
            DataType::Float8
        }
        SqlType::Numeric(info) | SqlType::Decimal(info) => numeric(*info)?,
        SqlType::Text | SqlType::Uuid => DataType::Text,
        SqlType::Varchar(length) | SqlType::CharacterVarying(length) => match length {
            None | Some(CharacterLength::Max) => DataType::Text,
            Some(_) => {
                return Err(unsupported("length limits are not supported").with_hint("use text"));
            }
        },
        SqlType::Char(_) | SqlType::Character(_) => {
            return Err(unsupported("type character(n) is not supported").with_hint("use text"));
        }
        SqlType::Bytea => DataType::Bytea,
        SqlType::Date => DataType::Date,
        SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => DataType::Time,
        SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp
        }
        SqlType::Timestamp(..) => DataType::TimestampTz,
        SqlType::JSON => DataType::Json,
        SqlType::JSONB => DataType::Jsonb,
        other => {
            return Err(unsupported(format!(
                "type {} is not supported",
                other.to_string().to_lowercase()
            ))
            .with_hint("json holds any value"));
        }
    })
}

fn numeric(info: ExactNumberInfo) -> Result<DataType, Error> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let out_of_range = || {
        Error::new(ErrorKind::Invalid, format!("numeric({precision},{scale}) is out of range"))
            .with_sqlstate("22023")
            .with_hint("precision from 1 to 38, scale from 0 to the precision")
    };
    let checked = u8::try_from(precision).ok().zip(i8::try_from(scale).ok());
    let (precision, scale) = checked.ok_or_else(out_of_range)?;
    let fits =
        (1..=38).contains(&precision) && scale >= 0 && i16::from(scale) <= i16::from(precision);
    if fits { Ok(DataType::Numeric(precision, scale)) } else { Err(out_of_range()) }
}
