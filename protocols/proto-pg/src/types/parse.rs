//! Parameters in text form: what PostgreSQL's input functions accept, as far as drivers send it.
//!
//! Absent on purpose: day and month names, named time zones, `now` and its relatives, `DateStyle` other than ISO.

use bytes::Bytes;
use query_api::calendar::{DAY_US, Date, days_of};
use query_api::text::bytea;
use query_api::{DataType, Value};

use super::binary::{DIMENSION_COUNT_MAX, no_zero};
use super::numeric;
use crate::codec::{Report, excerpt, utf8};
use crate::error::report;

/// Reads a parameter.
///
/// # Errors
/// ERROR 22P02 for text that is not of the type, 22003 and 22008 out of range, 22021 for bad UTF-8.
pub(super) fn decode(data_type: &DataType, bytes: &Bytes) -> Result<Value, Report> {
    let text = no_zero(utf8(bytes)?)?;
    decode_text(data_type, text)
}

fn decode_text(data_type: &DataType, text: &str) -> Result<Value, Report> {
    let word = text.trim_matches(|letter: char| letter.is_ascii_whitespace());
    let bad = || syntax_error(data_type, text);
    Ok(match data_type {
        // The engine looks a name up.
        DataType::Text | DataType::Name | DataType::Unknown | DataType::Reg(_) => {
            Value::Text(text.to_owned())
        }
        DataType::InternalChar => Value::Text(text.chars().take(1).collect()),
        DataType::Json | DataType::Jsonb => Value::Json(text.to_owned()),
        DataType::Bool => Value::Bool(boolean(word).ok_or_else(bad)?),
        DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Oid => {
            integer(data_type, word, text)?
        }
        DataType::Float4 | DataType::Float8 => float(data_type, word, text)?,
        DataType::Numeric(..) => {
            if matches!(word.to_ascii_lowercase().as_str(), "nan" | "infinity" | "-infinity") {
                return Err(Report::error("0A000", "numeric NaN and infinity are not supported"));
            }
            let (unscaled, scale) = numeric::from_text(word).ok_or_else(bad)??;
            Value::Numeric(unscaled, scale)
        }
        DataType::Bytea => Value::Bytea(bytea(text).map_err(|error| report(error, ""))?.into()),
        DataType::Date => Value::Date(date(word).ok_or_else(bad)?.ok_or_else(|| range(text))?),
        DataType::Time => Value::Time(time(word).ok_or_else(bad)?.ok_or_else(|| range(text))?),
        DataType::Timestamp | DataType::TimestampTz => {
            let zoned = *data_type == DataType::TimestampTz;
            Value::Timestamp(timestamp(word, zoned).ok_or_else(bad)?.ok_or_else(|| range(text))?)
        }
        DataType::Interval => interval(word).ok_or_else(bad)?,
        DataType::Array(element) => array(element, word)?,
    })
}

fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Bool => "boolean",
        DataType::Int2 => "smallint",
        DataType::Int4 => "integer",
        DataType::Int8 => "bigint",
        DataType::Float4 => "real",
        DataType::Float8 => "double precision",
        DataType::Numeric(..) => "numeric",
        DataType::Text | DataType::Unknown => "text",
        DataType::Name => "name",
        DataType::InternalChar => "\"char\"",
        DataType::Bytea => "bytea",
        DataType::Date => "date",
        DataType::Time => "time",
        DataType::Timestamp => "timestamp",
        DataType::TimestampTz => "timestamp with time zone",
        DataType::Interval => "interval",
        DataType::Json => "json",
        DataType::Jsonb => "jsonb",
        DataType::Oid => "oid",
        DataType::Reg(kind) => kind.type_name(),
        DataType::Array(_) => "array",
    }
}

fn syntax_error(data_type: &DataType, text: &str) -> Report {
    let sqlstate = match data_type {
        // invalid_datetime_format, as PostgreSQL's date and time input.
        DataType::Date
        | DataType::Time
        | DataType::Timestamp
        | DataType::TimestampTz
        | DataType::Interval => "22007",
        _ => "22P02",
    };
    let name = type_name(data_type);
    Report::error(sqlstate, format!("invalid input syntax for type {name}: \"{}\"", excerpt(text)))
}

fn range(text: &str) -> Report {
    Report::error("22008", format!("date/time field value out of range: \"{}\"", excerpt(text)))
}

