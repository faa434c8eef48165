//! [`Ingest`]: topics, declared tables and records from the query side.
//!
//! A declaration's columns are stored in the catalog as payload version 1: format byte, column count, per column its
//! name, type and nullability.

use std::collections::BTreeMap;

use broker_core::catalog::{CatalogError, Declaration, NewTopicSpec};
use broker_core::config::{topic_name_error, validate_topic};
use broker_core::fields::{FieldError, FieldReader, FieldWriter};
use broker_core::partition::{AppendError, AppendRules, must_open, seen};
use broker_kafka::broker::{
    AppendRequest, Appended, Broker, CatalogCommand, Fatal, PartitionError,
};
use bytes::Bytes;
use log_io::Slice;
use log_types::PartitionId;
use query_api::{
    BoxFuture, DataType, DeclaredColumn, DeclaredFormat, DeclaredTable, Error, ErrorKind, Ingest,
    NewTopic,
};

use super::{NodeHandle, disk_full, stopped};
use crate::core::CoreBroker;

const PAYLOAD_VERSION: u8 = 1;

/// A refusal of the catalog as the query side reports it.
pub(super) fn refused(error: &CatalogError) -> Error {
    let (kind, sqlstate) = match error {
        CatalogError::TopicExists { .. }
        | CatalogError::NameCollides { .. }
        | CatalogError::NameDeclared { .. }
        | CatalogError::TableExists { .. } => (ErrorKind::Conflict, "42P07"),
        CatalogError::TopicMissing { .. } | CatalogError::TableMissing { .. } => {
            (ErrorKind::NotFound, "42P01")
        }
        CatalogError::PartitionsMax { .. } => (ErrorKind::LimitExceeded, "54000"),
        _ => (ErrorKind::Invalid, "22023"),
    };
    Error::new(kind, error.to_string()).with_sqlstate(sqlstate)
}

/// The declared table of a catalog entry; `None` when a newer version wrote its columns.
pub(super) fn table_of(declaration: &Declaration) -> Option<DeclaredTable> {
    let (format, columns) = decode(&declaration.payload).ok()?;
    Some(DeclaredTable {
        name: declaration.name.clone(),
        topic: declaration.topic.clone(),
        format,
        columns,
        number: declaration.number,
    })
}

fn encode(table: &DeclaredTable) -> Result<Vec<u8>, Error> {
    let mut out = FieldWriter::new();
    out.u8(PAYLOAD_VERSION).u8(match table.format {
        DeclaredFormat::Json => 0,
        DeclaredFormat::Raw => 1,
    });
    out.count(table.columns.len());
    for column in &table.columns {
        out.str(&column.name);
        write_type(&mut out, &column.data_type)?;
        out.u8(u8::from(column.nullable));
    }
    Ok(out.finish())
}

fn decode(payload: &[u8]) -> Result<(DeclaredFormat, Vec<DeclaredColumn>), FieldError> {
    let mut input = FieldReader::new(payload);
    let unknown = |what| FieldError { what, offset: 0 };
    if input.u8("payload version")? != PAYLOAD_VERSION {
        return Err(unknown("payload version"));
    }
    let format = match input.u8("format")? {
        0 => DeclaredFormat::Json,
        1 => DeclaredFormat::Raw,
        _ => return Err(unknown("format")),
    };
    let mut columns = Vec::new();
    for _ in 0..input.count(6, "column count")? {
        columns.push(DeclaredColumn {
            name: input.str("column name")?.to_owned(),
            data_type: read_type(&mut input)?,
            nullable: input.u8("nullable")? != 0,
        });
    }
    Ok((format, columns))
}

/// Types that a column may be declared with, by their stored number.
const TYPES: [(u8, DataType); 14] = [
    (0, DataType::Bool),
    (1, DataType::Int2),
    (2, DataType::Int4),
    (3, DataType::Int8),
    (4, DataType::Float4),
    (5, DataType::Float8),
    (6, DataType::Text),
    (7, DataType::Bytea),
    (8, DataType::Date),
    (9, DataType::Time),
    (10, DataType::Timestamp),
    (11, DataType::TimestampTz),
    (12, DataType::Json),
    (13, DataType::Jsonb),
];
const NUMERIC: u8 = 32;

fn write_type(out: &mut FieldWriter, data_type: &DataType) -> Result<(), Error> {
    if let DataType::Numeric(precision, scale) = data_type {
        out.u8(NUMERIC).u8(*precision).u8(scale.to_le_bytes()[0]);
        return Ok(());
    }
    let number = TYPES.iter().find(|(_, known)| known == data_type).map(|(number, _)| *number);
    let unsupported = || {
        let what = format!("a column of type {data_type:?} cannot be declared");
        Error::new(ErrorKind::Unsupported, what).with_sqlstate("0A000")
    };
    out.u8(number.ok_or_else(unsupported)?);
    Ok(())
}

