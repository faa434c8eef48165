//! Placeholder module documentation of query-engine.
