//! Values that carry their unit: sizes in bytes and lengths of time.
//!
//! Invariants:
//! - A bare number is refused: the unit is part of the value, so nobody has to guess it.
//! - `Display` writes a form that parses back to the same value.
//! - Arithmetic is checked: what does not fit 63 bits is an error.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a value with a unit cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("expected {expected}, found {found:?}")]
    Malformed { expected: &'static str, found: String },
    #[error("{found:?} is too large")]
    TooLarge { found: String },
}

const BYTES_EXPECTED: &str =
    "a size with its unit, such as 64MiB (B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)";
const SPAN_EXPECTED: &str = "a time with its unit, such as 5s or 1h30m (ms, s, m, h, d, w)";

const BYTE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const SPAN_UNITS: &[(&str, u64)] = &[
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

fn quoted(text: &str) -> String {
    text.chars().take(100).collect()
}

/// A number of bytes: `64MiB`, `100 MB`, `512B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let malformed = || UnitError::Malformed { expected: BYTES_EXPECTED, found: quoted(text) };
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        if number.is_empty() || unit.is_empty() {
            return Err(malformed());
        }
        let (_, factor) = BYTE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(malformed)?;
        let too_large = || UnitError::TooLarge { found: quoted(text) };
        let number: u64 = number.parse().map_err(|_| too_large())?;
        let bytes = number.checked_mul(*factor).ok_or_else(too_large)?;
        if i64::try_from(bytes).is_err() {
            return Err(too_large());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = BYTE_UNITS
            .iter()
            .filter(|(name, _)| name.contains('i'))
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .copied()
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

/// A length of time, to the millisecond: `5s`, `200ms`, `1h30m`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// Whole milliseconds; a parsed span always fits.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let malformed = || UnitError::Malformed { expected: SPAN_EXPECTED, found: quoted(text) };
        let too_large = || UnitError::TooLarge { found: quoted(text) };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(malformed());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            if number.is_empty() {
                return Err(malformed());
            }
            let (_, factor) =
                SPAN_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            let number: u64 = number.parse().map_err(|_| too_large())?;
            total = number
                .checked_mul(*factor)
                .and_then(|ms| total.checked_add(ms))
                .filter(|ms| i64::try_from(*ms).is_ok())
                .ok_or_else(too_large)?;
            rest = after.trim_start();
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (name, factor) = SPAN_UNITS
            .iter()
            .find(|(_, factor)| ms != 0 && ms.is_multiple_of(u128::from(*factor)))
            .copied()
            .unwrap_or(("ms", 1));
        write!(f, "{}{name}", ms / u128::from(factor))
    }
}

/// A limit that may be switched off: `none`, or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit<T> {
    None,
    At(T),
}

impl<T> Limit<T> {
    /// The limit, when there is one.
    pub fn at(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.trim() == "none" { Ok(Self::None) } else { text.parse().map(Self::At) }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::At(value) => value.fmt(f),
        }
    }
}

macro_rules! serde_as_text {
    ($name:ty $(, $($generics:tt)*)?) => {
        impl$(<$($generics)*>)? Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de, $($($generics)*)?> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

serde_as_text!(ByteSize);
serde_as_text!(Span);
serde_as_text!(Limit<T>, T: FromStr<Err = UnitError> + fmt::Display);

#[cfg(test)]
mod tests;
