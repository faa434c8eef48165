//! What a caller does next about an error; every crate border maps its errors to one of these.

/// The caller's next step. Adding a kind is a design decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Try the same call again, later.
    Retry,
    /// Another node leads; ask it.
    NotLeader,
    /// The caller was replaced by a newer instance of itself and must stop.
    Fenced,
    /// The request itself is wrong; repeating it cannot help.
    Invalid,
    /// The named object does not exist.
    NotFound,
    /// The object exists already, or a concurrent change won.
    Conflict,
    /// A documented limit would be exceeded.
    LimitExceeded,
    /// Stored bytes fail their checksum.
    Corrupt,
    /// The resource cannot serve now (disk full, shutting down).
    Unavailable,
    /// A bug or an unexpected failure of the environment.
    Internal,
}