/// Unique prefixes of true, false, yes, no, on, off; and 1, 0.
fn boolean(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    let prefix_of = |whole: &str, len_min: usize| word.len() >= len_min && whole.starts_with(&word);
    if word == "1" || prefix_of("true", 1) || prefix_of("yes", 1) || prefix_of("on", 2) {
        return Some(true);
    }
    let no = word == "0" || prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2);
    no.then_some(false)
}

fn integer(data_type: &DataType, word: &str, text: &str) -> Result<Value, Report> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(syntax_error(data_type, text));
    }
    let out_of_range = || {
        let message = format!(
            "value \"{}\" is out of range for type {}",
            excerpt(text),
            type_name(data_type)
        );
        Report::error("22003", message)
    };
    let number: i64 = word.parse().map_err(|_| out_of_range())?;
    let value = match data_type {
        DataType::Int2 => i16::try_from(number).ok().map(Value::Int2),
        DataType::Int4 => i32::try_from(number).ok().map(Value::Int4),
        DataType::Oid => u32::try_from(number).ok().map(Value::Oid),
        _ => Some(Value::Int8(number)),
    };
    value.ok_or_else(out_of_range)
}

fn float(data_type: &DataType, word: &str, text: &str) -> Result<Value, Report> {
    let number: f64 = word.parse().map_err(|_| syntax_error(data_type, text))?;
    let named = word.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    let value = if *data_type == DataType::Float4 {
        let narrow: f32 = word.parse().map_err(|_| syntax_error(data_type, text))?;
        (narrow.is_finite() || named).then_some(Value::Float4(narrow))
    } else {
        (number.is_finite() || named).then_some(Value::Float8(number))
    };
    value.ok_or_else(|| {
        let name = type_name(data_type);
        Report::error("22003", format!("\"{}\" is out of range for type {name}", excerpt(text)))
    })
}

/// What a date or time parser found: `None` is no such syntax, `Some(None)` is out of range.
type Found<T> = Option<Option<T>>;

/// `YYYY-MM-DD`, perhaps followed by a time, perhaps by ` BC`; `infinity`.
fn date(word: &str) -> Found<i32> {
    match word.to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Some(Some(i32::MAX)),
        "-infinity" => return Some(Some(i32::MIN)),
        "epoch" => return Some(Some(0)),
        _ => {}
    }
    let Some(micros) = timestamp(word, false)? else { return Some(None) };
    Some(i32::try_from(micros.div_euclid(DAY_US)).ok())
}

/// `HH:MM[:SS[.ffffff]]`, with a zone that is ignored.
fn time(word: &str) -> Found<i64> {
    let (clock, _zone) = split_zone(word);
    Some(parse_clock(clock)?.filter(|micros| (0..=DAY_US).contains(micros)))
}

/// A date with an optional time and zone; a zone is applied when `zoned` and ignored otherwise.
fn timestamp(word: &str, zoned: bool) -> Found<i64> {
    match word.to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Some(Some(i64::MAX)),
        "-infinity" => return Some(Some(i64::MIN)),
        "epoch" => return Some(Some(0)),
        _ => {}
    }
    let (word, before_christ) = match word.strip_suffix(" BC").or_else(|| word.strip_suffix(" bc"))
    {
        Some(word) => (word.trim_end(), true),
        None => (word, false),
    };
    let (date_part, time_part) = match word.find([' ', 'T', 't']) {
        Some(at) => (&word[..at], word[at + 1..].trim()),
        None => (word, ""),
    };
    let mut parts = date_part.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() < 4 {
        return None;
    }
    let year: i64 = number(year, 7)?;
    let date = Date {
        year: if before_christ { 1 - year } else { year },
        month: u32::try_from(number(month, 2)?).ok()?,
        day: u32::try_from(number(day, 2)?).ok()?,
    };
    if year == 0 {
        return Some(None);
    }
    let (clock, zone) = split_zone(time_part);
    let clock = if clock.is_empty() { Some(0) } else { parse_clock(clock)? };
    let zone = if zone.is_empty() { 0 } else { parse_zone(zone)? };
    let micros = || {
        let days = days_of(date)?.checked_mul(DAY_US)?;
        let local = days.checked_add(clock.filter(|clock| *clock <= DAY_US)?)?;
        if zoned { local.checked_sub(zone) } else { Some(local) }
    };
    Some(micros())
}

/// Decimal digits only, at most `len_max` of them.
fn number(text: &str, len_max: usize) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= len_max;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if fits && digits { text.parse().ok() } else { None }
}

