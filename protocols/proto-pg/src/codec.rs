//! Bytes to messages and back: PostgreSQL's framing, without I/O and without the engine's types.
//!
//! ```text
//!  start-up   0        4              8
//!             │ length │ code/version │ body …          length counts itself
//!
//!  later      0     1        5
//!             │ tag │ length │ body …                   length counts itself, not the tag
//! ```
//!
//! - A length is checked before a byte of the body is waited for; nothing is allocated from it.
//! - Framing errors are FATAL (the stream cannot be resynchronised); errors inside a body are ERROR.
//! - Counts inside a body are bounded by the bytes that remain in it.
//!
//! Source: PostgreSQL 15, "Message Formats", and the limits of its `postgres.c` and `backend_startup`.

mod backend;
mod frontend;
#[cfg(test)]
mod tests;

pub use backend::{
    CANCEL_KEY_LEN, Field, authentication_ok, backend_key_data, bind_complete, close_complete,
    command_complete, copy_data, copy_done, copy_out_response, data_row, empty_query_response,
    error_response, negotiate_protocol_version, no_data, notice_response, parameter_description,
    parameter_status, parse_complete, portal_suspended, ready_for_query, row_description,
};
pub(crate) use frontend::utf8;
pub use frontend::{Frame, Message, Startup, Target, decode_frame, decode_message, decode_startup};

use std::borrow::Cow;

/// The fields of an ErrorResponse or a NoticeResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub severity: Severity,
    /// Five characters.
    pub sqlstate: Cow<'static, str>,
    pub message: Cow<'static, str>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// 1-based character position in the text the client sent.
    pub position: Option<u32>,
}

/// How much of the conversation a report ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Ends the connection.
    Fatal,
    /// Ends the statement.
    Error,
    Warning,
    Notice,
}

impl Severity {
    /// The word on the wire; never localised here.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }
}

impl Report {
    /// A report of severity ERROR.
    pub fn error(sqlstate: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            severity: Severity::Error,
            sqlstate: Cow::Borrowed(sqlstate),
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    /// A report of severity FATAL.
    pub fn fatal(sqlstate: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Fatal, ..Self::error(sqlstate, message) }
    }
}

/// Input quoted in an error text: at most 100 bytes of it, cut at a character.
pub(crate) fn excerpt(text: &str) -> &str {
    const EXCERPT_BYTES_MAX: usize = 100;
    if text.len() <= EXCERPT_BYTES_MAX {
        return text;
    }
    let mut end = EXCERPT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
