//! `to_char` of times in PostgreSQL's patterns, and `AT TIME ZONE`.
//!
//! Invariants:
//! - A pattern or a zone that is not known is an error (0A000, 22023), never left in the result.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use query_api::calendar::{DAY_US, Date, date_of, days_of};

use super::{Add, NO_TEXT, Returns, string, text};
use crate::error::fault;

/// Seconds since 1970, or those of an interval.
pub(crate) const EPOCH: &str = "luma_epoch";
const EPOCH_DIGITS: u8 = 38;
const EPOCH_SCALE: i8 = 6;
const HOUR_US: i64 = 3_600_000_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From the weekday of 1970-01-01.
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
/// Longest first where one begins another.
const PATTERNS: [&str; 50] = [
    "IYYY", "iyyy", "IW", "iw", "WW", "ww", "HH24", "hh24", "HH12", "hh12", "YYYY", "yyyy",
    "Month", "MONTH", "month", "DDD", "ddd", "Day", "DAY", "day", "Mon", "MON", "mon", "HH", "hh",
    "MI", "mi", "SS", "ss", "MS", "ms", "US", "us", "MM", "mm", "DD", "dd", "Dy", "DY", "dy", "AM",
    "PM", "am", "pm", "YY", "yy", "Q", "q", "D", "d",
];

pub(super) fn register(add: &mut Add<'_>) {
    let to_char = |args: &[ScalarValue]| {
        let Some(micros) = args.first().map(micros).transpose()?.flatten() else {
            return Ok(NO_TEXT);
        };
        let pattern = string(args.get(1));
        pattern.map_or(Ok(NO_TEXT), |it| shown(micros, &it).map(text))
    };
    add("to_char", Returns::Type(DataType::Utf8), Arc::new(to_char));
    let seconds = Returns::Type(DataType::Decimal128(EPOCH_DIGITS, EPOCH_SCALE));
    let epoch = |args: &[ScalarValue]| {
        let micros = args.first().map(epoch).transpose()?.flatten();
        Ok(ScalarValue::Decimal128(micros, EPOCH_DIGITS, EPOCH_SCALE))
    };
    add(EPOCH, seconds, Arc::new(epoch));
    add("luma_at_time_zone", Returns::OtherZone, Arc::new(at_time_zone));
}

/// Microseconds; a year of an interval has 365.25 days, a month 30. Source: PostgreSQL's `interval_part_common`.
fn epoch(value: &ScalarValue) -> Result<Option<i128>> {
    const YEAR_US: i128 = 31_557_600_000_000;
    if matches!(value.data_type(), DataType::Utf8 | DataType::Timestamp(..) | DataType::Date32) {
        let zone = match value.data_type() {
            DataType::Timestamp(_, zone) => zone,
            _ => None,
        };
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, zone);
        return Ok(match value.cast_to(&timestamp)? {
            ScalarValue::TimestampMicrosecond(micros, _) => micros.map(i128::from),
            _ => None,
        });
    }
    let is_time = matches!(value.data_type(), DataType::Time64(_));
    if !is_time && !crate::intervals::is_span(&value.data_type()) {
        return match value.is_null() {
            true => Ok(None),
            false => Err(fault("42883", "extract(epoch) takes a time or an interval")),
        };
    }
    let interval = crate::intervals::intervals(&value.to_array()?)?;
    Ok(interval.iter().next().flatten().map(|it| {
        let (years, months) = (i128::from(it.months / 12), i128::from(it.months % 12));
        let days = months * 30 + i128::from(it.days);
        years * YEAR_US + days * i128::from(DAY_US) + i128::from(it.nanoseconds / 1000)
    }))
}

/// Microseconds since 1970; an error for what is no time.
fn micros(value: &ScalarValue) -> Result<Option<i64>> {
    let zone = match value.data_type() {
        DataType::Timestamp(_, zone) => zone,
        DataType::Date32 | DataType::Null => None,
        _ => return Err(fault("0A000", "to_char of this type is not supported")),
    };
    match value.cast_to(&DataType::Timestamp(TimeUnit::Microsecond, zone))? {
        ScalarValue::TimestampMicrosecond(micros, _) => Ok(micros),
        _ => Ok(None),
    }
}

/// <https://www.postgresql.org/docs/15/functions-formatting.html>
fn shown(micros: i64, pattern: &str) -> Result<String> {
    let mut shown = String::new();
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        let unpadded = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("TM"));
        if let Some(after) = unpadded
            && let Some(found) = PATTERNS.iter().find(|it| after.starts_with(**it))
        {
            let mut padded = String::new();
            push(&mut padded, found, micros);
            let plain = padded.trim_end();
            let number = plain.trim_start_matches('0');
            shown.push_str(if number.is_empty() { "0" } else { number });
            rest = suffixed(&mut shown, &after[found.len()..]);
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (literal, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            shown.push_str(literal);
            rest = after;
        } else if let Some(found) = PATTERNS.iter().find(|it| rest.starts_with(**it)) {
            push(&mut shown, found, micros);
            rest = suffixed(&mut shown, &rest[found.len()..]);
        } else if next.is_ascii_alphabetic() {
            let message = format!("pattern \"{rest}\" of to_char is not supported");
            return Err(fault("0A000", message));
        } else {
            shown.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    Ok(shown)
}

/// `th` after a number: `1st`, `2nd`; what is left of the pattern. Source: `get_th` of PostgreSQL's `formatting.c`.
fn suffixed<'a>(shown: &mut String, rest: &'a str) -> &'a str {
    let upper = rest.starts_with("TH");
    if !upper && !rest.starts_with("th") {
        return rest;
    }
    let digits: Vec<char> = shown.chars().rev().take_while(char::is_ascii_digit).collect();
    let suffix = match (digits.first(), digits.get(1)) {
        (None, _) => return rest,
        (_, Some('1')) => "th",
        (Some('1'), _) => "st",
        (Some('2'), _) => "nd",
        (Some('3'), _) => "rd",
        _ => "th",
    };
    shown.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
    &rest[2..]
}

