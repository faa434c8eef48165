//! Placeholder module documentation of query-api.
