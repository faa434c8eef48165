//! Placeholder module documentation of broker-core.
