//! Literals of times and arrays in the forms that DataFusion does not read.
//!
//! | PostgreSQL | DataFusion reads |
//! |---|---|
//! | `interval '1 day 02:03:04'`, `'1-2'`, `'1 day ago'`, `'02:30'` | `'1 days 7384000000 microseconds'` |
//! | `timestamp '2020-01-01 12:00'` | `'2020-01-01 12:00:00'` |
//! | `timestamp '2020-01-01 12:00:00.1234567'` | `'2020-01-01 12:00:00.123457'` |
//! | `'{1,NULL}'::int[]` | `ARRAY['1', NULL]::int[]` |
//!
//! Invariants:
//! - What is not understood is left for DataFusion to read or refuse.

use datafusion::arrow::datatypes::{DataType as Arrow, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Array, DataType, Expr, TypedString, UnaryOperator, Value, ValueWithSpan,
};

use crate::literals::items;

/// Rewrites the literal of a time or an array.
pub(super) fn spell_out(expr: &mut Expr) {
    match expr {
        Expr::Interval(it) if it.leading_field.is_none() => {
            if let Some(value) = literal(&mut it.value) {
                respell(value, interval);
            }
        }
        // The planner would give the sign to the first part alone.
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
            if let Expr::Interval(it) = inner.as_mut()
                && let Some(Value::SingleQuotedString(text)) = literal(&mut it.value)
                && let Some(negated) = interval(&format!("{text} ago"))
            {
                *text = negated;
                let interval = Expr::Interval(it.clone());
                *expr = interval;
            }
        }
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => {
            if let Some(value) = literal(expr) {
                respell(value, interval);
            }
        }
        Expr::Cast { expr, data_type: DataType::Timestamp(..), .. } => {
            if let Some(value) = literal(expr) {
                respell(value, timestamp);
            }
        }
        Expr::TypedString(TypedString { data_type: DataType::Timestamp(..), value, .. }) => {
            respell(&mut value.value, timestamp);
        }
        Expr::Cast { expr, data_type: DataType::Time(..), .. } => {
            if let Some(value) = literal(expr) {
                respell(value, with_microseconds);
            }
        }
        Expr::TypedString(TypedString { data_type: DataType::Time(..), value, .. }) => {
            respell(&mut value.value, with_microseconds);
        }
        Expr::Cast { expr, data_type: DataType::Array(_), .. } => {
            if let Some(Value::SingleQuotedString(text)) = literal(expr)
                && let Some(items) = items(text)
            {
                **expr = array(items);
            }
        }
        _ => {}
    }
}

/// `ARRAY['1', NULL]`.
fn array(items: Vec<Option<String>>) -> Expr {
    let item = |it: Option<String>| it.map_or(Value::Null, Value::SingleQuotedString);
    let elem = items.into_iter().map(|it| Expr::Value(item(it).into())).collect();
    Expr::Array(Array { elem, named: true })
}

fn literal(expr: &mut Expr) -> Option<&mut Value> {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => Some(value),
        _ => None,
    }
}

fn respell(value: &mut Value, spelled: fn(&str) -> Option<String>) {
    if let Value::SingleQuotedString(text) = value
        && let Some(new) = spelled(text)
    {
        *text = new;
    }
}

/// A timestamp with its seconds, and these rounded to microseconds; `None` where it is read as it is.
pub(crate) fn timestamp(text: &str) -> Option<String> {
    with_seconds(text).or_else(|| with_microseconds(text))
}

/// `2020-01-01 12:00` with its seconds.
fn with_seconds(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let (date, time) = trimmed.split_once([' ', 'T'])?;
    let (minutes, zone) = time.split_at_checked(5)?;
    let below = |it: &str, max: u8| it.parse().is_ok_and(|it: u8| it < max);
    let (hour, minute) = minutes.split_once(':')?;
    let plain = hour.len() == 2 && below(hour, 24) && below(minute, 60);
    let zoned = zone.is_empty() || zone.starts_with(['+', '-', 'Z', 'z']);
    (plain && zoned).then(|| format!("{date} {minutes}:00{zone}"))
}