fn split_zone(text: &str) -> (&str, &str) {
    match text.find(['+', '-', 'Z', 'z', 'U', 'u']) {
        Some(at) => (text[..at].trim_end(), &text[at..]),
        None => (text, ""),
    }
}

/// Microseconds since midnight; more than a day is the caller's to refuse.
fn parse_clock(text: &str) -> Found<i64> {
    let mut parts = text.split(':');
    let hours = number(parts.next()?, 9)?;
    let minutes = number(parts.next()?, 2)?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            (number(whole, 2)?, fraction_us(fraction)?)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    if minutes > 59 || seconds > 60 {
        return Some(None);
    }
    Some(Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

/// The digits after the point as microseconds, rounded at the seventh.
fn fraction_us(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    for index in 0..6 {
        micros =
            micros * 10 + i64::from(digits.as_bytes().get(index).map_or(0, |digit| digit - b'0'));
    }
    let round_up = digits.as_bytes().get(6).is_some_and(|digit| *digit >= b'5');
    Some(micros + i64::from(round_up))
}

/// `Z`, `UTC`, `+HH`, `+HHMM`, `+HH:MM`, `+HH:MM:SS` in microseconds.
fn parse_zone(text: &str) -> Option<i64> {
    if matches!(text.to_ascii_uppercase().as_str(), "Z" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes, seconds) = if digits.contains(':') {
        let mut parts = digits.split(':');
        let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
        let seconds = parts.next().map_or(Some(0), |part| number(part, 2))?;
        (hours, minutes, seconds)
    } else {
        match digits.len() {
            1 | 2 => (number(digits, 2)?, 0, 0),
            4 => (number(digits.get(..2)?, 2)?, number(digits.get(2..)?, 2)?, 0),
            _ => return None,
        }
    };
    (hours <= 15 && minutes < 60 && seconds < 60)
        .then_some(sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000)
}

/// `1 year 2 mons -3 days 04:05:06.7 ago`, the verbose style's `@`, and ISO 8601's `P1Y2M3DT4H5M6S`.
fn interval(word: &str) -> Option<Value> {
    if let Some(iso) = word.strip_prefix(['P', 'p']) {
        return iso_interval(iso);
    }
    let mut sum = Sum::default();
    let mut words = word.split([' ', ',', '\t']).filter(|word| !word.is_empty()).peekable();
    let mut found = false;
    let mut ago = false;
    while let Some(word) = words.next() {
        if word == "@" && !found {
            continue;
        }
        if word.eq_ignore_ascii_case("ago") && found && words.peek().is_none() {
            ago = true;
        } else if word.contains(':') {
            let (sign, clock) = match word.split_at_checked(1)? {
                ("-", clock) => (-1, clock),
                ("+", clock) => (1, clock),
                _ => (1, word),
            };
            sum.add(i128::from(parse_clock(clock)?? * sign), 1, Unit::Micros)?;
        } else {
            let at = word.find(|letter: char| letter.is_ascii_alphabetic());
            let (amount, unit) = match at {
                Some(at) => word.split_at(at),
                // A number alone is seconds when it comes last, as in PostgreSQL.
                None => (word, words.next().unwrap_or("s")),
            };
            sum.add_amount(amount, unit_of(unit)?)?;
        }
        found = true;
    }
    if found { sum.value(ago) } else { None }
}

fn iso_interval(iso: &str) -> Option<Value> {
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut amount = String::new();
    let mut found = false;
    for letter in iso.chars() {
        match letter.to_ascii_uppercase() {
            'T' if amount.is_empty() && !in_time => in_time = true,
            letter if letter.is_ascii_digit() || "+-.".contains(letter) => amount.push(letter),
            letter => {
                let unit = match (letter, in_time) {
                    ('Y', false) => Unit::Months(12),
                    ('M', false) => Unit::Months(1),
                    ('W', false) => Unit::Days(7),
                    ('D', false) => Unit::Days(1),
                    ('H', true) => Unit::Time(3_600_000_000),
                    ('M', true) => Unit::Time(60_000_000),
                    ('S', true) => Unit::Time(1_000_000),
                    _ => return None,
                };
                sum.add_amount(&amount, unit)?;
                amount.clear();
                found = true;
            }
        }
    }
    if found && amount.is_empty() { sum.value(false) } else { None }
}

#[derive(Clone, Copy)]
enum Unit {
    Months(i64),
    Days(i64),
    /// Microseconds per unit; may have a fraction.
    Time(i64),
    Micros,
}

fn unit_of(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "d" | "day" | "days" => Unit::Days(1),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Time(3_600_000_000),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Time(60_000_000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Time(1_000_000),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => Unit::Time(1_000),
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => Unit::Time(1),
        _ => return None,
    })
}

#[derive(Default)]
struct Sum {
    months: i128,
    days: i128,
    micros: i128,
}

impl Sum {
    /// Adds `[+-]digits[.digits]` of a unit; only times of day take a fraction.
    fn add_amount(&mut self, amount: &str, unit: Unit) -> Option<()> {
        let (unscaled, scale) = numeric::from_text(amount)?.ok()?;
        let divisor = 10_i128.checked_pow(u32::try_from(scale).ok()?)?;
        self.add(unscaled, divisor, unit)
    }

    fn add(&mut self, amount: i128, divisor: i128, unit: Unit) -> Option<()> {
        let (total, factor) = match unit {
            Unit::Months(factor) => (&mut self.months, factor),
            Unit::Days(factor) => (&mut self.days, factor),
            Unit::Time(factor) => (&mut self.micros, factor),
            Unit::Micros => (&mut self.micros, 1),
        };
        let product = amount.checked_mul(i128::from(factor))?;
        if !matches!(unit, Unit::Time(_)) && product % divisor != 0 {
            return None;
        }
        *total = total.checked_add(product / divisor)?;
        Some(())
    }

    fn value(&self, ago: bool) -> Option<Value> {
        let sign = if ago { -1 } else { 1 };
        Some(Value::Interval {
            months: i32::try_from(self.months * sign).ok()?,
            days: i32::try_from(self.days * sign).ok()?,
            micros: i64::try_from(self.micros * sign).ok()?,
        })
    }
}

/// `{a,"b c",NULL,{…}}`.
fn array(element: &DataType, word: &str) -> Result<Value, Report> {
    let mut parser = ArrayParser { element, rest: word, depth: 0 };
    let value = parser.level()?;
    if parser.rest.is_empty() { Ok(value) } else { Err(malformed_array(word)) }
}

struct ArrayParser<'a> {
    element: &'a DataType,
    rest: &'a str,
    depth: usize,
}

