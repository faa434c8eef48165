//! Errors of the Kafka wire, as data. All mean: the peer's bytes are wrong, or a message does not fit the format.

use crate::api::ApiKey;
use std::fmt;

/// Why bytes are not a message, or a message is not bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The request's API is not in the table.
    UnknownApi { key: i16, version: i16, correlation_id: i32 },
    /// The API is known, this version is not. For `ApiVersions` the caller answers with
    /// [`crate::ApiVersionsResponse::unsupported_version`] in version 0; for others Kafka closes the connection.
    UnsupportedVersion { api: ApiKey, version: i16, correlation_id: i32 },
    /// The bytes end inside a field.
    Truncated { needed: usize, available: usize },
    /// A length is negative or more than the format allows.
    BadLength { length: i64 },
    /// An array claims more elements than the remaining bytes can hold.
    BadCount { count: i64, available: usize },
    /// A variable-length integer does not fit 32 bits.
    BadVarint,
    /// Null where the version allows none.
    UnexpectedNull,
    /// A string is not UTF-8.
    BadUtf8,
    /// Tags must ascend (KIP-482) and fit 31 bits, or a known tag has bytes to spare.
    BadTag { tag: u32 },
    /// More array elements in one message than it may have, such as [`crate::ELEMENTS_MAX`].
    TooManyElements,
    /// Bytes are left after a response.
    TrailingBytes { count: usize },
    /// A string, array or message is too long for its length field.
    TooLarge { length: usize },
    /// The message type does not belong to the API, or the third-party codec refused it.
    Refused { api: ApiKey, version: i16, reason: String },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownApi { key, version, .. } => {
                write!(f, "unknown api key {key} version {version}")
            }
            Self::UnsupportedVersion { api, version, .. } => {
                write!(f, "unsupported version {version} of {api}")
            }
            Self::Truncated { needed, available } => {
                write!(f, "message needs {needed} more bytes, {available} available")
            }
            Self::BadLength { length } => write!(f, "impossible length {length}"),
            Self::BadCount { count, available } => {
                write!(f, "impossible array of {count} elements in {available} bytes")
            }
            Self::BadVarint => write!(f, "overlong variable-length integer"),
            Self::UnexpectedNull => write!(f, "null in a field that cannot be null"),
            Self::BadUtf8 => write!(f, "string is not utf-8"),
            Self::BadTag { tag } => write!(f, "bad tagged field {tag}"),
            Self::TooManyElements => write!(f, "message has too many array elements"),
            Self::TrailingBytes { count } => write!(f, "{count} bytes after the message"),
            Self::TooLarge { length } => write!(f, "length {length} does not fit its field"),
            Self::Refused { api, version, reason } => {
                write!(f, "bad {api} version {version}: {reason}")
            }
        }
    }
}

impl std::error::Error for WireError {}
