//! Placeholder module documentation of broker-node.
