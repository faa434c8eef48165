//! `generate_series` of times, in microseconds: each is the one before plus the step, as in PostgreSQL.
//!
//! Invariants:
//! - Everything but times is DataFusion's own; so is the measuring of what it takes ([`super::sized`]).

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, ListBuilder, PrimitiveArray, TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{
    DataType, Field, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::arithmetic::{answer, arrays};
use crate::error::fault;
use crate::intervals::INTERVAL;

/// Replaces the engine's function.
///
/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let inner = state.udf("generate_series")?;
    let signature = Signature::user_defined(Volatility::Immutable);
    state.register_udf(Arc::new(ScalarUDF::from(Series { inner, signature })))?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

/// The type of the times; `None` where there are none.
fn timed(arguments: &[DataType]) -> Option<DataType> {
    let [start, stop, step] = arguments else { return None };
    let is_text = |it: &DataType| matches!(it, DataType::Utf8 | DataType::Null);
    let is_time = |it: &DataType| matches!(it, DataType::Timestamp(..) | DataType::Date32);
    let are_times = [start, stop].into_iter().all(|it| is_text(it) || is_time(it));
    let is_step = crate::intervals::is_span(step) || is_text(step);
    let known = [start, stop].into_iter().any(is_time) || crate::intervals::is_span(step);
    if !are_times || !is_step || !known {
        return None;
    }
    // A date is a timestamp with a zone here, which is preferred.
    let plain = [start, stop].into_iter().any(|it| matches!(it, DataType::Timestamp(_, None)))
        && ![start, stop].into_iter().any(|it| matches!(it, DataType::Timestamp(_, Some(_))));
    let zone = (!plain).then(|| "+00:00".into());
    Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &'static str {
        "generate_series"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match timed(arguments) {
            Some(time) => Ok(vec![time.clone(), time, INTERVAL]),
            None if arguments.iter().all(|it| it.is_integer() || it.is_null()) => {
                Ok(vec![DataType::Int64; arguments.len()])
            }
            // The error names the function and the types around this text.
            None => Err(DataFusionError::Plan("it takes integers, or times and a step".to_owned())),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match timed(arguments) {
            Some(time) => Ok(DataType::List(Arc::new(Field::new_list_field(time, true)))),
            None => self.inner.return_type(arguments),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let Some(time) = timed(&types) else { return self.inner.invoke_with_args(args) };
        let columns = arrays(&args.args, args.number_rows)?;
        answer(&args.args, series(&columns, &time)?)
    }
}

fn series(columns: &[ArrayRef], time: &DataType) -> Result<ArrayRef> {
    let [start, stop, step] = columns else {
        return Err(fault("42883", "generate_series takes three arguments"));
    };
    let (start, stop, step) = (cast(start, time)?, cast(stop, time)?, cast(step, &INTERVAL)?);
    let starts = start.as_primitive::<TimestampMicrosecondType>();
    let stops = stop.as_primitive::<TimestampMicrosecondType>();
    let steps = step.as_primitive::<IntervalMonthDayNanoType>();
    let items = TimestampMicrosecondBuilder::new().with_data_type(time.clone());
    let mut lists = ListBuilder::new(items);
    for row in 0..starts.len() {
        if [&start, &stop, &step].into_iter().any(|it| it.is_null(row)) {
            // Of NULL there are no rows.
            lists.append(true);
            continue;
        }
        let by = steps.value(row);
        let length = i128::from(by.months) * 30 * 86_400_000_000_000
            + i128::from(by.days) * 86_400_000_000_000
            + i128::from(by.nanoseconds);
        if length == 0 {
            return Err(fault("22023", "step size cannot equal zero"));
        }
        let (mut at, last) = (starts.value(row), stops.value(row));
        let step: PrimitiveArray<IntervalMonthDayNanoType> = steps.slice(row, 1);
        while if length > 0 { at <= last } else { at >= last } {
            lists.values().append_value(at);
            let now = PrimitiveArray::<TimestampMicrosecondType>::from_value(at, 1);
            at = numeric::add(&now, &step)?.as_primitive::<TimestampMicrosecondType>().value(0);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
