//! Why an administrative request is refused: the Kafka error code and the message beside it.

use broker_core::catalog::CatalogError;
use broker_core::config::ConfigError;
use kafka_protocol::protocol::StrBytes;

use super::text::text;
use crate::broker::{CatalogFailure, Fatal};
use crate::code;

/// Message of UNKNOWN_TOPIC_OR_PARTITION.
pub(super) const UNKNOWN_TOPIC: &str = "This server does not host this topic-partition.";
/// Message of UNKNOWN_TOPIC_ID.
pub(super) const UNKNOWN_ID: &str = "This server does not host this topic ID.";
/// A topic stands twice in one request (INVALID_REQUEST).
pub(super) const DUPLICATE_NAME: &str = "Duplicate topic name.";

/// A refused part of an administrative request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i16,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: i16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn unknown_topic() -> Self {
        Self::new(code::UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC)
    }

    /// What the client is told about a catalog change that did not happen.
    ///
    /// # Errors
    /// [`Fatal`] when the node is stopping: then nothing may be said.
    pub(super) fn of_catalog(failure: CatalogFailure) -> Result<Self, Fatal> {
        match failure {
            CatalogFailure::Refused(error) => Ok(Self::from(error)),
            CatalogFailure::DiskFull => Ok(Self::new(
                code::KAFKA_STORAGE_ERROR,
                "The disk is full: nothing can be changed now.",
            )),
            CatalogFailure::Fatal => Err(Fatal),
        }
    }

    /// The code and message fields of a response.
    pub(super) fn fields(outcome: &Result<(), Self>) -> (i16, Option<StrBytes>) {
        match outcome {
            Ok(()) => (code::NONE, None),
            Err(refusal) => (refusal.code, Some(text(&refusal.message))),
        }
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        let code = match &error {
            CatalogError::TopicExists { .. } => code::TOPIC_ALREADY_EXISTS,
            CatalogError::NameCollides { .. } | CatalogError::NameDeclared { .. } => {
                code::INVALID_TOPIC_EXCEPTION
            }
            CatalogError::TopicMissing { .. } => return Self::unknown_topic(),
            CatalogError::TopicIdMissing { .. } => {
                return Self::new(code::UNKNOWN_TOPIC_ID, UNKNOWN_ID);
            }
            CatalogError::Config(error) => error.code(),
            CatalogError::NotMorePartitions { .. } | CatalogError::PartitionsMax { .. } => {
                code::INVALID_PARTITIONS
            }
            _ => code::INVALID_REQUEST,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
