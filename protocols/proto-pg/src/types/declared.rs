//! What a client means by the OID it declares a parameter with.
//!
//! | OID | the parameter is |
//! |---|---|
//! | 0, `unknown` | the engine's to judge |
//! | of a type of `query_api::DataType` | of that type |
//! | `varchar`, `bpchar` | text |
//! | `uuid` | text, in PostgreSQL's spelling |
//! | a type of PostgreSQL's that is not here | refused by its name |
//! | any other | no type |
//!
//! Invariants:
//! - Bytes are read as the type they were declared with, or refused; never as text because nothing better is known.

use bytes::Bytes;
use query_api::{DataType, Value};

use super::{Format, array_oid, binary, decode, info, parse, uuid};
use crate::codec::Report;

const UNKNOWN: u32 = 705;

/// Types of PostgreSQL 15 that are not built. Source: its `pg_type.dat`.
const ABSENT: [(u32, &str); 32] = [
    (27, "tid"),
    (28, "xid"),
    (29, "cid"),
    (142, "xml"),
    (600, "point"),
    (601, "lseg"),
    (602, "path"),
    (603, "box"),
    (604, "polygon"),
    (628, "line"),
    (650, "cidr"),
    (651, "cidr[]"),
    (718, "circle"),
    (774, "macaddr8"),
    (790, "money"),
    (829, "macaddr"),
    (869, "inet"),
    (1041, "inet[]"),
    (1266, "time with time zone"),
    (1270, "time with time zone[]"),
    (1560, "bit"),
    (1562, "bit varying"),
    (2249, "record"),
    (3220, "pg_lsn"),
    (3614, "tsvector"),
    (3615, "tsquery"),
    (3904, "int4range"),
    (3906, "numrange"),
    (3908, "tsrange"),
    (3910, "tstzrange"),
    (3912, "daterange"),
    (3926, "int8range"),
];

/// A parameter's type as its client declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// The engine's to judge.
    Open,
    Type(DataType),
    Uuid,
    Uuids,
}

impl Declared {
    /// # Errors
    /// ERROR 0A000 for a type that is not built, 42704 for an OID that is no type's.
    pub(crate) fn from_oid(oid: u32) -> Result<Self, Report> {
        const SCALARS: [DataType; 19] = [
            DataType::Bool,
            DataType::Bytea,
            DataType::InternalChar,
            DataType::Name,
            DataType::Int8,
            DataType::Int2,
            DataType::Int4,
            DataType::Text,
            DataType::Oid,
            DataType::Json,
            DataType::Jsonb,
            DataType::Float4,
            DataType::Float8,
            DataType::Date,
            DataType::Time,
            DataType::Timestamp,
            DataType::TimestampTz,
            DataType::Interval,
            DataType::Numeric(38, 10),
        ];
        match oid {
            0 | UNKNOWN => return Ok(Self::Open),
            1042 | 1043 => return Ok(Self::Type(DataType::Text)),
            1014 | 1015 => return Ok(Self::Type(DataType::Array(Box::new(DataType::Text)))),
            uuid::OID => return Ok(Self::Uuid),
            uuid::ARRAY_OID => return Ok(Self::Uuids),
            _ => {}
        }
        for scalar in SCALARS {
            if info(&scalar).oid == oid {
                return Ok(Self::Type(scalar));
            }
            if array_oid(&scalar) == oid {
                return Ok(Self::Type(DataType::Array(Box::new(scalar))));
            }
        }
        Err(match ABSENT.iter().find(|(known, _)| *known == oid) {
            Some((_, name)) => {
                let message = format!("parameters of type {name} (OID {oid}) are not supported");
                let mut report = Report::error("0A000", message);
                report.hint = Some("Send the value as text, and cast it.".to_owned());
                report
            }
            None => Report::error("42704", format!("type with OID {oid} does not exist")),
        })
    }

    /// What the engine is told.
    pub(crate) fn hint(&self) -> DataType {
        match self {
            Self::Open => DataType::Unknown,
            Self::Type(data_type) => data_type.clone(),
            Self::Uuid => DataType::Text,
            Self::Uuids => DataType::Array(Box::new(DataType::Text)),
        }
    }

    /// Reads a parameter; `inferred` is the engine's type for one that is left open.
    ///
    /// # Errors
    /// As [`decode`].
    pub(crate) fn decode(
        &self,
        inferred: &DataType,
        bytes: &Bytes,
        format: Format,
    ) -> Result<Value, Report> {
        match (self, format) {
            (Self::Open, _) => decode(inferred, bytes, format),
            (Self::Type(data_type), _) => decode(data_type, bytes, format),
            (Self::Uuid, Format::Binary) => uuid::from_binary(bytes),
            (Self::Uuid, Format::Text) => uuid::spelled(parse::decode(&DataType::Text, bytes)?),
            (Self::Uuids, Format::Binary) => {
                binary::decode_array(&[uuid::OID], &|it| uuid::from_binary(it), bytes)
            }
            (Self::Uuids, Format::Text) => uuid::spelled(parse::decode(&self.hint(), bytes)?),
        }
    }
}
