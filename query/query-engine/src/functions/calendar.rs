//! Times cut, counted from each other and put together: `date_trunc`, `date_bin`, `age`, `make_date` and their kin, `justify_*`.
//! <https://www.postgresql.org/docs/15/functions-datetime.html>
//!
//! Everything is worked out in microseconds: the nanoseconds of DataFusion's functions end in 1677 and 2262.
//!
//! Source: PostgreSQL's `timestamp.c`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use query_api::calendar::{DAY_US, Date, date_of, days_of};

use super::{Add, Returns, integer, string};
use crate::error::fault;
use crate::intervals::{INTERVAL, intervals};
use crate::rewrite::literals;

const HOUR_US: i64 = 3_600_000_000;
const MINUTE_US: i64 = 60_000_000;
const SECOND_US: i64 = 1_000_000;

pub(super) fn register(add: &mut Add<'_>) {
    let time = DataType::Time64(TimeUnit::Microsecond);
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (name, count, returns, made) in [
        ("age", 2, INTERVAL, age as fn(&[ScalarValue]) -> Result<ScalarValue>),
        ("make_date", 3, DataType::Date32, made_date),
        ("make_time", 3, time, made_time),
        ("make_timestamp", 6, timestamp, made_timestamp),
        ("make_interval", 7, INTERVAL, made_interval),
    ] {
        let body = move |args: &[ScalarValue]| {
            if args.len() != count {
                return Err(fault("42883", format!("{name} takes {count} arguments")));
            }
            made(args)
        };
        add(name, Returns::Type(returns), Arc::new(body));
    }
    add("isfinite", Returns::Type(DataType::Boolean), Arc::new(finite));
    for (name, justify) in [
        ("justify_hours", justified_hours as fn(Span) -> Span),
        ("justify_days", justified_days),
        ("justify_interval", justified),
    ] {
        let body =
            move |args: &[ScalarValue]| Ok(Maybe(span_of(args.first())?.map(justify)).into());
        add(name, Returns::Type(INTERVAL), Arc::new(body));
    }
}

/// An interval: months, days, microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    months: i64,
    days: i64,
    micros: i64,
}

impl From<Span> for ScalarValue {
    fn from(it: Span) -> Self {
        let narrow = |it: i64| i32::try_from(it).ok();
        let (months, days) = (narrow(it.months), narrow(it.days));
        let made = months.zip(days).zip(it.micros.checked_mul(1000));
        Self::IntervalMonthDayNano(
            made.map(|((months, days), nanos)| IntervalMonthDayNano::new(months, days, nanos)),
        )
    }
}

struct Maybe(Option<Span>);

impl From<Maybe> for ScalarValue {
    fn from(it: Maybe) -> Self {
        it.0.map_or(Self::IntervalMonthDayNano(None), Self::from)
    }
}

fn span_of(value: Option<&ScalarValue>) -> Result<Option<Span>> {
    let Some(value) = value.filter(|it| !it.is_null()) else { return Ok(None) };
    let value = match value.try_as_str().flatten() {
        Some(text) => {
            let spelled = literals::interval(text).unwrap_or_else(|| text.to_owned());
            ScalarValue::Utf8(Some(spelled)).cast_to(&INTERVAL)?
        }
        None => value.clone(),
    };
    let found = intervals(&value.to_array()?)?;
    Ok(found.iter().next().flatten().map(|it| Span {
        months: it.months.into(),
        days: it.days.into(),
        micros: it.nanoseconds / 1000,
    }))
}

/// Microseconds since 1970.
fn moment(value: Option<&ScalarValue>) -> Result<Option<i64>> {
    let Some(value) = value.filter(|it| !it.is_null()) else { return Ok(None) };
    let zone = match value.data_type() {
        DataType::Timestamp(_, zone) => zone,
        _ => None,
    };
    let target = DataType::Timestamp(TimeUnit::Microsecond, zone);
    let value = match value.try_as_str().flatten() {
        Some(text) => {
            let spelled = literals::timestamp(text).unwrap_or_else(|| text.to_owned());
            ScalarValue::Utf8(Some(spelled)).cast_to(&target)?
        }
        None => value.cast_to(&target)?,
    };
    match value {
        ScalarValue::TimestampMicrosecond(micros, _) => Ok(micros),
        _ => Err(fault("42883", "it takes a timestamp")),
    }
}

/// A timestamp of the type of `value`; of anything else one with a zone.
fn like(value: Option<&ScalarValue>, micros: Option<i64>) -> ScalarValue {
    let zone = match value.map(ScalarValue::data_type) {
        Some(DataType::Timestamp(_, None)) => None,
        _ => Some("+00:00".into()),
    };
    ScalarValue::TimestampMicrosecond(micros, zone)
}

