//! VALUES and set operations with the types PostgreSQL gives their columns, before anything is planned above them.
//!
//! DataFusion makes `numeric(30,15)` of floating point and `numeric` in one column, which has no NaN and no 1e16; and a
//! UNION has the types of its first input until all is planned, so that `x / 2` above is planned for the wrong one.
//!
//! ```text
//!  FROM (SELECT 1 AS x UNION ALL SELECT 2.5) q  ──Relations──►  its plan, with numeric x, is what SELECT x / 2 sees
//! ```
//!
//! Equal names of a subquery's columns are told apart here too ([`told_apart`]), and unions say of their columns that they
//! may be NULL where one of their inputs may ([`Nullable`]).
//!
//! Invariants:
//! - What was typed once is left alone when it is looked at again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, NullEquality, Result};
use datafusion::logical_expr::logical_plan::{
    Distinct, Join, Projection, SubqueryAlias, Union, Values,
};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, JoinType, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion::sql::sqlparser::ast::TableFactor;

use crate::alternatives;
use crate::error::fault;
use crate::floats::{beside_numerics, double, widest};
use crate::intervals::{INTERVAL, is_span, with_days};
use crate::rewrite;
use crate::shape::is_system_column;

/// Types the relations of FROM as they are planned; one for each statement.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// The relation that is handed in next is the one that was handed back.
    again: AtomicBool,
}

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let is_series = is_small_series(&relation);
        let is_query = matches!(&relation, TableFactor::Derived { .. })
            || matches!(&relation, TableFactor::Table { args: None, .. });
        if !(is_query || is_series) || self.again.swap(false, Ordering::Relaxed) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        self.again.store(true, Ordering::Relaxed);
        let (name, names) = if is_query { taken_names(&mut relation) } else { Default::default() };
        let plan = told_apart(beside_numerics(context.plan(relation)?)?)?;
        let plan = if is_series { integers(plan)? } else { plan };
        let plan = if names.is_empty() { plan } else { renamed(plan, &name, &names)? };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// The name of `AS name(a, b)` and its columns, which are taken out: there may be fewer of them than the table has.
fn taken_names(relation: &mut TableFactor) -> (String, Vec<String>) {
    let (TableFactor::Table { alias: Some(alias), .. }
    | TableFactor::Derived { alias: Some(alias), .. }) = relation
    else {
        return Default::default();
    };
    let names = std::mem::take(&mut alias.columns);
    (rewrite::fold(&alias.name), names.iter().map(|it| rewrite::fold(&it.name)).collect())
}

/// The plan with its first columns under other names; the hidden ones of a topic keep theirs.
fn renamed(plan: LogicalPlan, name: &str, names: &[String]) -> Result<LogicalPlan> {
    let shown = plan.schema().fields().iter().filter(|it| !is_system_column(it.name())).count();
    if names.len() > shown {
        let message = format!(
            "table \"{name}\" has {shown} columns available but {} columns specified",
            names.len()
        );
        return Err(fault("42P10", message));
    }
    let mut names = names.iter();
    let exprs = plan.schema().iter().map(|(qualifier, field)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        match (is_system_column(field.name()), &mut names) {
            (true, _) => column,
            (false, names) => match names.next() {
                Some(name) => column.alias_qualified(qualifier.cloned(), name),
                None => column,
            },
        }
    });
    let exprs = exprs.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// `generate_series` of written integers.
fn is_small_series(relation: &TableFactor) -> bool {
    matches!(relation, TableFactor::Table { name, args: Some(args), .. }
        if rewrite::parts(name) == ["generate_series"] && rewrite::are_small(&args.args))
}

/// The plan with its columns of `bigint` as `integer`.
fn integers(plan: LogicalPlan) -> Result<LogicalPlan> {
    let exprs = plan.schema().iter().map(|(qualifier, field)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        match field.data_type() {
            DataType::Int64 => datafusion::logical_expr::cast(column, DataType::Int32)
                .alias_qualified(qualifier.cloned(), field.name()),
            _ => column,
        }
    });
    let exprs = exprs.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// A subquery whose equal names are of no column: who asks for one is told that it is ambiguous.
fn told_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::SubqueryAlias(alias) = &plan else { return Ok(plan) };
    if !matches!(
        alias.input.as_ref(),
        LogicalPlan::Projection(_) | LogicalPlan::Union(_) | LogicalPlan::Distinct(_)
    ) {
        return Ok(plan);
    }
    let names: Vec<String> =
        (0..plan.schema().fields().len()).map(|index| own_name(&alias.input, index)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in &names {
        *counts.entry(name).or_default() += 1;
    }
    if counts.values().all(|it| *it == 1) {
        return Ok(plan);
    }
    let columns = plan.schema().iter().zip(&names).enumerate();
    let exprs = columns.map(|(index, ((qualifier, field), name))| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        match counts[name.as_str()] {
            1 => column,
            _ => column.alias_qualified(qualifier.cloned(), rewrite::unique_name(name, index)),
        }
    });
    let exprs = exprs.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// The name of a column as the statement has it; DataFusion numbers equal ones of a `*`.
