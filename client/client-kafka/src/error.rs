//! Why a call failed.

use kafka_protocol::error::ParseResponseErrorCode;

/// An error of any call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot connect to {addr}: {source}")]
    Connect { addr: String, source: std::io::Error },
    #[error("the broker closed the connection")]
    Closed,
    #[error("no answer from the broker within {ms} ms")]
    TimedOut { ms: u128 },
    #[error("cannot decode the broker's answer: {0}")]
    Decode(String),
    #[error("cannot encode the request: {0}")]
    Encode(String),
    /// The broker refused; `code` is Kafka's error code.
    #[error("{what}: {message}")]
    Broker { what: String, code: i16, message: String },
}

impl Error {
    pub(crate) fn decode(error: impl std::fmt::Display) -> Self {
        Self::Decode(error.to_string())
    }

    /// Kafka's error code, when the broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }
}

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// What the codes that people meet most mean, where the broker sends no text of its own.
fn words(code: i16) -> Option<&'static str> {
    Some(match code {
        15 => "its coordinator is not available",
        17 => "a topic's name has 1 to 249 letters, digits, '.', '_' and '-'",
        25 => "the group has members",
        56 => "the server cannot store it, its disk may be full",
        _ => return None,
    })
}

/// Turns a response's error code into an error; `what` names what was being done and on which object.
pub(crate) fn check(
    code: i16,
    what: impl FnOnce() -> String,
    message: Option<&str>,
) -> Result<(), Error> {
    let Some(known) = code.err() else { return Ok(()) };
    let name = format!("{known:?}");
    let message = match message {
        // A broker's text for it speaks of hosts of partitions.
        _ if code == UNKNOWN_TOPIC_OR_PARTITION => {
            format!("it does not exist ({name}, code {code})")
        }
        Some(text) if !text.is_empty() => format!("{text} ({name}, code {code})"),
        _ => match words(code) {
            Some(text) => format!("{text} ({name}, code {code})"),
            None => format!("{name} (code {code})"),
        },
    };
    Err(Error::Broker { what: what(), code, message })
}
