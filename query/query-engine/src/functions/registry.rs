//! Names and OIDs of relations, types, schemas and roles: what `regclass` and its kin are made of.
//!
//! Invariants:
//! - `luma_<kind>(x)` takes a name or a number and gives an OID; `luma_<kind>_name(x)` gives the text PostgreSQL prints.
//! - An unknown name is an error with PostgreSQL's SQLSTATE; an unknown number prints as the number.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use query_api::{Error, ErrorKind, RegKind, Row, Value};

use super::{Add, NO_TEXT, Returns, SessionInfo, oid, quote_ident, string, text};
use crate::pg_catalog;
use crate::snapshot::Snapshot;

/// The bootstrap superuser, the only role.
const SUPERUSER: u32 = 10;

/// Looks names up.
#[derive(Debug)]
pub(crate) struct Registry {
    relations: BTreeMap<u32, String>,
    user: String,
}

pub(super) fn register(add: &mut Add<'_>, registry: &Arc<Registry>) {
    for kind in RegKind::ALL {
        let name = kind.type_name();
        let known = Arc::clone(registry);
        let by_name = move |args: &[ScalarValue]| known.oid(kind, args.first());
        add(&format!("luma_{name}"), Returns::Reg(kind), Arc::new(by_name));
        let known = Arc::clone(registry);
        let by_oid = move |args: &[ScalarValue]| {
            let oid = known.oid(kind, args.first())?;
            let ScalarValue::UInt32(Some(oid)) = oid else { return Ok(NO_TEXT) };
            Ok(text(known.name(kind, oid)))
        };
        add(&format!("luma_{name}_name"), Returns::Type(DataType::Utf8), Arc::new(by_oid));
        // `to_regclass('x')` is NULL where 'x'::regclass is an error.
        let known = Arc::clone(registry);
        let lookup = move |args: &[ScalarValue]| {
            Ok(known.oid(kind, args.first()).unwrap_or(ScalarValue::UInt32(None)))
        };
        add(&format!("to_{name}"), Returns::Reg(kind), Arc::new(lookup));
    }
    add("luma_oid", Returns::Type(DataType::UInt32), Arc::new(plain_oid));
    let known = Arc::clone(registry);
    let user = move |args: &[ScalarValue]| {
        Ok(oid(args.first()).map_or(NO_TEXT, |oid| {
            text(if oid == SUPERUSER { known.user.clone() } else { format!("unknown (OID={oid})") })
        }))
    };
    add("pg_get_userbyid", Returns::Name, Arc::new(user));
    // No table is a partition of another, so nothing has ancestors.
    let item = Arc::new(Field::new("item", DataType::UInt32, true));
    let none = ScalarValue::List(ScalarValue::new_list_nullable(&[], &DataType::UInt32));
    add(
        "luma_partition_ancestors",
        Returns::Type(DataType::List(item)),
        Arc::new(move |_| Ok(none.clone())),
    );
}

/// `x::oid`.
fn plain_oid(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(value) = args.first().filter(|it| !it.is_null()) else {
        return Ok(ScalarValue::UInt32(None));
    };
    let plain = oid(Some(value)).ok_or_else(|| {
        let message = format!("invalid input syntax for type oid: \"{value}\"");
        let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("22P02");
        DataFusionError::External(Box::new(error))
    })?;
    Ok(ScalarValue::UInt32(Some(plain)))
}

impl Registry {
    pub(crate) fn new(info: &SessionInfo, snapshot: &Snapshot) -> Self {
        let relations = snapshot.relations().into_values().map(|it| (it.oid, it.name)).collect();
        Self { relations, user: info.user.clone() }
    }

    fn oid(&self, kind: RegKind, value: Option<&ScalarValue>) -> Result<ScalarValue> {
        let Some(name) = string(value) else { return Ok(ScalarValue::UInt32(oid(value))) };
        if let Ok(oid) = name.parse() {
            return Ok(ScalarValue::UInt32(Some(oid)));
        }
        if name == "-" {
            return Ok(ScalarValue::UInt32(Some(0)));
        }
        let (found, what, sqlstate) = match kind {
            RegKind::Class => (self.relation(&name), "relation", "42P01"),
            RegKind::Type => (pg_catalog::type_oid(&name), "type", "42704"),
            RegKind::Namespace => {
                let schema = pg_catalog::SCHEMAS.iter().find(|(_, known)| *known == name);
                (schema.map(|(oid, _)| *oid), "schema", "3F000")
            }
            RegKind::Role => ((name == self.user).then_some(SUPERUSER), "role", "42704"),
            RegKind::Proc | RegKind::Procedure => {
                (pg_catalog::procedure_oid(&name), "function", "42883")
            }
        };
        found.map(|oid| ScalarValue::UInt32(Some(oid))).ok_or_else(|| {
            let message = format!("{what} \"{name}\" does not exist");
            let error = Error::new(ErrorKind::NotFound, message).with_sqlstate(sqlstate);
            DataFusionError::External(Box::new(error))
        })
    }

    fn relation(&self, name: &str) -> Option<u32> {
        if let Some(oid) = pg_catalog::system_oid(name) {
            return Some(oid);
        }
        let plain = name.strip_prefix("public.").unwrap_or(name);
        let wanted = match plain.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => plain.to_lowercase(),
        };
        self.relations.iter().find(|(_, known)| **known == wanted).map(|(oid, _)| *oid)
    }

    /// `rows` with the names of what their object identifiers identify.
    pub(crate) fn named(&self, mut rows: Vec<Row>, types: &[query_api::DataType]) -> Vec<Row> {
        for (at, data_type) in types.iter().enumerate() {
            let query_api::DataType::Reg(kind) = data_type else { continue };
            for value in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                if let Value::Oid(oid) = *value {
                    *value = Value::Reg { oid, name: self.name(*kind, oid) };
                }
            }
        }
        rows
    }

    /// What PostgreSQL prints for `oid`.
    pub(crate) fn name(&self, kind: RegKind, oid: u32) -> String {
        let known = match kind {
            _ if oid == 0 => Some("-".to_owned()),
            RegKind::Class => match self.relations.get(&oid) {
                Some(name) => Some(quote_ident(name)),
                None => pg_catalog::system_name(oid).map(str::to_owned),
            },
            RegKind::Type => Some(pg_catalog::format_type(oid, -1)).filter(|it| it != "???"),
            RegKind::Namespace => {
                let schema = pg_catalog::SCHEMAS.iter().find(|(known, _)| *known == oid);
                schema.map(|(_, name)| (*name).to_owned())
            }
            RegKind::Role => (oid == SUPERUSER).then(|| quote_ident(&self.user)),
            RegKind::Proc | RegKind::Procedure => {
                pg_catalog::procedure_name(oid).map(str::to_owned)
            }
        };
        known.unwrap_or_else(|| oid.to_string())
    }
}