fn read_type(input: &mut FieldReader<'_>) -> Result<DataType, FieldError> {
    let number = input.u8("column type")?;
    if number == NUMERIC {
        let precision = input.u8("precision")?;
        return Ok(DataType::Numeric(precision, i8::from_le_bytes([input.u8("scale")?])));
    }
    let known = TYPES.iter().find(|(known, _)| *known == number);
    known
        .map(|(_, data_type)| data_type.clone())
        .ok_or(FieldError { what: "column type", offset: 0 })
}

impl NodeHandle {
    async fn append_batch(
        &self,
        topic: String,
        partition: i32,
        batch: Bytes,
    ) -> Result<i64, Error> {
        let catalog = self.catalog().await?;
        let missing = || {
            let what = format!("topic \"{topic}\" has no partition {partition}");
            Error::new(ErrorKind::NotFound, what).with_sqlstate("42P01")
        };
        let found = catalog.topic(&topic).ok_or_else(missing)?.clone();
        let place = found.place(PartitionId(partition)).ok_or_else(missing)?;
        let core = self.shared.router.core_of(place.shard);
        let appending = self.shared.router.submit(core, move |core| {
            let config = core.topic_config(&found);
            let append = AppendRequest { place, batch, opened: None, config };
            Box::pin(append_one(CoreBroker(core), append))
        });
        let appended: Result<Appended, PartitionError> =
            appending.await.map_err(stopped)?.map_err(stopped)?;
        appended
            .map(|appended| appended.base_offset.0)
            .map_err(|error| append_error(&topic, &error))
    }
}

async fn append_one(
    broker: CoreBroker,
    append: AppendRequest,
) -> Result<Result<Appended, PartitionError>, Fatal> {
    let (rules, bytes) = (AppendRules::from(&*append.config), append.batch.len());
    let (append, _held) = match must_open(&append.batch, &rules) {
        true => match broker.open(append, bytes, None).await {
            (Ok(append), held) => (append, Some(held)),
            (Err(error), _) => return Ok(Err(PartitionError::Append(error))),
        },
        false => match seen(&append.batch, &rules, &mut Slice::default()).await {
            Ok(opened) => (AppendRequest { opened, ..append }, None),
            Err(error) => return Ok(Err(PartitionError::Append(error))),
        },
    };
    broker.append(vec![append]).await?.into_iter().next().ok_or(Fatal)
}

fn append_error(topic: &str, error: &PartitionError) -> Error {
    match error {
        PartitionError::DiskFull => disk_full(),
        PartitionError::Append(error @ AppendError::Busy) => {
            Error::new(ErrorKind::Retry, format!("cannot append to \"{topic}\": {error}"))
                .with_sqlstate("53000")
        }
        PartitionError::Append(error) => {
            Error::new(ErrorKind::Invalid, format!("cannot append to \"{topic}\": {error}"))
                .with_sqlstate("22000")
        }
        _ => Error::new(ErrorKind::NotFound, format!("topic \"{topic}\" was deleted"))
            .with_sqlstate("42P01"),
    }
}

impl Ingest for NodeHandle {
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let invalid =
                |what: String| Error::new(ErrorKind::Invalid, what).with_sqlstate("22023");
            if let Some(error) = topic_name_error(&topic.name) {
                return Err(invalid(error));
            }
            let configs: BTreeMap<String, String> = topic.configs.into_iter().collect();
            for (name, value) in &configs {
                validate_topic(name, value).map_err(|error| invalid(error.to_string()))?;
            }
            let partition_count = match topic.partitions {
                Some(count) => {
                    usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
                        invalid(format!("a topic needs at least one partition, not {count}"))
                    })?
                }
                None => broker_kafka::num_partitions(
                    &self.shared.settings.broker_config(&BTreeMap::new()),
                ),
            };
            let spec = NewTopicSpec { name: topic.name, partition_count, configs };
            self.change_catalog(CatalogCommand::CreateTopic(spec)).await
        })
    }

    fn declare_table(&self, table: DeclaredTable) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let payload = encode(&table)?;
            let command =
                CatalogCommand::DeclareTable { name: table.name, topic: table.topic, payload };
            self.change_catalog(command).await
        })
    }

    fn drop_table(&self, name: &str) -> BoxFuture<'_, Result<(), Error>> {
        let name = name.to_owned();
        Box::pin(self.change_catalog(CatalogCommand::DropTable { name }))
    }

    fn append(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> BoxFuture<'_, Result<i64, Error>> {
        Box::pin(self.append_batch(topic.to_owned(), partition, batch))
    }
}
