//! Comparisons of rows, part by part: DataFusion compares records, for which NULL equals NULL.
//!
//! | written | means |
//! |---|---|
//! | `(a, b) = (c, d)` | `a = c AND b = d` |
//! | `(a, b) < (c, d)` | `a <= c AND (a < c OR b < d)` |
//! | `(a, b) IN ((c, d), …)` | `(a, b) = (c, d) OR …` |
//! | `(a, b) IN (SELECT c, d …)` | in a WHERE `EXISTS (SELECT 1 FROM (SELECT c, d …) r WHERE a = c AND b = d)` |
//! | | elsewhere `CASE WHEN` *that* `THEN true WHEN EXISTS (…` *is NULL*`) THEN NULL ELSE false END` |
//!
//! Source: <https://www.postgresql.org/docs/15/functions-comparisons.html#ROW-WISE-COMPARISON>.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, Query, Select, SelectItem, TableAlias, TableAliasColumnDef, TableWithJoins,
    UnaryOperator, Value,
};
use query_api::Error;

use super::subquery::derived;
use super::{empty_select, null, parts, query_of};
use crate::error::unsupported;

/// The parts of `(a, b)` or `ROW(a, b)`.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Nested(inner) => row(inner),
        Expr::Tuple(items) => Some(items.clone()),
        Expr::Function(call) if parts(&call.name) == ["row"] => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let plain = list.args.iter().map(|it| match it {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            plain.collect()
        }
        _ => None,
    }
}

/// Spells out the rows that a WHERE compares with those of a subquery: only true counts there.
pub(super) fn condition(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) => condition(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            condition(left);
            condition(right);
        }
        Expr::InSubquery { expr: value, subquery, negated } => {
            if let Some(items) = row(value) {
                *expr = match negated {
                    false => exists(subquery, equal_to_columns(&items), &items, false),
                    true => {
                        let is_false = Expr::IsNotFalse(Box::new(equal_to_columns(&items)));
                        exists(subquery, is_false, &items, true)
                    }
                };
            }
        }
        _ => {}
    }
}

/// `GROUP BY (a, b)` is `GROUP BY a, b`.
pub(super) fn ungroup(group_by: &mut GroupByExpr) {
    let GroupByExpr::Expressions(keys, _) = group_by else { return };
    let ungrouped = std::mem::take(keys).into_iter().flat_map(|key| match key {
        Expr::Tuple(items) => items,
        other => vec![other],
    });
    *keys = ungrouped.collect();
}

/// Spells out a comparison of rows.
///
/// # Errors
/// 42601 for rows of different lengths, 0A000 for a row beside a subquery that is one.
pub(super) fn spell_out(expr: &mut Expr) -> Result<(), Error> {
    let spelled = match expr {
        Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
            (Some(left), Some(right)) => compared(&left, op, &right)?,
            (Some(_), None) if matches!(**right, Expr::Subquery(_)) => {
                return Err(unsupported("a row is not compared with the row of a subquery")
                    .with_hint("write (a, b) IN (SELECT …)"));
            }
            _ => None,
        },
        Expr::InList { expr: value, list, negated } => match row(value) {
            Some(items) => {
                let mut any = None;
                for other in list.iter() {
                    let Some(other) = row(other) else { return Ok(()) };
                    let Some(equal) = compared(&items, &BinaryOperator::Eq, &other)? else {
                        return Ok(());
                    };
                    any = Some(match any {
                        Some(before) => binary(before, BinaryOperator::Or, equal),
                        None => equal,
                    });
                }
                any.map(|it| if *negated { not(it) } else { it })
            }
            None => None,
        },
        Expr::Between { expr: value, negated, low, high } => {
            match (row(value), row(low), row(high)) {
                (Some(items), Some(low), Some(high)) => {
                    let least = compared(&items, &BinaryOperator::GtEq, &low)?;
                    let most = compared(&items, &BinaryOperator::LtEq, &high)?;
                    let both = least
                        .zip(most)
                        .map(|(least, most)| binary(least, BinaryOperator::And, most));
                    both.map(|it| if *negated { not(it) } else { it })
                }
                _ => None,
            }
        }
        Expr::InSubquery { expr: value, subquery, negated } => {
            row(value).map(|items| in_subquery(&items, subquery, *negated))
        }
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => any(left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => any(left, right, true),
        _ => None,
    };
    if let Some(spelled) = spelled {
        *expr = spelled;
    }
    Ok(())
}

fn any(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    let Expr::Subquery(subquery) = right else { return None };
    row(left).map(|items| in_subquery(&items, subquery, negated))
}

/// `None` for operators that rows do not have.
fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Option<Expr>, Error> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return Ok(None);
    }
    if left.len() != right.len() {
        let message = "unequal number of entries in row expressions";
        return Err(Error::new(query_api::ErrorKind::Invalid, message).with_sqlstate("42601"));
    }
    let pairs = || left.iter().cloned().zip(right.iter().cloned());
    let (strict, loose) = match op {
        Eq | NotEq => {
            let join = if *op == Eq { And } else { Or };
            let each = pairs().map(|(left, right)| binary(left, op.clone(), right));
            return Ok(each.reduce(|before, it| binary(before, join.clone(), it)));
        }
        Lt | LtEq => (Lt, LtEq),
        _ => (Gt, GtEq),
    };
    let mut pairs = pairs().rev();
    let last = pairs.next().map(|(left, right)| binary(left, op.clone(), right));
    Ok(last.map(|last| {
        pairs.fold(last, |rest, (left, right)| {
            let beyond = binary(left.clone(), strict.clone(), right.clone());
            let decided = binary(beyond, Or, rest);
            binary(binary(left, loose.clone(), right), And, decided)
        })
    }))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let whole = Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    Expr::Nested(Box::new(whole))
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }
}

fn in_subquery(items: &[Expr], subquery: &Query, negated: bool) -> Expr {
    let equal = equal_to_columns(items);
    let unknown = Expr::IsNull(Box::new(equal.clone()));
    let boolean = |it| Expr::Value(Value::Boolean(it).with_empty_span());
    let case = |condition, result| CaseWhen { condition, result };
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![
            case(exists(subquery, equal, items, false), boolean(!negated)),
            case(exists(subquery, unknown, items, false), null()),
        ],
        else_result: Some(Box::new(boolean(negated))),
    }
}

fn column(index: usize) -> Ident {
    Ident::new(format!("luma_row_{index}"))
}

fn equal_to_columns(items: &[Expr]) -> Expr {
    let each = items.iter().enumerate().map(|(index, item)| {
        binary(Expr::Identifier(column(index)), BinaryOperator::Eq, item.clone())
    });
    each.reduce(|before, it| binary(before, BinaryOperator::And, it)).unwrap_or_else(null)
}

/// `EXISTS (SELECT 1 FROM (subquery) AS luma_row(luma_row_0, …) WHERE condition)`.
fn exists(subquery: &Query, condition: Expr, items: &[Expr], negated: bool) -> Expr {
    let columns =
        (0..items.len()).map(|it| TableAliasColumnDef { name: column(it), data_type: None });
    let alias = TableAlias {
        explicit: true,
        name: Ident::new("luma_row"),
        columns: columns.collect(),
        at: None,
    };
    let one = Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
    let select = Select {
        projection: vec![SelectItem::UnnamedExpr(one)],
        from: vec![TableWithJoins {
            relation: derived(subquery.clone(), alias),
            joins: Vec::new(),
        }],
        selection: Some(condition),
        ..empty_select()
    };
    Expr::Exists { subquery: Box::new(query_of(select)), negated }
}
