//! `date_trunc` and `date_bin`: a column of times at once, by one unit or one stride.
//!
//! What they cut to is [`super::calendar`]'s.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::{Bin, binned, truncated, truncated_time};
use crate::arithmetic::answer;
use crate::intervals::{INTERVAL, is_span};

/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for (name, count) in [("date_trunc", 2), ("date_bin", 3)] {
        let signature = Signature::any(count, Volatility::Immutable);
        let aliases = state.udf(name)?.aliases().to_vec();
        state.register_udf(Arc::new(ScalarUDF::from(Cut { name, aliases, signature })))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cut {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Cut {
    fn name(&self) -> &str {
        self.name
    }

    /// Those of DataFusion's function: under one that stayed it would come back when a state is built anew.
    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// That of the second argument; a date and text become a timestamp with a zone.
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments.get(1) {
            Some(of) if is_span(of) => INTERVAL,
            Some(DataType::Timestamp(_, None)) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(cut) = self.column(&args)? {
            return Ok(cut);
        }
        let columns = crate::arithmetic::arrays(&args.args, args.number_rows)?;
        let mut rows = Vec::with_capacity(args.number_rows);
        for row in 0..columns.first().map_or(0, |it| it.len()) {
            let values: Result<Vec<ScalarValue>> =
                columns.iter().map(|it| ScalarValue::try_from_array(it, row)).collect();
            rows.push(if self.name == "date_bin" {
                binned(&values?)?
            } else {
                truncated(&values?)?
            });
        }
        if rows.is_empty() {
            let of = args.return_field.data_type();
            return Ok(ColumnarValue::Array(datafusion::arrow::array::new_empty_array(of)));
        }
        answer(&args.args, ScalarValue::iter_to_array(rows)?)
    }
}

impl Cut {
    /// The answer where nothing but the times is a column; `None` otherwise.
    fn column(&self, args: &ScalarFunctionArgs) -> Result<Option<ColumnarValue>> {
        let (first, times, third) = match args.args.as_slice() {
            [ColumnarValue::Scalar(first), ColumnarValue::Array(times)] => (first, times, None),
            [
                ColumnarValue::Scalar(first),
                ColumnarValue::Array(times),
                ColumnarValue::Scalar(third),
            ] => (first, times, Some(third)),
            _ => return Ok(None),
        };
        let DataType::Timestamp(_, zone) = times.data_type() else { return Ok(None) };
        if first.is_null() || third.is_some_and(ScalarValue::is_null) {
            return Ok(None);
        }
        let micros = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        let cut: PrimitiveArray<TimestampMicrosecondType> = match third {
            None => {
                let unit = first.try_as_str().flatten().unwrap_or_default();
                micros.try_unary(|it| truncated_time(unit, it, zone.is_some()))?
            }
            Some(origin) => {
                let Some(bin) = Bin::new(first, origin)? else { return Ok(None) };
                micros.try_unary(|it| bin.start_of(it))?
            }
        };
        let cut = cut.with_data_type(args.return_field.data_type().clone());
        Ok(Some(ColumnarValue::Array(Arc::new(cut))))
    }
}
