//! Operators on the types that PostgreSQL gives them.
//!
//! ```text
//!  a + 1   ──rewrite──►  a "+@1:3" 1   ──Operators──►  types checked, `a + 1` planned, or an error at 1:3
//! ```
//!
//! - An operator that PostgreSQL does not have for its types is 42883, at the operator; a string literal is of the other
//!   side's type, and bad syntax for it is an error at the literal.
//! - Integers that are written out are `integer` where they fit, beside another number.
//! - `numeric / numeric` has sixteen digits after the point.
//! - `date ± interval` is a timestamp; an interval may be multiplied and divided; a time is an interval beside these.
//!
//! Invariants:
//! - Nothing is decided here that a parameter's type, which is not known yet, could change.

mod kinds;
pub(crate) mod place;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    TimeUnit, i256,
};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::arithmetic::{answer, sides};
use crate::casts::out_of_range;
use crate::error::fault;
use crate::floats;
use crate::intervals::{INTERVAL, with_days};

/// Digits after the point of a quotient.
const QUOTIENT_SCALE: i8 = 16;
const DIGITS_MAX: u8 = 38;

#[derive(Debug)]
pub(crate) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
        let places = place::taken(&mut expr.op);
        // The type of a long chain is not worked out for nothing.
        if !place::is_placed(&expr.op) {
            return Ok(PlannerResult::Original(expr));
        }
        // A quotient is typed here and now.
        expr.left = floats::unified(expr.left, schema)?.data;
        expr.right = floats::unified(expr.right, schema)?.data;
        let types = (expr.left.get_type(schema), expr.right.get_type(schema));
        let (Ok(mut left), Ok(mut right)) = types else { return Ok(PlannerResult::Original(expr)) };
        kinds::check(&mut expr, &left, &right, &places)?;
        if !matches!(expr.op, Plus | Minus | Multiply | Divide | Modulo) {
            return Ok(PlannerResult::Original(expr));
        }
        if left.is_numeric() && right.is_numeric() {
            narrow(&mut expr.left);
            narrow(&mut expr.right);
        }
        temporal(&mut expr, [&mut left, &mut right]);
        Ok(match (&left, &expr.op, &right) {
            (DataType::Interval(_) | DataType::Duration(_), Multiply | Divide, other)
                if other.is_numeric() =>
            {
                let interval = with_days(expr.left, &left);
                PlannerResult::Planned(scaled(interval, expr.right, expr.op == Divide))
            }
            (other, Multiply, DataType::Interval(_) | DataType::Duration(_))
                if other.is_numeric() =>
            {
                let interval = with_days(expr.right, &right);
                PlannerResult::Planned(scaled(interval, expr.left, false))
            }
            (DataType::Interval(_), Plus | Minus, DataType::Duration(_))
            | (DataType::Duration(_), Plus | Minus, DataType::Interval(_)) => {
                expr.left = with_days(expr.left, &left);
                expr.right = with_days(expr.right, &right);
                PlannerResult::Original(expr)
            }
            (_, Divide, _) => match (digits(&left), digits(&right)) {
                (Some(dividend), Some(divisor)) if !(left.is_integer() && right.is_integer()) => {
                    PlannerResult::Planned(quotient(expr, dividend, divisor))
                }
                _ => PlannerResult::Original(expr),
            },
            _ => PlannerResult::Original(expr),
        })
    }
}

/// A written integer as PostgreSQL types it; the planner knows `bigint` only.
fn narrow(expr: &mut Expr) {
    if let Expr::Literal(value @ ScalarValue::Int64(Some(_)), _) = expr
        && let Ok(narrow @ ScalarValue::Int32(Some(_))) = value.cast_to(&DataType::Int32)
    {
        *value = narrow;
    }
}

/// A time is an interval beside what is no time, and a date is a timestamp beside an interval.
fn temporal(expr: &mut RawBinaryExpr, [left, right]: [&mut DataType; 2]) {
    let is_time = |it: &DataType| matches!(it, DataType::Time64(_));
    let is_span = |it: &DataType| matches!(it, DataType::Interval(_) | DataType::Duration(_));
    // `time ± interval` is a time, and so is `interval + time`.
    if is_time(left) && !is_time(right) && !is_span(right) {
        expr.left = with_days(std::mem::take(&mut expr.left), left);
        *left = INTERVAL;
    }
    let is_moved = is_span(left) && expr.op == BinaryOperator::Plus;
    if is_time(right) && !is_time(left) && !is_moved {
        expr.right = with_days(std::mem::take(&mut expr.right), right);
        *right = INTERVAL;
    }
    if *left == DataType::Date32 && is_span(right) {
        expr.left = as_timestamp(std::mem::take(&mut expr.left));
    }
    if *right == DataType::Date32 && is_span(left) {
        expr.right = as_timestamp(std::mem::take(&mut expr.right));
    }
}

fn as_timestamp(expr: Expr) -> Expr {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    datafusion::logical_expr::cast(expr, timestamp)
}

fn call(function: impl ScalarUDFImpl + 'static, args: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::from(function));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// Precision and scale of a number that is exact; `None` for floating point.
fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) => (*precision, *scale),
        // A sum; what has more digits than these is out of range.
        DataType::Decimal256(_, scale) => (DIGITS_MAX, *scale),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 | DataType::UInt64 => (20, 0),
        _ => return None,
    })
}