fn own_name(plan: &LogicalPlan, index: usize) -> String {
    let name = plan.schema().field(index).name();
    if let LogicalPlan::Projection(it) = plan
        && let Expr::Alias(alias) = &it.expr[index]
        && let Expr::Column(column) = alias.expr.as_ref()
        && let Some(number) = name.strip_prefix(&format!("{}:", column.name))
        && number.bytes().all(|it| it.is_ascii_digit())
    {
        return column.name.clone();
    }
    rewrite::shown_name(name).to_owned()
}

/// The plan with its outermost VALUES or set operation typed.
///
/// # Errors
/// Types that have none in common.
pub(crate) fn typed(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let typed = match plan {
        LogicalPlan::Values(it) => values(it)?,
        LogicalPlan::Union(it) => union(it)?,
        LogicalPlan::Join(it) if is_set_operation(&it) => set_operation(it)?,
        other => Transformed::no(other),
    };
    // Nodes above one that changed have its types.
    typed.map_data(LogicalPlan::recompute_schema)
}

/// A column of VALUES is numeric where one of the values was cast to it from floating point.
fn values(it: Values) -> Result<Transformed<LogicalPlan>> {
    let none = DFSchema::empty();
    let Values { schema, mut values } = it;
    let mut types = Vec::with_capacity(schema.fields().len());
    for (column, field) in schema.fields().iter().enumerate() {
        let own: Result<Vec<DataType>> = values
            .iter()
            .map(|row| written(&row[column], field.data_type()).get_type(&none))
            .collect();
        let own = own?;
        let mixed = field.data_type().is_decimal() && own.iter().any(DataType::is_floating);
        types.push(if mixed { widest(&own) } else { field.data_type().clone() });
    }
    let Some(schema) = retyped(&schema, &types)? else {
        return Ok(Transformed::no(LogicalPlan::Values(Values { schema, values })));
    };
    for row in &mut values {
        for (column, target) in types.iter().enumerate() {
            if row[column].get_type(&none)? != *target {
                let own = written(&row[column], &row[column].get_type(&none)?).clone();
                row[column] = own.cast_to(target, &none)?;
            }
        }
    }
    let values = Values { schema: Arc::new(schema), values };
    Ok(Transformed::yes(LogicalPlan::Values(values)))
}

/// A value of a column of type `column` as it was before it was cast to that.
fn written<'a>(value: &'a Expr, column: &DataType) -> &'a Expr {
    match value {
        Expr::Cast(Cast { expr, field }) if field.data_type() == column => expr,
        other => other,
    }
}

/// The schema with other types; `None` where they are the same.
fn retyped(schema: &DFSchema, types: &[DataType]) -> Result<Option<DFSchema>> {
    if schema.fields().iter().zip(types).all(|(field, target)| field.data_type() == target) {
        return Ok(None);
    }
    let fields = schema.iter().zip(types).map(|((qualifier, field), target)| {
        let field = field.as_ref().clone().with_data_type(target.clone());
        (qualifier.cloned(), Arc::new(field))
    });
    DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone()).map(Some)
}

fn union(it: Union) -> Result<Transformed<LogicalPlan>> {
    let Union { inputs, schema } = it;
    let before = inputs.clone();
    let inputs: Vec<LogicalPlan> = inputs.into_iter().map(Arc::unwrap_or_clone).collect();
    if inputs.iter().any(|it| it.schema().fields().len() != schema.fields().len()) {
        // The error is the planner's.
        return Ok(Transformed::no(LogicalPlan::Union(Union { inputs: before, schema })));
    }
    let inputs: Vec<_> = unified("UNION", inputs)?.into_iter().map(Arc::new).collect();
    let same = |input: &Arc<LogicalPlan>| {
        let mut pairs = input.schema().fields().iter().zip(schema.fields());
        pairs.all(|(left, right)| left.data_type() == right.data_type())
    };
    if inputs == before && inputs.iter().all(same) {
        return Ok(Transformed::no(LogicalPlan::Union(Union { inputs, schema })));
    }
    let union = Union::try_new_with_loose_types(inputs)?;
    TypeCoercionRewriter::coerce_union(union).map(Transformed::yes)
}