fn out_of_range(what: &str) -> datafusion::error::DataFusionError {
    fault("22008", format!("{what} out of range"))
}

fn start_of(year: i64, month: u32) -> Option<i64> {
    days_of(Date { year, month, day: 1 })?.checked_mul(DAY_US)
}

/// `date_trunc(unit, time)`, also of an interval.
///
/// # Errors
/// 22023 for no unit.
pub(super) fn truncated(args: &[ScalarValue]) -> Result<ScalarValue> {
    let is_span = args.get(1).is_some_and(|it| crate::intervals::is_span(&it.data_type()));
    let Some(unit) = string(args.first()) else {
        return Ok(if is_span { Maybe(None).into() } else { like(args.get(1), None) });
    };
    if is_span {
        let span = span_of(args.get(1))?;
        let wrong = || unknown_unit(&unit, "interval");
        let span = span.map(|it| truncated_span(&unit.to_lowercase(), it).ok_or_else(wrong));
        return Ok(Maybe(span.transpose()?).into());
    }
    let Some(micros) = moment(args.get(1))? else { return Ok(like(args.get(1), None)) };
    let is_plain =
        matches!(args.get(1).map(ScalarValue::data_type), Some(DataType::Timestamp(_, None)));
    Ok(like(args.get(1), Some(truncated_time(&unit, micros, !is_plain)?)))
}

fn unknown_unit(unit: &str, name: &str) -> datafusion::error::DataFusionError {
    fault("22023", format!("unit \"{unit}\" not recognized for type {name}"))
}

/// A time in microseconds, cut to a unit in any case.
///
/// # Errors
/// 22023 for no unit.
pub(super) fn truncated_time(unit: &str, micros: i64, zoned: bool) -> Result<i64> {
    let is_folded = unit.bytes().all(|it| it.is_ascii_lowercase());
    let cut = match is_folded {
        true => truncated_micros(unit, micros),
        false => truncated_micros(&unit.to_lowercase(), micros),
    };
    cut.ok_or_else(|| {
        let name = if zoned { "timestamp with time zone" } else { "timestamp without time zone" };
        unknown_unit(unit, name)
    })
}

/// `None` for no unit.
fn truncated_micros(unit: &str, micros: i64) -> Option<i64> {
    let floor = |to: i64| micros.div_euclid(to) * to;
    let days = micros.div_euclid(DAY_US);
    let Date { year, month, .. } = date_of(days);
    // Of years that are counted from 1, so that 2000 ends its thousand; earlier ones are counted down.
    let first_of = |years: i64| (year - 1).div_euclid(years) * years + 1;
    Some(match unit {
        "microsecond" | "microseconds" => micros,
        "millisecond" | "milliseconds" => floor(1000),
        "second" | "seconds" => floor(SECOND_US),
        "minute" | "minutes" => floor(MINUTE_US),
        "hour" | "hours" => floor(HOUR_US),
        "day" | "days" => floor(DAY_US),
        // 1970-01-01 was a Thursday.
        "week" | "weeks" => (days - (days + 3).rem_euclid(7)) * DAY_US,
        "month" | "months" => start_of(year, month)?,
        "quarter" => start_of(year, (month - 1) / 3 * 3 + 1)?,
        "year" | "years" => start_of(year, 1)?,
        "decade" | "decades" => start_of(year.div_euclid(10) * 10, 1)?,
        "century" | "centuries" => start_of(first_of(100), 1)?,
        "millennium" | "millennia" => start_of(first_of(1000), 1)?,
        _ => return None,
    })
}

fn truncated_span(unit: &str, it: Span) -> Option<Span> {
    let months = |of: i64| Some(Span { months: it.months / of * of, days: 0, micros: 0 });
    let micros = |of: i64| Some(Span { micros: it.micros / of * of, ..it });
    match unit {
        "microsecond" | "microseconds" => Some(it),
        "millisecond" | "milliseconds" => micros(1000),
        "second" | "seconds" => micros(SECOND_US),
        "minute" | "minutes" => micros(MINUTE_US),
        "hour" | "hours" => micros(HOUR_US),
        "day" | "days" => Some(Span { micros: 0, ..it }),
        "month" | "months" => months(1),
        "quarter" => months(3),
        "year" | "years" => months(12),
        "decade" | "decades" => months(120),
        "century" | "centuries" => months(1200),
        "millennium" | "millennia" => months(12_000),
        _ => None,
    }
}

/// Strides from an origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    stride: i64,
    origin: i64,
}

