//! Zero has no sign where PostgreSQL compares: in CASE, `nullif`, lists, sort keys and partitions.
//!
//! Arrow tells -0 from 0 there, and one NaN from another. Operators, groups and joins of DataFusion do not.
//!
//! ```text
//!  CASE x WHEN 0 …, x IN (0, 1, 2, 3)   →  CASE luma_zero(x) WHEN 0 …, luma_zero(x) IN (0, 1, 2, 3)
//!  PARTITION BY x, rank() … ORDER BY x  →  … luma_zero(x)
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::arithmetic::{answer, only, sides};

const KEY: &str = "luma_zero";

/// Takes the sign from zeros of floating point; whether there was anything to change.
pub(crate) fn unsigned<'a>(
    exprs: impl IntoIterator<Item = &'a mut Expr>,
    schema: &DFSchema,
) -> bool {
    let mut any = false;
    for expr in exprs {
        let is_plain = match expr {
            Expr::Literal(..) => true,
            Expr::ScalarFunction(it) => it.func.name() == KEY,
            _ => false,
        };
        if is_plain || !expr.get_type(schema).is_ok_and(|it| it.is_floating()) {
            continue;
        }
        *expr = call(Function::Key, vec![std::mem::take(expr)]);
        any = true;
    }
    any
}

/// `nullif` of floating point and another number; `None` for other types.
pub(crate) fn nullif(name: &str, args: &mut Vec<Expr>, schema: &DFSchema) -> Option<Expr> {
    if name != "nullif" {
        return None;
    }
    let types: Vec<DataType> = args.iter().map_while(|it| it.get_type(schema).ok()).collect();
    let [left, right] = types.as_slice() else { return None };
    let is_floating = left.is_floating() || right.is_floating();
    if !is_floating || !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    Some(call(Function::Unless, std::mem::take(args)))
}

fn call(function: Function, args: Vec<Expr>) -> Expr {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(Zero { function, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// The number, 0 for -0 and one NaN for all.
    Key,
    /// The first number where the second is not equal.
    Unless,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Zero {
    function: Function,
    signature: Signature,
}

impl ScalarUDFImpl for Zero {
    fn name(&self) -> &'static str {
        match self.function {
            Function::Key => KEY,
            Function::Unless => "luma_nullif_zero",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments {
            [DataType::Float32] => DataType::Float32,
            _ if arguments.iter().all(|it| *it == DataType::Float32) => DataType::Float32,
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = args.return_field.data_type().clone();
        let array: ArrayRef = match self.function {
            Function::Key => {
                let numbers = cast(&only(&args.args, args.number_rows)?, &target)?;
                match target {
                    DataType::Float32 => {
                        let numbers = numbers.as_primitive::<Float32Type>();
                        Arc::new(numbers.unary::<_, Float32Type>(|it| {
                            if it.is_nan() { f32::NAN } else { it + 0.0 }
                        }))
                    }
                    _ => {
                        let numbers = numbers.as_primitive::<Float64Type>();
                        Arc::new(numbers.unary::<_, Float64Type>(|it| {
                            if it.is_nan() { f64::NAN } else { it + 0.0 }
                        }))
                    }
                }
            }
            Function::Unless => {
                let [left, right] = sides(&args.args, args.number_rows)?;
                let doubles = |array: &ArrayRef| cast(array, &DataType::Float64);
                let (left, right) = (doubles(&left)?, doubles(&right)?);
                cast(&unless(&left, &right), &target)?
            }
        };
        answer(&args.args, array)
    }
}

fn unless(left: &ArrayRef, right: &ArrayRef) -> ArrayRef {
    let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
    #[expect(clippy::float_cmp, reason = "as PostgreSQL's float8eq")]
    let equal = |left: f64, right: f64| left == right || (left.is_nan() && right.is_nan());
    let value = |row: usize| {
        let kept = left.is_valid(row).then(|| left.value(row))?;
        (!right.is_valid(row) || !equal(kept, right.value(row))).then_some(kept)
    };
    let kept: PrimitiveArray<Float64Type> = (0..left.len()).map(value).collect();
    Arc::new(kept)
}
