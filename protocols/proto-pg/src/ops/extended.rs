//! Parse, Bind, Describe, Execute, Close: the extended protocol.
//!
//! Source: PostgreSQL 15, "Extended Query" and its `postgres.c`. A portal runs at its first Execute, not at Bind:
//! its parameters are decoded at Bind, where their errors belong.

use std::sync::Arc;

use bytes::Bytes;
use query_api::{DataType, Described, Value};

use crate::codec::{self, Report, Target, excerpt};
use crate::error;
use crate::ops::copy;
use crate::ops::rows::{self, Sent};
use crate::session::{Failure, Portal, PortalState, Prepared, Session, Wire};
use crate::types::{self, Declared, Format};

/// A Bind message's contents.
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) parameter_formats: Vec<i16>,
    pub(crate) parameters: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<i16>,
}

impl Session {
    pub(crate) async fn parse(
        &mut self,
        name: String,
        sql: &str,
        declared: Vec<u32>,
        wire: &mut dyn Wire,
    ) -> Result<(), Report> {
        if !name.is_empty() && self.statement(&name).is_ok() {
            let message = format!("prepared statement \"{}\" already exists", excerpt(&name));
            return Err(Report::error("42P05", message));
        }
        // What DEALLOCATE forgot.
        self.remove_statement(&name);
        if self.statements.len() >= self.options.statements_max {
            let max = self.options.statements_max;
            return Err(Report::error(
                "54000",
                format!("a session has at most {max} prepared statements"),
            ));
        }
        self.check_statement_len(sql)?;
        let retained_bytes = name.len() + sql.len();
        self.retain(retained_bytes)?;
        let prepared = self.prepare(sql, declared, retained_bytes).await;
        match prepared.and_then(|prepared| self.named(prepared, &name)) {
            Ok(prepared) => {
                self.add_use(prepared.id);
                self.statements.insert(name, prepared);
                codec::parse_complete(wire.out());
                Ok(())
            }
            Err(report) => {
                self.unretain(retained_bytes);
                Err(report)
            }
        }
    }

