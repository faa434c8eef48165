//! The broker's state machines: catalog, partitions. No I/O, no clock, no randomness: inputs in, outputs out.

pub mod catalog;
pub mod config;
pub mod fetch_session;
pub mod fields;
pub mod group;
pub mod partition;
pub mod producer;

#[cfg(test)]
mod tests;
