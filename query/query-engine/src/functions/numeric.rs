//! `CAST(x AS numeric)`: every digit that `x` has.
//!
//! Without digits in the type DataFusion takes ten after the point, for whatever there is.
//!
//! | `x` | digits after the point |
//! |---|---|
//! | `numeric` | as many as `x` has |
//! | integers | none |
//! | a string literal | as many as are written |
//! | other text, floating point | ten |

use std::sync::Arc;

use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::arithmetic::{answer, only};

/// The function that the cast becomes.
pub(crate) const NAME: &str = "luma_numeric";
const DIGITS_MAX: u8 = 38;
const OTHER: DataType = DataType::Decimal128(DIGITS_MAX, 10);

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
        Ok(OTHER)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let source = args.arg_fields.first().map(|it| it.data_type().clone());
        let literal = args.scalar_arguments.first().copied().flatten();
        let target = match (source, literal) {
            (Some(decimal @ (DataType::Decimal128(..) | DataType::Decimal256(..))), _) => decimal,
            (Some(it), _) if it.is_integer() => DataType::Decimal128(20, 0),
            (_, Some(ScalarValue::Utf8(Some(text)))) => {
                fraction(text).map_or(OTHER, |scale| DataType::Decimal128(DIGITS_MAX, scale))
            }
            _ => OTHER,
        };
        Ok(Arc::new(Field::new(NAME, target, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = args.return_field.data_type();
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let value = only(&args.args, args.number_rows)?;
        answer(&args.args, cast_with_options(&value, target, &strict)?)
    }
}

/// Digits after the point of a plainly written number.
fn fraction(text: &str) -> Option<i8> {
    let (_, digits) = text.trim().split_once('.').unwrap_or(("", ""));
    let plain = digits.bytes().all(|it| it.is_ascii_digit())
        && !text.contains(['e', 'E'])
        && digits.len() <= usize::from(DIGITS_MAX);
    plain.then(|| i8::try_from(digits.len()).ok()).flatten()
}
