//! Query: several statements in one message, as one implicit transaction.
//!
//! Source: PostgreSQL 15, "Simple Query" and "Multiple Statements in a Simple Query". The first error ends the
//! message; what was sent of earlier statements stands. One ReadyForQuery ends every message.

use std::sync::Arc;

use crate::codec::{self, Report};
use crate::error;
use crate::ops::copy;
use crate::ops::rows::{self, Sent};
use crate::session::{Failure, Session, Wire, within};
use crate::types::Format;

impl Session {
    pub(crate) async fn query(&mut self, sql: &str, wire: &mut dyn Wire) -> Result<(), Failure> {
        // A simple query takes the unnamed statement and the unnamed portal with it.
        self.remove_portal("");
        self.remove_statement("");
        self.check_statement_len(sql)?;
        let statements = self.sql.split(sql).map_err(|error| error::report(error, ""))?;
        if statements.is_empty() {
            codec::empty_query_response(wire.out());
        }
        for (text, offset) in &statements {
            let prefix = sql.get(..*offset).unwrap_or_default();
            let timer = self.statement_timer(wire);
            within(timer, self.query_statement(text, prefix, wire)).await?;
        }
        self.ready(wire.out());
        Ok(())
    }

    async fn query_statement(
        &mut self,
        text: &str,
        prefix: &str,
        wire: &mut dyn Wire,
    ) -> Result<(), Failure> {
        let (id, described) =
            self.sql.prepare(text, &[]).await.map_err(|error| error::report(error, prefix))?;
        self.transient = Some(id);
        if !described.parameters.is_empty() {
            return Err(Report::error("42P02", "there is no parameter $1").into());
        }
        let execution =
            self.sql.execute(id, Vec::new()).await.map_err(|error| error::report(error, prefix))?;
        if let Some(copy) = execution.copy.clone() {
            copy::send(execution, &copy, prefix, wire).await?;
            return self.end_statement(wire).await;
        }
        let formats: Arc<[Format]> = vec![Format::Text; execution.columns.len()].into();
        if execution.rows.is_some() {
            rows::check_columns(&execution.columns)?;
            rows::describe(&execution.columns, &formats, wire);
        }
        if let Some(result) = rows::begin(execution, formats, wire)? {
            match result.send(None, prefix, wire).await? {
                Sent::Complete { .. } => {}
                Sent::Suspended(_) => {
                    return Err(Report::error(
                        "XX000",
                        "a query without a row limit was suspended",
                    )
                    .into());
                }
            }
        }
        self.end_statement(wire).await
    }

    async fn end_statement(&mut self, wire: &mut dyn Wire) -> Result<(), Failure> {
        if let Some(id) = self.transient.take() {
            self.sql.close(id);
        }
        if wire.full() {
            wire.flush().await?;
        }
        Ok(())
    }

    /// # Errors
    /// ERROR 54000 for a text over the limit.
    pub(crate) fn check_statement_len(&self, sql: &str) -> Result<(), Report> {
        let max = self.options.statement_bytes_max;
        if sql.len() <= max {
            return Ok(());
        }
        let mut report =
            Report::error("54000", format!("a statement of {} bytes is too long", sql.len()));
        report.detail = Some(format!("The limit is {max} bytes."));
        Err(report)
    }
}
