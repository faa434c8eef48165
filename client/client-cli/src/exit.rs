//! Exit codes, and the failure that carries one.

use std::fmt;

use client_kafka::Error as KafkaError;
use config_schema::ConfigError;

/// What the process answers its caller. The numbers are a public interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// The operation or statement failed.
    Failed = 1,
    /// Usage or configuration is invalid.
    Usage = 2,
    CannotConnect = 3,
    NotPermitted = 4,
    NotFound = 5,
    /// It exists already, or conflicts with what exists.
    Conflict = 6,
    TimedOut = 7,
    /// A part was done.
    Partly = 8,
    Unhealthy = 9,
    Interrupted = 130,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Lowercase, no period.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Failure {
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A reader that went away is no failure: the command ends with code 0 and says nothing.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        let exit = match &error {
            KafkaError::Connect { .. } | KafkaError::Closed => Exit::CannotConnect,
            KafkaError::TimedOut { .. } => Exit::TimedOut,
            KafkaError::Broker { code, .. } => exit_of_code(*code),
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, error.to_string());
        match error {
            KafkaError::Connect { .. } => {
                failure.hint("is the server running? name another with --brokers HOST:PORT")
            }
            KafkaError::Closed => failure.hint(
                "the server's log says why: a limit of connections, a request too large, or its end; or it is no Kafka address",
            ),
            _ => failure,
        }
    }
}

/// Kafka's error codes (<https://kafka.apache.org/protocol#protocol_error_codes>) as exit codes.
fn exit_of_code(code: i16) -> Exit {
    match code {
        // Unknown topic or partition, unknown group, unknown topic id.
        3 | 69 | 100 => Exit::NotFound,
        // Topic exists, group not empty, member of the group still there.
        36 | 68 | 25 => Exit::Conflict,
        // Topic, group, cluster authorization.
        29..=31 => Exit::NotPermitted,
        // Invalid topic, partitions, replication factor, configuration, request.
        17 | 37 | 38 | 40 | 42 => Exit::Usage,
        7 => Exit::TimedOut,
        _ => Exit::Failed,
    }
}
