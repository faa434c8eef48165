//! Placeholder module documentation of broker-kafka.
