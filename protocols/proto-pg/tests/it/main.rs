//! The adapter from outside: raw messages and the real `psql` against an in-memory engine.

mod client;
mod double;
mod extended;
mod limits;
mod psql;
mod rows;
mod simple;
mod startup;
