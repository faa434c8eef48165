//! Which back end runs: what was asked for, checked against what this machine allows.
//!
//! Invariants:
//! - The check never ends the process.
//! - A forced back end that cannot work is an error that says why and what to do.

use std::fmt;
use std::str::FromStr;

use crate::probe;

/// What the operator asks for (`--reactor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reactor {
    /// io_uring where the kernel allows it, epoll elsewhere.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

impl FromStr for Reactor {
    type Err = RtError;

    /// `auto`, `io_uring` or `epoll`.
    fn from_str(text: &str) -> Result<Self, RtError> {
        match text {
            "auto" => Ok(Self::Auto),
            "io_uring" => Ok(Self::IoUring),
            "epoll" => Ok(Self::Epoll),
            _ => Err(RtError::UnknownReactor(text.chars().take(100).collect())),
        }
    }
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    IoUring,
    Epoll,
}

/// A back end and why it was taken, for the banner and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub backend: Backend,
    /// `io_uring` or `epoll`.
    pub name: &'static str,
    pub reason: String,
}

/// Why no back end could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtError {
    /// The name is none of `auto`, `io_uring`, `epoll`.
    UnknownReactor(String),
    /// io_uring was demanded and is refused, with the reason.
    IoUringRefused(String),
}

impl fmt::Display for RtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownReactor(name) => {
                write!(f, "unknown reactor {name:?}: expected auto, io_uring or epoll")
            }
            Self::IoUringRefused(reason) => {
                write!(f, "cannot use io_uring: {reason} (--reactor epoll works without it)")
            }
        }
    }
}

impl std::error::Error for RtError {}

/// Decides for a back end.
///
/// # Errors
/// [`RtError::IoUringRefused`] when io_uring is demanded and does not work here.
pub fn choose(reactor: Reactor) -> Result<Chosen, RtError> {
    let epoll = |reason: String| Chosen { backend: Backend::Epoll, name: "epoll", reason };
    let io_uring = |reason: &str| Chosen {
        backend: Backend::IoUring,
        name: "io_uring",
        reason: reason.to_owned(),
    };
    match reactor {
        Reactor::Epoll => Ok(epoll("asked for".to_owned())),
        Reactor::Auto => Ok(match probe::io_uring_works() {
            Ok(()) => io_uring("default"),
            Err(refused) => epoll(format!("no io_uring: {refused}")),
        }),
        Reactor::IoUring => {
            probe::io_uring_works().map_err(RtError::IoUringRefused)?;
            Ok(io_uring("asked for"))
        }
    }
}
