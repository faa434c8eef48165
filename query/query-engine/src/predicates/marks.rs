//! The joins that answer predicates.
//!
//! ```text
//!  EXISTS (SELECT … FROM u WHERE u.id = m.id AND u.x > 1)
//!    →  RightMark Join: luma_rows_0.luma_0 = m.id        mark: luma_rows_0.mark
//!         Projection: u.id AS luma_rows_0.luma_0
//!           Filter: u.x > 1
//!         the rows of m, as they come
//! ```
//!
//! Invariants:
//! - The input keeps its columns in their places; those that are made stand behind them, under names of their own.
//! - The rows of a marked input pass by; those of the subquery are held.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::tree_node::{TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema as _, Result, ScalarValue, Spans};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::replace_col;
use datafusion::logical_expr::logical_plan::{Filter, Projection};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, lit, when,
};
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;

use super::refused;
use super::shape::{self, Rows};

/// An input and the columns that were joined to it.
pub(super) struct Marks<'a> {
    pub(super) input: LogicalPlan,
    next: &'a mut usize,
    /// Predicates that have a column.
    known: Vec<(Arc<LogicalPlan>, Expr)>,
}

/// A subquery as the side of a join.
struct Side {
    plan: LogicalPlan,
    condition: Expr,
    alias: String,
}

impl<'a> Marks<'a> {
    pub(super) fn new(input: LogicalPlan, next: &'a mut usize) -> Self {
        Self { input, next, known: Vec::new() }
    }

    fn name(&mut self, kind: &str) -> String {
        *self.next += 1;
        format!("luma_{kind}_{}", self.next)
    }

    /// Whether the subquery has a row.
    pub(super) fn exists(&mut self, subquery: Arc<LogicalPlan>) -> Result<Expr> {
        if let Some((_, column)) = self.known.iter().find(|(plan, _)| *plan == subquery) {
            return Ok(column.clone());
        }
        let found = match shape::rows(Arc::clone(&subquery))? {
            Rows::Always => lit(true),
            Rows::Same(plan) => counted(plan)?,
            Rows::Of(plans) => {
                let mut found: Option<Expr> = None;
                for plan in plans {
                    let mark = self.mark(plan)?;
                    found = Some(match found {
                        Some(before) => before.or(mark),
                        None => mark,
                    });
                }
                found.unwrap_or_else(|| lit(false))
            }
        };
        self.known.push((subquery, found.clone()));
        Ok(found)
    }

    /// Leaves the rows for which the subquery has one, or has none; a condition where no join does it.
    pub(super) fn only_where(
        &mut self,
        subquery: Arc<LogicalPlan>,
        wanted: bool,
    ) -> Result<Option<Expr>> {
        let plans = match shape::rows(Arc::clone(&subquery))? {
            Rows::Of(plans) if plans.len() == 1 => plans,
            _ => {
                let found = self.exists(subquery)?;
                return Ok(Some(if wanted { found } else { !found }));
            }
        };
        for plan in plans {
            let side = self.side(plan)?;
            let how = if wanted { JoinType::LeftSemi } else { JoinType::LeftAnti };
            self.input = LogicalPlanBuilder::from(std::mem::take(&mut self.input))
                .join_on(side.plan, how, Some(side.condition))?
                .build()?;
        }
        Ok(None)
    }

    /// Leaves the rows whose value is among those of the subquery.
    pub(super) fn only_where_in(
        &mut self,
        value: Expr,
        subquery: Arc<LogicalPlan>,
    ) -> Result<Option<Expr>> {
        let value = self.column(value)?;
        let (plan, column) = self.compared_column(&subquery)?;
        let hit = filtered(plan, self.outer(&value)?.eq(column))?;
        self.only_where(hit, true)
    }

    /// `value op ANY (q)`, `value op ALL (q)`.
    pub(super) fn compared(&mut self, it: SetComparison) -> Result<Expr> {
        let value = self.column(*it.expr)?;
        let (plan, column) = self.compared_column(&it.subquery.subquery)?;
        let comparison = Expr::BinaryExpr(BinaryExpr::new(
            Box::new(self.outer(&value)?),
            it.op,
            Box::new(column.clone()),
        ));
        let (deciding, decided) = match it.quantifier {
            SetQuantifier::Any => (comparison, true),
            SetQuantifier::All => (!comparison, false),
        };
        let mut unknown: Option<Expr> = None;
        if column.nullable(plan.schema())? {
            unknown = Some(self.exists(filtered(Arc::clone(&plan), column.is_null())?)?);
        }
        if value.nullable(self.input.schema())? {
            let any = value.is_null().and(self.exists(Arc::clone(&plan))?);
            unknown = Some(unknown.map_or(any.clone(), |it| it.or(any)));
        }
        let mut cases = when(self.exists(filtered(plan, deciding)?)?, lit(decided));
        if let Some(unknown) = unknown {
            cases = cases.when(unknown, Expr::Literal(ScalarValue::Boolean(None), None));
        }
        cases.otherwise(lit(!decided))
    }

