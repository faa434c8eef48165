//! The engine's errors as PostgreSQL reports: one exhaustive match from kind to SQLSTATE.

use std::borrow::Cow;

use query_api::{Error, ErrorKind};

use crate::codec::{Report, Severity};

/// The report a client receives for an engine's error.
///
/// `prefix` is the part of the client's text before the statement: positions count from the text's beginning.
pub(crate) fn report(error: Error, prefix: &str) -> Report {
    let sqlstate = match error.sqlstate {
        Some(sqlstate) if sqlstate.len() == 5 => sqlstate,
        _ => sqlstate_of(error.kind),
    };
    let shift = u32::try_from(prefix.chars().count()).unwrap_or(u32::MAX);
    Report {
        severity: Severity::Error,
        sqlstate: Cow::Borrowed(sqlstate),
        message: Cow::Owned(error.message),
        detail: error.detail,
        hint: error.hint,
        position: error.position.map(|position| position.saturating_add(shift)),
    }
}

/// Source: PostgreSQL 15, Appendix A, "PostgreSQL Error Codes".
fn sqlstate_of(kind: ErrorKind) -> &'static str {
    match kind {
        // serialization_failure: what drivers' retry loops look for.
        ErrorKind::Retry => "40001",
        // syntax_error_or_access_rule_violation: the engine names the exact code when it knows it.
        ErrorKind::Invalid => "42000",
        // undefined_object
        ErrorKind::NotFound => "42704",
        // duplicate_object
        ErrorKind::Conflict => "42710",
        // feature_not_supported
        ErrorKind::Unsupported => "0A000",
        // program_limit_exceeded
        ErrorKind::LimitExceeded => "54000",
        // query_canceled
        ErrorKind::Cancelled => "57014",
        // data_corrupted
        ErrorKind::Corrupt => "XX001",
        // cannot_connect_now
        ErrorKind::Unavailable => "57P03",
        // internal_error
        ErrorKind::Internal => "XX000",
    }
}

/// What a running statement gets when its client asks for its end.
pub(crate) fn cancelled() -> Report {
    Report::error("57014", "canceling statement due to user request")
}

#[cfg(test)]
mod tests;