    /// Tells the engine the name of a statement.
    fn named(&mut self, prepared: Prepared, name: &str) -> Result<Prepared, Report> {
        let Some(id) = prepared.id.filter(|_| !name.is_empty()) else { return Ok(prepared) };
        match self.sql.name_statement(id, name) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                self.sql.close(id);
                Err(error::report(error, ""))
            }
        }
    }

    /// A statement that has not been deallocated.
    fn statement(&self, name: &str) -> Result<&Prepared, Report> {
        let statement = self.statements.get(name);
        let prepared = statement.filter(|it| it.id.is_none_or(|id| self.sql.is_prepared(id)));
        prepared.ok_or_else(|| no_statement(name))
    }

    async fn prepare(
        &mut self,
        sql: &str,
        mut declared: Vec<u32>,
        retained_bytes: usize,
    ) -> Result<Prepared, Report> {
        let statements = self.sql.split(sql).map_err(|error| error::report(error, ""))?;
        let (text, offset) = match statements.as_slice() {
            [] => {
                return Ok(Prepared {
                    id: None,
                    described: Arc::new(Described { parameters: Vec::new(), columns: Vec::new() }),
                    declared: Arc::from([]),
                    prefix: Arc::from(""),
                    retained_bytes,
                });
            }
            [(text, offset)] => (text, *offset),
            _ => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(Report::error("42601", message));
            }
        };
        let prefix = sql.get(..offset).unwrap_or_default();
        let declared_types: Result<Vec<Declared>, Report> =
            declared.iter().map(|oid| Declared::from_oid(*oid)).collect();
        let hints: Vec<DataType> = declared_types?.iter().map(Declared::hint).collect();
        let (id, described) =
            self.sql.prepare(text, &hints).await.map_err(|error| error::report(error, prefix))?;
        if u16::try_from(described.parameters.len()).is_err() {
            self.sql.close(id);
            return Err(Report::error("54000", "a statement has at most 65535 parameters"));
        }
        if let Err(report) = rows::check_columns(&described.columns) {
            self.sql.close(id);
            return Err(report);
        }
        declared.resize(described.parameters.len(), 0);
        Ok(Prepared {
            id: Some(id),
            described: Arc::new(described),
            declared: declared.into(),
            prefix: Arc::from(prefix),
            retained_bytes,
        })
    }

    pub(crate) fn bind(&mut self, bind: Bind, wire: &mut dyn Wire) -> Result<(), Report> {
        let statement = self.statement(&bind.statement)?;
        let portal = Portal {
            id: statement.id,
            formats: result_formats(&bind.result_formats, statement.described.columns.len())?,
            state: PortalState::Bound(parameters(&bind, statement)?),
            described: Arc::clone(&statement.described),
            prefix: Arc::clone(&statement.prefix),
            retained_bytes: retained_bytes(&bind),
        };
        if bind.portal.is_empty() {
            self.remove_portal("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", excerpt(&bind.portal));
            return Err(Report::error("42P03", message));
        }
        if self.portals.len() >= self.options.portals_max {
            let max = self.options.portals_max;
            return Err(Report::error("54000", format!("a session has at most {max} portals")));
        }
        self.retain(portal.retained_bytes)?;
        self.add_use(portal.id);
        self.portals.insert(bind.portal, portal);
        codec::bind_complete(wire.out());
        Ok(())
    }

    pub(crate) fn describe(
        &mut self,
        target: Target,
        name: &str,
        wire: &mut dyn Wire,
    ) -> Result<(), Report> {
        let (described, formats) = match target {
            Target::Statement => {
                let statement = self.statement(name)?;
                let types = statement.described.parameters.iter().zip(statement.declared.iter());
                let oids = types.map(|(inferred, declared)| match Declared::from_oid(*declared) {
                    Ok(Declared::Open) => types::info(inferred).oid,
                    _ => *declared,
                });
                codec::parameter_description(wire.out(), oids);
                (Arc::clone(&statement.described), Arc::from([]))
            }
            Target::Portal => match (self.portals.get(name), self.sql.cursor_columns(name)) {
                (Some(portal), _) => (Arc::clone(&portal.described), Arc::clone(&portal.formats)),
                // SQL cursors share the portals' names; drivers describe what DECLARE made.
                (None, Some(columns)) => {
                    (Arc::new(Described { parameters: Vec::new(), columns }), Arc::from([]))
                }
                (None, None) => return Err(no_portal(name)),
            },
        };
        if described.columns.is_empty() {
            codec::no_data(wire.out());
        } else {
            rows::describe(&described.columns, &formats, wire);
        }
        Ok(())
    }

    pub(crate) async fn execute(
        &mut self,
        name: &str,
        rows_max: i32,
        wire: &mut dyn Wire,
    ) -> Result<(), Failure> {
        let Some(portal) = self.portals.get_mut(name) else { return Err(no_portal(name).into()) };
        let prefix = Arc::clone(&portal.prefix);
        let Some(id) = portal.id else {
            codec::empty_query_response(wire.out());
            return Ok(());
        };
        let formats = Arc::clone(&portal.formats);
        let described = Arc::clone(&portal.described);
        // If this future is dropped or fails, the portal stays run to its end.
        let state = std::mem::replace(&mut portal.state, PortalState::Done);
        let result = match state {
            PortalState::Suspended(result) => Some(result),
            PortalState::Bound(parameters) => {
                let execution = self.sql.execute(id, parameters).await;
                let execution = execution.map_err(|error| error::report(error, &prefix))?;
                if let Some(copy) = execution.copy.clone() {
                    return copy::send(execution, &copy, &prefix, wire).await;
                }
                if !described.columns.is_empty() && execution.columns != described.columns {
                    let message = "cached plan must not change result type";
                    return Err(Report::error("0A000", message).into());
                }
                rows::begin(execution, formats, wire)?
            }
            PortalState::Exhausted { tag } => {
                codec::command_complete(wire.out(), &rows::with_count(&tag, 0));
                self.set_portal_state(name, PortalState::Exhausted { tag });
                return Ok(());
            }
            PortalState::Done => {
                let message = format!("portal \"{}\" cannot be run", excerpt(name));
                return Err(Report::error("55000", message).into());
            }
        };
        let Some(result) = result else { return Ok(()) };
        let rows_max = u64::try_from(rows_max).ok().filter(|max| *max > 0);
        match result.send(rows_max, &prefix, wire).await? {
            Sent::Suspended(result) => {
                self.set_portal_state(name, PortalState::Suspended(result));
                codec::portal_suspended(wire.out());
            }
            Sent::Complete { tag } => {
                self.set_portal_state(name, PortalState::Exhausted { tag });
            }
        }
        Ok(())
    }

    fn set_portal_state(&mut self, name: &str, state: PortalState) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.state = state;
        }
    }

    pub(crate) fn close(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => self.remove_statement(name),
            Target::Portal => self.remove_portal(name),
        }
    }
}

