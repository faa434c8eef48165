//! JSON numbers without loss: which column holds those that were seen, and the values of such a column.
//!
//! | numbers that were seen | column |
//! |---|---|
//! | whole, up to bigint | `bigint` |
//! | whole, up to 38 digits | `numeric` |
//! | with a point or an exponent, and whole ones that a double holds exactly | `double precision` |
//! | with a point or an exponent, and other whole ones, each of 38 digits at most | `numeric` ([`OPEN`]) |
//! | anything else | `text`, as they were written |
//!
//! Invariants:
//! - A number written without point and exponent is never rounded; one with them is the nearest double, or exact in a
//!   `numeric`. What is none of both ([`double`], [`unscaled`]) does not fit; there is no infinity and no underflow.
//!
//! [`OPEN`]: crate::operators::exact::OPEN

use datafusion::arrow::datatypes::i256;
use query_api::DataType;

use crate::operators::exact::OPEN_SCALE;

/// Digits of a value in all; those before the point of [`crate::operators::exact::OPEN`] are one fewer.
const DIGITS_MAX: usize = 38;
const OPEN_WHOLE_MAX: usize = 37;

/// What is known of the numbers of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    whole: Whole,
    fractions: Fractions,
}

/// The least that holds the numbers without point and exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    None,
    Double,
    Bigint,
    Open,
    Numeric,
    Text,
}

/// The least that holds those with point or exponent, beside wide whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fractions {
    None,
    Open,
    Text,
}

impl Numbers {
    /// Of one JSON number.
    pub(crate) fn of(text: &str) -> Self {
        if is_whole(text) {
            return Self { whole: whole(text), fractions: Fractions::None };
        }
        let is_open = Literal::of(text).is_some_and(|it| it.is_open());
        let fractions = if is_open { Fractions::Open } else { Fractions::Text };
        Self { whole: Whole::None, fractions }
    }

    /// Those that a column of type `data_type` holds at least; `None` for a type of no numbers.
    pub(crate) fn of_type(data_type: &DataType) -> Option<Self> {
        let (whole, fractions) = match data_type {
            DataType::Int8 => (Whole::Bigint, Fractions::None),
            DataType::Float8 => (Whole::Double, Fractions::Open),
            DataType::Numeric(_, 0) => (Whole::Numeric, Fractions::None),
            DataType::Numeric(..) => (Whole::Open, Fractions::Open),
            _ => return None,
        };
        Some(Self { whole, fractions })
    }

    pub(crate) fn widen(self, other: Self) -> Self {
        Self { whole: self.whole.max(other.whole), fractions: self.fractions.max(other.fractions) }
    }

    /// The type of their column.
    pub(crate) fn data_type(self) -> DataType {
        match (self.whole, self.fractions) {
            (Whole::Text, _) => DataType::Text,
            (Whole::Double | Whole::Bigint, Fractions::None) => DataType::Int8,
            (Whole::Open | Whole::Numeric, Fractions::None) => DataType::Numeric(0, 0),
            (Whole::None | Whole::Double, _) => DataType::Float8,
            (Whole::Bigint | Whole::Open, Fractions::Open) => DataType::Numeric(0, OPEN_SCALE),
            _ => DataType::Text,
        }
    }
}

fn is_whole(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}

fn whole(text: &str) -> Whole {
    if let Ok(number) = text.parse() {
        return if in_double(number) { Whole::Double } else { Whole::Bigint };
    }
    match text.trim_start_matches('-').len() {
        ..=OPEN_WHOLE_MAX => Whole::Open,
        DIGITS_MAX => Whole::Numeric,
        _ => Whole::Text,
    }
}

/// Whether a double holds the number exactly: 53 bits, between the first and the last that is set.
fn in_double(number: i64) -> bool {
    let bits = number.unsigned_abs();
    bits == 0 || 64 - bits.leading_zeros() - bits.trailing_zeros() <= f64::MANTISSA_DIGITS
}

/// A JSON number as a double: nothing where it is out of range, or is whole and would be another one.
pub(crate) fn double(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok().filter(|it: &f64| it.is_finite())?;
    let is_exact = !is_whole(text) || text.parse().is_ok_and(in_double);
    (is_exact && (number != 0.0 || is_zero(text))).then_some(number)
}

/// A JSON number as a floating point number of a declared type: rounded to it, nothing where it is out of range.
pub(crate) fn rounded<T: std::str::FromStr + Copy + Into<f64>>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    let shown: f64 = number.into();
    (shown.is_finite() && (shown != 0.0 || is_zero(text))).then_some(number)
}

fn is_zero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    !mantissa.contains(|it: char| matches!(it, '1'..='9'))
}

/// A JSON number times 10^`scale`: nothing where digits would be lost, or there are more than 38.
pub(crate) fn unscaled(text: &str, scale: i8) -> Option<i256> {
    let literal = Literal::of(text)?;
    let fits =
        if scale == OPEN_SCALE { literal.is_open() } else { literal.digits_count()? <= DIGITS_MAX };
    if fits { literal.unscaled(scale) } else { None }
}

/// `± digits · 10^exponent`, without zeros at the ends of `digits`.
struct Literal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Literal {
    /// Nothing for an exponent that no column has room for.
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse::<i32>().ok()?.into();
        let negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        let kept = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
        let exponent = exponent + dropped - i64::try_from(fraction.len()).ok()?;
        let digits = kept.trim_start_matches('0').to_owned();
        let exponent = if digits.is_empty() { 0 } else { exponent };
        Some(Self { negative, digits, exponent })
    }

    /// Digits before the point, and after it.
    fn counts(&self) -> Option<(usize, usize)> {
        let count = i64::try_from(self.digits.len()).ok()?;
        let whole = usize::try_from((count + self.exponent).max(0)).ok()?;
        Some((whole, usize::try_from((-self.exponent).max(0)).ok()?))
    }

    fn digits_count(&self) -> Option<usize> {
        self.counts().map(|(whole, fraction)| whole + fraction)
    }

    /// Whether a column of [`crate::operators::exact::OPEN`] holds it and shows all of it.
    fn is_open(&self) -> bool {
        self.counts().is_some_and(|(whole, fraction)| {
            whole <= OPEN_WHOLE_MAX && whole + fraction <= DIGITS_MAX
        })
    }

    fn unscaled(&self, scale: i8) -> Option<i256> {
        let zeros = usize::try_from(self.exponent + i64::from(scale)).ok()?;
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        i256::from_string(&format!("{sign}{digits}{}", "0".repeat(zeros)))
    }
}
