//! Statements by name: `PREPARE n AS …`, `EXECUTE n(…)`, `DEALLOCATE n`. What a client's Parse names is in the same space.
//!
//! Invariants:
//! - A name stands for a statement that is still prepared; closing one frees its name.
//! - Arguments of EXECUTE are worked out once, before the statement runs, and cast to its parameters' types.
//!
//! Absent: EXPLAIN EXECUTE, and binding to what PREPARE named.
//! <https://www.postgresql.org/docs/15/sql-prepare.html>

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, Ident, Query, Select, SelectItem, Statement,
};
use futures_util::StreamExt as _;
use query_api::{Column, DataType, Described, Error, ErrorKind, Execution, StatementId, Value};

use super::{Prepared, Session};
use crate::command::{self, Command};
use crate::engine::Parsed;
use crate::{parameters, query, rewrite};

impl Session {
    /// The columns of a statement that EXECUTE names; none where there is no such statement, which EXECUTE says.
    pub(super) fn named_columns(&self, name: &str) -> Vec<Column> {
        let prepared = self.named.get(name).and_then(|id| self.prepared.get(id));
        prepared.map(|it| it.described.columns.clone()).unwrap_or_default()
    }

    /// # Errors
    /// 42P05 where the name is taken.
    pub(super) fn give_name(&mut self, name: &str, id: StatementId) -> Result<(), Error> {
        if self.named.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(ErrorKind::Conflict, message).with_sqlstate("42P05"));
        }
        self.named.insert(name.to_owned(), id);
        Ok(())
    }

    pub(super) fn forget(&mut self, id: StatementId) {
        self.prepared.remove(&id);
        self.named.retain(|_, it| *it != id);
    }

    /// `None` forgets all that have a name.
    ///
    /// # Errors
    /// 26000 for a name that stands for nothing.
    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<(), Error> {
        match name {
            Some(name) => {
                let id = *self.named.get(name).ok_or_else(|| unknown(name))?;
                self.forget(id);
            }
            None => {
                for id in std::mem::take(&mut self.named).into_values() {
                    self.prepared.remove(&id);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn prepare_named(
        &mut self,
        outer: &Prepared,
        name: &str,
        hints: &[DataType],
    ) -> Result<Execution, Error> {
        let Some(Parsed { sql, tokens, statement: Statement::Prepare { statement, .. } }) =
            &outer.parsed
        else {
            return Err(unknown(name));
        };
        if self.named.contains_key(name) {
            // Says that it exists.
            self.give_name(name, StatementId(0))?;
        }
        let command = command::classify(statement)?;
        if !matches!(command, Command::Query | Command::Insert) {
            let message = "only SELECT, VALUES and INSERT can be prepared";
            return Err(Error::new(ErrorKind::Invalid, message).with_sqlstate("42601"));
        }
        let statement = statement.as_ref().clone();
        let parsed = Parsed { sql: sql.clone(), tokens: tokens.clone(), statement };
        let (id, _) = self.prepare_parsed(Some(parsed), command, hints).await?;
        self.give_name(name, id)?;
        Ok(query::done("PREPARE", Vec::new()))
    }

    pub(super) async fn execute_named(
        &mut self,
        outer: &Prepared,
        name: &str,
    ) -> Result<Execution, Error> {
        let id = *self.named.get(name).ok_or_else(|| unknown(name))?;
        let Described { parameters: types, columns } = match self.prepared.get(&id) {
            Some(prepared) => prepared.described.clone(),
            None => return Err(unknown(name)),
        };
        let Some(Parsed { sql, tokens, statement: Statement::Execute { parameters, .. } }) =
            &outer.parsed
        else {
            return Err(unknown(name));
        };
        if parameters.len() != types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let (expected, got) = (types.len(), parameters.len());
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_sqlstate("42601")
                .with_detail(format!("Expected {expected} parameters but got {got}.")));
        }
        let statement = Statement::Query(Box::new(arguments(parameters, &types)));
        let parsed = Parsed { sql: sql.clone(), tokens: tokens.clone(), statement };
        let values = if types.is_empty() { Vec::new() } else { self.values(parsed).await? };
        let execution = Box::pin(self.execute_statement(id, values)).await?;
        if execution.columns != columns {
            let message = "cached plan must not change result type";
            return Err(Error::new(ErrorKind::Unsupported, message).with_sqlstate("0A000"));
        }
        Ok(execution)
    }

    /// The one row of a query.
    async fn values(&mut self, parsed: Parsed) -> Result<Vec<Value>, Error> {
        let mut prepared = Prepared {
            parsed: Some(parsed),
            command: Command::Query,
            described: Described { parameters: Vec::new(), columns: Vec::new() },
            hints: Vec::new(),
        };
        let context = self.context().await?;
        let shared = Arc::clone(&self.shared);
        let cancelled = self.cancel.epoch.subscribe();
        let work = async move {
            query::describe(&shared, &context, &mut prepared).await?;
            let prepared = Arc::new(prepared);
            let execution = query::execute(shared, context, prepared, Vec::new(), cancelled);
            let mut values = Vec::new();
            if let Some(mut rows) = execution.await?.rows {
                while let Some(batch) = rows.next().await {
                    values.extend(batch?.into_iter().next());
                }
            }
            Ok(values.into_iter().next().unwrap_or_default())
        };
        self.run(crate::stop::Stop::default(), work).await
    }
}

/// `SELECT argument::type, …`.
fn arguments(arguments: &[Expr], types: &[DataType]) -> Query {
    let items = arguments.iter().zip(types).enumerate().map(|(index, (argument, data_type))| {
        let expr = match parameters::sql_type(data_type) {
            Some(data_type) => Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(argument.clone()),
                data_type,
                array: false,
                format: None,
            },
            None => argument.clone(),
        };
        SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', format!("a{index}")) }
    });
    let select = Select { projection: items.collect(), ..rewrite::empty_select() };
    rewrite::query_of(select)
}

fn unknown(name: &str) -> Error {
    let message = format!("prepared statement \"{name}\" does not exist");
    Error::new(ErrorKind::NotFound, message).with_sqlstate("26000")
}
