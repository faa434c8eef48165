//! The handlers through their real entrance: encoded requests in, encoded responses out, over an in-memory broker.

#![expect(clippy::unwrap_used, reason = "a failed step of a helper is a failed test")]

mod allocation;
mod client;
mod configs;
mod double;
mod fetch;
mod groups;
mod hostile;
mod limits;
mod metadata;
mod offsets;
mod pace;
mod produce;
mod topics;
mod versions;
mod work;
