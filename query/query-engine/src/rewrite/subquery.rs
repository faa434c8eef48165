//! `ARRAY(SELECT …)` as an aggregate, and subqueries that can never be evaluated as NULL.
//!
//! Invariants:
//! - `ARRAY(q)` keeps q's order; over no rows it is an empty array, never NULL.
//! - A subquery disappears only from the select list of a select that has no rows, because a relation it joins
//!   has none.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Distinct, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, GroupByExpr,
    Ident, JoinOperator, LambdaFunction, LambdaFunctionParameter, LambdaSyntax, ObjectName,
    OneOrManyWithParens, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use super::{null, parts};

/// The name of the only column of a wrapped query.
const ITEM: &str = "luma_item";

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|it| FunctionArg::Unnamed(FunctionArgExpr::Expr(it)));
    function(
        name,
        FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        },
    )
}

fn function(name: &str, arguments: FunctionArgumentList) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `ARRAY(SELECT …)`: the subquery when `expr` is one.
fn constructor(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Function(Function { name, args: FunctionArguments::Subquery(query), .. })
            if parts(name) == ["array"] =>
        {
            Some(query)
        }
        _ => None,
    }
}

/// Rewrites an array constructor in place.
pub(super) fn array(expr: &mut Expr) {
    let Some(query) = constructor(expr) else { return };
    if let Some(mapped) = mapped(query) {
        *expr = mapped;
        return;
    }
    let query = aggregated(query.clone());
    *expr = call("luma_array", vec![Expr::Subquery(Box::new(query))]);
}

/// `ARRAY(SELECT f(x) FROM unnest(a) x)` maps over one array; it needs no subquery.
fn mapped(query: &Query) -> Option<Expr> {
    let select = simple(query)?;
    if select.selection.is_some() || select.distinct.is_some() || query.order_by.is_some() {
        return None;
    }
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, alias: Some(alias), args: Some(arguments), .. } = relation
    else {
        return None;
    };
    let [SelectItem::UnnamedExpr(body)] = select.projection.as_slice() else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] = arguments.args.as_slice() else {
        return None;
    };
    if !joins.is_empty() || parts(name).last().is_none_or(|it| it != "unnest") {
        return None;
    }
    let name = alias.columns.first().map_or_else(|| alias.name.clone(), |it| it.name.clone());
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter { name, data_type: None }),
        body: Box::new(body.clone()),
        syntax: LambdaSyntax::Arrow,
    });
    let mapped = call("array_transform", vec![array.clone(), lambda]);
    Some(call("luma_array", vec![mapped]))
}

/// The select of a query that is nothing but a select without grouping.
fn simple(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let plain = query.with.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && select.having.is_none()
        && ungrouped
        && matches!(select.distinct, None | Some(Distinct::Distinct));
    plain.then_some(select)
}

fn aggregated(mut query: Query) -> Query {
    let inline = simple(&query).and_then(|select| {
        let (SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }) =
            select.projection.first()?
        else {
            return None;
        };
        let order = order(&query, item)?;
        let duplicates = select.distinct.is_some().then_some(DuplicateTreatment::Distinct);
        Some(array_agg(item.clone(), duplicates, order))
    });
    if let (Some(aggregate), SetExpr::Select(select)) = (inline, query.body.as_mut()) {
        select.projection = vec![SelectItem::UnnamedExpr(aggregate)];
        select.distinct = None;
        query.order_by = None;
        return query;
    }
    wrapped(query)
}

/// The keys of ORDER BY with ordinals resolved; `None` for forms that are left to a wrapped query.
fn order(query: &Query, item: &Expr) -> Option<Vec<OrderByExpr>> {
    let Some(order) = &query.order_by else { return Some(Vec::new()) };
    let OrderByKind::Expressions(keys) = &order.kind else { return None };
    let keys = keys.iter().map(|key| {
        let ordinal = matches!(&key.expr, Expr::Value(it) if matches!(it.value, Value::Number(..)));
        OrderByExpr { expr: if ordinal { item.clone() } else { key.expr.clone() }, ..key.clone() }
    });
    Some(keys.collect())
}

