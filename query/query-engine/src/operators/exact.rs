//! `numeric` whose digits depend on the values: quotients, products with them, and what is made of these.
//!
//! PostgreSQL gives each quotient at least sixteen significant digits, in groups of four, so how many stand after the point
//! depends on the numbers. Here a column has one scale. So quotients are [`EXACT`]: rounded where PostgreSQL rounds them,
//! zeros up to the scale, and shown without those.
//!
//! ```text
//!  1.0 / 3      0.3333333333333333333300000000000000000000   shown as 0.33333333333333333333
//!  100000.0 / 3     33333.3333333333330000000000000000000000000000   shown as 33333.333333333333
//! ```
//!
//! Invariants:
//! - A number that has no sixteen significant digits in this scale is an error, unless it is exact; never rounded to less.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, i256};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use datafusion::sql::sqlparser::ast::{DataType as SqlType, Ident, ObjectName};
use query_api::{Error, ErrorKind};

use super::{call, external};
use crate::arithmetic::{answer, sides};
use crate::error::fault;

pub(crate) const DIGITS_MAX: u8 = 76;
const SCALE: i8 = 40;
/// 36 digits before the point, 40 after it.
pub(crate) const EXACT: DataType = DataType::Decimal256(DIGITS_MAX, SCALE);
/// Of numbers that show the digits they have and no more: casts of floating point and of text.
pub(crate) const OPEN_SCALE: i8 = 39;
/// 37 digits before the point, 39 after it.
pub(crate) const OPEN: DataType = DataType::Decimal256(DIGITS_MAX, OPEN_SCALE);
/// Digits of a group. Source: `DEC_DIGITS` of PostgreSQL's `numeric.c`.
const GROUP: i32 = 4;
/// Significant digits of a quotient. Source: `NUMERIC_MIN_SIG_DIGITS`.
const SIGNIFICANT: i32 = 16;
const ONE: i256 = i256::ONE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Divide,
    Multiply,
}

/// `left / right`, both exact.
pub(crate) fn quotient(left: Expr, right: Expr, scales: [i8; 2]) -> Expr {
    exact(Operation::Divide, [left, right], scales)
}

/// `left * right`, both exact.
pub(super) fn product(left: Expr, right: Expr, scales: [i8; 2]) -> Expr {
    exact(Operation::Multiply, [left, right], scales)
}

fn exact(operation: Operation, sides: [Expr; 2], scales: [i8; 2]) -> Expr {
    let mut scales = scales.into_iter();
    let sides = sides.map(|side| {
        let target = DataType::Decimal256(DIGITS_MAX, scales.next().unwrap_or(0));
        datafusion::logical_expr::cast(side, target)
    });
    let signature = Signature::any(2, Volatility::Immutable);
    call(Exact { operation, signature }, sides.into())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Exact {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::Divide => "luma_quotient",
            Operation::Multiply => "luma_product",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(EXACT)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = sides(&args.args, args.number_rows)?;
        let (left_scale, right_scale) = (scale_of(&left), scale_of(&right));
        let run = match self.operation {
            Operation::Divide => divided,
            Operation::Multiply => multiplied,
        };
        let results: PrimitiveArray<Decimal256Type> = datafusion::arrow::compute::try_binary(
            left.as_primitive::<Decimal256Type>(),
            right.as_primitive::<Decimal256Type>(),
            |left, right| {
                run(Number::new(left, left_scale), Number::new(right, right_scale))
                    .map_err(external)
            },
        )?;
        answer(&args.args, Arc::new(results.with_precision_and_scale(DIGITS_MAX, SCALE)?))
    }
}

fn scale_of(array: &ArrayRef) -> i32 {
    match array.data_type() {
        DataType::Decimal256(_, scale) => i32::from(*scale),
        _ => 0,
    }
}

/// `unscaled · 10^-scale`, as short as it can be written.
#[derive(Clone, Copy, Debug)]
struct Number {
    unscaled: i256,
    scale: i32,
    /// Digits that its type shows after the point.
    shown: i32,
}

