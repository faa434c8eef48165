//! Parameters of type `uuid`: the engine has no such type and takes them as text, spelled as PostgreSQL spells them.
//!
//! Source: `uuid_in`, `uuid_recv` of PostgreSQL 15.

use std::fmt::Write as _;

use bytes::Bytes;
use query_api::Value;

use crate::codec::{Report, excerpt};

pub(super) const OID: u32 = 2950;
pub(super) const ARRAY_OID: u32 = 2951;
const LEN: usize = 16;

/// # Errors
/// ERROR 08P01 for fewer than 16 bytes, 22P03 for more.
pub(super) fn from_binary(bytes: &Bytes) -> Result<Value, Report> {
    let Some((uuid, rest)) = bytes.split_first_chunk::<LEN>() else {
        return Err(Report::error("08P01", "insufficient data left in message"));
    };
    if !rest.is_empty() {
        return Err(Report::error("22P03", "incorrect binary data format"));
    }
    Ok(Value::Text(shown(u128::from_be_bytes(*uuid))))
}

/// Texts, in arrays too, as PostgreSQL spells them.
///
/// # Errors
/// ERROR 22P02 for text that is no uuid.
pub(super) fn spelled(value: Value) -> Result<Value, Report> {
    Ok(match value {
        Value::Text(text) => match read(&text) {
            Some(uuid) => Value::Text(shown(uuid)),
            None => {
                let text = excerpt(&text);
                let message = format!("invalid input syntax for type uuid: \"{text}\"");
                return Err(Report::error("22P02", message));
            }
        },
        Value::Array(items) => {
            Value::Array(items.into_iter().map(spelled).collect::<Result<_, _>>()?)
        }
        other => other,
    })
}

/// `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11`
fn shown(uuid: u128) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// 32 digits, perhaps a hyphen after each fourth, perhaps in braces.
fn read(text: &str) -> Option<u128> {
    let braced = text.strip_prefix('{').map(|it| it.strip_suffix('}'));
    let digits = braced.unwrap_or(Some(text))?;
    let (mut uuid, mut count) = (0_u128, 0);
    let mut after_hyphen = true;
    for letter in digits.chars() {
        if letter == '-' {
            if after_hyphen || count % 4 != 0 || count == 2 * LEN {
                return None;
            }
            after_hyphen = true;
            continue;
        }
        after_hyphen = false;
        count += 1;
        if count > 2 * LEN {
            return None;
        }
        uuid = uuid << 4 | u128::from(letter.to_digit(16)?);
    }
    (count == 2 * LEN).then_some(uuid)
}
