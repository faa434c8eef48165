//! A node on its real runtime, spoken to over sockets with raw frames: limits, order, restarts.

mod client;
mod fetch;
mod limits;
mod restart;
