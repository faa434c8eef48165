//! Placeholder module documentation of log-journal.
