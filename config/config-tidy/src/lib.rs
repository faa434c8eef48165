//! Placeholder module documentation of config-tidy.
