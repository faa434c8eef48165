//! `IN` lists that DataFusion's simplifier must not merge.
//!
//! It makes one list of two over the same value: their intersection, union or difference. That takes NULL for a value like
//! others, and "in no list" for false where the value is NULL:
//!
//! ```text
//!  a IN (1, 2, 3) AND a NOT IN (2, NULL)   made:  a IN (1, 3)   is:  never true
//!  NOT (a IN (1, 2) AND a IN (3, 4))       made:  true          is:  NULL where a is NULL
//! ```
//!
//! So lists are handed through a function that the simplifier does not look into, but where merging is right: in a
//! condition of which only true counts, when nothing is NULL but the value.
//!
//! | list | is left bare as a part of such a condition made with |
//! |---|---|
//! | `IN` | `AND`, `OR` |
//! | `NOT IN` | `AND` |
//!
//! Invariants:
//! - A list that may hold NULL is never bare.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

/// Keeps lists apart; runs once types are known.
#[derive(Debug)]
pub(crate) struct Apart;

impl AnalyzerRule for Apart {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            if matches!(plan, LogicalPlan::Filter(_)) {
                return plan.map_expressions(|expr| condition(expr, &schema, false));
            }
            let names = NamePreserver::new(&plan);
            let named = |expr: Expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(kept)?.update_data(|expr| name.restore(expr)))
            };
            plan.map_expressions(|expr| match expr {
                // An aggregate knows grouping sets by their own: under a name of theirs they would be a column.
                Expr::GroupingSet(_) => expr.map_children(named),
                _ => named(expr),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "lists_apart"
    }
}

/// A part of a WHERE, within an OR or not.
fn condition(expr: Expr, schema: &DFSchema, is_alternative: bool) -> Result<Transformed<Expr>> {
    match &expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
            let is_alternative = is_alternative || *op == Operator::Or;
            expr.map_children(|part| condition(part, schema, is_alternative))
        }
        Expr::InList(list) if is_mergeable(list, schema, is_alternative) => {
            expr.map_children(|part| part.transform_up(kept))
        }
        _ => expr.transform_up(kept),
    }
}

/// Whether the simplifier merges a list of a condition rightly.
fn is_mergeable(list: &InList, schema: &DFSchema, is_alternative: bool) -> bool {
    let any_null = list.list.iter().any(|it| it.nullable(schema).unwrap_or(true));
    !any_null && (!list.negated || !is_alternative)
}

fn kept(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::InList(_) => {
            let kept = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(Kept::new())), vec![expr]);
            Transformed::yes(Expr::ScalarFunction(kept))
        }
        other => Transformed::no(other),
    })
}

/// Hands its argument on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kept {
    signature: Signature,
}

impl Kept {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Kept {
    fn name(&self) -> &'static str {
        "luma_kept"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)))
    }
}
