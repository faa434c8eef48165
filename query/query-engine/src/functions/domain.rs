//! Mathematical functions that refuse what PostgreSQL refuses, where DataFusion's answer is infinite, NaN or zero.
//!
//! Invariants:
//! - A function answers as DataFusion's; only where the answer of finite arguments is not an ordinary number is it judged.
//!   `round` of floating point alone is of its own: to even, as PostgreSQL's.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::wrapped::{described_by_inner, equal_by_inner};
use crate::arithmetic::{answer, only, overflow, underflow};
use crate::error::fault;

/// The error for arguments and the result that they gave.
type Judge = fn(&[f64], f64) -> Option<DataFusionError>;

const JUDGED: [(&str, Judge); 11] = [
    ("exp", range),
    ("power", power),
    ("ln", logarithm),
    ("log", logarithm),
    ("log2", logarithm),
    ("log10", logarithm),
    ("sqrt", root),
    ("acos", domain),
    ("asin", domain),
    ("acosh", domain),
    ("atanh", domain),
];

/// Replaces the functions of the engine's state.
///
/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for (name, judge) in JUDGED {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::from(Judged { inner, judge: Some(judge) })))?;
    }
    let inner = state.udf("round")?;
    state.register_udf(Arc::new(ScalarUDF::from(Judged { inner, judge: None })))?;
    Ok(())
}

fn range(_: &[f64], result: f64) -> Option<DataFusionError> {
    match result {
        _ if result.is_infinite() => Some(overflow()),
        0.0 => Some(underflow()),
        _ => None,
    }
}

fn power(args: &[f64], result: f64) -> Option<DataFusionError> {
    let message = match args {
        [0.0, exponent] if *exponent < 0.0 => "zero raised to a negative power is undefined",
        _ if result.is_nan() => {
            "a negative number raised to a non-integer power yields a complex result"
        }
        [0.0, _] => return None,
        _ => return range(args, result),
    };
    Some(fault("2201F", message))
}

fn logarithm(args: &[f64], _: f64) -> Option<DataFusionError> {
    let what = match args.iter().copied().reduce(f64::min)? {
        0.0 => "zero",
        least if least < 0.0 => "a negative number",
        _ => return None,
    };
    Some(fault("2201E", format!("cannot take logarithm of {what}")))
}

fn root(args: &[f64], _: f64) -> Option<DataFusionError> {
    let negative = args.iter().any(|it| *it < 0.0);
    negative.then(|| fault("2201F", "cannot take square root of a negative number"))
}

fn domain(_: &[f64], result: f64) -> Option<DataFusionError> {
    result.is_nan().then(|| fault("22003", "input is out of range"))
}

#[derive(Debug)]
struct Judged {
    inner: Arc<ScalarUDF>,
    judge: Option<Judge>,
}

equal_by_inner!(Judged);

impl ScalarUDFImpl for Judged {
    described_by_inner!();

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args.clone();
        let Some(judge) = self.judge else {
            return match values.as_slice() {
                [number] if number.data_type().is_floating() => {
                    answer(&values, rounded(&only(&values, args.number_rows)?)?)
                }
                _ => self.inner.invoke_with_args(args),
            };
        };
        let result = self.inner.invoke_with_args(args)?;
        if result.data_type().is_floating() {
            check(judge, &values, &result.to_array(1)?)?;
        }
        Ok(result)
    }
}

fn floats(array: &ArrayRef) -> Result<PrimitiveArray<Float64Type>> {
    Ok(cast(array, &DataType::Float64)?.as_primitive().clone())
}

fn check(judge: Judge, args: &[ColumnarValue], result: &ArrayRef) -> Result<()> {
    let results = floats(result)?;
    if results.values().iter().all(|it| it.is_normal()) {
        return Ok(());
    }
    let args: Result<Vec<_>> = args.iter().map(|it| floats(&it.to_array(results.len())?)).collect();
    let args = args?;
    for row in (0..results.len()).filter(|row| results.is_valid(*row)) {
        let values: Vec<f64> = args.iter().map(|it| it.value(row)).collect();
        let judged = !results.value(row).is_normal() && values.iter().all(|it| it.is_finite());
        if let Some(error) = judged.then(|| judge(&values, results.value(row))).flatten() {
            return Err(error);
        }
    }
    Ok(())
}

/// Half to even.
fn rounded(array: &ArrayRef) -> Result<ArrayRef> {
    let even: PrimitiveArray<Float64Type> = floats(array)?.unary(f64::round_ties_even);
    Ok(cast(&even, array.data_type())?)
}