impl Bin {
    /// `None` of NULLs.
    ///
    /// # Errors
    /// 0A000 for a stride of months, 22008 for one that is not positive.
    pub(super) fn new(stride: &ScalarValue, origin: &ScalarValue) -> Result<Option<Self>> {
        let (Some(stride), Some(origin)) = (span_of(Some(stride))?, moment(Some(origin))?) else {
            return Ok(None);
        };
        if stride.months != 0 {
            let message = "timestamps cannot be binned into intervals containing months or years";
            return Err(fault("0A000", message));
        }
        let stride = stride.days.checked_mul(DAY_US).and_then(|it| it.checked_add(stride.micros));
        let stride = stride.ok_or_else(|| out_of_range("interval"))?;
        if stride <= 0 {
            return Err(fault("22008", "stride must be greater than zero"));
        }
        Ok(Some(Self { stride, origin }))
    }

    /// The start of the bin that a time is in.
    ///
    /// # Errors
    /// 22008 far from the origin.
    pub(super) fn start_of(self, micros: i64) -> Result<i64> {
        let since = micros.checked_sub(self.origin).ok_or_else(|| out_of_range("interval"))?;
        let bins = since.div_euclid(self.stride).checked_mul(self.stride);
        let start = bins.and_then(|it| it.checked_add(self.origin));
        start.ok_or_else(|| out_of_range("timestamp"))
    }
}

/// `date_bin(stride, time, origin)`.
///
/// # Errors
/// Those of [`Bin`].
pub(super) fn binned(args: &[ScalarValue]) -> Result<ScalarValue> {
    let none = like(args.get(1), None);
    let [stride, source, origin] = args else { return Ok(none) };
    let (Some(source), Some(bin)) = (moment(Some(source))?, Bin::new(stride, origin)?) else {
        return Ok(none);
    };
    Ok(like(args.get(1), Some(bin.start_of(source)?)))
}

/// Nothing here is infinite but a time that is not there.
fn finite(args: &[ScalarValue]) -> Result<ScalarValue> {
    let is_time = args.first().is_some_and(|it| {
        let of = it.data_type();
        of.is_temporal() || crate::intervals::is_span(&of) || of.is_null()
    });
    if !is_time {
        return Err(fault("42883", "isfinite takes a date, a timestamp or an interval"));
    }
    Ok(ScalarValue::Boolean(args.first().filter(|it| !it.is_null()).map(|_| true)))
}

fn month_days(year: i64, month: u32) -> i64 {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = |(year, month)| days_of(Date { year, month, day: 1 }).unwrap_or(0);
    first(next) - first((year, month))
}

/// Source: `timestamp_age`.
fn age(args: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some(left), Some(right)) = (moment(args.first())?, moment(args.get(1))?) else {
        return Ok(Maybe(None).into());
    };
    let sign = if left < right { -1 } else { 1 };
    let ((late, late_us), (early, early_us)) = (civil(left), civil(right));
    let mut micros = sign * (late_us - early_us);
    let mut days = sign * (i64::from(late.day) - i64::from(early.day));
    let months = (late.year - early.year) * 12 + i64::from(late.month) - i64::from(early.month);
    let mut months = sign * months;
    if micros < 0 {
        micros += DAY_US;
        days -= 1;
    }
    // The month that is borrowed from is the earlier one.
    let lender = if sign < 0 { late } else { early };
    while days < 0 {
        days += month_days(lender.year, lender.month);
        months -= 1;
    }
    Ok(Span { months: sign * months, days: sign * days, micros: sign * micros }.into())
}

fn civil(micros: i64) -> (Date, i64) {
    (date_of(micros.div_euclid(DAY_US)), micros.rem_euclid(DAY_US))
}

fn integers<const N: usize>(args: &[ScalarValue]) -> Option<[i64; N]> {
    let found: Vec<i64> = args.iter().take(N).map_while(|it| integer(Some(it))).collect();
    found.try_into().ok()
}

fn float(value: Option<&ScalarValue>) -> Option<f64> {
    match value?.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(it) => it,
        _ => None,
    }
}

fn day(year: i64, month: i64, day: i64) -> Result<i64> {
    let wrong =
        || fault("22008", format!("date field value out of range: {year}-{month:02}-{day:02}"));
    // There is no year 0; before 1 they are counted down from −1.
    let counted = if year < 0 { year + 1 } else { year };
    let (Ok(month), Ok(day)) = (u32::try_from(month), u32::try_from(day)) else {
        return Err(wrong());
    };
    days_of(Date { year: counted, month, day }).filter(|_| year != 0).ok_or_else(wrong)
}

fn made_date(args: &[ScalarValue]) -> Result<ScalarValue> {
    let Some([y, m, d]) = integers(args) else { return Ok(ScalarValue::Date32(None)) };
    let days = i32::try_from(day(y, m, d)?).map_err(|_| out_of_range("date"))?;
    Ok(ScalarValue::Date32(Some(days)))
}

