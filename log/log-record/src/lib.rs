//! Placeholder module documentation of log-record.
