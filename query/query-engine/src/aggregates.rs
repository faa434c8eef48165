//! `sum`, `avg`, `stddev` and their kin with PostgreSQL's types: as wide as they get, and never silently wrong.
//!
//! | argument | `sum` | `avg`, `stddev`, `variance` |
//! |---|---|---|
//! | `smallint`, `integer` | `bigint` | `numeric` |
//! | `bigint`, `numeric` | `numeric` | `numeric` |
//! | `real` | `real` | `double precision` |
//! | `double precision` | `double precision` | `double precision` |
//!
//! Deviations of quotients and of other numbers with more than 18 digits after the point are `double precision`.
//!
//! DataFusion sums bigints in a bigint that wraps, so they are widened. What may still wrap or become infinite in its type
//! is summed by [`total`]; everything else is left to DataFusion's own functions. Averages are sums that are divided
//! ([`crate::averages`]), but those of quotients are [`wide::Mean`]. Frames of floating point are worked out [`anew`].

mod anew;
pub(crate) mod first;
mod numeric_spread;
mod plain;
mod spans;
mod spread;
mod total;
mod wide;

use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
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
use crate::operators::exact::{self, EXACT};
use crate::operators::scale;
use anew::Anew;
use total::Total as _;

/// From here on a sum may need more than 128 bits.
const SUM_DIGITS_MAX: u8 = 28;

/// What an aggregate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Sum,
    Average,
    /// Deviation or variance, of all values or of a sample of them.
    Spread {
        root: bool,
        sample: bool,
    },
    /// Something of floating point that DataFusion works out well where nothing leaves its frame.
    Other,
}

const ROLES: [(&str, Role); 18] = [
    ("sum", Role::Sum),
    ("avg", Role::Average),
    ("stddev", Role::Spread { root: true, sample: true }),
    ("stddev_pop", Role::Spread { root: true, sample: false }),
    ("var", Role::Spread { root: false, sample: true }),
    ("var_pop", Role::Spread { root: false, sample: false }),
    ("corr", Role::Other),
    ("covar_pop", Role::Other),
    ("covar_samp", Role::Other),
    ("regr_avgx", Role::Other),
    ("regr_avgy", Role::Other),
    ("regr_count", Role::Other),
    ("regr_intercept", Role::Other),
    ("regr_r2", Role::Other),
    ("regr_slope", Role::Other),
    ("regr_sxx", Role::Other),
    ("regr_sxy", Role::Other),
    ("regr_syy", Role::Other),
];

/// Replaces the functions of the engine's state.
///
/// # Errors
/// DataFusion's.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for (name, role) in ROLES {
        let inner = state.udaf(name)?;
        let signature = match role {
            Role::Sum | Role::Average | Role::Spread { .. } => {
                Signature::user_defined(Volatility::Immutable)
            }
            Role::Other => inner.signature().clone(),
        };
        state.register_udaf(Arc::new(AggregateUDF::from(Widened { inner, role, signature })))?;
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
        Float16 | Float64 => Float64,
        Duration(_) => Duration(TimeUnit::Microsecond),
        Decimal128(digits, scale) if *digits > SUM_DIGITS_MAX => Decimal256(*digits, *scale),
        Decimal128(..) | Decimal256(..) | Float32 => argument.clone(),
        Interval(_) => INTERVAL,
        _ => return None,
    })
}

/// The type in which values are averaged, where they are not divided ([`crate::averages`]).
fn averaged(argument: &DataType) -> Option<DataType> {
    Some(match argument {
        other if scale(other).is_some() => EXACT,
        other if other.is_floating() => DataType::Float64,
        DataType::Duration(_) | DataType::Interval(_) => argument.clone(),
        other => return summed(other),
    })
}

/// The type in which deviations are worked out: numbers with many digits after the point have no room for squares.
fn spread_over(argument: &DataType) -> Option<DataType> {
    match (argument, scale(argument)) {
        (_, Some(scale @ 0..=numeric_spread::SCALE_MAX)) => {
            Some(DataType::Decimal256(exact::DIGITS_MAX, scale))
        }
        (DataType::Null, _) => Some(DataType::Float64),
        (other, _) => other.is_numeric().then_some(DataType::Float64),
    }
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
    if widened.role != Role::Sum || summed(&argument.get_type(schema)?) != Some(DataType::Int64) {
        return Ok(Transformed::no(expr));
    }
    *function = inner;
    Ok(Transformed::yes(expr))
}

