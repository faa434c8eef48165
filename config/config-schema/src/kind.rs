//! What a key's value may be, checked before it is typed, so that the error can name key, value and origin.

use std::fmt;
use std::net::SocketAddr;

use crate::units::{ByteSize, Span};

/// The type and range of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text; what the empty text means is in the key's own words.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Int { min: i64, max: i64 },
    /// A size with its unit, both ends (in bytes) included.
    Bytes { min: u64, max: u64 },
    /// A size with its unit, or `none`.
    BytesOrNone { min: u64 },
    /// A time with its unit, or `none`; `min_ms` included.
    SpanOrNone { min_ms: u64 },
    /// `IP:port`; port 0 lets the system choose.
    Addr,
    /// Empty, or `host:port`.
    HostPortOrEmpty,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Levels of log messages: one for all, or `target=level`, comma between them.
    LogFilter,
}

const LOG_LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// Whether values of this kind are written without quotes in TOML.
    #[must_use]
    pub fn bare(self) -> bool {
        matches!(self, Self::Bool | Self::Int { .. })
    }

    /// Checks a value in its textual form.
    ///
    /// # Errors
    /// What was expected, in words that follow `expected`.
    pub fn check(self, text: &str) -> Result<(), String> {
        let fits = match self {
            Self::Text => true,
            Self::Bool => matches!(text, "true" | "false"),
            Self::Int { min, max } => text.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n)),
            Self::Bytes { min, max } => {
                text.parse::<ByteSize>().is_ok_and(|size| (min..=max).contains(&size.0))
            }
            Self::BytesOrNone { min } => {
                text == "none" || text.parse::<ByteSize>().is_ok_and(|size| size.0 >= min)
            }
            Self::SpanOrNone { min_ms } => {
                let enough = |span: Span| u64::try_from(span.as_ms()).is_ok_and(|ms| ms >= min_ms);
                text == "none" || text.parse::<Span>().is_ok_and(enough)
            }
            Self::Addr => text.parse::<SocketAddr>().is_ok(),
            Self::HostPortOrEmpty => text.is_empty() || split_host_port(text).is_some(),
            Self::OneOf(words) => words.contains(&text),
            Self::LogFilter => text.split(',').all(is_log_directive),
        };
        if fits { Ok(()) } else { Err(self.to_string()) }
    }
}

/// A word alone would be taken for a target by whoever reads the filter, and silence everything else.
fn is_log_directive(text: &str) -> bool {
    let (target, level) = text.rsplit_once('=').unwrap_or(("all", text));
    !target.trim().is_empty() && LOG_LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
}

/// Splits `host:port`, the host being a name, an IPv4 address or a bracketed IPv6 address.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return None;
    }
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// The range in words, as the reference and the errors show it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Bytes { min, max } => {
                write!(f, "a size with its unit from {} to {}", ByteSize(*min), ByteSize(*max))
            }
            Self::BytesOrNone { min } => {
                write!(f, "none, or a size with its unit of at least {}", ByteSize(*min))
            }
            Self::SpanOrNone { min_ms } => {
                let min = Span(std::time::Duration::from_millis(*min_ms));
                write!(f, "none, or a time with its unit of at least {min}")
            }
            Self::Addr => f.write_str("an IP address and a port such as 127.0.0.1:9092"),
            Self::HostPortOrEmpty => {
                f.write_str("empty, or a host and a port such as db.example:9092")
            }
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Self::LogFilter => write!(
                f,
                "one of {}, or target=level with commas between them",
                LOG_LEVELS.join(", ")
            ),
        }
    }
}
