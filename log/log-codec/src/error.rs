//! Errors of the codecs. `Display` is written by hand: `log-*` uses no proc macros.

use crate::Compression;
use std::{fmt, io};

/// Why bytes cannot be (de)compressed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// More than `bytes_max` bytes came out.
    OutputLimit { bytes_max: usize },
    /// The input is not what this codec writes.
    Malformed { compression: Compression, source: io::Error },
    /// Compression failed.
    Failed { compression: Compression, source: io::Error },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputLimit { bytes_max } => {
                write!(f, "decompressed records exceed {bytes_max} bytes")
            }
            Self::Malformed { compression, .. } => {
                write!(f, "cannot decompress {compression} records")
            }
            Self::Failed { compression, .. } => {
                write!(f, "cannot compress records with {compression}")
            }
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OutputLimit { .. } => None,
            Self::Malformed { source, .. } | Self::Failed { source, .. } => Some(source),
        }
    }
}
