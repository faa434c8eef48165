//! PostgreSQL's ways of saying what DataFusion says otherwise.
//!
//! | PostgreSQL | here |
//! |---|---|
//! | `x = ANY ('{1,2}')`, `x <> ALL ('{1,2}')` | `x IN ('1', '2')`, `x NOT IN ('1', '2')` |
//! | `a && b` of arrays | `array_has_any(a, b)` |
//! | `age(x)` | `age(current_date, x)` |
//! | `make_interval(days => 1)` | `make_interval(0, 0, 0, 1)` |
//! | `substring(s FROM 'o(.)b')` | the first item of `regexp_match(s, 'o(.)b')` |
//! | `\|/ x`, `\|\|/ x`, `@ x` | `sqrt(x)`, `cbrt(x)`, `abs(x)` |

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments,
    UnaryOperator, Value,
};

use super::{fold, literals, null, parts, subquery};

/// Rewrites in place what is one of these.
pub(super) fn plainly(expr: &mut Expr) {
    match expr {
        Expr::AnyOp { .. } | Expr::AllOp { .. } => among_literals(expr),
        Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
            let sides = [left, right].map(|it| std::mem::replace(it.as_mut(), null()));
            *expr = subquery::call("array_has_any", sides.into());
        }
        Expr::UnaryOp { op, expr: inner } => {
            let name = match op {
                UnaryOperator::PGSquareRoot => "sqrt",
                UnaryOperator::PGCubeRoot => "cbrt",
                UnaryOperator::PGAbs => "abs",
                _ => return,
            };
            let inner = std::mem::replace(inner.as_mut(), null());
            *expr = subquery::call(name, vec![inner]);
        }
        Expr::Substring {
            expr: whole, substring_from: Some(from), substring_for: None, ..
        } if literal(from).is_some() => {
            let args = [whole, from].map(|it| std::mem::replace(it.as_mut(), null()));
            let matched = subquery::call("regexp_match", args.into());
            let first = Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
            *expr = subquery::call("array_element", vec![matched, first]);
        }
        Expr::Function(_) => {
            named_parts(expr);
            age_today(expr);
        }
        _ => {}
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

fn among_literals(expr: &mut Expr) {
    let (left, right, negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        _ => return,
    };
    let Some(items) = literal(right).and_then(crate::literals::items) else { return };
    if items.is_empty() {
        return;
    }
    let value = |it: Option<String>| it.map_or(Value::Null, Value::SingleQuotedString);
    let list = items.into_iter().map(|it| Expr::Value(value(it).with_empty_span()));
    let list = list.collect();
    let left = std::mem::replace(left.as_mut(), null());
    *expr = Expr::InList { expr: Box::new(left), list, negated };
}

/// `age(x)` is `age(current_date, x)`.
fn age_today(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if parts(&function.name) != ["age"] {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    if list.args.len() == 1 {
        let today = FunctionArgExpr::Expr(subquery::call("current_date", Vec::new()));
        list.args.insert(0, FunctionArg::Unnamed(today));
    }
}

const INTERVAL_PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// The parts of an interval in their order, zero where they are not named.
fn named_parts(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    if parts(&function.name) != ["make_interval"] {
        return;
    }
    let FunctionArguments::List(list) = &function.args else { return };
    let zero = Expr::Value(Value::Number("0".to_owned(), false).with_empty_span());
    let mut values = vec![zero; INTERVAL_PARTS.len()];
    for (index, argument) in list.args.iter().enumerate() {
        let (at, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(index), value),
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(value),
                operator: FunctionArgOperator::RightArrow,
            } => (INTERVAL_PARTS.iter().position(|it| *it == fold(name)), value),
            _ => return,
        };
        let Some(place) = at.and_then(|it| values.get_mut(it)) else { return };
        *place = value.clone();
    }
    *expr = subquery::call("make_interval", values);
}

/// Times that are written out in a call of `generate_series`, with their seconds.
pub(super) fn moments(call: &mut Expr) {
    let Expr::Function(function) = call else { return };
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument
            && let Value::SingleQuotedString(text) = &mut value.value
            && let Some(spelled) = literals::timestamp(text).or_else(|| literals::interval(text))
        {
            *text = spelled;
        }
    }
}
