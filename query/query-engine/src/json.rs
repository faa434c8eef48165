//! JSON objects field by field, without building a tree.
//!
//! Invariants:
//! - The whole value is checked: bytes after a field that nobody asked for still have to be JSON, and nothing but
//!   white space may follow the object.
//! - Values are passed over without recursion, however deep they are. Whoever takes one apart asks [`is_shallow`] first.

pub(crate) mod compared;
pub(crate) mod numbers;
pub(crate) mod tree;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::numbers::Numbers;

/// Arrays and objects within each other in a value that is taken apart: each level is read again for those inside it, and
/// takes stack.
pub(crate) const DEPTH_MAX: usize = 256;

/// Whether arrays and objects are nested at most [`DEPTH_MAX`] deep in a JSON text.
pub(crate) fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    text.bytes().all(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= DEPTH_MAX
    })
}

/// What a JSON text is, at its outermost level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Null,
    Bool,
    Number(Numbers),
    Text,
    /// An object, an array, or values of kinds that no scalar type holds.
    Nested,
}

impl JsonKind {
    pub(crate) fn of(raw: &RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Bool,
            Some(b'"') => Self::Text,
            Some(b'{' | b'[') => Self::Nested,
            _ => Self::Number(Numbers::of(text)),
        }
    }

    /// The narrowest kind that holds both.
    pub(crate) fn widen(self, other: Self) -> Self {
        use JsonKind::{Bool, Nested, Null, Number, Text};
        match (self, other) {
            (left, right) if left == right => left,
            (Null, kind) | (kind, Null) => kind,
            (Number(left), Number(right)) => Number(left.widen(right)),
            (Number(_), Text) | (Text, Number(_)) => Text,
            (Nested | Bool, _) | (_, Nested | Bool) => Nested,
            (left, _) => left,
        }
    }
}

/// Calls `visit` for each field of the object in `bytes`, in order, duplicates included.
///
/// # Errors
/// serde_json's message when `bytes` is not one JSON object; fields before the fault were visited by then.
pub(crate) fn each_field<'a>(
    bytes: &'a [u8],
    visit: impl FnMut(&str, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer.deserialize_map(Fields { visit })?;
    deserializer.end()
}

/// The text of a JSON string, or `None` when `raw` is another kind.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

struct Fields<F> {
    visit: F,
}

impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        // Keys without escapes are borrowed; `CowStr` keeps those with escapes working.
        while let Some(key) = map.next_key::<CowStr<'a>>()? {
            let value = map.next_value::<&'a RawValue>()?;
            (self.visit)(&key.0, value);
        }
        Ok(())
    }
}

struct CowStr<'a>(Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for CowStr<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'a> Visitor<'a> for Text {
            type Value = CowStr<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'a str) -> Result<CowStr<'a>, E> {
                Ok(CowStr(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<CowStr<'a>, E> {
                Ok(CowStr(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