fn quotient(expr: RawBinaryExpr, left: (u8, i8), right: (u8, i8)) -> Expr {
    let scale = QUOTIENT_SCALE.max(left.1).max(right.1);
    let decimal = |expr: Expr, (precision, scale): (u8, i8)| {
        datafusion::logical_expr::cast(expr, DataType::Decimal128(precision, scale))
    };
    let signature = Signature::any(2, Volatility::Immutable);
    call(Quotient { scale, signature }, vec![decimal(expr.left, left), decimal(expr.right, right)])
}

fn scaled(interval: Expr, number: Expr, divides: bool) -> Expr {
    let number = datafusion::logical_expr::cast(number, DataType::Float64);
    let signature = Signature::any(2, Volatility::Immutable);
    call(Scaled { divides, signature }, vec![interval, number])
}

/// `numeric / numeric`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Quotient {
    scale: i8,
    signature: Signature,
}

impl ScalarUDFImpl for Quotient {
    fn name(&self) -> &'static str {
        "luma_quotient"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DIGITS_MAX, self.scale))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = sides(&args.args, args.number_rows)?;
        let scale_of = |array: &ArrayRef| match array.data_type() {
            DataType::Decimal128(_, scale) => i32::from(*scale),
            _ => 0,
        };
        // What the dividend or, when it is negative, the divisor is multiplied by, as a power of ten.
        let shift = i32::from(self.scale) + scale_of(&right) - scale_of(&left);
        let quotients: PrimitiveArray<Decimal128Type> = datafusion::arrow::compute::try_binary(
            left.as_primitive::<Decimal128Type>(),
            right.as_primitive::<Decimal128Type>(),
            |left, right| divide(left, right, shift).map_err(external),
        )?;
        let quotients = quotients.with_precision_and_scale(DIGITS_MAX, self.scale)?;
        answer(&args.args, Arc::new(quotients))
    }
}

/// `left · 10^shift / right`, half away from zero.
fn divide(left: i128, right: i128, shift: i32) -> Result<i128> {
    if right == 0 {
        return Err(fault("22012", "division by zero"));
    }
    let wide = |number: i128, shift: i32| {
        let factor = i256::from_i128(10).checked_pow(u32::try_from(shift.max(0)).ok()?)?;
        i256::from_i128(number).checked_mul(factor)
    };
    let quotient = || {
        let (left, right) = (wide(left, shift)?, wide(right, -shift)?);
        let quotient = left.checked_div(right)?;
        let rest = left.checked_sub(quotient.checked_mul(right)?)?;
        let up = rest.checked_abs()?.checked_mul(i256::from_i128(2))? >= right.checked_abs()?;
        let away = if (left < i256::ZERO) == (right < i256::ZERO) { 1 } else { -1 };
        let step = if up { i256::from_i128(away) } else { i256::ZERO };
        quotient.checked_add(step)?.to_i128()
    };
    quotient().ok_or_else(|| out_of_range(&DataType::Decimal128(DIGITS_MAX, 0)))
}

/// `interval * number`, `interval / number`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    divides: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &'static str {
        "luma_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [intervals, numbers] = sides(&args.args, args.number_rows)?;
        let scaled: PrimitiveArray<IntervalMonthDayNanoType> =
            datafusion::arrow::compute::try_binary(
                intervals.as_primitive::<IntervalMonthDayNanoType>(),
                cast(&numbers, &DataType::Float64)?.as_primitive::<Float64Type>(),
                |interval, number| self.scale(interval, number).map_err(external),
            )?;
        answer(&args.args, Arc::new(scaled))
    }
}

impl Scaled {
    /// Fractions of a month are days of thirty, those of a day are hours. Source: PostgreSQL's `interval_mul`.
    fn scale(&self, interval: IntervalMonthDayNano, number: f64) -> Result<IntervalMonthDayNano> {
        const MONTH_DAYS: f64 = 30.0;
        const DAY_NS: f64 = 86_400e9;
        if self.divides && number == 0.0 {
            return Err(fault("22012", "division by zero"));
        }
        let by = |value: f64| if self.divides { value / number } else { value * number };
        let months = by(f64::from(interval.months));
        let days = by(f64::from(interval.days)) + months.fract() * MONTH_DAYS;
        #[expect(clippy::cast_precision_loss, reason = "as PostgreSQL's, in floating point")]
        let nanos = by(interval.nanoseconds as f64) + days.fract() * DAY_NS;
        // Whole microseconds.
        let nanos = (nanos / 1000.0).round_ties_even() * 1000.0;
        let fits = |number: f64, max: f64| number.is_finite() && number.abs() < max;
        let int_max = f64::from(i32::MAX);
        if !fits(months, int_max) || !fits(days, int_max) || !fits(nanos, 9.2e18) {
            return Err(fault("22008", "interval out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the ranges were checked above")]
        Ok(IntervalMonthDayNano::new(months as i32, days as i32, nanos as i64))
    }
}

fn external(error: DataFusionError) -> datafusion::arrow::error::ArrowError {
    datafusion::arrow::error::ArrowError::ExternalError(Box::new(error))
}
