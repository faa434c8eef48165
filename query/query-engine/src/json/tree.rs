//! A JSON value as `jsonb` takes it: told apart, ordered and searched by its parts, not by its text.
//!
//! Invariants:
//! - Keys of an object are ordered by length and bytes, and no two are equal: the last of equal ones stays.
//! - Numbers that are equal have one form, however many zeros they were written with.
//!
//! Source: `compareJsonbContainers`, `lengthCompareJsonbStringValue` and `JsonbDeepContains` of PostgreSQL's `jsonb_util.c`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{DEPTH_MAX, each_field, is_shallow, string};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Tree<'a>>),
    Object(Vec<(String, Tree<'a>)>),
}

/// `0.digits × 10^exponent`; zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    exponent: i64,
    /// `0` to `9`, neither the first nor the last of them zero.
    digits: String,
}

impl Number {
    fn read(written: &str) -> Option<Self> {
        let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let (negative, mantissa) =
            mantissa.strip_prefix('-').map_or((false, mantissa), |it| (true, it));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, exponent: 0, digits });
        }
        let exponent =
            i64::try_from(whole.len()).ok()?.checked_sub(leading)?.checked_add(exponent)?;
        Some(Self { negative, exponent, digits })
    }

    fn push_key(&self, key: &mut Vec<u8>) {
        if self.digits.is_empty() {
            key.push(1);
            return;
        }
        // Bytes of a negative number are turned round: the larger is the smaller.
        let turned = if self.negative { 0xff } else { 0 };
        key.push(if self.negative { 0 } else { 2 });
        #[expect(clippy::cast_sign_loss, reason = "the bits, with the sign's turned, ascend")]
        let exponent = (self.exponent as u64) ^ (1 << 63);
        key.extend(exponent.to_be_bytes().map(|it| it ^ turned));
        key.extend(self.digits.bytes().map(|it| it ^ turned));
        key.push(turned);
    }
}

impl<'a> Tree<'a> {
    /// # Errors
    /// serde_json's message for what is no JSON; a sentence for what is nested too deep.
    pub(crate) fn read(written: &'a str) -> Result<Self, String> {
        if !is_shallow(written) {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let raw: &'a RawValue = serde_json::from_str(written).map_err(|error| error.to_string())?;
        Self::of(raw)
    }

    fn of(raw: &'a RawValue) -> Result<Self, String> {
        let written = raw.get();
        Ok(match written.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(string(raw).unwrap_or_default()),
            Some(b'[') => {
                let items: Vec<&'a RawValue> =
                    serde_json::from_str(written).map_err(|error| error.to_string())?;
                Self::Array(items.into_iter().map(Self::of).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let mut fields: Vec<(String, &'a RawValue)> = Vec::new();
                each_field(written.as_bytes(), |key, value| fields.push((key.to_owned(), value)))
                    .map_err(|error| error.to_string())?;
                let fields: Result<Vec<_>, String> =
                    fields.into_iter().map(|(key, raw)| Ok((key, Self::of(raw)?))).collect();
                Self::Object(unique(fields?))
            }
            _ => Self::Number(Number::read(written).ok_or("a number out of range")?),
        })
    }

    /// PostgreSQL's name of its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Bytes that are ordered as jsonb is.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        match self {
            Self::Object(_) => self.push_key(&mut key),
            // A value by itself is an array of one, before all others of one: an empty array is less.
            Self::Array(items) => {
                push_head(self.rank(), items.len(), &mut key);
                key.push(1);
                items.iter().for_each(|it| it.push_key(&mut key));
            }
            _ => {
                push_head(ARRAY, 1, &mut key);
                key.push(0);
                self.push_key(&mut key);
            }
        }
        key
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Text(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => ARRAY,
            Self::Object(_) => ARRAY + 1,
        }
    }

    fn push_key(&self, key: &mut Vec<u8>) {
        match self {
            Self::Array(items) => {
                push_head(self.rank(), items.len(), key);
                items.iter().for_each(|it| it.push_key(key));
            }
            Self::Object(fields) => {
                push_head(self.rank(), fields.len(), key);
                for (name, value) in fields {
                    push_text(name, key);
                    value.push_key(key);
                }
            }
            _ => {
                key.push(self.rank());
                match self {
                    Self::Bool(it) => key.push(u8::from(*it)),
                    Self::Number(it) => it.push_key(key),
                    Self::Text(it) => push_text(it, key),
                    _ => {}
                }
            }
        }
    }

    /// `self @> other`.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            // An array may contain a value by itself, at the top only.
            (Self::Array(items), it) if !it.is_nested() => items.contains(it),
            _ => self.contains_part(other),
        }
    }

    fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    fn contains_part(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(fields), Self::Object(wanted)) => wanted.iter().all(|(name, value)| {
                fields.iter().any(|(it, own)| it == name && own.contains_part(value))
            }),
            (Self::Array(items), Self::Array(wanted)) => {
                wanted.iter().all(|value| items.iter().any(|own| own.contains_part(value)))
            }
            _ => self == other,
        }
    }

    /// `self ? name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        let is_name = |it: &Self| matches!(it, Self::Text(text) if text == name);
        match self {
            Self::Object(fields) => fields.iter().any(|(it, _)| it == name),
            Self::Array(items) => items.iter().any(is_name),
            _ => is_name(self),
        }
    }
}

const ARRAY: u8 = 0x10;

fn push_head(rank: u8, length: usize, key: &mut Vec<u8>) {
    key.push(rank);
    key.extend(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

/// Zero bytes are in no text of jsonb.
fn push_text(text: &str, key: &mut Vec<u8>) {
    key.extend(text.as_bytes());
    key.push(0);
}

fn unique<'a>(mut fields: Vec<(String, Tree<'a>)>) -> Vec<(String, Tree<'a>)> {
    fields.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
    let mut kept: Vec<(String, Tree<'a>)> = Vec::with_capacity(fields.len());
    for field in fields {
        match kept.last_mut() {
            // The sort is stable.
            Some(last) if last.0 == field.0 => *last = field,
            _ => kept.push(field),
        }
    }
    kept
}
