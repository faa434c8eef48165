//! The `Ingest` verb: create topics, declare tables over them, append records.

use bytes::Bytes;

use crate::{BoxFuture, DataType, Error};

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    /// `None` takes the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// Topic configuration overrides: name, value.
    pub configs: Vec<(String, String)>,
}

/// How a declared table decodes record values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredFormat {
    /// One JSON object per record value.
    Json,
    /// No decoding: `key bytea, value bytea`.
    Raw,
}

/// A column of a declared table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredColumn {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
}

/// A schema declared over a topic; stored in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTable {
    pub name: String,
    pub topic: String,
    pub format: DeclaredFormat,
    pub columns: Vec<DeclaredColumn>,
    /// Durable number assigned by the catalog (0 before that); the base of the table's OID.
    pub number: u64,
}

/// Writes from the query side. Every call returns after its change is durable.
pub trait Ingest: Send + Sync {
    /// # Errors
    /// `Conflict` when the topic exists, `Invalid` for a bad name or configuration.
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<(), Error>>;

    /// # Errors
    /// `NotFound` when the topic does not exist, `Conflict` when a table or topic has the name.
    fn declare_table(&self, table: DeclaredTable) -> BoxFuture<'_, Result<(), Error>>;

    /// Removes a declaration; the topic and its records stay.
    ///
    /// # Errors
    /// `NotFound` when no declaration has the name.
    fn drop_table(&self, name: &str) -> BoxFuture<'_, Result<(), Error>>;

    /// Appends one whole record batch to a partition and returns the offset of its first record.
    fn append(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> BoxFuture<'_, Result<i64, Error>>;
}