/// Year and number of the week that ISO 8601 counts the day to.
fn iso_week(days: i64) -> (i64, i64) {
    // The week's Thursday is in its year; 1970-01-01 was one.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let year = date_of(thursday).year;
    let first = days_of(Date { year, month: 1, day: 1 }).unwrap_or(thursday);
    (year, (thursday - first) / 7 + 1)
}

fn push(shown: &mut String, pattern: &str, micros: i64) {
    let (days, time) = (micros.div_euclid(DAY_US), micros.rem_euclid(DAY_US));
    let Date { year, month, day } = date_of(days);
    let (hour, minute, second) = (time / HOUR_US, time / 60_000_000 % 60, time / 1_000_000 % 60);
    let of_twelve = (hour + 11) % 12 + 1;
    let month_index = usize::try_from(month).unwrap_or(1) - 1;
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
    let first = days_of(Date { year, month: 1, day: 1 }).unwrap_or(days);
    // Writing to a string does not fail.
    let _ = match pattern {
        "YYYY" | "yyyy" => write!(shown, "{year:04}"),
        "YY" | "yy" => write!(shown, "{:02}", year.rem_euclid(100)),
        "IYYY" | "iyyy" => write!(shown, "{:04}", iso_week(days).0),
        "IW" | "iw" => write!(shown, "{:02}", iso_week(days).1),
        "WW" | "ww" => write!(shown, "{:02}", (days - first) / 7 + 1),
        "Q" | "q" => write!(shown, "{}", month_index / 3 + 1),
        "MM" | "mm" => write!(shown, "{month:02}"),
        "DDD" | "ddd" => write!(shown, "{:03}", days - first + 1),
        "DD" | "dd" => write!(shown, "{day:02}"),
        // Sunday is 1.
        "D" | "d" => write!(shown, "{}", (days + 4).rem_euclid(7) + 1),
        "HH24" | "hh24" => write!(shown, "{hour:02}"),
        "HH12" | "hh12" | "HH" | "hh" => write!(shown, "{of_twelve:02}"),
        "MI" | "mi" => write!(shown, "{minute:02}"),
        "SS" | "ss" => write!(shown, "{second:02}"),
        "MS" | "ms" => write!(shown, "{:03}", time / 1000 % 1000),
        "US" | "us" => write!(shown, "{:06}", time % 1_000_000),
        "AM" | "PM" => write!(shown, "{}", if hour < 12 { "AM" } else { "PM" }),
        "am" | "pm" => write!(shown, "{}", if hour < 12 { "am" } else { "pm" }),
        name => {
            let whole = match name.to_ascii_lowercase().as_str() {
                "mon" => &MONTHS[month_index][..3],
                "month" => MONTHS[month_index],
                "dy" => &DAYS[weekday][..3],
                _ => DAYS[weekday],
            };
            let width = if name.len() > 3 || name.eq_ignore_ascii_case("day") { 9 } else { 3 };
            let cased = match name.chars().nth(1) {
                Some('A'..='Z') => whole.to_uppercase(),
                _ if name.starts_with(|it: char| it.is_lowercase()) => whole.to_lowercase(),
                _ => whole.to_owned(),
            };
            write!(shown, "{cased:width$}")
        }
    };
}

/// A timestamp without a zone is taken as of it; one with a zone becomes local to it.
fn at_time_zone(args: &[ScalarValue]) -> Result<ScalarValue> {
    let [value, zone] = args else {
        return Err(fault("42883", "AT TIME ZONE wants a timestamp and a zone"));
    };
    let zoned = matches!(value.data_type(), DataType::Timestamp(_, Some(_)));
    let shifted = match (micros(value)?, string(Some(zone))) {
        (Some(micros), Some(name)) => {
            let offset = offset(&name)?;
            Some(if zoned { micros + offset } else { micros - offset })
        }
        _ => None,
    };
    let zone = (!zoned).then(|| "+00:00".into());
    Ok(ScalarValue::TimestampMicrosecond(shifted, zone))
}

/// Microseconds east of Greenwich; the rules of other zones are not known here.
fn offset(zone: &str) -> Result<i64> {
    let name = zone.trim();
    if ["utc", "gmt", "z", "etc/utc", "zulu"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(0);
    }
    let message = format!("time zone \"{zone}\" is not supported: name UTC");
    Err(fault("0A000", message))
}
