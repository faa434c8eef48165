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
//! Sorting and grouping are DataFusion's: field by field.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, DurationMicrosecondType, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use query_api::calendar::DAY_US;

use crate::arithmetic::answer;

pub(crate) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const SPAN: DataType = DataType::Decimal128(38, 0);
const MONTH_DAYS: i128 = 30;
const DAY_NS: i128 = DAY_US as i128 * 1000;

fn is_span(data_type: &DataType) -> bool {
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
        **expr = call(Function::Span, inner);
    }
    true
}

/// The expression as an interval with its days.
pub(crate) fn with_days(expr: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Duration(_) => call(Function::Days, expr),
        _ => datafusion::logical_expr::cast(expr, INTERVAL),
    }
}

fn call(function: Function, arg: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(Interval { function, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![arg]))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Span,
    Days,
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
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::Span => SPAN,
            Function::Days => INTERVAL,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.first() else {
            return Err(DataFusionError::Internal("an interval has a value".to_owned()));
        };
        let intervals = intervals(&value.to_array(1)?)?;
        let array: ArrayRef = match self.function {
            Function::Days => Arc::new(intervals),
            Function::Span => {
                let spans: PrimitiveArray<Decimal128Type> = intervals.unary(span);
                Arc::new(spans.with_data_type(SPAN))
            }
        };
        answer(&args.args, array)
    }
}

/// Source: PostgreSQL's `interval_cmp_value`.
fn span(it: IntervalMonthDayNano) -> i128 {
    let days = i128::from(it.months) * MONTH_DAYS + i128::from(it.days);
    days * DAY_NS + i128::from(it.nanoseconds)
}

/// Intervals as they are; of a `Duration` whole days are days.
fn intervals(array: &ArrayRef) -> Result<PrimitiveArray<IntervalMonthDayNanoType>> {
    if !matches!(array.data_type(), DataType::Duration(_)) {
        return Ok(cast(array, &INTERVAL)?.as_primitive().clone());
    }
    let micros = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
    Ok(micros.as_primitive::<DurationMicrosecondType>().unary(|it| {
        let days = i32::try_from(it / DAY_US).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, it % DAY_US * 1000)
    }))
}