/// `2020-01-01 12:00:00.1234567` with six digits.
pub(crate) fn with_microseconds(text: &str) -> Option<String> {
    let (whole, rest) = text.trim().split_once('.')?;
    let is_digit = |it: char| it.is_ascii_digit();
    let (digits, zone) = rest.split_at(rest.find(|it| !is_digit(it)).unwrap_or(rest.len()));
    if digits.len() <= 6 {
        return None;
    }
    let (_, seconds) = whole.rsplit_once(':').filter(|(_, it)| it.chars().all(is_digit))?;
    let second: u8 = seconds.parse().ok().filter(|it| *it < 60)?;
    let micros = micros_of(digits)?;
    if micros < Decimal::ONE {
        return Some(format!("{whole}.{micros:06}{zone}"));
    }
    if second < 59 {
        let minutes = whole.strip_suffix(seconds)?;
        return Some(format!("{minutes}{:02}{zone}", second + 1));
    }
    Some(next_minute(whole)? + zone)
}

/// A second after `12:00:59` or `2020-01-01 12:00:59`; `None` at the end of a day without a date.
fn next_minute(text: &str) -> Option<String> {
    if let Some(micros) = clock(text) {
        let minutes = micros / MINUTE_US + 1;
        return (minutes < 24 * 60).then(|| format!("{:02}:{:02}:00", minutes / 60, minutes % 60));
    }
    let text = ScalarValue::Utf8(Some(text.to_owned()));
    let data_type = Arrow::Timestamp(TimeUnit::Microsecond, None);
    match text.cast_to(&data_type).ok()? {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            Some(query_api::text::timestamp(micros + 1_000_000, false))
        }
        _ => None,
    }
}

/// Digits after the point of a number in millionths, rounded as a double: half to even.
/// Source: `ParseFractionalSecond` of PostgreSQL's `datetime.c`.
fn micros_of(digits: &str) -> Option<i128> {
    let fraction: f64 = format!("0.{digits}0").parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
    Some((fraction * 1e6).round_ties_even() as i128)
}

const MINUTE_US: i128 = 60_000_000;
const HOUR_US: i128 = 60 * MINUTE_US;
const DAY_US: i128 = 24 * HOUR_US;
const MONTH_DAYS: i128 = 30;

/// Of an interval.
#[derive(Default)]
struct Parts {
    months: i128,
    days: i128,
    micros: i128,
}

/// <https://www.postgresql.org/docs/15/datatype-datetime.html#DATATYPE-INTERVAL-INPUT>
pub(crate) fn interval(text: &str) -> Option<String> {
    let words: Vec<&str> = text.trim().trim_start_matches('@').split_whitespace().collect();
    let (words, ago) = match words.as_slice() {
        [words @ .., last] if last.eq_ignore_ascii_case("ago") => (words, true),
        words => (words, false),
    };
    let mut parts = Parts::default();
    let mut rest = words;
    if let [word] = words
        && let Some(designated) = word.strip_prefix('P').filter(|it| !it.is_empty())
    {
        parts.add_designated(designated)?;
        rest = &[];
    }
    while let [word, after @ ..] = rest {
        rest = after;
        if word.contains(':') {
            parts.micros += clock(word)?;
        } else if let Some((years, months)) = year_month(word) {
            parts.months += years * 12 + months;
        } else {
            let at = word.find(|it: char| it.is_ascii_alphabetic()).unwrap_or(word.len());
            let (number, mut unit) = word.split_at(at);
            if unit.is_empty() {
                // A number before a time is of days, the last one alone of seconds.
                unit = match rest {
                    [next, after @ ..] if next.starts_with(|it: char| it.is_alphabetic()) => {
                        rest = after;
                        next
                    }
                    [next, ..] if next.contains(':') => "day",
                    [] => "second",
                    _ => return None,
                };
            }
            parts.add(Decimal::read(number)?, &unit.to_ascii_lowercase())?;
        }
    }
    let sign = if ago { -1 } else { 1 };
    let [months, days, micros] = [parts.months, parts.days, parts.micros].map(|it| it * sign);
    (!words.is_empty()).then(|| format!("{months} months {days} days {micros} microseconds"))
}

