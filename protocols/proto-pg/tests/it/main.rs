//! The adapter from outside: raw messages and the real `psql` against an in-memory engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod copy;
mod double;
mod extended;
mod limits;
mod psql;
mod rows;
mod simple;
mod startup;
