//! A node on its real runtime, spoken to over sockets with raw frames: limits, order, restarts.

mod client;
mod epochs;
mod fetch;
mod idempotence;
mod limits;
mod list_offsets;
mod restart;
