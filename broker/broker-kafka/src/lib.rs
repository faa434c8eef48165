//! The Kafka APIs: one file per API under `api/`, each from decoded request to encoded response.
//!
//! ```text
//!  frame ─RequestHeader::parse─► api key, version ─► api::<name>::handle(Context, request) ─► Response
//!                                                         │ Broker (catalog, append, read, groups …)
//! ```
//!
//! Invariants:
//! - A handler's effects on the log begin when its future is first polled, in the order requests are started.
//! - What is served is exactly [`SERVED`]; everything else is absent from ApiVersions.
//! - A partition's or topic's failure is that partition's error code; only bytes that do not parse, and failures that
//!   leave the outcome unknown, close the connection.
//!
//! Deliberately absent: sockets, shards, authentication.

mod api;
pub mod broker;
pub mod code;
mod context;
mod handler;
mod turns;

pub use handler::{Begun, Handler, Peer, Response, SERVED, UNWEIGHED_BYTES_MAX, num_partitions};
pub use turns::{Turn, Turns};