fn no_statement(name: &str) -> Report {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{}\" does not exist", excerpt(name))
    };
    Report::error("26000", message)
}

fn no_portal(name: &str) -> Report {
    Report::error("34000", format!("portal \"{}\" does not exist", excerpt(name)))
}

/// The codes as one format per item: none means text, one means all.
fn spread(codes: &[i16], count: usize) -> Result<Option<Vec<Format>>, Report> {
    let formats: Vec<Format> =
        codes.iter().map(|code| Format::from_code(*code)).collect::<Result<_, _>>()?;
    Ok(match formats.as_slice() {
        [] => Some(vec![Format::Text; count]),
        [one] => Some(vec![*one; count]),
        many if many.len() == count => Some(formats),
        _ => None,
    })
}

fn result_formats(codes: &[i16], column_count: usize) -> Result<Arc<[Format]>, Report> {
    // PostgreSQL does not look at the formats of a statement without columns.
    if column_count == 0 {
        return Ok(Arc::from([]));
    }
    spread(codes, column_count)?.map(Arc::from).ok_or_else(|| {
        let count = codes.len();
        let message =
            format!("bind message has {count} result formats but query has {column_count} columns");
        Report::error("08P01", message)
    })
}

fn parameters(bind: &Bind, statement: &Prepared) -> Result<Vec<Value>, Report> {
    let supplied = bind.parameters.len();
    let formats = spread(&bind.parameter_formats, supplied)?.ok_or_else(|| {
        let count = bind.parameter_formats.len();
        let message =
            format!("bind message has {count} parameter formats but {supplied} parameters");
        Report::error("08P01", message)
    })?;
    let required = statement.described.parameters.len();
    if supplied != required {
        let message = format!(
            "bind message supplies {supplied} parameters, but prepared statement \"{}\" requires {required}",
            excerpt(&bind.statement)
        );
        return Err(Report::error("08P01", message));
    }
    let mut values = Vec::with_capacity(required);
    let types = statement.described.parameters.iter().zip(statement.declared.iter());
    for (index, ((inferred, declared), (bytes, format))) in
        types.zip(bind.parameters.iter().zip(formats)).enumerate()
    {
        let Some(bytes) = bytes else {
            values.push(Value::Null);
            continue;
        };
        // What the client declared is what it sends.
        let declared = Declared::from_oid(*declared)?;
        let value = declared.decode(inferred, bytes, format).map_err(|mut report| {
            report.detail.get_or_insert_with(|| format!("Parameter ${}.", index + 1));
            report
        })?;
        values.push(types::widen(value, inferred));
    }
    Ok(values)
}

/// What a portal keeps: its parameters, and a value's size for each.
fn retained_bytes(bind: &Bind) -> usize {
    let bytes: usize = bind.parameters.iter().flatten().map(Bytes::len).sum();
    bind.portal.len() + bytes + bind.parameters.len() * size_of::<Value>()
}
