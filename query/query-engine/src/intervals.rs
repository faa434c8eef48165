//! Intervals as PostgreSQL takes them: a month is thirty days long and a day twenty-four hours, where they are compared.
//!
//! One timestamp minus another is a `Duration` in Arrow. Beside an interval DataFusion makes of it an interval without days
//! and compares months, days and nanoseconds one after the other. So here
//!
//! ```text
//!  a > b        →  luma_span(a) > luma_span(b)      both as nanoseconds
//!  a + b, a * 2 →  luma_days(a) + b                 whole days of a Duration are days
//! ```
//!
//! A time of day beside a date or an interval is an interval without days. Sorting and grouping: [`order`].

mod extreme;
pub(crate) mod order;

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, DurationMicrosecondType, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, Time64NanosecondType, TimeUnit,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use query_api::calendar::DAY_US;

use crate::arithmetic::{answer, arrays};
use extreme::Wanted;

pub(crate) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const SPAN: DataType = DataType::Decimal128(38, 0);
const MONTH_DAYS: i128 = 30;
const DAY_NS: i128 = DAY_US as i128 * 1000;

pub(crate) fn is_span(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Intervals that are compared with each other, as how long they are; whether they are intervals.
pub(crate) fn measured(exprs: &mut [&mut Expr], types: &[DataType]) -> bool {
    let is_text = |it: &Expr| matches!(it, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let mut all = exprs.iter().zip(types);
    if !types.iter().any(is_span) || !all.all(|(it, of)| is_span(of) || is_text(it)) {
        return false;
    }
    for (expr, data_type) in exprs.iter_mut().zip(types) {
        let inner = std::mem::take(*expr);
        let inner = match data_type {
            DataType::Duration(_) => inner,
            _ => datafusion::logical_expr::cast(inner, INTERVAL),
        };
        **expr = call(Function::Span, vec![inner]);
    }
    true
}

/// How long an interval is, in nanoseconds.
fn spanned(expr: Expr) -> Expr {
    call(Function::Span, vec![expr])
}

/// `greatest`, `least` or `nullif` of intervals; `None` where these are none.
pub(crate) fn chosen(name: &str, args: &mut Vec<Expr>, types: &[DataType]) -> Option<Expr> {
    let function = match name {
        "greatest" => Function::Of(Wanted::Longest),
        "least" => Function::Of(Wanted::Shortest),
        "nullif" => Function::Unless,
        _ => return None,
    };
    if types.is_empty() || !types.iter().all(is_span) {
        return None;
    }
    let args = args.drain(..).zip(types).map(|(arg, of)| with_days(arg, of));
    Some(call(function, args.collect()))
}

/// The expression as an interval with its days.
pub(crate) fn with_days(expr: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Duration(_) | DataType::Time64(_) => call(Function::Days, vec![expr]),
        _ => datafusion::logical_expr::cast(expr, INTERVAL),
    }
}

fn call(function: Function, args: Vec<Expr>) -> Expr {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(Interval { function, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// Nanoseconds.
    Span,
    /// The interval, with days.
    Days,
    /// One of the arguments.
    Of(Wanted),
    /// The first argument where the second is not as long.
    Unless,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Interval {
    function: Function,
    signature: Signature,
}

impl ScalarUDFImpl for Interval {
    fn name(&self) -> &'static str {
        match self.function {
            Function::Span => "luma_span",
            Function::Days => "luma_days",
            Function::Of(Wanted::Longest) => "luma_greatest",
            Function::Of(_) => "luma_least",
            Function::Unless => "luma_nullif",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Span => SPAN,
            _ => INTERVAL,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args.args, args.number_rows)?;
        let mut columns = arrays.iter().map(intervals).collect::<Result<Vec<_>>>()?;
        let array: ArrayRef = match self.function {
            Function::Span => {
                let spans: PrimitiveArray<Decimal128Type> = columns.remove(0).unary(span);
                Arc::new(spans.with_data_type(SPAN))
            }
            Function::Days => Arc::new(columns.remove(0)),
            Function::Of(wanted) => Arc::new(each(&columns, |old, new| match (old, new) {
                (Some(old), Some(new)) => Some(if wanted.is_met(new, old) { new } else { old }),
                (old, new) => old.or(new),
            })),
            Function::Unless => Arc::new(each(&columns, |value, other| {
                value.filter(|it| other.map(span) != Some(span(*it)))
            })),
        };
        answer(&args.args, array)
    }
}

pub(crate) type Intervals = PrimitiveArray<IntervalMonthDayNanoType>;
type Value = Option<IntervalMonthDayNano>;

/// The values of each row folded from left to right.
fn each(columns: &[Intervals], fold: impl Fn(Value, Value) -> Value) -> Intervals {
    let rows = columns.first().map_or(0, Intervals::len);
    let value = |column: &Intervals, row| column.is_valid(row).then(|| column.value(row));
    let of_row = |row| columns.iter().map(|it| value(it, row)).reduce(&fold).flatten();
    (0..rows).map(of_row).collect()
}

/// Source: PostgreSQL's `interval_cmp_value`.
fn span(it: IntervalMonthDayNano) -> i128 {
    let days = i128::from(it.months) * MONTH_DAYS + i128::from(it.days);
    days * DAY_NS + i128::from(it.nanoseconds)
}

/// Intervals as they are; of a `Duration` whole days are days, a time of day has none.
pub(crate) fn intervals(array: &ArrayRef) -> Result<Intervals> {
    if matches!(array.data_type(), DataType::Time64(_)) {
        let nanos = cast(array, &DataType::Time64(TimeUnit::Nanosecond))?;
        let of_nanos = |it| IntervalMonthDayNano::new(0, 0, it);
        return Ok(nanos.as_primitive::<Time64NanosecondType>().unary(of_nanos));
    }
    if !matches!(array.data_type(), DataType::Duration(_)) {
        return Ok(cast(array, &INTERVAL)?.as_primitive().clone());
    }
    let micros = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
    Ok(micros.as_primitive::<DurationMicrosecondType>().unary(|it| {
        let days = i32::try_from(it / DAY_US).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, it % DAY_US * 1000)
    }))
}
