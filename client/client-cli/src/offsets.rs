//! The grammar of `--offset`, after rpk's.
//!
//! ```text
//! start | end | N | +N | -N | N-M | N:M | @T
//! T = milliseconds (13 digits or more) | seconds (up to 12 digits) | RFC 3339 | a time span ago such as 2h or -2h
//! ```

use config_schema::Span;

/// Where to begin, and where to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Start,
    End,
    At(i64),
    AfterStart(i64),
    BeforeEnd(i64),
    /// The first record at or after this time, in milliseconds since the epoch.
    Time(i64),
    /// From the first to before the second.
    Range(i64, i64),
}

/// Reads an offset; `now_ms` is what `@2h` counts back from.
pub(crate) fn parse(text: &str, now_ms: i64) -> Result<Position, String> {
    let wrong = || {
        format!("cannot read offset {text:?}: expected start, end, N, +N, -N, N-M, @2h, or @TIME")
    };
    let number = |digits: &str| -> Option<i64> {
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        all_digits.then(|| digits.parse().ok()).flatten()
    };
    match text {
        "start" | "oldest" | "beginning" => return Ok(Position::Start),
        "end" | "newest" => return Ok(Position::End),
        _ => {}
    }
    if let Some(time) = text.strip_prefix('@') {
        return parse_time(time, now_ms).map(Position::Time).ok_or_else(wrong);
    }
    if let Some(back) = text.strip_prefix('-') {
        return number(back).map(Position::BeforeEnd).ok_or_else(wrong);
    }
    if let Some(forth) = text.strip_prefix('+') {
        return number(forth).map(Position::AfterStart).ok_or_else(wrong);
    }
    if let Some((from, to)) = text.split_once(['-', ':']) {
        let (from, to) = (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?);
        if to < from {
            return Err(format!("offset range {text:?} ends before it begins"));
        }
        return Ok(Position::Range(from, to));
    }
    number(text).map(Position::At).ok_or_else(wrong)
}

fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        // Twelve digits of milliseconds would be 2001 at the latest, of seconds 33658 at the latest.
        return if text.len() >= 13 { Some(number) } else { number.checked_mul(1000) };
    }
    if let Ok(span) = text.strip_prefix('-').unwrap_or(text).parse::<Span>() {
        return now_ms.checked_sub(span.as_ms());
    }
    parse_rfc3339(text)
}

/// `2026-01-02T03:04:05[.678](Z|+01:00)`, RFC 3339 section 5.6, and a bare date, in milliseconds since the epoch.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let separated =
        |at: usize, byte: &[u8]| text.as_bytes().get(at).is_some_and(|found| byte.contains(found));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if !separated(4, b"-") || !separated(7, b"-") || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * 86_400_000;
    if text.len() == 10 {
        return Some(midnight);
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let time_separated = separated(10, b"Tt ") && separated(13, b":") && separated(16, b":");
    if !time_separated || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(after) => {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let padded: String =
                after.get(..digits)?.chars().chain("000".chars()).take(3).collect();
            if digits == 0 {
                return None;
            }
            (padded.parse::<i64>().ok()?, after.get(digits..)?)
        }
    };
    let offset_minutes = zone_minutes(zone)?;
    let seconds = (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(midnight + seconds * 1000 + fraction)
}

fn zone_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