impl Number {
    fn new(unscaled: i256, scale: i32) -> Self {
        let mut number = Self { unscaled, scale, shown: scale };
        if unscaled == i256::ZERO {
            number.scale = 0;
        }
        for zeros in [32, 16, 8, 4, 2, 1] {
            let power = i256::from_i128(10_i128.pow(zeros));
            while unscaled != i256::ZERO && number.unscaled.wrapping_rem(power) == i256::ZERO {
                number.unscaled = number.unscaled.wrapping_div(power);
                number.scale -= i32::try_from(zeros).unwrap_or(0);
            }
        }
        match i8::try_from(scale) {
            Ok(SCALE) => number.shown = digits_shown(number),
            Ok(OPEN_SCALE) => number.shown = number.scale.max(0),
            _ => {}
        }
        number
    }

    /// The power of ten of the first digit.
    fn magnitude(self) -> i32 {
        let digits = match self.unscaled.to_i128() {
            Some(it) => it.unsigned_abs().checked_ilog10().unwrap_or(0),
            None => {
                let text = self.unscaled.wrapping_abs().to_string();
                u32::try_from(text.len() - 1).unwrap_or(0)
            }
        };
        i32::try_from(digits).unwrap_or(0) - self.scale
    }

    /// The group in which the first digit stands, 0 before the point, and what that group is.
    fn first_group(self) -> (i32, i256) {
        if self.unscaled == i256::ZERO {
            return (0, i256::ZERO);
        }
        let weight = self.magnitude().div_euclid(GROUP);
        let shift = self.scale + weight * GROUP;
        let digits = self.unscaled.wrapping_abs();
        let group = if shift >= 0 {
            power(shift).and_then(|it| digits.checked_div(it))
        } else {
            power(-shift).and_then(|it| digits.checked_mul(it))
        };
        (weight, group.unwrap_or(i256::ZERO))
    }
}

fn power(exponent: i32) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::try_from(exponent).ok()?)
}

fn out_of_range() -> datafusion::error::DataFusionError {
    fault("22003", "numeric out of range")
}

/// Digits after the point. Source: `select_div_scale`.
fn quotient_scale(left: Number, right: Number) -> i32 {
    let ((left_weight, left_group), (right_weight, right_group)) =
        (left.first_group(), right.first_group());
    let weight = left_weight - right_weight - i32::from(left_group <= right_group);
    (SIGNIFICANT - weight * GROUP).max(left.shown).max(right.shown).max(0)
}

fn divided(left: Number, right: Number) -> Result<i256> {
    if right.unscaled == i256::ZERO {
        return Err(fault("22012", "division by zero"));
    }
    let wanted = quotient_scale(left, right).min(i32::from(SCALE));
    let quotient = long_division(left, right, wanted + right.scale - left.scale);
    let (quotient, is_exact) = quotient.ok_or_else(out_of_range)?;
    in_scale(quotient, wanted, is_exact)
}

/// A sum of type [`EXACT`] divided by a count, in that type.
///
/// # Errors
/// 22003.
pub(crate) fn mean(sum: i256, count: i256) -> Result<i256> {
    divided(Number::new(sum, i32::from(SCALE)), Number::new(count, 0))
}

/// `above · 10^-scale / below`, and its root where that is asked for, as [`EXACT`].
///
/// # Errors
/// 22003.
pub(crate) fn variance(above: i256, scale: i32, below: i256, root: bool) -> Result<i256> {
    let (above, below) = (Number::new(above, scale), Number::new(below, 0));
    if !root {
        return divided(above, below);
    }
    let wanted = quotient_scale(above, below).min(i32::from(SCALE));
    let variance = long_division(above, below, wanted + below.scale - above.scale);
    let (variance, _) = variance.ok_or_else(out_of_range)?;
    // With a digit more, to be rounded.
    let squared = power(wanted + 2).and_then(|it| variance.checked_mul(it));
    let digits = floor_root(squared.ok_or_else(out_of_range)?);
    let ten = i256::from_i128(10);
    let five = i256::from_i128(5);
    let rounded = digits.checked_add(five).and_then(|it| it.checked_div(ten));
    in_scale(rounded.ok_or_else(out_of_range)?, wanted, true)
}

