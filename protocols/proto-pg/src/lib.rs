//! PostgreSQL's wire protocol, version 3.0, over the `Sql` verb.
//!
//! ```text
//!  socket ──bytes──► codec ──Message──► session ──► ops ──Sql──► engine
//!    ▲                                                │
//!    └──── bounded output buffer ◄── types, codec ◄───┘ rows
//! ```
//!
//! Life of a connection (`server` accepts, `connection` drives, `session` decides):
//!
//! ```text
//!            SSLRequest / GSSENCRequest: 'N', once each
//!           ┌──┐
//!           ▼  │                StartupMessage            Terminate, EOF, FATAL
//!  accept ─► startup ─────────────────────────► messages ───────────────────────► closed
//!               │ CancelRequest                  │  ▲
//!               └──► cancel registry, closed     └──┘ one message at a time
//! ```
//!
//! - A message is handled to its end before the next one is looked at; a cancel request, a vanished client and a
//!   shutdown end it by dropping its future, and with it the statement's rows.
//! - Output above [`PgOptions::output_bytes_max`] waits for the socket: a slow reader holds its own statement only.
//! - No length from the network is trusted: messages are bounded before they are read, buffers grow with what
//!   has arrived, array counts are bounded by the bytes that follow them.
//! - `codec`, `session`, `ops` and `types` name no runtime; `server` and `connection` run on tokio.
//!
//! Source of the rules: PostgreSQL documentation, "Frontend/Backend Protocol",
//! <https://www.postgresql.org/docs/15/protocol.html>. Absent on purpose: TLS, password authentication, COPY FROM,
//! function calls, replication, `LISTEN`. The table of what is supported is in `README.md`.

mod cancel;
pub mod codec;
mod connection;
mod error;
mod ops;
mod options;
mod server;
mod session;
mod startups;
mod types;

pub use options::{PgCounters, PgOptions};
pub use server::serve;
