//! Sending a statement's result: rows at the client's pace, then notices, settings and the command tag.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::StreamExt;
use query_api::{Column, Execution, Row, RowStream};

use crate::codec::{self, Report, Severity};
use crate::error;
use crate::session::{Failure, Wire};
use crate::types::{self, Format};

/// A result that is being sent.
pub(crate) struct Rows {
    columns: Vec<Column>,
    formats: std::sync::Arc<[Format]>,
    stream: RowStream,
    /// What the stream yielded beyond a row limit.
    batch: std::vec::IntoIter<Row>,
    tag: String,
    notices: std::sync::Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// How sending stopped.
pub(crate) enum Sent {
    /// The row limit was reached; there may be more.
    Suspended(Box<Rows>),
    /// Everything was sent, CommandComplete included; the tag without a count.
    Complete { tag: String },
}

/// More columns than this cannot be described, as in PostgreSQL (`MaxTupleAttributeNumber`).
const COLUMN_COUNT_MAX: usize = 1664;

/// Begins a result: settings are told at once, and a statement without rows is completed.
///
/// # Errors
/// ERROR 54011 for too many columns, 08P01 when `formats` does not fit the columns.
pub(crate) fn begin(
    execution: Execution,
    formats: std::sync::Arc<[Format]>,
    wire: &mut dyn Wire,
) -> Result<Option<Box<Rows>>, Report> {
    for (name, value) in &execution.parameter_status {
        codec::parameter_status(wire.out(), name, value);
    }
    let Execution { columns, tag, rows, notices, parameter_status: _, copy: _ } = execution;
    let Some(stream) = rows else {
        send_notices(&notices(), wire);
        codec::command_complete(wire.out(), &tag);
        return Ok(None);
    };
    check_columns(&columns)?;
    if formats.len() != columns.len() {
        return Err(Report::error("0A000", "cached plan must not change result type"));
    }
    Ok(Some(Box::new(Rows {
        columns,
        formats,
        stream,
        batch: Vec::new().into_iter(),
        tag,
        notices,
    })))
}

/// # Errors
/// ERROR 54011 for more columns than can be described.
pub(crate) fn check_columns(columns: &[Column]) -> Result<(), Report> {
    if columns.len() > COLUMN_COUNT_MAX {
        let message = format!("target lists can have at most {COLUMN_COUNT_MAX} entries");
        return Err(Report::error("54011", message));
    }
    Ok(())
}

/// RowDescription.
pub(crate) fn describe(columns: &[Column], formats: &[Format], wire: &mut dyn Wire) {
    let fields = columns.iter().enumerate().map(|(index, column)| {
        let info = types::info(&column.data_type);
        codec::Field {
            name: &column.name,
            type_oid: info.oid,
            type_len: info.len,
            type_modifier: info.modifier,
            format: formats.get(index).copied().unwrap_or(Format::Text).code(),
        }
    });
    codec::row_description(wire.out(), fields);
}

impl Rows {
    /// Sends up to `rows_max` rows (`None`: all of them), waiting for the socket whenever enough is buffered.
    ///
    /// As in PostgreSQL, a result that ends exactly at the limit is suspended: it is not read further to find out.
    ///
    /// # Errors
    /// What the engine's stream yields, or a value that does not fit its column.
    pub(crate) async fn send(
        mut self: Box<Self>,
        rows_max: Option<u64>,
        prefix: &str,
        wire: &mut dyn Wire,
    ) -> Result<Sent, Failure> {
        let mut count: u64 = 0;
        loop {
            for row in self.batch.by_ref() {
                encode_row(&self.columns, &self.formats, &row, wire)?;
                count += 1;
                if wire.full() {
                    wire.flush().await?;
                    // A client as fast as the engine would otherwise keep cancel requests and other sessions out.
                    yield_once().await;
                }
                if Some(count) == rows_max {
                    return Ok(Sent::Suspended(self));
                }
            }
            match self.stream.next().await {
                Some(Ok(batch)) => self.batch = batch.into_iter(),
                Some(Err(error)) => return Err(error::report(error, prefix).into()),
                None => break,
            }
        }
        send_notices(&(self.notices)(), wire);
        codec::command_complete(wire.out(), &with_count(&self.tag, count));
        Ok(Sent::Complete { tag: self.tag })
    }
}

/// Lets the executor run something else.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The tag as PostgreSQL words it after `count` rows.
pub(crate) fn with_count(tag: &str, count: u64) -> String {
    match tag {
        "SELECT" | "FETCH" | "MOVE" | "UPDATE" | "DELETE" | "MERGE" | "COPY" => {
            format!("{tag} {count}")
        }
        // The zero stands for the row's OID, which has not existed since PostgreSQL 12.
        "INSERT" => format!("INSERT 0 {count}"),
        _ => tag.to_owned(),
    }
}

fn encode_row(
    columns: &[Column],
    formats: &[Format],
    row: &Row,
    wire: &mut dyn Wire,
) -> Result<(), Report> {
    if row.len() != columns.len() {
        let message = format!("a row has {} values for {} columns", row.len(), columns.len());
        return Err(Report::error("XX000", message));
    }
    let count = u16::try_from(columns.len()).expect("bounded by check_columns");
    codec::data_row(wire.out(), count, |out| {
        for ((column, format), value) in columns.iter().zip(formats).zip(row) {
            types::encode(out, &column.data_type, value, *format).map_err(|mut report| {
                report.detail = Some(format!("Column \"{}\".", column.name));
                report
            })?;
        }
        Ok(())
    })
}

/// NoticeResponse for each text; a leading severity word is taken as such.
pub(crate) fn send_notices(notices: &[String], wire: &mut dyn Wire) {
    for notice in notices {
        let (severity, sqlstate, message) = match notice.split_once(": ") {
            Some(("WARNING", message)) => (Severity::Warning, "01000", message),
            Some(("NOTICE", message)) => (Severity::Notice, "00000", message),
            _ => (Severity::Notice, "00000", notice.as_str()),
        };
        let report = Report { severity, ..Report::error(sqlstate, message.to_owned()) };
        codec::notice_response(wire.out(), &report);
    }
}
