//! What can go wrong, one enum per family of calls.

use std::fmt;
use std::io;

use log_types::ErrorKind;

/// A failure of the journal as a whole.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// The device or file system refused an operation; the journal does not go on.
    Io { doing: &'static str, file: String, source: io::Error },
    /// Stored bytes at or below the durable watermark are not what was written. Nothing was changed.
    Corrupt { file: String, offset: u64, what: &'static str, expected: u64, found: u64 },
    /// The files belong to another cluster, shard or format version.
    Foreign { file: String, what: &'static str, expected: String, found: String },
    /// The options contradict each other.
    Options { what: &'static str },
    /// An earlier write or sync failed.
    Failed,
    /// The journal was closed before this became durable.
    Closed,
}

/// Why an entry was not accepted. Nothing was written in any of these cases.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Too much waits to be written: await [`crate::Journal::room`] and try again.
    Full,
    /// The entry is larger than a frame may be.
    TooLarge { bytes: usize, bytes_max: usize },
    /// No space for the next segment; reads go on. Try again after space returned.
    DiskFull,
    /// A write or sync failed, or the journal is closed.
    Failed,
}

/// Why a read failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The device refused the read.
    Io { file: String, source: io::Error },
    /// Stored bytes are not what was written; they were not served.
    Corrupt { file: String, offset: u64, what: &'static str, expected: u64, found: u64 },
}

impl JournalError {
    pub(crate) fn io(doing: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { doing, file: file.to_owned(), source }
    }

    /// What the owner does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Failed => ErrorKind::Internal,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Foreign { .. } | Self::Options { .. } => ErrorKind::Invalid,
            Self::Closed => ErrorKind::Unavailable,
        }
    }

    /// Whether the cause is a full disk.
    pub(crate) fn storage_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, file, .. } => write!(f, "cannot {doing} {file}"),
            Self::Corrupt { file, offset, what, expected, found } => {
                write!(
                    f,
                    "{file} is corrupt at byte {offset}: {what}: expected {expected:#x}, found {found:#x}"
                )
            }
            Self::Foreign { file, what, expected, found } => {
                write!(f, "{file} has {what} {found}, expected {expected}")
            }
            Self::Options { what } => write!(f, "invalid journal options: {what}"),
            Self::Failed => f.write_str("the journal failed earlier and accepts nothing"),
            Self::Closed => f.write_str("the journal is closed"),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl AppendError {
    /// What the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Full => ErrorKind::Retry,
            Self::TooLarge { .. } => ErrorKind::LimitExceeded,
            Self::DiskFull => ErrorKind::Unavailable,
            Self::Failed => ErrorKind::Internal,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the journal's queue is full"),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "an entry of {bytes} bytes exceeds the frame limit of {bytes_max}")
            }
            Self::DiskFull => f.write_str("no disk space for the next journal segment"),
            Self::Failed => f.write_str("the journal failed or is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, .. } => write!(f, "cannot read {file}"),
            Self::Corrupt { file, offset, what, expected, found } => {
                write!(
                    f,
                    "{file} is corrupt at byte {offset}: {what}: expected {expected:#x}, found {found:#x}"
                )
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Corrupt { .. } => None,
        }
    }
}

impl From<JournalError> for ReadError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { file, source, .. } => Self::Io { file, source },
            JournalError::Corrupt { file, offset, what, expected, found } => {
                Self::Corrupt { file, offset, what, expected, found }
            }
            other => Self::Io { file: String::new(), source: io::Error::other(other) },
        }
    }
}
