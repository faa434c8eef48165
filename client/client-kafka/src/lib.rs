//! A small Kafka client for the command line, the demo and the benchmarks.
//!
//! It speaks to one broker: the address it is given. Each API is sent at one fixed version that Kafka 2.8 to 4.x and
//! LumaDB all know, so nothing is negotiated.
//!
//! ```text
//!  Client ──Call──► writer task ──► socket ──► reader task ──► the call's reply channel
//!                      └────── replies in order (Kafka answers a connection in order) ──┘
//! ```
//!
//! Invariants:
//! - Any number of requests may be in flight; a reply belongs to the oldest unanswered request.
//! - After an I/O error or a wrong correlation id every open and later call fails with [`Error::Closed`].
//! - A response longer than [`RESPONSE_BYTES_MAX`] ends the connection before it is read.
//!
//! Deliberately absent: routing to partition leaders of a cluster, TLS and authentication, retries, consumer group
//! membership, transactions. The decoders of `kafka-protocol` trust counts, so this client is for brokers one trusts.

mod admin;
mod client;
mod connection;
mod error;
mod groups;
mod records;

pub use admin::{ConfigEntry, Topic};
pub use client::{Client, Fetched, PendingProduce, TimedOffset};
pub use connection::RESPONSE_BYTES_MAX;
pub use error::Error;
pub use groups::{Committed, Group, GroupDetail, Member};
pub use log_codec::Compression;
pub use records::{Batch, OwnedRecord, each_record};