/// The greatest whole number whose square is not above `number`, which is not negative. Newton's method from above.
fn floor_root(number: i256) -> i256 {
    let two = i256::from_i128(2);
    if number < two {
        return number;
    }
    let mut root = ONE;
    while number.wrapping_div(root) > root {
        root = root.wrapping_mul(two);
    }
    loop {
        let next = root.wrapping_add(number.wrapping_div(root)).wrapping_div(two);
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// `left · 10^exponent / right`, half away from zero, and whether that is all of it.
fn long_division(left: Number, right: Number, exponent: i32) -> Option<(i256, bool)> {
    let ten = i256::from_i128(10);
    let (mut left, mut right) = (left.unscaled, right.unscaled);
    if exponent < 0 {
        right = right.checked_mul(power(-exponent)?)?;
    }
    let mut steps = exponent.max(0);
    // All at once where it fits, else digit by digit.
    if let Some(whole) = power(steps).and_then(|it| left.checked_mul(it)) {
        (left, steps) = (whole, 0);
    }
    let (mut quotient, mut rest) = (left.checked_div(right)?, left.checked_rem(right)?);
    for _ in 0..steps {
        let more = rest.checked_mul(ten)?;
        quotient = quotient.checked_mul(ten)?.checked_add(more.checked_div(right)?)?;
        rest = more.checked_rem(right)?;
    }
    let up = rest.checked_abs()? >= right.checked_abs()?.checked_sub(rest.checked_abs()?)?;
    if up {
        let away = if rest.is_negative() == right.is_negative() { ONE } else { ONE.wrapping_neg() };
        quotient = quotient.checked_add(away)?;
    }
    Some((quotient, rest == i256::ZERO))
}

fn multiplied(left: Number, right: Number) -> Result<i256> {
    let product = left.unscaled.checked_mul(right.unscaled).ok_or_else(out_of_range)?;
    let (scale, wanted) = (left.scale + right.scale, i32::from(SCALE));
    if scale <= wanted {
        return in_scale(product, scale, true);
    }
    let number = Number { unscaled: product, scale, shown: scale };
    let one = Number { unscaled: ONE, scale: 0, shown: 0 };
    let rounded = long_division(number, one, wanted - scale).ok_or_else(out_of_range)?;
    in_scale(rounded.0, wanted, rounded.1)
}

/// The number in the scale of [`EXACT`].
fn in_scale(unscaled: i256, scale: i32, is_exact: bool) -> Result<i256> {
    let enough = power(SIGNIFICANT - 1).is_some_and(|it| unscaled.wrapping_abs() >= it);
    if scale == i32::from(SCALE) && !is_exact && !enough {
        return Err(fault("22003", "numeric out of range: too small for its digits"));
    }
    let scaled = power(i32::from(SCALE) - scale).and_then(|it| unscaled.checked_mul(it));
    let max = power(i32::from(DIGITS_MAX)).ok_or_else(out_of_range)?;
    scaled.filter(|it| it.wrapping_abs() < max).ok_or_else(out_of_range)
}

/// The digits it has, or those that a quotient has.
fn digits_shown(number: Number) -> i32 {
    let (weight, _) = match number.unscaled {
        i256::ZERO => (-1, i256::ZERO),
        _ => number.first_group(),
    };
    number.scale.max(SIGNIFICANT - weight * GROUP).clamp(0, i32::from(SCALE))
}

/// How the planner is told of [`OPEN`].
pub(crate) const OPEN_NAME: &str = "luma_numeric";

/// [`OPEN`] in a statement.
pub(crate) fn type_name() -> SqlType {
    SqlType::Custom(ObjectName::from(vec![Ident::new(OPEN_NAME)]), Vec::new())
}

/// A number as a value of type [`OPEN`].
///
/// # Errors
/// 22003 for one that does not fit, also one with too many digits after the point.
pub(crate) fn open(unscaled: i128, scale: i8) -> Result<ScalarValue, Error> {
    let factor = i256::from_i128(10);
    let shift = u32::try_from(i32::from(OPEN_SCALE) - i32::from(scale)).ok();
    let factor = shift.and_then(|shift| factor.checked_pow(shift));
    let number = factor.and_then(|factor| i256::from_i128(unscaled).checked_mul(factor));
    let max = power(i32::from(DIGITS_MAX));
    let fits = |it: &i256| max.is_some_and(|max| it.wrapping_abs() < max);
    match number.filter(fits) {
        Some(number) => Ok(ScalarValue::Decimal256(Some(number), DIGITS_MAX, OPEN_SCALE)),
        None => {
            Err(Error::new(ErrorKind::Invalid, "value overflows numeric format")
                .with_sqlstate("22003"))
        }
    }
}

/// Whether the digits of its values are their own.
pub(crate) fn is_varied(data_type: &DataType) -> bool {
    *data_type == EXACT || *data_type == OPEN
}

/// A value whose digits are its own ([`is_varied`]) with those that are shown: unscaled, and how many stand after the point.
///
/// No more than 38 digits are shown, the last of them rounded; `None` where more stand before the point.
pub(crate) fn shown(unscaled: i256, scale: i8) -> Option<(i128, i8)> {
    let number = Number::new(unscaled, i32::from(scale));
    let one = Number { unscaled: ONE, scale: 0, shown: 0 };
    let in_digits = |digits: i32| {
        let (rounded, _) = long_division(number, one, digits - number.scale)?;
        Some((rounded.to_i128()?, i8::try_from(digits).ok()?))
    };
    (0..=number.shown).rev().find_map(in_digits)
}

/// A value of a `Decimal256` as text.
pub(crate) fn spelled(unscaled: i256, scale: i8) -> Result<String> {
    let (unscaled, scale) = if scale == SCALE || scale == OPEN_SCALE {
        shown(unscaled, scale).ok_or_else(out_of_range)?
    } else {
        (unscaled.to_i128().ok_or_else(out_of_range)?, scale)
    };
    let digits = usize::try_from(scale).unwrap_or(0);
    let whole = format!("{:0>width$}", unscaled.unsigned_abs(), width = digits + 1);
    let (before, after) = whole.split_at(whole.len() - digits);
    let mut text = String::from(if unscaled < 0 { "-" } else { "" });
    text.push_str(before);
    if digits > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, ".{after}");
    }
    Ok(text)
}

