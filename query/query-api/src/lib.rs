//! The narrow waist between protocols and the engine: plain data and small object-safe traits.
//!
//! A protocol adapter depends on this crate only; it never sees DataFusion, Arrow, the broker or a store. The
//! traits that exist are the ones something uses today: [`Sql`] (statements), [`Follow`] (read a topic from an
//! offset) and [`Ingest`] (create and declare). All of them run on the tokio side and are `Send + Sync`.
//!
//! ```text
//!  proto-pg ──Sql──► query-engine ──Follow, Ingest──► broker-node ──messages──► shards
//! ```

pub mod calendar;
mod error;
mod follow;
mod ingest;
mod sql;
pub mod text;
mod value;

use std::future::Future;
use std::pin::Pin;

pub use error::{Error, ErrorKind};
pub use follow::{Follow, PartitionInfo, ReadBatches, TopicInfo};
pub use ingest::{DeclaredColumn, DeclaredFormat, DeclaredTable, Ingest, NewTopic};
pub use sql::{
    Cancel, Column, CopyFormat, CopyOut, Described, Execution, RowStream, Sql, SqlSession,
    SqlSessionOptions, StatementId, Timeouts, databases,
};
pub use value::{DataType, RegKind, Row, Value};

/// A boxed future that may move between threads of the query side.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
