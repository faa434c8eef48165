//! What planning a statement costs, estimated before it is planned, and where heavy planning runs.
//!
//! The planner and its optimizer work on trees: a WITH query is copied to each place that names it, an expression's
//! name is spelled out at each level, a join's columns are gone through at each join. So a short text can ask for hours
//! of planning. Here the rewritten statement is walked once and its cost added up.
//!
//! Units: one is about 7 µs of an unoptimised build, less than 1 µs of a release; the weights were fitted to measured
//! chains of 25 to 1000 operators, unions, joins of narrow and wide tables, select lists and VALUES.
//!
//! Invariants:
//! - A WITH query weighs each time it is named; sums saturate.
//! - A statement over [`PLAN_WEIGHT_MAX`] is 54001 and is not planned.
//! - A select list of more than [`TARGETS_MAX`] entries is 54011, as in PostgreSQL.
//! - Planning over [`BLOCKING_WEIGHT`] leaves its thread of the engine to other statements.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Visit, Visitor,
};
use query_api::{Error, ErrorKind};
use tokio::runtime::Handle;

use crate::{guard, rewrite};

/// Heaviest statement that is planned.
pub(crate) const PLAN_WEIGHT_MAX: u64 = 1_000_000;
/// Entries of a select list: PostgreSQL's limit, and planning takes the square of their number.
const TARGETS_MAX: usize = 1664;
/// From here on planning has a thread of its own: about 10 ms of a release build.
const BLOCKING_WEIGHT: u64 = 10_000;

const LITERAL: u64 = 4;
const CALL: u64 = 200;
const EXPRESSION: u64 = 40;
/// A table, a derived table or a SELECT.
const NODE: u64 = 400;
const JOIN: u64 = 30;
const JOIN_COLUMN: u64 = 10;
const UNION_COLUMN: u64 = 2;

/// A statement's weight, kept with its state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight(u64);

/// Weighs a rewritten statement; `columns` is the width of a relation outside WITH.
///
/// # Errors
/// 54001 over [`PLAN_WEIGHT_MAX`], 54011 over [`TARGETS_MAX`].
pub(crate) fn of(
    statement: &Statement,
    columns: &dyn Fn(&[String]) -> usize,
) -> Result<Weight, Error> {
    let mut scale = Scale {
        columns,
        total: 0,
        targets_max: 0,
        queries: Vec::new(),
        named: Vec::new(),
        closed_width: 0,
        sizes: Vec::new(),
    };
    let _ = statement.visit(&mut scale);
    if scale.targets_max > TARGETS_MAX {
        let message = format!("target lists can have at most {TARGETS_MAX} entries");
        return Err(Error::new(ErrorKind::LimitExceeded, message).with_sqlstate("54011"));
    }
    if scale.total > PLAN_WEIGHT_MAX {
        return Err(guard::too_complex(
            "its expressions, joins and WITH queries, each counted where it is used, are too many to plan",
        ));
    }
    Ok(Weight(scale.total))
}

/// Runs a step of planning where its statement's weight allows.
pub(crate) async fn planning<T>(state: &SessionState, step: impl Future<Output = T>) -> T {
    match state.config().get_extension::<Weight>() {
        Some(weight) if weight.0 > BLOCKING_WEIGHT => {
            tokio::task::block_in_place(|| Handle::current().block_on(step))
        }
        _ => step.await,
    }
}

/// The plan that runs.
///
/// # Errors
/// DataFusion's.
pub(crate) async fn physical(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    planning(state, state.create_physical_plan(plan)).await
}

/// A query that is being walked.
#[derive(Default)]
struct Open {
    weight: u64,
    /// Columns of the first SELECT of a set operation.
    width: Option<u64>,
    /// Columns of all of them so far.
    union_columns: u64,
    /// Tables of the current SELECT and their columns.
    tables: u64,
    table_columns: u64,
    /// The WITH queries of this query by address, with their names.
    withs: Vec<(*const Query, String)>,
    /// Names that were known before it.
    named_before: usize,
}

