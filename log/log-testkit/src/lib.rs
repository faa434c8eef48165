//! Placeholder module documentation of log-testkit.