/// A number in millionths.
#[derive(Clone, Copy)]
struct Decimal(i128);

impl Decimal {
    const ONE: i128 = 1_000_000;

    /// Digits beyond the sixth are rounded.
    fn read(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |it: &str| it.len() <= 18 && it.bytes().all(|it| it.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let value = whole * Self::ONE + micros_of(fraction)?;
        Some(Self(if negative { -value } else { value }))
    }

    fn whole(self) -> i128 {
        self.0 / Self::ONE
    }

    /// What is left of it, in units of which one has `each`.
    fn fraction_in(self, each: i128) -> Self {
        Self(self.0 % Self::ONE * each)
    }
}

impl Parts {
    fn add(&mut self, number: Decimal, unit: &str) -> Option<()> {
        let months = match unit {
            "year" | "years" | "y" | "yr" | "yrs" => 12,
            "month" | "months" | "mon" | "mons" => 1,
            "decade" | "decades" => 120,
            "century" | "centuries" => 1200,
            "millennium" | "millennia" => 12_000,
            _ => return self.add_shorter(number, unit),
        };
        let months = Decimal(number.0 * months);
        self.months += months.whole();
        self.add_days(months.fraction_in(MONTH_DAYS));
        Some(())
    }

    fn add_shorter(&mut self, number: Decimal, unit: &str) -> Option<()> {
        let micros = match unit {
            "week" | "weeks" | "w" => {
                self.add_days(Decimal(number.0 * 7));
                return Some(());
            }
            "day" | "days" | "d" => {
                self.add_days(number);
                return Some(());
            }
            "hour" | "hours" | "h" | "hr" | "hrs" => HOUR_US,
            "minute" | "minutes" | "m" | "min" | "mins" => MINUTE_US,
            "second" | "seconds" | "s" | "sec" | "secs" => 1_000_000,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => 1000,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => 1,
            _ => return None,
        };
        self.micros += number.0 * micros / Decimal::ONE;
        Some(())
    }

    /// `1Y2M3DT4H5M6S`, as in ISO 8601.
    fn add_designated(&mut self, text: &str) -> Option<()> {
        let (date, time) = text.split_once('T').unwrap_or((text, ""));
        for (fields, is_date) in [(date, true), (time, false)] {
            for field in fields.split_inclusive(|it: char| it.is_ascii_alphabetic()) {
                let at = field.len().checked_sub(1)?;
                let (number, unit) = field.split_at_checked(at)?;
                let unit = match (unit, is_date) {
                    ("Y", true) => "year",
                    ("M", true) => "month",
                    ("W", true) => "week",
                    ("D", true) => "day",
                    ("H", false) => "hour",
                    ("M", false) => "minute",
                    ("S", false) => "second",
                    _ => return None,
                };
                self.add(Decimal::read(number)?, unit)?;
            }
        }
        Some(())
    }

    fn add_days(&mut self, days: Decimal) {
        self.days += days.whole();
        self.micros += days.fraction_in(DAY_US).0 / Decimal::ONE;
    }
}

/// `[+-]hh:mm[:ss[.ffffff]]` in microseconds.
fn clock(word: &str) -> Option<i128> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(word) => (-1, word),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let fields: Vec<&str> = word.split(':').collect();
    let (hours, minutes, seconds) = match fields.as_slice() {
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, *seconds),
        _ => return None,
    };
    let whole = |it: &str| it.parse::<u32>().ok().map(i128::from);
    let (hours, minutes, seconds) = (whole(hours)?, whole(minutes)?, Decimal::read(seconds)?);
    let fits = minutes < 60 && (0..60 * Decimal::ONE).contains(&seconds.0);
    fits.then_some(sign * (hours * HOUR_US + minutes * MINUTE_US + seconds.0))
}

/// `1-2`: years and months.
fn year_month(word: &str) -> Option<(i128, i128)> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(word) => (-1, word),
        None => (1, word),
    };
    let (years, months) = word.split_once('-')?;
    let months: u8 = months.parse().ok().filter(|it| *it < 12)?;
    Some((sign * i128::from(years.parse::<u32>().ok()?), sign * i128::from(months)))
}
