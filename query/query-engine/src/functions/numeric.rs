//! `CAST(x AS numeric)`: every digit that `x` has.
//!
//! Without digits in the type DataFusion takes ten after the point, for whatever there is.
//!
//! | `x` | digits after the point |
//! |---|---|
//! | `numeric` | as many as `x` has |
//! | integers | none |
//! | a string literal | as many as are written |
//! | other text | as many as it has |
//! | floating point | those of its first 15 digits, `real` 6; as PostgreSQL |

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Decimal256Type, Field, FieldRef, Float32Type, Float64Type,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::arithmetic::{answer, only};
use crate::error::fault;
use crate::operators::exact::{self, OPEN};

/// The function that the cast becomes.
pub(crate) const NAME: &str = "luma_numeric";
const DIGITS_MAX: u8 = 38;

/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let signature = Signature::any(1, Volatility::Immutable);
    state.register_udf(Arc::new(ScalarUDF::from(Numeric { signature }))).map(|_| ())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Numeric {
    signature: Signature,
}

impl ScalarUDFImpl for Numeric {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(OPEN)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let source = args.arg_fields.first().map(|it| it.data_type().clone());
        let literal = args.scalar_arguments.first().copied().flatten();
        let target = match (source, literal) {
            (Some(decimal @ (DataType::Decimal128(..) | DataType::Decimal256(..))), _) => decimal,
            (Some(it), _) if it.is_integer() => DataType::Decimal128(20, 0),
            (_, Some(ScalarValue::Utf8(Some(text)))) => {
                fraction(text).map_or(OPEN, |scale| DataType::Decimal128(DIGITS_MAX, scale))
            }
            _ => OPEN,
        };
        Ok(Arc::new(Field::new(NAME, target, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = args.return_field.data_type();
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let value = only(&args.args, args.number_rows)?;
        let numbers = match (value.data_type(), target) {
            (DataType::Float16 | DataType::Float32, &OPEN) => {
                let reals = cast(&value, &DataType::Float32)?;
                opened(reals.as_primitive::<Float32Type>().iter(), |it| spelled(it.into(), 6))?
            }
            (DataType::Float64, &OPEN) => {
                opened(value.as_primitive::<Float64Type>().iter(), |it| spelled(it, 15))?
            }
            (DataType::Utf8, &OPEN) => {
                opened(value.as_string::<i32>().iter(), |it| Ok(it.to_owned()))?
            }
            _ => cast_with_options(&value, target, &strict)?,
        };
        answer(&args.args, numbers)
    }
}

/// The first `digits` of a number that is finite.
fn spelled(number: f64, digits: usize) -> Result<String> {
    if !number.is_finite() {
        return Err(fault("0A000", "a numeric is never NaN and never infinite"));
    }
    Ok(format!("{number:.*e}", digits - 1))
}

/// Texts of numbers as values of type [`OPEN`].
fn opened<T>(
    values: impl Iterator<Item = Option<T>>,
    spelled: impl Fn(T) -> Result<String>,
) -> Result<ArrayRef> {
    let number = |value| {
        let text = spelled(value)?;
        exact::read(&text).unwrap_or_else(|| {
            Err(fault("22P02", format!("invalid input syntax for type numeric: \"{text}\"")))
        })
    };
    let numbers: Result<PrimitiveArray<Decimal256Type>> =
        values.map(|it| it.map(number).transpose()).collect();
    Ok(Arc::new(numbers?.with_data_type(OPEN)))
}

/// Digits after the point of a plainly written number.
fn fraction(text: &str) -> Option<i8> {
    let (_, digits) = text.trim().split_once('.').unwrap_or(("", ""));
    let plain = digits.bytes().all(|it| it.is_ascii_digit())
        && !text.contains(['e', 'E'])
        && digits.len() <= usize::from(DIGITS_MAX);
    plain.then(|| i8::try_from(digits.len()).ok()).flatten()
}
