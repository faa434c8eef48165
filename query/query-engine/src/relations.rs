//! VALUES and set operations with the types PostgreSQL gives their columns, before anything is planned above them.
//!
//! DataFusion makes `numeric(30,15)` of floating point and `numeric` in one column, which has no NaN and no 1e16; and a
//! UNION has the types of its first input until all is planned, so that `x / 2` above is planned for the wrong one.
//!
//! ```text
//!  FROM (SELECT 1 AS x UNION ALL SELECT 2.5) q  ──Relations──►  its plan, with numeric x, is what SELECT x / 2 sees
//! ```
//!
//! Invariants:
//! - What was typed once is left alone when it is looked at again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, NullEquality, Result};
use datafusion::logical_expr::logical_plan::{Join, Projection, Union, Values};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, JoinType, LogicalPlan};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion::sql::sqlparser::ast::TableFactor;

use crate::floats::{beside_numerics, double, widest};

/// Types the relations of FROM as they are planned; one for each statement.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// The relation that is handed in next is the one that was handed back.
    again: AtomicBool,
}

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let is_query = matches!(&relation, TableFactor::Derived { .. })
            || matches!(&relation, TableFactor::Table { args: None, .. });
        if !is_query || self.again.swap(false, Ordering::Relaxed) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        self.again.store(true, Ordering::Relaxed);
        let plan = beside_numerics(context.plan(relation)?)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
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
    let schemas: Vec<&DFSchema> = it.inputs.iter().map(|it| it.schema().as_ref()).collect();
    let Some(types) = common_types(&schemas) else {
        // The error is the planner's.
        return Ok(Transformed::no(LogicalPlan::Union(it)));
    };
    let same = |schema: &&DFSchema| {
        let mut pairs = schema.fields().iter().zip(it.schema.fields());
        pairs.all(|(left, right)| left.data_type() == right.data_type())
    };
    if schemas.iter().all(same) {
        return Ok(Transformed::no(LogicalPlan::Union(it)));
    }
    let inputs: Result<Vec<_>> = it
        .inputs
        .into_iter()
        .map(|input| of_types(Arc::unwrap_or_clone(input), &types).map(Arc::new))
        .collect();
    let union = Union::try_new_with_loose_types(inputs?)?;
    TypeCoercionRewriter::coerce_union(union).map(Transformed::yes)
}

/// The type of floating point for each column that is that here and numeric there.
fn common_types(schemas: &[&DFSchema]) -> Option<Vec<Option<DataType>>> {
    let columns = schemas.first()?.fields().len();
    if schemas.iter().any(|it| it.fields().len() != columns) {
        return None;
    }
    let types = (0..columns).map(|column| {
        let types: Vec<DataType> =
            schemas.iter().map(|it| it.field(column).data_type().clone()).collect();
        types.iter().any(DataType::is_floating).then(|| widest(&types))
    });
    Some(types.collect())
}

/// The plan with its numeric columns cast where there is a type for them.
fn of_types(plan: LogicalPlan, types: &[Option<DataType>]) -> Result<LogicalPlan> {
    let wanted = |(field, target): (&Arc<_>, &Option<DataType>)| {
        let field: &datafusion::arrow::datatypes::Field = field;
        target.as_ref().filter(|_| field.data_type().is_decimal()).cloned()
    };
    let targets: Vec<Option<DataType>> =
        plan.schema().fields().iter().zip(types).map(wanted).collect();
    if targets.iter().all(Option::is_none) {
        return Ok(plan);
    }
    let exprs = plan.schema().iter().zip(targets).map(|((qualifier, field), target)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        match target {
            Some(target) => datafusion::logical_expr::cast(column, target)
                .alias_qualified(qualifier.cloned(), field.name()),
            None => column,
        }
    });
    let exprs = exprs.collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// INTERSECT and EXCEPT: the only joins so early in which NULL equals NULL.
pub(crate) fn is_set_operation(it: &Join) -> bool {
    matches!(it.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && it.null_equality == NullEquality::NullEqualsNull
}

fn set_operation(mut it: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(types) = common_types(&[it.left.schema(), it.right.schema()]) else {
        return Ok(Transformed::no(LogicalPlan::Join(it)));
    };
    let (left, right) = (Arc::clone(&it.left), Arc::clone(&it.right));
    it.left = Arc::new(of_types(Arc::unwrap_or_clone(it.left), &types)?);
    it.right = Arc::new(of_types(Arc::unwrap_or_clone(it.right), &types)?);
    let same = it.left == left && it.right == right;
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