fn array_agg(item: Expr, duplicates: Option<DuplicateTreatment>, order: Vec<OrderByExpr>) -> Expr {
    let clauses =
        if order.is_empty() { Vec::new() } else { vec![FunctionArgumentClause::OrderBy(order)] };
    function(
        "array_agg",
        FunctionArgumentList {
            duplicate_treatment: duplicates,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(item))],
            clauses,
        },
    )
}

/// `SELECT array_agg(item) FROM (query) AS q(item)`.
fn wrapped(query: Query) -> Query {
    let relation = derived(query, table_alias(ITEM));
    let item = array_agg(Expr::Identifier(Ident::new(ITEM)), None, Vec::new());
    let select = Select {
        projection: vec![SelectItem::UnnamedExpr(item)],
        from: vec![TableWithJoins { relation, joins: Vec::new() }],
        ..super::empty_select()
    };
    super::query_of(select)
}

/// `AS name(name)`.
pub(super) fn table_alias(name: &str) -> TableAlias {
    TableAlias {
        explicit: true,
        name: Ident::new(name),
        columns: vec![TableAliasColumnDef::from_name(name)],
        at: None,
    }
}

pub(super) fn derived(query: Query, alias: TableAlias) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(alias),
        sample: None,
    }
}

/// Replaces the subqueries in the select list of a select without rows.
pub(super) fn forget_unreachable(select: &mut Select, is_empty: &dyn Fn(&ObjectName) -> bool) {
    if has_no_rows(select, is_empty) {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let _ = expr.visit(&mut Forget);
            }
        }
    }
}

/// Whether a relation that every row needs is empty.
fn has_no_rows(select: &Select, is_empty: &dyn Fn(&ObjectName) -> bool) -> bool {
    let factor = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: None, .. } => is_empty(name),
        _ => false,
    };
    select.from.iter().any(|from| {
        let inner = |operator: &JoinOperator| {
            matches!(
                operator,
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
            )
        };
        let outer = from.joins.iter().any(|it| !inner(&it.join_operator));
        let base = factor(&from.relation)
            && from.joins.iter().all(|it| {
                inner(&it.join_operator)
                    || matches!(
                        it.join_operator,
                        JoinOperator::Left(_) | JoinOperator::LeftOuter(_)
                    )
            });
        base || (!outer && from.joins.iter().any(|it| factor(&it.relation)))
    })
}

/// Aggregates that give a row over no rows.
const AGGREGATES: [&str; 12] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// A scalar subquery over an empty relation is NULL, unless it aggregates.
pub(super) fn null_when_empty(expr: &mut Expr, is_empty: &dyn Fn(&ObjectName) -> bool) {
    use datafusion::sql::sqlparser::ast::visit_expressions;
    let Expr::Subquery(query) = &*expr else { return };
    let Some(select) = simple(query) else { return };
    let aggregates = visit_expressions(&select.projection, |it| match it {
        Expr::Function(function)
            if parts(&function.name).last().is_some_and(|it| AGGREGATES.contains(&it.as_str())) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    if aggregates.is_continue() && has_no_rows(select, is_empty) {
        *expr = null();
    }
}

struct Forget;

impl VisitorMut for Forget {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if constructor(expr).is_some() {
            *expr = Expr::Cast {
                kind: CastKind::DoubleColon,
                expr: Box::new(null()),
                data_type: SqlType::Array(
                    datafusion::sql::sqlparser::ast::ArrayElemTypeDef::SquareBracket(
                        Box::new(SqlType::Text),
                        None,
                    ),
                ),
                array: false,
                format: None,
            };
        } else if matches!(expr, Expr::Subquery(_)) {
            *expr = null();
        }
        ControlFlow::Continue(())
    }
}
