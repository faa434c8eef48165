//! SQL over the log: DataFusion behind [`query_api::Sql`], topics read through [`query_api::Follow`].
//!
//! ```text
//!  Session ──guard──► parse ──► command ──► settings, transaction block      (session.rs, settings.rs)
//!                                  ├──────► Ingest: declare, drop, append    (ddl.rs, insert.rs)
//!                                  └──────► rewrite ──► plan ──► TopicScan   (rewrite.rs, engine.rs, table.rs)
//!                                                         │          └► Follow::read ──► decode ──► Arrow
//!                                                         └► pg_catalog from the snapshot
//! ```
//!
//! Invariants:
//! - Every statement reads one snapshot of the topics and their ranges; a transaction block keeps one.
//! - Results stream: memory does not grow with a topic.
//! - DataFusion has its own threads; nothing of Arrow or DataFusion crosses the crate's border.
//!
//! Absent: updates and deletes, views, spilling to disk.

mod aggregates;
mod alternatives;
mod arithmetic;
mod averages;
mod bad;
mod casts;
mod columns;
mod command;
mod copy;
mod cursor;
mod ddl;
mod decode;
mod dialect;
mod engine;
mod error;
mod floats;
mod functions;
mod grouped;
mod guard;
mod guarded;
mod infer;
mod insert;
mod interruptible;
mod intervals;
mod json;
mod lists;
mod literals;
mod memory;
mod metered;
mod operators;
mod output;
mod parameters;
mod pg_catalog;
mod plain;
mod predicates;
mod pushdown;
mod query;
mod records;
mod relations;
mod rewrite;
mod scan;
mod session;
mod settings;
mod shape;
mod single;
mod snapshot;
mod stop;
mod subquery;
mod table;
mod types;
mod weight;
mod windows;
mod written;

pub use bad::BadRecordPolicy;
pub use engine::{Engine, EngineOptions};
