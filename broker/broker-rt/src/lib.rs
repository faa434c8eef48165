//! Placeholder module documentation of broker-rt.