struct Scale<'a> {
    columns: &'a dyn Fn(&[String]) -> usize,
    total: u64,
    /// Entries of the longest select list so far.
    targets_max: usize,
    queries: Vec<Open>,
    /// WITH queries in scope, inner ones last: name, weight, columns.
    named: Vec<(String, u64, u64)>,
    /// Columns of the query that was closed last.
    closed_width: u64,
    /// Nodes of the expressions that are open.
    sizes: Vec<u64>,
}

impl Scale<'_> {
    fn add(&mut self, weight: u64) -> ControlFlow<()> {
        match self.queries.last_mut() {
            Some(open) => open.weight = open.weight.saturating_add(weight),
            None => self.total = self.total.saturating_add(weight),
        }
        // What is open is in the total when it closes; there is no need to walk on.
        let open = self.queries.last().map_or(self.total, |it| it.weight);
        if open > PLAN_WEIGHT_MAX {
            self.total = open;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn table(&mut self, weight: u64, width: u64) -> ControlFlow<()> {
        let Some(open) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        open.tables += 1;
        open.table_columns = open.table_columns.saturating_add(width);
        let join = match open.tables {
            1 => 0,
            tables => JOIN * tables + JOIN_COLUMN.saturating_mul(open.table_columns),
        };
        self.add(weight.saturating_add(NODE).saturating_add(join))
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Columns of a query's first row.
fn values_width(body: &SetExpr) -> u64 {
    match body {
        SetExpr::SetOperation { left, .. } => values_width(left),
        SetExpr::Values(values) => values.rows.first().map_or(1, |row| count(row.len())),
        _ => 1,
    }
}

impl Visitor for Scale<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let withs = tables.map(|it| (&raw const *it.query, rewrite::fold(&it.alias.name)));
        let withs = withs.collect();
        self.queries.push(Open { withs, named_before: self.named.len(), ..Open::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(open) = self.queries.pop() else { return ControlFlow::Continue(()) };
        self.named.truncate(open.named_before);
        let width = open.width.unwrap_or_else(|| values_width(&query.body));
        let here: *const Query = query;
        let named = self.queries.last().and_then(|outer| {
            outer.withs.iter().find(|(with, _)| *with == here).map(|(_, name)| name.clone())
        });
        if let Some(name) = named {
            self.named.push((name, open.weight, width));
        }
        self.closed_width = width;
        self.add(open.weight)
    }

    fn post_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Derived { .. } => self.table(0, self.closed_width),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.targets_max = self.targets_max.max(select.projection.len());
        if self.targets_max > TARGETS_MAX {
            return ControlFlow::Break(());
        }
        if let Some(open) = self.queries.last_mut() {
            (open.tables, open.table_columns) = (0, 0);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let Some(open) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        let wild = |item: &SelectItem| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        };
        let items = count(select.projection.len());
        let all = if select.projection.iter().any(wild) { open.table_columns } else { 0 };
        let width = items.saturating_add(all);
        open.width.get_or_insert(width);
        open.union_columns = open.union_columns.saturating_add(width);
        let weight = NODE + UNION_COLUMN.saturating_mul(open.union_columns);
        self.add(weight)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = rewrite::parts(relation);
        let named = match name.as_slice() {
            [single] => self.named.iter().rev().find(|(name, _, _)| name == single),
            _ => None,
        };
        let (weight, width) = match named {
            Some((_, weight, width)) => (*weight, *width),
            None => (0, count((self.columns)(&name))),
        };
        self.table(weight, width)
    }

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.sizes.push(1);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let size = self.sizes.pop().unwrap_or(1);
        if let Some(outer) = self.sizes.last_mut() {
            *outer += size;
        }
        self.add(match expr {
            Expr::Value(_) => LITERAL,
            Expr::Function(_) => CALL + size,
            _ => EXPRESSION + size,
        })
    }
}
