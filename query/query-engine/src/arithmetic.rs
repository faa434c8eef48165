//! Arithmetic that refuses what PostgreSQL refuses: results out of range and division by zero.
//!
//! DataFusion's operators wrap integers and let floating point numbers become infinite, also where it folds constants. So
//! an analyzer rule replaces them by functions once types are known, before anything is folded:
//!
//! ```text
//!  a + b  (bigint)  → luma_+(a, b)        -a → luma_-(0, a)        CAST(a AS integer) → see casts.rs
//! ```
//!
//! Invariants:
//! - A function has the type of the operator that it replaces; names of columns stay.
//! - What is not replaced (decimals, dates, intervals) is checked by Arrow's kernels.

use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

use crate::casts;
use crate::error::fault;

/// Replaces operators and casts by their checked functions.
#[derive(Debug)]
pub(crate) struct Checked;

impl AnalyzerRule for Checked {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| rewritten(plan, &checked)).data()
    }

    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }
}

/// The plan with `rewrite` applied to each part of its expressions, inside out; names of columns stay.
///
/// # Errors
/// Those of `rewrite`.
pub(crate) fn rewritten(
    plan: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let source =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&source);
    }
    let names = NamePreserver::new(&plan);
    let named = |expr: Expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|expr| rewrite(expr, &schema))?;
        Ok(changed.update_data(|expr| name.restore(expr)))
    };
    plan.map_expressions(|expr| match expr {
        // An aggregate knows grouping sets by their own: under a name of theirs they would be a column.
        Expr::GroupingSet(_) => expr.map_children(named),
        _ => named(expr),
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let Some(operation) = Operation::of(op) else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            let data_type = type_of(&left, schema)?;
            if !is_checked(&data_type) || type_of(&right, schema)? != data_type {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            Ok(Transformed::yes(call(operation, data_type, *left, *right)))
        }
        Expr::Negative(inner) => {
            let data_type = type_of(&inner, schema)?;
            if !data_type.is_signed_integer() {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
            Ok(Transformed::yes(call(Operation::Subtract, data_type, zero, *inner)))
        }
        Expr::AggregateFunction(mut it) => {
            let widened = casts::widened(&mut it.params.args, schema)?;
            let guarded = guard(&mut it.params.args, it.params.filter.as_deref())?;
            let expr = Expr::AggregateFunction(it);
            Ok(if widened || guarded { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        Expr::WindowFunction(mut it) => {
            let params = &mut it.params;
            let guarded = guard(&mut params.args, params.filter.as_deref())?;
            let expr = Expr::WindowFunction(it);
            Ok(if guarded { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        Expr::ScalarFunction(mut it) if it.func.name() == "array_to_string" => {
            let changed = casts::items_as_texts(&mut it.args, schema)?;
            let expr = Expr::ScalarFunction(it);
            Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        Expr::Cast(it) => {
            let source = type_of(&it.expr, schema)?;
            casts::checked(it, &source)
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Arguments that may fail are worked out only where the aggregate's FILTER holds: groups take them before it.
fn guard(args: &mut [Expr], filter: Option<&Expr>) -> Result<bool> {
    let Some(filter) = filter else { return Ok(false) };
    let mut any = false;
    for arg in args {
        let fallible = |it: &Expr| {
            Ok(matches!(it, Expr::ScalarFunction(_) | Expr::BinaryExpr(_) | Expr::Cast(_)))
        };
        if arg.exists(fallible)? {
            *arg = when(filter.clone(), std::mem::take(arg)).end()?;
            any = true;
        }
    }
    Ok(any)
}

/// The type of an expression; of what was replaced without a look at its arguments, which may be a long chain.
fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    if let Expr::ScalarFunction(function) = expr
        && let Some(arithmetic) = function.func.inner().downcast_ref::<Arithmetic>()
    {
        return Ok(arithmetic.data_type.clone());
    }
    expr.get_type(schema)
}

fn is_checked(data_type: &DataType) -> bool {
    use DataType::{Float32, Float64, Int16, Int32, Int64};
    matches!(data_type, Int16 | Int32 | Int64 | Float32 | Float64)
}

fn call(operation: Operation, data_type: DataType, left: Expr, right: Expr) -> Expr {
    let function = ScalarUDF::from(Arithmetic::new(operation, data_type));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![left, right]))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operation {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Subtract,
            Operator::Multiply => Self::Multiply,
            Operator::Divide => Self::Divide,
            Operator::Modulo => Self::Modulo,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "luma_+",
            Self::Subtract => "luma_-",
            Self::Multiply => "luma_*",
            Self::Divide => "luma_/",
            Self::Modulo => "luma_%",
        }
    }

    fn run(self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Add => numeric::add(left, right),
            Self::Subtract => numeric::sub(left, right),
            Self::Multiply => numeric::mul(left, right),
            Self::Divide => numeric::div(left, right),
            Self::Modulo => numeric::rem(left, right),
        }
    }

    /// Whether the result of finite numbers says by itself that nothing went wrong.
    fn is_plain(self, result: f64) -> bool {
        match self {
            Self::Add | Self::Subtract => result.is_finite(),
            _ => result.is_finite() && result != 0.0,
        }
    }

    /// What PostgreSQL says to this result. Source: `float8_mul`, `float8_div` and the like in its `float.h`.
    fn fault(self, left: f64, right: f64, result: f64) -> Option<DataFusionError> {
        match self {
            Self::Divide | Self::Modulo if right == 0.0 && !left.is_nan() => {
                Some(fault("22012", "division by zero"))
            }
            _ if result.is_infinite() && left.is_finite() && right.is_finite() => Some(overflow()),
            Self::Multiply if result == 0.0 && left != 0.0 && right != 0.0 => Some(underflow()),
            Self::Divide if result == 0.0 && left != 0.0 && right.is_finite() => Some(underflow()),
            _ => None,
        }
    }
}

pub(crate) fn overflow() -> DataFusionError {
    fault("22003", "value out of range: overflow")
}

pub(crate) fn underflow() -> DataFusionError {
    fault("22003", "value out of range: underflow")
}

/// An operator on two numbers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    operation: Operation,
    data_type: DataType,
    signature: Signature,
}

impl Arithmetic {
    fn new(operation: Operation, data_type: DataType) -> Self {
        Self { operation, data_type, signature: Signature::any(2, Volatility::Immutable) }
    }

    fn check_floats(&self, args: &[ColumnarValue], result: &ColumnarValue) -> Result<()> {
        let result = result.to_array(1)?;
        let results = cast(&result, &DataType::Float64)?;
        let results = results.as_primitive::<Float64Type>();
        if results.values().iter().all(|it| self.operation.is_plain(*it)) {
            return Ok(());
        }
        let [left, right] = sides(args, results.len())?;
        let (left, right) = (cast(&left, &DataType::Float64)?, cast(&right, &DataType::Float64)?);
        let (left, right) =
            (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
        for row in (0..results.len()).filter(|row| results.is_valid(*row)) {
            let (left, right) = (left.value(row), right.value(row));
            if let Some(error) = self.operation.fault(left, right, results.value(row)) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("an operator has two sides".to_owned()));
        };
        let run = |left: &dyn Datum, right: &dyn Datum| self.operation.run(left, right);
        let result = apply(left, right, run).map_err(|error| self.told(error))?;
        if self.data_type.is_floating() {
            self.check_floats(&args.args, &result)?;
        }
        Ok(result)
    }
}

impl Arithmetic {
    /// Arrow's overflow as the type's.
    fn told(&self, error: DataFusionError) -> DataFusionError {
        let DataFusionError::ArrowError(inner, _) = &error else { return error };
        match inner.as_ref() {
            ArrowError::ArithmeticOverflow(_) => casts::out_of_range(&self.data_type),
            _ => error,
        }
    }
}

/// Both arguments as arrays.
pub(crate) fn sides(args: &[ColumnarValue], number_rows: usize) -> Result<[ArrayRef; 2]> {
    arrays(args, number_rows)?
        .try_into()
        .map_err(|_| DataFusionError::Internal("an operator has two sides".to_owned()))
}

/// The argument as an array.
pub(crate) fn only(args: &[ColumnarValue], number_rows: usize) -> Result<ArrayRef> {
    let [array] = <[ArrayRef; 1]>::try_from(arrays(args, number_rows)?)
        .map_err(|_| DataFusionError::Internal("it takes one argument".to_owned()))?;
    Ok(array)
}

/// All arguments as arrays; of one row where all are single values.
pub(crate) fn arrays(args: &[ColumnarValue], number_rows: usize) -> Result<Vec<ArrayRef>> {
    let rows = if are_single(args) { 1 } else { number_rows };
    args.iter().map(|it| it.to_array(rows)).collect()
}

fn are_single(args: &[ColumnarValue]) -> bool {
    args.iter().all(|it| matches!(it, ColumnarValue::Scalar(_)))
}

/// A single value where all arguments were.
pub(crate) fn answer(args: &[ColumnarValue], array: ArrayRef) -> Result<ColumnarValue> {
    Ok(if are_single(args) {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}
