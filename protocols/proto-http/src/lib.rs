//! Placeholder module documentation of proto-http.
