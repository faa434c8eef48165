//! `CAST(x AS text)` of a type that Arrow keeps as text: JSON and the catalogs' names.
//!
//! To Arrow such a cast changes nothing, so DataFusion keeps the field's mark ([`crate::types::PG_TYPE`]), and the result would
//! be announced as what it was. A function that hands its argument on without the mark stands in the cast's place.
//!
//! Invariants:
//! - Columns keep their names and places.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use crate::types::PG_TYPE;

/// The plan with casts to text whose results are text.
///
/// # Errors
/// DataFusion's, when a changed plan cannot be built.
pub(crate) fn texts(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let named = |expr: Expr| {
            let name = names.save(&expr);
            let text = expr.transform_up(|it| text(it, &schema))?;
            Ok(text.update_data(|expr| name.restore(expr)))
        };
        let plan = plan.map_expressions(|expr| match expr {
            // An aggregate knows grouping sets by their own names.
            Expr::GroupingSet(_) => expr.map_children(named),
            _ => named(expr),
        })?;
        plan.map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

fn text(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(it) = &expr else { return Ok(Transformed::no(expr)) };
    if *it.field.data_type() != DataType::Utf8 || !it.field.metadata().is_empty() {
        return Ok(Transformed::no(expr));
    }
    let (_, source) = it.expr.to_field(schema)?;
    if *source.data_type() != DataType::Utf8 || !source.metadata().contains_key(PG_TYPE) {
        return Ok(Transformed::no(expr));
    }
    let function = ScalarUDF::from(Text { signature: Signature::any(1, Volatility::Immutable) });
    let arguments = vec![it.expr.as_ref().clone()];
    let call = ScalarFunction::new_udf(Arc::new(function), arguments);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// Hands its argument on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Text {
    signature: Signature,
}

impl ScalarUDFImpl for Text {
    fn name(&self) -> &'static str {
        "luma_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)))
    }
}
