//! What the server sends: one function per message, appended whole to the output buffer.
//!
//! A buffer between two calls always ends at a message's end, so that whoever stops early leaves a readable stream.

use bytes::{BufMut, BytesMut};

use super::Report;

/// Bytes of the secret in BackendKeyData (protocol 3.0).
pub const CANCEL_KEY_LEN: usize = 4;

/// Protocol 3.0 as one number, the newest that is spoken.
const PROTOCOL_NEWEST: i32 = 3 << 16;

/// Error texts are cut here: an error must not be the largest thing a client receives.
const REPORT_TEXT_BYTES_MAX: usize = 8 << 10;

/// One column of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    pub type_oid: u32,
    /// Bytes of the type's binary form; −1 when it varies.
    pub type_len: i16,
    pub type_modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// Appends a message whose body `fill` writes; its length word is set afterwards.
fn message(out: &mut BytesMut, tag: u8, fill: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_i32(0);
    fill(out);
    let length =
        i32::try_from(out.len() - start).expect("callers bound what they write below 2 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A zero-terminated string; zero bytes inside it cannot be represented and are left out.
fn put_text(out: &mut BytesMut, text: &str) {
    if text.as_bytes().contains(&0) {
        out.extend(text.bytes().filter(|&byte| byte != 0));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.put_u8(0);
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    message(out, b'R', |out| out.put_i32(0));
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        put_text(out, name);
        put_text(out, value);
    });
}

/// BackendKeyData of protocol 3.0.
pub fn backend_key_data(out: &mut BytesMut, process_id: i32, secret: i32) {
    message(out, b'K', |out| {
        out.put_i32(process_id);
        out.put_i32(secret);
    });
}

/// NegotiateProtocolVersion: 3.0 is the newest, and the `_pq_.` options that are not known.
pub fn negotiate_protocol_version(out: &mut BytesMut, unknown_options: &[&str]) {
    message(out, b'v', |out| {
        out.put_i32(PROTOCOL_NEWEST);
        out.put_i32(i32::try_from(unknown_options.len()).expect("bounded by the start-up message"));
        for option in unknown_options {
            put_text(out, option);
        }
    });
}

/// ReadyForQuery: `status` is `I`, `T` or `E`.
pub fn ready_for_query(out: &mut BytesMut, status: u8) {
    message(out, b'Z', |out| out.put_u8(status));
}

/// RowDescription; at most `i16::MAX` fields.
pub fn row_description<'a>(out: &mut BytesMut, fields: impl ExactSizeIterator<Item = Field<'a>>) {
    message(out, b'T', |out| {
        out.put_i16(i16::try_from(fields.len()).expect("callers bound the number of columns"));
        for field in fields {
            put_text(out, field.name);
            // No table and no column number: results are not tied to a relation.
            out.put_u32(0);
            out.put_i16(0);
            out.put_u32(field.type_oid);
            out.put_i16(field.type_len);
            out.put_i32(field.type_modifier);
            out.put_i16(field.format);
        }
    });
}

/// DataRow: `fill` writes each column as a length word (−1 for NULL) and its bytes. On an error nothing is appended.
///
/// # Errors
/// What `fill` returns, or ERROR 54000 for a row of 1 GiB or more.
pub fn data_row(
    out: &mut BytesMut,
    column_count: u16,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), Report>,
) -> Result<(), Report> {
    const ROW_BYTES_MAX: usize = 1 << 30;
    let start = out.len();
    out.put_u8(b'D');
    out.put_i32(0);
    out.put_u16(column_count);
    let result = fill(out).and_then(|()| {
        let length = out.len() - start - 1;
        match i32::try_from(length) {
            Ok(word) if length < ROW_BYTES_MAX => Ok(word),
            _ => {
                Err(Report::error("54000", format!("a result row of {length} bytes is too large")))
            }
        }
    });
    match result {
        Ok(length) => {
            out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(report) => {
            out.truncate(start);
            Err(report)
        }
    }
}

/// CopyOutResponse: text, as many columns.
pub fn copy_out_response(out: &mut BytesMut, column_count: usize) {
    message(out, b'H', |out| {
        out.put_u8(0);
        out.put_i16(i16::try_from(column_count).expect("callers bound the number of columns"));
        (0..column_count).for_each(|_| out.put_i16(0));
    });
}

/// CopyData of one line, which is shorter than 1 GiB.
pub fn copy_data(out: &mut BytesMut, line: &[u8]) {
    message(out, b'd', |out| out.put_slice(line));
}

/// CopyDone.
pub fn copy_done(out: &mut BytesMut) {
    message(out, b'c', |_| ());
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| put_text(out, tag));
}

/// EmptyQueryResponse.
pub fn empty_query_response(out: &mut BytesMut) {
    message(out, b'I', |_| ());
}

/// ParseComplete.
pub fn parse_complete(out: &mut BytesMut) {
    message(out, b'1', |_| ());
}

/// BindComplete.
pub fn bind_complete(out: &mut BytesMut) {
    message(out, b'2', |_| ());
}

/// CloseComplete.
pub fn close_complete(out: &mut BytesMut) {
    message(out, b'3', |_| ());
}

/// NoData.
pub fn no_data(out: &mut BytesMut) {
    message(out, b'n', |_| ());
}

/// PortalSuspended.
pub fn portal_suspended(out: &mut BytesMut) {
    message(out, b's', |_| ());
}

/// ParameterDescription; at most `u16::MAX` OIDs.
pub fn parameter_description(out: &mut BytesMut, oids: impl ExactSizeIterator<Item = u32>) {
    message(out, b't', |out| {
        out.put_u16(u16::try_from(oids.len()).expect("callers bound the number of parameters"));
        for oid in oids {
            out.put_u32(oid);
        }
    });
}

/// ErrorResponse.
pub fn error_response(out: &mut BytesMut, report: &Report) {
    message(out, b'E', |out| put_report(out, report));
}

/// NoticeResponse.
pub fn notice_response(out: &mut BytesMut, report: &Report) {
    message(out, b'N', |out| put_report(out, report));
}

fn put_report(out: &mut BytesMut, report: &Report) {
    let mut field = |tag: u8, text: &str| {
        out.put_u8(tag);
        put_text(out, cut(text));
    };
    field(b'S', report.severity.word());
    field(b'V', report.severity.word());
    field(b'C', &report.sqlstate);
    field(b'M', &report.message);
    if let Some(detail) = &report.detail {
        field(b'D', detail);
    }
    if let Some(hint) = &report.hint {
        field(b'H', hint);
    }
    if let Some(position) = report.position {
        field(b'P', &position.to_string());
    }
    out.put_u8(0);
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(REPORT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