/// `-1.5e3` as a value of type [`OPEN`]; `None` for what is no number.
///
/// # Errors
/// 22003: a number that does not fit, also one with too many digits after the point.
pub(crate) fn read(text: &str) -> Option<Result<i256>> {
    let trimmed = text.trim();
    let (negative, number) = match trimmed.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let after = i32::try_from(fraction.len()).ok()?;
    let shift = i32::from(OPEN_SCALE).saturating_add(exponent).saturating_sub(after);
    let sign = if negative { "-" } else { "" };
    Some(
        shifted(digits.trim_start_matches('0'), shift).and_then(|digits| {
            i256::from_string(&format!("{sign}{digits}")).ok_or_else(out_of_range)
        }),
    )
}

/// The digits of a whole number times a power of ten.
fn shifted(digits: &str, shift: i32) -> Result<String> {
    if digits.is_empty() {
        return Ok("0".to_owned());
    }
    let count = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    if shift < 0 {
        let at = digits.len().checked_sub(count);
        let (kept, lost) = at.map_or(("", digits), |at| digits.split_at(at));
        let exact = at.is_some() && lost.bytes().all(|it| it == b'0');
        let message = "numeric out of range: too many digits after the point";
        return if exact { Ok(kept.to_owned()) } else { Err(fault("22003", message)) };
    }
    if digits.len().saturating_add(count) > usize::from(DIGITS_MAX) {
        return Err(out_of_range());
    }
    Ok(format!("{digits}{}", "0".repeat(count)))
}
