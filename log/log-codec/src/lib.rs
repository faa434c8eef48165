//! Placeholder module documentation of log-codec.
