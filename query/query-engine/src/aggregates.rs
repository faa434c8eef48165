//! `sum` and `avg` with PostgreSQL's types: exact, and as wide as they get.
//!
//! | argument | `sum` | `avg` |
//! |---|---|---|
//! | `smallint`, `integer` | `bigint` | `numeric` |
//! | `bigint`, `numeric` | `numeric` | `numeric` |
//! | `real`, `double precision` | `double precision` | `double precision` |
//!
//! DataFusion sums bigints in a bigint that wraps. Here the argument is widened first; everything else is left to
//! DataFusion's own functions. Averages of exact numbers are sums that are divided: [`crate::averages`].

use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, GroupsAccumulator,
    LogicalPlan, ReversedUDAF, Signature, Volatility, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use crate::arithmetic::rewritten;
use crate::intervals::INTERVAL;
use crate::operators::exact::EXACT;
use crate::operators::scale;

/// From here on a sum may need more than 128 bits.
const SUM_DIGITS_MAX: u8 = 28;

/// The type in which an argument is taken; `None` for what has no sum.
type Widen = fn(&DataType) -> Option<DataType>;

/// Replaces the functions of the engine's state.
///
/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let widenings: [(&str, Widen); 2] = [("sum", summed), ("avg", averaged)];
    for (name, widen) in widenings {
        let inner = state.udaf(name)?;
        let signature = Signature::user_defined(Volatility::Immutable);
        state.register_udaf(Arc::new(AggregateUDF::from(Widened { inner, widen, signature })))?;
    }
    Ok(())
}

/// The type in which values are summed.
fn summed(argument: &DataType) -> Option<DataType> {
    use DataType::{
        Decimal128, Decimal256, Duration, Float16, Float32, Float64, Int8, Int16, Int32, Int64,
        Interval, Null, UInt8, UInt16, UInt32, UInt64,
    };
    Some(match argument {
        Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Null => Int64,
        Int64 | UInt64 => Decimal128(20, 0),
        Float16 | Float32 | Float64 => Float64,
        Decimal128(digits, scale) if *digits > SUM_DIGITS_MAX => Decimal256(*digits, *scale),
        Decimal128(..) | Decimal256(..) | Duration(_) | Interval(_) => argument.clone(),
        _ => return None,
    })
}

/// The type in which values are averaged: exact ones never are, but divided ([`crate::averages`]).
fn averaged(argument: &DataType) -> Option<DataType> {
    Some(match argument {
        other if scale(other).is_some() => EXACT,
        DataType::Duration(_) | DataType::Interval(_) => argument.clone(),
        other => return summed(other),
    })
}

/// Sums of small integers are DataFusion's own: [`Widened`] would take the bigints that their values become for bigints.
///
/// Runs before types are coerced.
#[derive(Debug)]
pub(crate) struct IntegerSums;

impl AnalyzerRule for IntegerSums {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| rewritten(plan, &plain_sum)).data()
    }

    fn name(&self) -> &'static str {
        "integer_sums"
    }
}

fn plain_sum(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (function, args) = match &mut expr {
        Expr::AggregateFunction(it) => (&mut it.func, &it.params.args),
        Expr::WindowFunction(it) => match &mut it.fun {
            WindowFunctionDefinition::AggregateUDF(function) => (function, &it.params.args),
            WindowFunctionDefinition::WindowUDF(_) => return Ok(Transformed::no(expr)),
        },
        _ => return Ok(Transformed::no(expr)),
    };
    let (Some(widened), [argument]) = (function.inner().downcast_ref::<Widened>(), args.as_slice())
    else {
        return Ok(Transformed::no(expr));
    };
    let inner = Arc::clone(&widened.inner);
    if inner.name() != "sum" || summed(&argument.get_type(schema)?) != Some(DataType::Int64) {
        return Ok(Transformed::no(expr));
    }
    *function = inner;
    Ok(Transformed::yes(expr))
}

#[derive(Debug)]
struct Widened {
    inner: Arc<AggregateUDF>,
    widen: Widen,
    signature: Signature,
}

// There is one of each name.
impl PartialEq for Widened {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Widened {}

impl Hash for Widened {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl AggregateUDFImpl for Widened {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let wide = match arguments {
            [argument] => (self.widen)(argument),
            _ => None,
        };
        // The error names the function and the types around this text.
        wide.map(|it| vec![it])
            .ok_or_else(|| DataFusionError::Plan("it takes one number or interval".to_owned()))
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [argument] if self.inner.name() == "avg" && !argument.is_floating() => {
                Ok(if scale(argument).is_some() { EXACT } else { INTERVAL })
            }
            _ => self.inner.return_type(arguments),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }
}
