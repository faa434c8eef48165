//! Catalog records and their byte form: `log/FORMAT.md` "Catalog record".

use std::collections::BTreeMap;

use log_types::{ShardId, StreamId, TopicId};

use super::{Declaration, PartitionPlace, Topic};
use crate::fields::{FieldError, FieldReader, FieldWriter};

const VERSION: u8 = 1;

/// One change of the catalog, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogRecord {
    TopicCreated(Topic),
    TopicDeleted {
        id: TopicId,
    },
    /// The places of the added partitions, following the existing ones.
    PartitionsAdded {
        id: TopicId,
        places: Vec<PartitionPlace>,
    },
    /// The complete new set of overrides.
    TopicConfigured {
        id: TopicId,
        configs: BTreeMap<String, String>,
    },
    /// The complete new set of overrides.
    BrokerConfigured {
        configs: BTreeMap<String, String>,
    },
    TableDeclared(Declaration),
    TableDropped {
        name: String,
    },
    /// Producer ids below `next` may have been handed out.
    ProducerIdsReserved {
        next: i64,
    },
}

impl CatalogRecord {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FieldWriter::new();
        out.u8(VERSION);
        match self {
            Self::TopicCreated(topic) => {
                out.u8(0).str(&topic.name).raw(&topic.id.0).u64(topic.number);
                write_places(&mut out, &topic.partitions);
                write_configs(&mut out, &topic.configs);
            }
            Self::TopicDeleted { id } => {
                out.u8(1).raw(&id.0);
            }
            Self::PartitionsAdded { id, places } => {
                out.u8(2).raw(&id.0);
                write_places(&mut out, places);
            }
            Self::TopicConfigured { id, configs } => {
                out.u8(3).raw(&id.0);
                write_configs(&mut out, configs);
            }
            Self::BrokerConfigured { configs } => {
                out.u8(4);
                write_configs(&mut out, configs);
            }
            Self::TableDeclared(declaration) => {
                out.u8(5).str(&declaration.name).str(&declaration.topic);
                out.u64(declaration.number).bytes(&declaration.payload);
            }
            Self::TableDropped { name } => {
                out.u8(6).str(name);
            }
            Self::ProducerIdsReserved { next } => {
                out.u8(7).i64(*next);
            }
        }
        out.finish()
    }

    /// # Errors
    /// When the bytes are of an unknown version or kind, or end early or late.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut input = FieldReader::new(bytes);
        if input.u8("catalog record version")? != VERSION {
            return Err(FieldError { what: "catalog record version", offset: 0 });
        }
        let record = match input.u8("catalog record kind")? {
            0 => Self::TopicCreated(Topic {
                name: input.str("topic name")?.to_owned(),
                id: TopicId(input.id16("topic id")?),
                number: read_number(&mut input, NUMBER_MAX, "topic number")?,
                partitions: read_places(&mut input)?,
                configs: read_configs(&mut input)?,
            }),
            1 => Self::TopicDeleted { id: TopicId(input.id16("topic id")?) },
            2 => Self::PartitionsAdded {
                id: TopicId(input.id16("topic id")?),
                places: read_places(&mut input)?,
            },
            3 => Self::TopicConfigured {
                id: TopicId(input.id16("topic id")?),
                configs: read_configs(&mut input)?,
            },
            4 => Self::BrokerConfigured { configs: read_configs(&mut input)? },
            5 => Self::TableDeclared(Declaration {
                name: input.str("table name")?.to_owned(),
                topic: input.str("topic name")?.to_owned(),
                number: read_number(&mut input, NUMBER_MAX, "table number")?,
                payload: input.bytes("table columns")?.to_owned(),
            }),
            6 => Self::TableDropped { name: input.str("table name")?.to_owned() },
            7 => Self::ProducerIdsReserved { next: input.i64("next producer id")? },
            _ => return Err(FieldError { what: "catalog record kind", offset: 1 }),
        };
        if !input.is_empty() {
            return Err(FieldError { what: "end of catalog record", offset: bytes.len() });
        }
        Ok(record)
    }
}

fn write_places(out: &mut FieldWriter, places: &[PartitionPlace]) {
    out.count(places.len());
    for place in places {
        out.u64(place.stream.0).u32(place.shard.0);
    }
}

/// Ids and numbers are counted up from 1: larger ones are damage, and the next one must not overflow.
pub(super) const NUMBER_MAX: u64 = 1 << 62;

/// A number of at most `max`.
pub(super) fn read_number(
    input: &mut FieldReader<'_>,
    max: u64,
    what: &'static str,
) -> Result<u64, FieldError> {
    let value = input.u64(what)?;
    if value <= max { Ok(value) } else { Err(FieldError { what, offset: 0 }) }
}

fn read_places(input: &mut FieldReader<'_>) -> Result<Vec<PartitionPlace>, FieldError> {
    let count = input.count(12, "partition count")?;
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = StreamId(read_number(input, NUMBER_MAX, "stream id")?);
        places.push(PartitionPlace { stream, shard: ShardId(input.u32("shard id")?) });
    }
    Ok(places)
}

fn write_configs(out: &mut FieldWriter, configs: &BTreeMap<String, String>) {
    out.count(configs.len());
    for (name, value) in configs {
        out.str(name).str(value);
    }
}

fn read_configs(input: &mut FieldReader<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let count = input.count(8, "configuration count")?;
    let mut configs = BTreeMap::new();
    for _ in 0..count {
        let name = input.str("configuration name")?.to_owned();
        configs.insert(name, input.str("configuration value")?.to_owned());
    }
    Ok(configs)
}
