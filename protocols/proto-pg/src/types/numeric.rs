//! Exact decimals: `unscaled × 10^−scale` as decimal text and as PostgreSQL's base-10000 digits.
//!
//! ```text
//!  0         2         4       6          8
//!  │ ndigits │ weight  │ sign  │ dscale   │ digit, 16 bits each, base 10000 …
//!  value = sign × Σ digit[i] × 10000^(weight − i)
//! ```

use bytes::{Buf, BufMut, BytesMut};

use crate::codec::Report;

const NEGATIVE: u16 = 0x4000;

/// Decimal text without an exponent; a negative scale appends zeros.
pub(super) fn to_text(unscaled: i128, scale: i8) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) if unscaled == 0 => digits,
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

/// Reads `[+-]digits[.digits][e[+-]digits]`; `None` when it is something else, an error when it is too large.
pub(super) fn from_text(text: &str) -> Option<Result<(i128, i8), Report>> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits_only(whole) || !digits_only(fraction) {
        return None;
    }
    Some(assemble(negative, whole, fraction, exponent).ok_or_else(out_of_range))
}

fn assemble(negative: bool, whole: &str, fraction: &str, exponent: i32) -> Option<(i128, i8)> {
    let mut unscaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    // A positive exponent makes a whole number, not one with a negative scale.
    while scale < 0 {
        if unscaled == 0 {
            scale = 0;
            break;
        }
        unscaled = unscaled.checked_mul(10)?;
        scale += 1;
    }
    let unscaled = if negative { -unscaled } else { unscaled };
    Some((unscaled, i8::try_from(scale).ok()?))
}

fn out_of_range() -> Report {
    let mut report = Report::error("22003", "value overflows numeric format");
    report.detail = Some("A numeric has at most 38 digits.".to_owned());
    report
}

/// PostgreSQL's binary form.
pub(super) fn put_binary(out: &mut BytesMut, unscaled: i128, scale: i8) {
    let text = to_text(unscaled, scale);
    let text = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    // Digits are grouped by four, from the decimal point outwards.
    let whole_groups = whole.len().div_ceil(4);
    let fraction_groups = fraction.len().div_ceil(4);
    let padded = format!("{whole:0>0$}{fraction:0<1$}", whole_groups * 4, fraction_groups * 4);
    let groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
    let digits = &groups[leading..groups.len() - trailing];
    let small = |number: usize| i16::try_from(number).expect("an i128 has at most 166 digits");
    let weight = if digits.is_empty() { 0 } else { small(whole_groups) - 1 - small(leading) };
    out.put_i16(small(digits.len()));
    out.put_i16(weight);
    out.put_u16(if unscaled < 0 { NEGATIVE } else { 0 });
    out.put_i16(small(fraction.len()));
    for digit in digits {
        out.put_u16(*digit);
    }
}

/// Reads PostgreSQL's binary form; `None` when it is malformed.
pub(super) fn from_binary(mut bytes: &[u8]) -> Option<Result<(i128, i8), Report>> {
    let count = usize::from(bytes.try_get_u16().ok()?);
    let weight = bytes.try_get_i16().ok()?;
    let sign = bytes.try_get_u16().ok()?;
    let display_scale = bytes.try_get_u16().ok()?;
    if bytes.len() != count * 2 || display_scale > 0x3fff {
        return None;
    }
    let negative = match sign {
        0 => false,
        NEGATIVE => true,
        // NaN and the infinities have no exact value.
        0xc000 | 0xd000 | 0xf000 => {
            return Some(Err(Report::error("0A000", "numeric NaN and infinity are not supported")));
        }
        _ => return None,
    };
    let mut digits = Vec::new();
    while let Ok(digit) = bytes.try_get_u16() {
        if digit > 9_999 {
            return None;
        }
        digits.push(digit);
    }
    Some(combine(&digits, weight, negative, display_scale).ok_or_else(out_of_range))
}

fn combine(digits: &[u16], weight: i16, negative: bool, display_scale: u16) -> Option<(i128, i8)> {
    let scale = i8::try_from(display_scale).ok()?;
    let mut unscaled: i128 = 0;
    // The decimal exponent of the last digit taken.
    let mut exponent = 0;
    for (index, group) in digits.iter().enumerate() {
        let group_exponent = (i32::from(weight) - i32::try_from(index).ok()?) * 4;
        for (place, unit) in [(3, 1000), (2, 100), (1, 10), (0, 1)] {
            // The padding beyond the display scale is not taken: it could overflow what fits without it.
            if group_exponent + place < -i32::from(scale) {
                break;
            }
            exponent = group_exponent + place;
            unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(group / unit % 10))?;
        }
    }
    let mut shift = exponent + i32::from(scale);
    while shift > 0 && unscaled != 0 {
        unscaled = unscaled.checked_mul(10)?;
        shift -= 1;
    }
    Some((if negative { -unscaled } else { unscaled }, scale))
}
