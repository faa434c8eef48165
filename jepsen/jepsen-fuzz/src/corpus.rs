//! Corpus files: one input per line, `label hex`, comments after `#`. Text, so that a diff shows what was added.
//!
//! Labels that begin with `crash-` are regressions: inputs that once broke a promise.

use std::fmt::Write as _;

/// One input with the label that says where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub label: String,
    pub input: Vec<u8>,
}

/// Reads a corpus file.
///
/// # Errors
/// The number of the first line (from 1) that is not `label hex`, and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |what: &str| format!("corpus line {}: {what}", index + 1);
        let (label, hex) = line.split_once(' ').unwrap_or((line, ""));
        let input = from_hex(hex.trim()).ok_or_else(|| at("not an even number of hex digits"))?;
        entries.push(Entry { label: label.to_owned(), input });
    }
    Ok(entries)
}

/// The bytes of a hex string; `None` when it is not one.
#[must_use]
pub fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// Lower-case hex digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}