impl ArrayParser<'_> {
    fn level(&mut self) -> Result<Value, Report> {
        self.depth += 1;
        if self.depth > DIMENSION_COUNT_MAX || !self.eat('{') {
            return Err(malformed_array(self.rest));
        }
        let mut values = Vec::new();
        self.skip_spaces();
        if !self.eat('}') {
            loop {
                self.skip_spaces();
                values.push(self.item()?);
                self.skip_spaces();
                if self.eat('}') {
                    break;
                }
                if !self.eat(',') {
                    return Err(malformed_array(self.rest));
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Array(values))
    }

    fn item(&mut self) -> Result<Value, Report> {
        if self.rest.starts_with('{') {
            return self.level();
        }
        if self.eat('"') {
            let text = self.quoted()?;
            return decode_text(self.element, &text);
        }
        let mut text = String::new();
        while let Some(letter) = self.rest.chars().next() {
            match letter {
                ',' | '}' => break,
                '{' | '"' => return Err(malformed_array(self.rest)),
                '\\' => text.push(self.escaped()?),
                _ => {
                    self.rest = &self.rest[letter.len_utf8()..];
                    text.push(letter);
                }
            }
        }
        let word = text.trim_end();
        if word.is_empty() {
            return Err(malformed_array(self.rest));
        }
        if word.eq_ignore_ascii_case("null") {
            return Ok(Value::Null);
        }
        decode_text(self.element, word)
    }

    fn quoted(&mut self) -> Result<String, Report> {
        let mut text = String::new();
        loop {
            if self.eat('"') {
                return Ok(text);
            }
            match self.rest.chars().next() {
                None => return Err(malformed_array(self.rest)),
                Some('\\') => text.push(self.escaped()?),
                Some(letter) => {
                    self.rest = &self.rest[letter.len_utf8()..];
                    text.push(letter);
                }
            }
        }
    }

    /// The letter after a backslash.
    fn escaped(&mut self) -> Result<char, Report> {
        let mut letters = self.rest.chars();
        letters.next();
        let letter = letters.next().ok_or_else(|| malformed_array(self.rest))?;
        self.rest = letters.as_str();
        Ok(letter)
    }

    fn eat(&mut self, letter: char) -> bool {
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace());
    }
}

fn malformed_array(text: &str) -> Report {
    Report::error("22P02", format!("malformed array literal: \"{}\"", excerpt(text)))
}