/// Microseconds of a day.
fn time(hours: i64, minutes: i64, seconds: f64) -> Result<i64> {
    let is_there =
        (0..=24).contains(&hours) && (0..60).contains(&minutes) && (0.0..=60.0).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "at most 60 million")]
    let micros = (seconds * 1e6).round() as i64;
    let all = hours * HOUR_US + minutes * MINUTE_US + micros;
    if is_there && all <= DAY_US {
        return Ok(all);
    }
    let shown = if seconds.fract() == 0.0 { format!("{seconds:02}") } else { seconds.to_string() };
    Err(fault("22008", format!("time field value out of range: {hours}:{minutes:02}:{shown}")))
}

fn made_time(args: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some([h, m]), Some(s)) = (integers(args), float(args.get(2))) else {
        return Ok(ScalarValue::Time64Microsecond(None));
    };
    Ok(ScalarValue::Time64Microsecond(Some(time(h, m, s)?)))
}

fn made_timestamp(args: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some([y, mon, d, h, m]), Some(s)) = (integers(args), float(args.get(5))) else {
        return Ok(ScalarValue::TimestampMicrosecond(None, None));
    };
    let micros = day(y, mon, d)?.checked_mul(DAY_US).ok_or_else(|| out_of_range("timestamp"))?;
    Ok(ScalarValue::TimestampMicrosecond(Some(micros + time(h, m, s)?), None))
}

/// `make_interval(years, months, weeks, days, hours, mins, secs)`.
fn made_interval(args: &[ScalarValue]) -> Result<ScalarValue> {
    let mut parts = [0_i64; 6];
    for (part, value) in parts.iter_mut().zip(args) {
        let Some(value) = integer(Some(value)) else { return Ok(Maybe(None).into()) };
        *part = value;
    }
    let seconds = if args.len() > 6 { float(args.get(6)) } else { Some(0.0) };
    let Some(seconds) = seconds else { return Ok(Maybe(None).into()) };
    if seconds.is_nan() || seconds.abs() >= 9e12 {
        return Err(out_of_range("interval"));
    }
    let [years, months, weeks, days, hours, minutes] = parts;
    let total = hours
        .checked_mul(HOUR_US)
        .zip(minutes.checked_mul(MINUTE_US))
        .and_then(|(hours, minutes)| hours.checked_add(minutes));
    #[expect(clippy::cast_possible_truncation, reason = "below 9e18")]
    let total = total.and_then(|it| it.checked_add((seconds * 1e6).round() as i64));
    let months = years.checked_mul(12).and_then(|it| it.checked_add(months));
    let days = weeks.checked_mul(7).and_then(|it| it.checked_add(days));
    let made = months.zip(days).zip(total);
    let ((months, days), micros) = made.ok_or_else(|| out_of_range("interval"))?;
    Ok(Span { months, days, micros }.into())
}

fn justified_hours(it: Span) -> Span {
    let mut it = Span { days: it.days + it.micros / DAY_US, micros: it.micros % DAY_US, ..it };
    if it.days > 0 && it.micros < 0 {
        (it.days, it.micros) = (it.days - 1, it.micros + DAY_US);
    } else if it.days < 0 && it.micros > 0 {
        (it.days, it.micros) = (it.days + 1, it.micros - DAY_US);
    }
    it
}

fn justified_days(it: Span) -> Span {
    let mut it = Span { months: it.months + it.days / 30, days: it.days % 30, ..it };
    if it.months > 0 && it.days < 0 {
        (it.months, it.days) = (it.months - 1, it.days + 30);
    } else if it.months < 0 && it.days > 0 {
        (it.months, it.days) = (it.months + 1, it.days - 30);
    }
    it
}

fn justified(it: Span) -> Span {
    let days = it.days + it.micros / DAY_US;
    let mut it =
        Span { months: it.months + days / 30, days: days % 30, micros: it.micros % DAY_US };
    let (is_before, is_after) = (
        it.days < 0 || (it.days == 0 && it.micros < 0),
        it.days > 0 || (it.days == 0 && it.micros > 0),
    );
    if it.months > 0 && is_before {
        (it.months, it.days) = (it.months - 1, it.days + 30);
    } else if it.months < 0 && is_after {
        (it.months, it.days) = (it.months + 1, it.days - 30);
    }
    if it.days > 0 && it.micros < 0 {
        (it.days, it.micros) = (it.days - 1, it.micros + DAY_US);
    } else if it.days < 0 && it.micros > 0 {
        (it.days, it.micros) = (it.days + 1, it.micros - DAY_US);
    }
    it
}
