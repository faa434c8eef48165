//! Placeholder module documentation of proto-pg.
