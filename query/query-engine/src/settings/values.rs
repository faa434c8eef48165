//! Values of settings: which are taken, and the form they are kept and shown in.
//!
//! Source: PostgreSQL 15, "Parameter Names and Values", and `parse_int` and `convert_int_from_base_unit` in its `guc.c`.

use std::time::Duration;

use query_api::{Error, ErrorKind};

/// Milliseconds of each unit, largest first; `us` is a part of one.
const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
const DURATION_MS_MAX: i64 = i32::MAX as i64;

/// The value as it is kept.
///
/// # Errors
/// 22023 for what is no value of the setting, or is one that is not built.
pub(super) fn canonical(name: &str, value: String) -> Result<String, Error> {
    match name {
        "statement_timeout" | "lock_timeout" | "idle_in_transaction_session_timeout" => {
            let millis = milliseconds(&value).ok_or_else(|| {
                let units = "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
                invalid(name, &value).with_hint(units)
            })?;
            if !(0..=DURATION_MS_MAX).contains(&millis) {
                let message = format!(
                    "{millis} ms is outside the valid range for parameter \"{name}\" (0 ms .. {DURATION_MS_MAX} ms)"
                );
                return Err(Error::new(ErrorKind::Invalid, message).with_sqlstate("22023"));
            }
            Ok(shown(millis))
        }
        "default_transaction_read_only" | "standard_conforming_strings" => {
            let on = boolean(&value).ok_or_else(|| {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                Error::new(ErrorKind::Invalid, message).with_sqlstate("22023")
            })?;
            let value = if on { "on" } else { "off" };
            if name == "standard_conforming_strings" && !on {
                return Err(only(name, value, "on"));
            }
            Ok(value.to_owned())
        }
        "luma.on_bad_record" if !matches!(value.as_str(), "skip" | "fail") => {
            Err(invalid(name, &value).with_hint("available values: skip, fail"))
        }
        "client_encoding" => match value.to_lowercase().as_str() {
            "utf8" | "utf-8" | "unicode" => Ok(value),
            _ => Err(invalid(name, &value)),
        },
        "bytea_output" if !value.eq_ignore_ascii_case("hex") => Err(only(name, &value, "hex")),
        "intervalstyle" if !value.eq_ignore_ascii_case("postgres") => {
            Err(only(name, &value, "postgres"))
        }
        // The order of day and month reads ambiguous dates, which are refused anyway.
        "datestyle" if !words(&value).iter().all(|it| DATE_WORDS.contains(&it.as_str())) => {
            Err(only(name, &value, "ISO"))
        }
        _ => Ok(value),
    }
}

const DATE_WORDS: [&str; 9] =
    ["iso", "mdy", "dmy", "ymd", "us", "noneuro", "noneuropean", "euro", "european"];

fn invalid(name: &str, value: &str) -> Error {
    let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
    Error::new(ErrorKind::Invalid, message).with_sqlstate("22023")
}

fn only(name: &str, value: &str, supported: &str) -> Error {
    invalid(name, value).with_hint(format!("the only supported value is {supported}"))
}

/// Comma-separated words, folded and without quotes.
fn words(value: &str) -> Vec<String> {
    value.split(',').map(|it| it.trim().trim_matches('"').to_lowercase()).collect()
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A number with an optional unit, rounded to whole milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn milliseconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|it: char| it.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.trim().parse().ok()?;
    let factor = match unit {
        "" => 1.0,
        "us" => 0.001,
        unit => UNITS.iter().find(|(known, _)| *known == unit)?.1 as f64,
    };
    let millis = (number * factor).round_ties_even();
    // Beyond what f64 counts exactly it is out of range anyway.
    (millis.abs() < 1e15).then_some(millis as i64)
}

/// In the largest unit that leaves a whole number.
fn shown(millis: i64) -> String {
    match UNITS.iter().find(|(_, factor)| millis != 0 && millis % factor == 0) {
        Some((unit, factor)) => format!("{}{unit}", millis / factor),
        None => "0".to_owned(),
    }
}

/// Of a kept value; `None` when it is 0.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let millis = u64::try_from(milliseconds(text)?).ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Names of the zone that everything is computed in.
pub(super) fn is_utc(value: &str) -> bool {
    let names = [
        "utc",
        "etc/utc",
        "gmt",
        "etc/gmt",
        "universal",
        "zulu",
        "greenwich",
        "0",
        "+00",
        "+00:00",
    ];
    names.contains(&value.to_lowercase().as_str())
}

/// Whether a search path finds what is in `public`, and nothing else.
pub(super) fn is_public(value: &str) -> bool {
    let known = ["", "public", "$user", "pg_catalog", "information_schema"];
    words(value).iter().all(|it| known.contains(&it.as_str()))
}

#[cfg(test)]
mod tests;
