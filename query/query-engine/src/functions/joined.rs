//! `||`, `concat` and the like: results as long as their arguments together.
//!
//! Each doubles what it is given twice, so twenty of them make a gigabyte of a kilobyte. They are measured as the functions
//! of [`super::sized`] are; `||` is an operator of DataFusion's and becomes a function first.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::kernels::concat_elements::concat_elements_utf8;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::sized::{Size, Sized, count, texts};
use crate::arithmetic::{answer, rewritten, sides};

/// Replaces `||` of texts; runs once types are known.
#[derive(Debug)]
pub(crate) struct Concatenations {
    function: Arc<ScalarUDF>,
}

impl Concatenations {
    /// Results are taken from `pool`.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let signature = Signature::any(2, Volatility::Immutable);
        let inner = Arc::new(ScalarUDF::from(Concatenate { signature }));
        Self { function: Arc::new(ScalarUDF::from(Sized::new(inner, joined, pool))) }
    }
}

impl AnalyzerRule for Concatenations {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let replace = |expr, schema: &DFSchema| replaced(expr, schema, &self.function);
        plan.transform_up_with_subqueries(|plan| rewritten(plan, &replace)).data()
    }

    fn name(&self) -> &'static str {
        "measured_concatenations"
    }
}

fn replaced(expr: Expr, schema: &DFSchema, function: &Arc<ScalarUDF>) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let is_ours = matches!(left.as_ref(), Expr::ScalarFunction(it) if it.func == *function);
    let text = |expr: &Expr| expr.get_type(schema).map(|it| it == DataType::Utf8);
    if !((is_ours || text(&left)?) && text(&right)?) {
        let op = Operator::StringConcat;
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    let call = ScalarFunction::new_udf(Arc::clone(function), vec![*left, *right]);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Concatenate {
    signature: Signature,
}

impl ScalarUDFImpl for Concatenate {
    fn name(&self) -> &'static str {
        "luma_||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = sides(&args.args, args.number_rows)?;
        let joined = concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?;
        answer(&args.args, Arc::new(joined))
    }
}

/// The arguments of each row together; the longest is no longer than the longest of each.
pub(super) fn joined(args: &[ArrayRef]) -> Result<Size> {
    let mut size = Size::default();
    for arg in args {
        let arg = texts(arg)?;
        let lengths = arg.as_string::<i32>().iter().map(|it| it.map_or(0, |it| count(it.len())));
        let mut own = Size::default();
        lengths.for_each(|it| own.add(it));
        size.longest = size.longest.saturating_add(own.longest);
        size.all = size.all.saturating_add(own.all);
    }
    Ok(size)
}

/// `concat_ws(separator, …)`: a separator between each two.
pub(super) fn separated(args: &[ArrayRef]) -> Result<Size> {
    let [separator, values @ ..] = args else { return Ok(Size::default()) };
    let separator = joined(std::slice::from_ref(separator))?;
    let values_size = joined(values)?;
    let times = count(values.len());
    Ok(Size {
        longest: values_size.longest.saturating_add(separator.longest.saturating_mul(times)),
        all: values_size.all.saturating_add(separator.all.saturating_mul(times)),
    })
}

/// `regexp_replace(text, pattern, replacement[, flags])`: at most one replacement around each byte, each with the whole text
/// for a back reference.
pub(super) fn replaced_matches(args: &[ArrayRef]) -> Result<Size> {
    let [value, _, replacement, flags @ ..] = args else { return Ok(Size::default()) };
    let (value, replacement) = (texts(value)?, texts(replacement)?);
    let everywhere = flags.first().map(texts).transpose()?;
    let mut size = Size::default();
    let pairs = value.as_string::<i32>().iter().zip(replacement.as_string::<i32>());
    for (row, (text, replacement)) in pairs.enumerate() {
        let (Some(text), Some(replacement)) = (text, replacement) else { continue };
        let all = everywhere.as_ref().is_some_and(|it| {
            let flags = it.as_string::<i32>();
            flags.is_valid(row) && flags.value(row).contains('g')
        });
        let times = if all { count(text.len()) + 1 } else { 1 };
        let references = count(replacement.matches('\\').count());
        let each = references.saturating_mul(count(text.len())) + count(replacement.len());
        size.add(count(text.len()).saturating_add(times.saturating_mul(each)));
    }
    Ok(size)
}

/// Arrays that are put together.
pub(super) fn arrays(args: &[ArrayRef]) -> Result<Size> {
    let all = args.iter().map(|it| count(it.get_array_memory_size())).sum();
    Ok(Size { longest: 0, all })
}

/// `array_to_string(array, separator)`.
pub(super) fn listed(args: &[ArrayRef]) -> Result<Size> {
    let [items, separator, ..] = args else { return Ok(Size::default()) };
    let separator = joined(std::slice::from_ref(separator))?.longest;
    let bytes = count(items.get_array_memory_size());
    // An item takes a byte at least.
    Ok(Size { longest: 0, all: bytes.saturating_add(bytes.saturating_mul(separator)) })
}
