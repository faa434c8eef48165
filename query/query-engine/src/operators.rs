//! Operators on the types that PostgreSQL gives them.
//!
//! ```text
//!  a + 1   ──rewrite──►  a "+@1:3" 1   ──Operators──►  types checked, `a + 1` planned, or an error at 1:3
//! ```
//!
//! - An operator that PostgreSQL does not have for its types is 42883, at the operator; a string literal is of the other
//!   side's type, and bad syntax for it is an error at the literal.
//! - Integers that are written out are `integer` where they fit, beside another number.
//! - `numeric / numeric` has as many digits as PostgreSQL gives it: [`exact`].
//! - `date ± interval` is a timestamp; an interval may be multiplied and divided; a time is an interval beside these.
//!
//! Invariants:
//! - Nothing is decided here that a parameter's type, which is not known yet, could change.

pub(crate) mod elements;
pub(crate) mod exact;
pub(crate) mod kinds;
pub(crate) mod place;

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::alternatives;
use crate::arithmetic::{answer, sides};
use crate::error::fault;
use crate::functions::json::build;
use crate::intervals::{INTERVAL, with_days};
use crate::json::compared;
use crate::rewrite::json::{OF_TOPIC, ROW};
use crate::rewrite::shown_name;
use crate::shape::is_system_column;
use crate::written;

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
        if let Some(row) = row(&expr, schema) {
            return Ok(PlannerResult::Planned(row?));
        }
        if let Some(side) = elements::typed(&mut expr, schema) {
            return Ok(PlannerResult::Planned(side?));
        }
        if let Some(planned) = of_jsonb(&mut expr, schema) {
            return Ok(PlannerResult::Planned(planned));
        }
        // The type of a long chain is not worked out for nothing.
        if !place::is_placed(&expr.op) {
            return Ok(PlannerResult::Original(expr));
        }
        if alternatives::is_open(&expr.left) {
            narrow(&mut expr.right);
        } else if alternatives::is_open(&expr.right) {
            narrow(&mut expr.left);
        }
        let types = (
            alternatives::settled(&mut expr.left, schema),
            alternatives::settled(&mut expr.right, schema),
        );
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
        Ok(typed(expr, &left, &right))
    }
}

/// The columns of a table as JSON, or the column of that name ([`ROW`]).
fn row(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Result<Expr>> {
    if !matches!(&expr.op, BinaryOperator::Custom(name) if name == ROW) {
        return None;
    }
    let (table, kind) = (kinds::literal(&expr.left)?, kinds::literal(&expr.right)?);
    if let Ok((qualifier, field)) = schema.qualified_field_with_unqualified_name(table) {
        return Some(Ok(Expr::Column(Column::new(qualifier.cloned(), field.name()))));
    }
    let mut arguments = Vec::new();
    for (qualifier, field) in schema.iter() {
        let is_shown = kind != OF_TOPIC || !is_system_column(field.name());
        if is_shown && qualifier.is_some_and(|it| it.table() == table) {
            let name = shown_name(field.name()).to_owned();
            arguments.push(Expr::Literal(ScalarValue::Utf8(Some(name)), None));
            arguments.push(Expr::Column(Column::new(qualifier.cloned(), field.name())));
        }
    }
    if arguments.is_empty() {
        let message = format!("column \"{table}\" does not exist");
        return Some(Err(fault("42703", message)));
    }
    let function = Arc::new(build::row());
    Some(Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))))
}

/// `@>`, `<@` and `||` of jsonb; `None` of anything else.
fn of_jsonb(expr: &mut RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    use BinaryOperator::{ArrowAt, AtArrow, StringConcat};
    if !matches!(expr.op, AtArrow | ArrowAt | StringConcat) {
        return None;
    }
    let is_text = |it: &Expr| kinds::literal(it).is_some();
    let of = [&expr.left, &expr.right].map(|it| compared::is_jsonb(it, schema));
    let is_there = match of {
        [true, right] => right || is_text(&expr.right),
        [false, right] => right && is_text(&expr.left),
    };
    if !is_there {
        return None;
    }
    let (left, right) = (std::mem::take(&mut expr.left), std::mem::take(&mut expr.right));
    Some(match expr.op {
        AtArrow => compared::contains(left, right),
        ArrowAt => compared::contains(right, left),
        _ => compared::joined(left, right),
    })
}

/// An operator whose sides are of these types.
fn typed(
    mut expr: RawBinaryExpr,
    left: &DataType,
    right: &DataType,
) -> PlannerResult<RawBinaryExpr> {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    match (left, &expr.op, right) {
        (DataType::Interval(_) | DataType::Duration(_), Multiply | Divide, other)
            if other.is_numeric() =>
        {
            let interval = with_days(expr.left, left);
            PlannerResult::Planned(scaled(interval, expr.right, expr.op == Divide))
        }
        (other, Multiply, DataType::Interval(_) | DataType::Duration(_)) if other.is_numeric() => {
            let interval = with_days(expr.right, right);
            PlannerResult::Planned(scaled(interval, expr.left, false))
        }
        (DataType::Interval(_), Plus | Minus, DataType::Duration(_))
        | (DataType::Duration(_), Plus | Minus, DataType::Interval(_)) => {
            expr.left = with_days(expr.left, left);
            expr.right = with_days(expr.right, right);
            PlannerResult::Original(expr)
        }
        (DataType::Date32, Minus, DataType::Date32) => {
            let days = expr.left - expr.right;
            PlannerResult::Planned(datafusion::logical_expr::cast(days, DataType::Int32))
        }
        (_, Divide, _) => match (scale(left), scale(right)) {
            (Some(dividend), Some(divisor)) if !(left.is_integer() && right.is_integer()) => {
                let scales = [dividend, divisor];
                PlannerResult::Planned(exact::quotient(expr.left, expr.right, scales))
            }
            _ => PlannerResult::Original(expr),
        },
        (_, Multiply, _) if [left, right].into_iter().any(exact::is_varied) => {
            match (scale(left), scale(right)) {
                (Some(factor), Some(other)) => {
                    let scales = [factor, other];
                    PlannerResult::Planned(exact::product(expr.left, expr.right, scales))
                }
                _ => PlannerResult::Original(expr),
            }
        }
        (_, Modulo, _) if [left, right].into_iter().any(exact::is_varied) => {
            expr.left = exact_integer(expr.left, left);
            expr.right = exact_integer(expr.right, right);
            PlannerResult::Original(expr)
        }
        _ => PlannerResult::Original(expr),
    }
}

/// An integer as a `numeric` that every one of them fits into; other types as they are.
fn exact_integer(expr: Expr, kind: &DataType) -> Expr {
    match kind.is_integer() {
        true => datafusion::logical_expr::cast(expr, DataType::Decimal128(20, 0)),
        false => expr,
    }
}

/// A written integer as PostgreSQL types it; the planner knows `bigint` only.
fn narrow(expr: &mut Expr) {
    if let Some(integer) = written::integer(expr) {
        *expr = integer;
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

/// Digits after the point of a number that is exact; `None` for floating point.
pub(crate) fn scale(data_type: &DataType) -> Option<i8> {
    Some(match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        other if other.is_integer() => 0,
        _ => return None,
    })
}

pub(crate) fn scaled(interval: Expr, number: Expr, divides: bool) -> Expr {
    let number = datafusion::logical_expr::cast(number, DataType::Float64);
    let signature = Signature::any(2, Volatility::Immutable);
    call(Scaled { divides, signature }, vec![interval, number])
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
