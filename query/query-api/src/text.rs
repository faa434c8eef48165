//! Values as PostgreSQL prints them, for whoever shows them or casts them to text; and its text form of bytes, read.

use std::fmt::Write;

use crate::calendar::{DAY_US, date_of};
use crate::{Error, ErrorKind};

/// Six digits before the exponent form, as PostgreSQL's `real`.
#[must_use]
pub fn float4(number: f32) -> String {
    float(&format!("{number:e}"), 6)
}

/// Fifteen digits before the exponent form, as PostgreSQL's `double precision`.
#[must_use]
pub fn float8(number: f64) -> String {
    float(&format!("{number:e}"), 15)
}

/// A day counted from 1970-01-01; the first and the last are infinite.
#[must_use]
pub fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => with_era(i64::from(days), ""),
    }
}

/// Microseconds since 1970-01-01; the first and the last are infinite.
#[must_use]
pub fn timestamp(micros: i64, zoned: bool) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        micros => {
            let zone = if zoned { "+00" } else { "" };
            let time = clock(micros.rem_euclid(DAY_US));
            with_era(micros.div_euclid(DAY_US), &format!(" {time}{zone}"))
        }
    }
}

/// Shortest digits as `%g` lays them out: fixed when −4 ≤ exponent < `fixed_max`, else scientific.
///
/// `scientific` is Rust's shortest `d.ddde-5`. Source: `double_to_shortest_decimal_buf` in PostgreSQL.
fn float(scientific: &str, fixed_max: i32) -> String {
    let (sign, rest) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = rest.split_once('e') else {
        return if rest == "inf" { format!("{sign}Infinity") } else { "NaN".to_owned() };
    };
    let exponent: i32 = exponent.parse().expect("written by the formatter");
    if !(-4..fixed_max).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
            format!("{sign}0.{zeros}{digits}")
        }
        Ok(whole) if digits.len() > whole + 1 => {
            let (whole, fraction) = digits.split_at(whole + 1);
            format!("{sign}{whole}.{fraction}")
        }
        Ok(whole) => format!("{sign}{digits:0<width$}", width = whole + 1),
    }
}

/// A date with what follows it, and `BC` last of all.
fn with_era(days: i64, rest: &str) -> String {
    let date = date_of(days);
    let (year, era) = if date.year > 0 { (date.year, "") } else { (1 - date.year, " BC") };
    format!("{year:04}-{:02}-{:02}{rest}{era}", date.month, date.day)
}

/// `HH:MM:SS[.ffffff]`; microseconds from 0 to a whole day.
#[must_use]
pub fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, (micros % 1_000_000).unsigned_abs());
    text
}

fn push_fraction(text: &mut String, micros: u64) {
    if micros > 0 {
        let fraction = format!("{micros:06}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
}

/// Style `postgres`: `1 year 2 mons -3 days +04:05:06.7`. Source: `EncodeInterval`.
#[must_use]
pub fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut text = String::new();
    let mut negative_before = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if negative_before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(text, "{space}{plus}{value} {unit}{plural}");
        negative_before = value < 0;
    }
    if text.is_empty() || micros != 0 {
        let space = if text.is_empty() { "" } else { " " };
        let sign = match (micros < 0, negative_before) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let absolute = micros.unsigned_abs();
        let seconds = absolute / 1_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let _ = write!(text, "{space}{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
        push_fraction(&mut text, absolute % 1_000_000);
    }
    text
}

/// `\x6162`: bytes as PostgreSQL prints them.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Appends an item of an array, in quotes where PostgreSQL needs them.
pub fn push_item(out: &mut String, item: &str) {
    let special = ['"', '\\', '{', '}', ',', ' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];
    if !item.is_empty() && !item.eq_ignore_ascii_case("null") && !item.contains(special) {
        out.push_str(item);
        return;
    }
    out.push('"');
    for letter in item.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

/// `\x` and hex pairs, or the escape format: `\\` and `\ooo`.
///
/// # Errors
/// 22P02 and 22023, as PostgreSQL.
pub fn bytea(text: &str) -> Result<Vec<u8>, Error> {
    let bad = || invalid("22P02", "invalid input syntax for type bytea");
    let mut bytes = Vec::with_capacity(text.len() / 2);
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if !digits.len().is_multiple_of(2) {
            return Err(invalid("22023", "invalid hexadecimal data: odd number of digits"));
        }
        for pair in digits.chunks(2) {
            bytes.push(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?);
        }
        return Ok(bytes);
    }
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
        } else if let Some(after) = rest.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = after;
        } else {
            let octal = rest.get(..3).ok_or_else(bad)?;
            if !octal.iter().all(|digit| (b'0'..=b'7').contains(digit)) || octal[0] > b'3' {
                return Err(bad());
            }
            bytes.push(octal.iter().fold(0, |sum, digit| sum << 3 | (digit - b'0')));
            rest = &rest[3..];
        }
    }
    Ok(bytes)
}

fn hex_digit(byte: u8) -> Result<u8, Error> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => {
            let letter = char::from(byte);
            Err(invalid("22023", format!("invalid hexadecimal digit: \"{letter}\"")))
        }
    }
}

fn invalid(sqlstate: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_sqlstate(sqlstate)
}
