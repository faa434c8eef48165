//! One error type for every verb: what the caller does next, the SQLSTATE-ready details, and a hint for a person.

use std::fmt;

/// The caller's next step; adapters map it to wire codes in one exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Try the same call again, later.
    Retry,
    /// The statement or request is wrong (syntax, types, arguments).
    Invalid,
    /// A named object does not exist.
    NotFound,
    /// The object exists already.
    Conflict,
    /// The statement asks for something that is not built.
    Unsupported,
    /// A documented limit (memory, rows, depth) would be exceeded.
    LimitExceeded,
    /// The caller cancelled.
    Cancelled,
    /// Stored bytes fail their checksum.
    Corrupt,
    /// The node cannot serve now.
    Unavailable,
    /// A bug or an unexpected failure.
    Internal,
}

/// An error of any verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// The exact SQLSTATE when the engine knows one (five characters); adapters derive it from `kind` otherwise.
    pub sqlstate: Option<&'static str>,
    /// Lowercase, no period: what was being done and on which object.
    pub message: String,
    pub detail: Option<String>,
    /// How to fix it.
    pub hint: Option<String>,
    /// 1-based character position in the statement text.
    pub position: Option<u32>,
}

impl Error {
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            sqlstate: None,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    #[must_use]
    pub fn with_sqlstate(mut self, sqlstate: &'static str) -> Self {
        self.sqlstate = Some(sqlstate);
        self
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
