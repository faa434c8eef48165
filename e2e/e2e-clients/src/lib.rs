//! Drives unmodified foreign clients, as processes, against a running `lumadb` process.
//!
//! This crate is test support: nothing ships from it and nothing depends on it. It speaks no protocol itself, so
//! that a mistake shared by our broker and our own client cannot hide here.
//!
//! ```text
//!  tests/it ──► Client (a row of the table: script, needed tools)
//!     │            │ runs, with a deadline                 ┌──► table on stderr
//!     ▼            ▼                                       │
//!  Server      clients/*/… ── JSON lines on stdout ──► Report ──► e2e/results.json ──► README table
//! ```
//!
//! Invariants:
//! - Only processes that this crate started are ended, by their own handle.
//! - A missing tool is a printed skip, and a failure when `LUMADB_E2E_REQUIRE=all`.
//! - Waiting for a process happens in [`process`] only, always with a deadline.
//! - What the README claims about clients is rendered from `e2e/results.json`, and that file is what a run observed.
//!
//! Environment: `LUMADB_E2E_REQUIRE=all`, `LUMADB_CACHE` (where `e2e/tools.sh` installed), `LUMADB_BIN` (a binary to
//! test instead of the one that cargo builds), `LUMADB_E2E_PEER=kafka` (run against Apache Kafka, to prove the
//! scripts), `UPDATE=1` (record results and the README table).

pub mod client;
pub mod process;
pub mod report;
pub mod server;
pub mod small_disk;
pub mod tools;
