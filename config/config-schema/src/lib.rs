//! Placeholder module documentation of config-schema.