/// Evaluates `$made` with `$total` as the total that `$role` keeps of values of type `$argument`, or `$other`.
macro_rules! with_total {
    ($role:expr, $argument:expr, $total:ident => $made:expr, $other:expr) => {
        match ($role, $argument) {
            (Role::Sum, DataType::Decimal256(..)) => with_total!(@ $total, wide::Sum, $made),
            (Role::Sum, DataType::Float32) => with_total!(@ $total, plain::Sum<f32>, $made),
            (Role::Sum, DataType::Float64) => with_total!(@ $total, plain::Sum<f64>, $made),
            (Role::Sum, DataType::Duration(_)) => with_total!(@ $total, plain::Sum<i64>, $made),
            (Role::Sum, DataType::Interval(_)) => with_total!(@ $total, spans::Sum, $made),
            (Role::Average, DataType::Decimal256(..)) => with_total!(@ $total, wide::Mean, $made),
            (Role::Spread { root: true, sample: true }, DataType::Float64) => {
                with_total!(@ $total, spread::Spread<true, true>, $made)
            }
            (Role::Spread { root: true, sample: false }, DataType::Float64) => {
                with_total!(@ $total, spread::Spread<true, false>, $made)
            }
            (Role::Spread { root: false, sample: true }, DataType::Float64) => {
                with_total!(@ $total, spread::Spread<false, true>, $made)
            }
            (Role::Spread { root: false, sample: false }, DataType::Float64) => {
                with_total!(@ $total, spread::Spread<false, false>, $made)
            }
            (Role::Spread { root: true, sample: true }, DataType::Decimal256(..)) => {
                with_total!(@ $total, numeric_spread::Spread<true, true>, $made)
            }
            (Role::Spread { root: true, sample: false }, DataType::Decimal256(..)) => {
                with_total!(@ $total, numeric_spread::Spread<true, false>, $made)
            }
            (Role::Spread { root: false, sample: true }, DataType::Decimal256(..)) => {
                with_total!(@ $total, numeric_spread::Spread<false, true>, $made)
            }
            (Role::Spread { root: false, sample: false }, DataType::Decimal256(..)) => {
                with_total!(@ $total, numeric_spread::Spread<false, false>, $made)
            }
            _ => $other,
        }
    };
    (@ $total:ident, $of:ty, $made:expr) => {{
        type $total = $of;
        $made
    }};
}

#[derive(Clone, Debug)]
struct Widened {
    inner: Arc<AggregateUDF>,
    role: Role,
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

/// The type of the first argument.
fn only(fields: &[FieldRef]) -> DataType {
    fields.first().map_or(DataType::Null, |it| it.data_type().clone())
}

impl Widened {
    /// Types of what a total keeps; `None` where the function is DataFusion's own.
    fn state(&self, argument: &DataType) -> Option<Vec<DataType>> {
        with_total!(self.role, argument, Kept => Some(Kept::state(argument)), None)
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
        let wide = match (self.role, arguments) {
            (Role::Sum, [argument]) => summed(argument),
            (Role::Average, [argument]) => averaged(argument),
            (Role::Spread { .. }, [argument]) => spread_over(argument),
            (Role::Sum | Role::Average | Role::Spread { .. }, _) => None,
            (Role::Other, _) => return self.inner.coerce_types(arguments),
        };
        // The error names the function and the types around this text.
        wide.map(|it| vec![it])
            .ok_or_else(|| DataFusionError::Plan("it takes one number or interval".to_owned()))
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.role, arguments) {
            (Role::Average, [argument]) if !argument.is_floating() => {
                Ok(if scale(argument).is_some() { EXACT } else { INTERVAL })
            }
            (Role::Sum, [DataType::Float32]) => Ok(DataType::Float32),
            (Role::Spread { .. }, [argument]) => Ok(match argument.is_floating() {
                true => DataType::Float64,
                false => EXACT,
            }),
            _ => self.inner.return_type(arguments),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let argument = only(args.expr_fields);
        with_total!(self.role, &argument, Kept => {
            if args.is_distinct {
                return Ok(Box::new(total::Distinct::<Kept>::new(argument)));
            }
            Ok(Box::new(total::Single::<Kept>::new(argument)))
        }, self.inner.accumulator(args))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let argument = only(args.input_fields);
        let Some(types) = self.state(&argument) else { return self.inner.state_fields(args) };
        let types = if args.is_distinct { vec![DataType::new_list(argument, true)] } else { types };
        let field = |(index, of): (usize, DataType)| -> FieldRef {
            Arc::new(Field::new(format!("{}[{index}]", args.name), of, true))
        };
        Ok(types.into_iter().enumerate().map(field).collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.state(&only(args.expr_fields)) {
            Some(_) => !args.is_distinct,
            None => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let argument = only(args.expr_fields);
        with_total!(
            self.role,
            &argument,
            Kept => Ok(Box::new(total::Groups::<Kept>::new(argument))),
            self.inner.create_groups_accumulator(args)
        )
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let argument = only(args.expr_fields);
        if argument.is_floating() {
            let anew = self.clone();
            return Ok(Box::new(Anew::new(&args, move |args| anew.accumulator(args))));
        }
        if args.is_distinct {
            return self.inner.create_sliding_accumulator(args);
        }
        with_total!(
            self.role,
            &argument,
            Kept => Ok(Box::new(total::Sliding::<Kept>::new(argument))),
            self.inner.create_sliding_accumulator(args)
        )
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
