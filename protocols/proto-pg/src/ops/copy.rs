//! `COPY … TO STDOUT`: CopyOutResponse, a CopyData message per line, CopyDone, CommandComplete.
//!
//! Source: PostgreSQL 15, "COPY Operations" and `copyto.c`.

use bytes::{BufMut, BytesMut};
use futures_util::StreamExt as _;
use query_api::{Column, CopyFormat, CopyOut, Execution, Row, Value};

use crate::codec::{self, Report};
use crate::error;
use crate::ops::rows;
use crate::session::{Failure, Wire};
use crate::types::{self, Format};

/// Sends all rows; a row limit does not apply to COPY.
///
/// # Errors
/// What the engine's stream yields, or a value that does not fit its column.
pub(crate) async fn send(
    execution: Execution,
    copy: &CopyOut,
    prefix: &str,
    wire: &mut dyn Wire,
) -> Result<(), Failure> {
    let Execution { columns, tag, rows: stream, notices, .. } = execution;
    rows::check_columns(&columns)?;
    codec::copy_out_response(wire.out(), columns.len());
    let lines = Lines::new(copy, &columns);
    if copy.header {
        let names = columns.iter().map(|it| Some(it.name.as_bytes().to_vec()));
        lines.send(names, wire)?;
    }
    let mut count: u64 = 0;
    if let Some(mut stream) = stream {
        while let Some(batch) = stream.next().await {
            for row in batch.map_err(|error| error::report(error, prefix))? {
                lines.row(&row, wire)?;
                count += 1;
                if wire.full() {
                    wire.flush().await?;
                    rows::yield_once().await;
                }
            }
        }
    }
    codec::copy_done(wire.out());
    rows::send_notices(&notices(), wire);
    codec::command_complete(wire.out(), &rows::with_count(&tag, count));
    Ok(())
}

/// As a result row.
const LINE_BYTES_MAX: usize = 1 << 30;

struct Lines<'a> {
    copy: &'a CopyOut,
    columns: &'a [Column],
    /// One per column: quoted whatever it holds.
    forced: Vec<bool>,
}

impl<'a> Lines<'a> {
    fn new(copy: &'a CopyOut, columns: &'a [Column]) -> Self {
        let forced = columns.iter().map(|column| match &copy.format {
            CopyFormat::Csv { force_quote, .. } => force_quote.contains(&column.name),
            CopyFormat::Text => false,
        });
        Self { copy, columns, forced: forced.collect() }
    }

    fn row(&self, row: &Row, wire: &mut dyn Wire) -> Result<(), Report> {
        let mut fields = Vec::with_capacity(row.len());
        for (value, column) in row.iter().zip(self.columns) {
            fields.push(match value {
                Value::Null => None,
                value => {
                    let mut text = BytesMut::new();
                    types::encode(&mut text, &column.data_type, value, Format::Text)?;
                    // Without the length word.
                    Some(text.get(4..).unwrap_or_default().to_vec())
                }
            });
        }
        self.send(fields.into_iter(), wire)
    }

    fn send(
        &self,
        fields: impl Iterator<Item = Option<Vec<u8>>>,
        wire: &mut dyn Wire,
    ) -> Result<(), Report> {
        let mut line = BytesMut::new();
        for (index, field) in fields.enumerate() {
            if index > 0 {
                line.put_u8(self.copy.delimiter);
            }
            match (field, &self.copy.format) {
                (None, _) => line.put_slice(self.copy.null.as_bytes()),
                (Some(field), CopyFormat::Text) => escaped(&mut line, &field, self.copy.delimiter),
                (Some(field), CopyFormat::Csv { quote, escape, .. }) => {
                    let forced = self.forced.get(index).copied().unwrap_or(false);
                    if forced || self.needs_quotes(&field, *quote) {
                        quoted(&mut line, &field, *quote, *escape);
                    } else {
                        line.put_slice(&field);
                    }
                }
            }
        }
        line.put_u8(b'\n');
        if line.len() >= LINE_BYTES_MAX {
            let message = format!("a line of {} bytes is too large", line.len());
            return Err(Report::error("54000", message));
        }
        codec::copy_data(wire.out(), &line);
        Ok(())
    }

    fn needs_quotes(&self, field: &[u8], quote: u8) -> bool {
        let delimiter = self.copy.delimiter;
        field == self.copy.null.as_bytes()
            // Alone on its line it would end the data.
            || (self.columns.len() == 1 && field == b"\\.")
            || field.iter().any(|byte| {
                [delimiter, quote, b'\n', b'\r'].contains(byte)
            })
    }
}

/// Text format: control characters, backslash and delimiter behind a backslash.
fn escaped(out: &mut BytesMut, field: &[u8], delimiter: u8) {
    for &byte in field {
        let letter = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            _ if byte == delimiter => delimiter,
            _ => {
                out.put_u8(byte);
                continue;
            }
        };
        out.put_slice(&[b'\\', letter]);
    }
}

fn quoted(out: &mut BytesMut, field: &[u8], quote: u8, escape: u8) {
    out.put_u8(quote);
    for &byte in field {
        if byte == quote || byte == escape {
            out.put_u8(escape);
        }
        out.put_u8(byte);
    }
    out.put_u8(quote);
}