/// The sides of a set operation with columns of one type each; literals among them are of the other sides' type.
///
/// # Errors
/// 42804 for types that have none in common, and 22P02 for a literal that is none of the type.
fn unified(name: &str, sides: Vec<LogicalPlan>) -> Result<Vec<LogicalPlan>> {
    let mut columns: Vec<Vec<Expr>> = sides.iter().map(written_columns).collect();
    let count = columns.iter().map(Vec::len).min().unwrap_or(0);
    for index in 0..count {
        let mut types: Vec<DataType> =
            sides.iter().map(|it| it.schema().field(index).data_type().clone()).collect();
        let mut exprs: Vec<&mut Expr> = columns.iter_mut().map(|it| &mut it[index]).collect();
        let target = alternatives::common(name, &mut exprs, &types)?
            .or_else(|| types.iter().any(DataType::is_floating).then(|| widest(&types)));
        let Some(target) = target else { continue };
        for (expr, own) in exprs.into_iter().zip(&mut types) {
            if let Expr::Literal(value, _) = &*expr {
                *own = value.data_type();
            }
            *expr = match (is_span(own), &target) {
                _ if *own == target || own.is_null() => continue,
                (true, &INTERVAL) => with_days(std::mem::take(expr), own),
                (true, _) => continue,
                (false, _) => datafusion::logical_expr::cast(std::mem::take(expr), target.clone()),
            };
        }
    }
    sides.into_iter().zip(columns).map(|(side, exprs)| projected(side, exprs)).collect()
}

/// The columns of a plan, as literals where they are written as such.
fn written_columns(plan: &LogicalPlan) -> Vec<Expr> {
    let mut list = plan;
    while let LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. })
    | LogicalPlan::Distinct(Distinct::All(input)) = list
    {
        list = input;
    }
    let column = |(index, (qualifier, field)): (usize, (Option<&_>, &Arc<Field>))| {
        if let LogicalPlan::Projection(it) = list
            && let literal @ Expr::Literal(..) = it.expr[index].clone().unalias()
        {
            return literal;
        }
        Expr::Column(Column::new(qualifier.cloned(), field.name()))
    };
    plan.schema().iter().enumerate().map(column).collect()
}

/// The plan with other expressions for its columns, under their names; as it is where none is other.
fn projected(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    if exprs == written_columns(&plan) {
        return Ok(plan);
    }
    let schema = Arc::clone(plan.schema());
    let named = exprs.into_iter().zip(schema.iter()).map(|(expr, (qualifier, field))| match expr {
        Expr::Column(_) => expr,
        other => other.alias_qualified(qualifier.cloned(), field.name()),
    });
    Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(plan))?))
}

/// Unions whose inputs were changed since they were made; the physical plan must not say NULL where the logical one does not.
#[derive(Debug)]
pub(crate) struct Nullable;

impl AnalyzerRule for Nullable {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Union(Union { inputs, schema }) => {
                let fields = schema.iter().enumerate().map(|(index, (qualifier, field))| {
                    let any = inputs.iter().any(|it| it.schema().field(index).is_nullable());
                    (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(any)))
                });
                let fields = fields.collect();
                let schema = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
                let union = Union { inputs, schema: Arc::new(schema) };
                Ok(Transformed::yes(LogicalPlan::Union(union)))
            }
            other => Ok(Transformed::yes(other.recompute_schema()?)),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "nullable_unions"
    }
}

/// INTERSECT and EXCEPT: the only joins so early in which NULL equals NULL.
pub(crate) fn is_set_operation(it: &Join) -> bool {
    matches!(it.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && it.null_equality == NullEquality::NullEqualsNull
}

fn set_operation(mut it: Join) -> Result<Transformed<LogicalPlan>> {
    let name = if it.join_type == JoinType::LeftSemi { "INTERSECT" } else { "EXCEPT" };
    let sides = [&it.left, &it.right].map(|side| side.as_ref().clone());
    let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(unified(name, sides.into())?) else {
        return Ok(Transformed::no(LogicalPlan::Join(it)));
    };
    let same = *it.left == left && *it.right == right;
    it.left = Arc::new(left);
    it.right = Arc::new(right);
    let plan = LogicalPlan::Join(it);
    Ok(if same { Transformed::no(plan) } else { Transformed::yes(plan) })
}

/// The pairs of a join's equality with floating point where one side is that.
///
/// # Errors
/// Columns that are not there.
pub(crate) fn join_pairs(mut it: Join) -> Result<Transformed<LogicalPlan>> {
    let mut any = false;
    for (left, right) in &mut it.on {
        let types = [left.get_type(it.left.schema())?, right.get_type(it.right.schema())?];
        if !types.iter().any(DataType::is_floating) {
            continue;
        }
        for (side, data_type) in [left, right].into_iter().zip(&types) {
            if data_type.is_decimal() {
                *side = datafusion::logical_expr::cast(std::mem::take(side), double(&types));
                any = true;
            }
        }
    }
    let plan = LogicalPlan::Join(it);
    Ok(if any { Transformed::yes(plan) } else { Transformed::no(plan) })
}