    /// The only column of a subquery under a name that nothing outside has; as it is written where it names the outer row.
    fn compared_column(&mut self, subquery: &Arc<LogicalPlan>) -> Result<(Arc<LogicalPlan>, Expr)> {
        if let LogicalPlan::Projection(it) = subquery.as_ref()
            && let [expr] = it.expr.as_slice()
            && expr.contains_outer()
        {
            return Ok((Arc::clone(&it.input), expr.clone().unalias()));
        }
        let name = self.name("compared");
        let first = Column::from(subquery.schema().qualified_field(0));
        let exprs = vec![Expr::Column(first).alias(&name)];
        let plan = Projection::try_new(exprs, Arc::clone(subquery))?;
        let column = Expr::Column(Column::from_name(name));
        Ok((Arc::new(LogicalPlan::Projection(plan)), column))
    }

    /// The value as a column of the input, so that it is worked out once; literals stay.
    fn column(&mut self, value: Expr) -> Result<Expr> {
        if matches!(value, Expr::Column(_) | Expr::Literal(..)) {
            return Ok(value);
        }
        let name = self.name("value");
        let input = std::mem::take(&mut self.input);
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let exprs = columns.chain([value.alias(&name)]).collect();
        self.input = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
        Ok(Expr::Column(Column::from_name(name)))
    }

    /// A column of the input as a subquery names it.
    fn outer(&self, value: &Expr) -> Result<Expr> {
        let Expr::Column(column) = value else { return Ok(value.clone()) };
        let field = self.input.schema().field_from_column(column)?;
        Ok(Expr::OuterReferenceColumn(Arc::clone(field), column.clone()))
    }

    /// A column that says whether `plan`, which names columns of the input, has a row.
    fn mark(&mut self, plan: LogicalPlan) -> Result<Expr> {
        let side = self.side(plan)?;
        let input = std::mem::take(&mut self.input);
        self.input = LogicalPlanBuilder::from(side.plan)
            .join_on(input, JoinType::RightMark, Some(side.condition))?
            .build()?;
        Ok(Expr::Column(Column::new(Some(side.alias), "mark")))
    }

    fn side(&mut self, plan: LogicalPlan) -> Result<Side> {
        let mut pulled = PullUpCorrelatedExpr::new().with_exists_sub_query(true);
        let plan = match plan.rewrite(&mut pulled).data() {
            Err(DataFusionError::SchemaError(..)) => {
                return Err(shape::out_of_place("a derived table with a column of the same name"));
            }
            plan => plan?,
        };
        let condition = conjunction(pulled.join_filters).filter(|_| pulled.can_pull_up);
        let Some(condition) = condition else {
            return Err(shape::out_of_place("such a part of it"));
        };
        let inner: BTreeSet<Column> =
            pulled.correlated_subquery_cols_map.into_values().flatten().collect();
        let alias = self.name("rows");
        let mut exprs = Vec::new();
        let mut renamed = HashMap::new();
        for column in condition.column_refs() {
            if !inner.contains(column) {
                self.check_outer(column)?;
                continue;
            }
            let name = format!("luma_{}", exprs.len());
            let own = own_column(plan.schema(), column)?;
            exprs.push(Expr::Column(own).alias_qualified(Some(alias.clone()), &name));
            renamed.insert(column.clone(), Column::new(Some(alias.clone()), name));
        }
        let condition = replace_col(condition.clone(), &renamed.iter().collect())?;
        let mut rows = LogicalPlanBuilder::from(plan);
        if exprs.is_empty() {
            rows = rows.limit(0, Some(1))?;
            exprs.push(lit(true).alias_qualified(Some(alias.clone()), "luma_0"));
        }
        Ok(Side { plan: rows.project(exprs)?.build()?, condition, alias })
    }

    fn check_outer(&self, column: &Column) -> Result<()> {
        match self.input.schema().has_column(column) {
            true => Ok(()),
            false => Err(refused(&format!(
                "column \"{}\" of a table outside of two subqueries is not supported in the inner one",
                column.name
            ))),
        }
    }
}

/// The column of the plan that an inner column has become: it is handed up under its name.
fn own_column(schema: &DFSchema, column: &Column) -> Result<Column> {
    if schema.has_column(column) {
        return Ok(column.clone());
    }
    let mut found = schema.columns().into_iter().filter(|it| it.name == column.name);
    match (found.next(), found.next()) {
        (Some(own), None) => Ok(own),
        _ => Err(shape::out_of_place("a derived table that hides the column")),
    }
}

fn filtered(plan: Arc<LogicalPlan>, predicate: Expr) -> Result<Arc<LogicalPlan>> {
    Ok(Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, plan)?)))
}

/// Whether a subquery that is the same for every row has one.
fn counted(plan: Arc<LogicalPlan>) -> Result<Expr> {
    let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(plan))
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), [count(lit(1_i64))])?
        .build()?;
    let subquery =
        Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() };
    Ok(Expr::ScalarSubquery(subquery).gt(lit(0_i64)))
}
