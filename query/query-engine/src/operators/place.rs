//! Where an operator and the string literals beside it stand, carried from the rewriter to the planner.
//!
//! The planner is told an operator and two planned expressions, none of which knows its place. So the rewriter writes the
//! places into the operator's name and [`taken`] takes them out again, before anything else looks at it.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Spanned as _, Value};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Tokens that may stand between an operator and what the parser says is its right side's start.
const SKIPPED_MAX: usize = 8;

const PLACED: [(&str, BinaryOperator); 12] = [
    ("+", BinaryOperator::Plus),
    ("-", BinaryOperator::Minus),
    ("*", BinaryOperator::Multiply),
    ("/", BinaryOperator::Divide),
    ("%", BinaryOperator::Modulo),
    ("=", BinaryOperator::Eq),
    ("<>", BinaryOperator::NotEq),
    ("<", BinaryOperator::Lt),
    ("<=", BinaryOperator::LtEq),
    (">", BinaryOperator::Gt),
    (">=", BinaryOperator::GtEq),
    ("||", BinaryOperator::StringConcat),
];

/// Of an operator, of the literal on its left and of that on its right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) operator: Option<Location>,
    pub(crate) left: Option<Location>,
    pub(crate) right: Option<Location>,
}

/// Writes the places into an operator.
pub(crate) fn give(expr: &mut Expr, tokens: &[TokenWithSpan]) {
    let Expr::BinaryOp { left, op, right } = expr else { return };
    let Some((symbol, _)) = PLACED.iter().find(|(_, it)| it == op) else { return };
    let Some(operator) = before(right.span().start, symbol, tokens) else { return };
    let shown = |it: Option<Location>| {
        it.map_or_else(String::new, |it| format!("{}:{}", it.line, it.column))
    };
    let places = [Some(operator), literal(left), literal(right)].map(shown).join("@");
    *op = BinaryOperator::Custom(format!("{symbol}@{places}"));
}

fn literal(expr: &Expr) -> Option<Location> {
    let Expr::Value(value) = expr else { return None };
    matches!(value.value, Value::SingleQuotedString(_)).then_some(value.span.start)
}

fn before(start: Location, symbol: &str, tokens: &[TokenWithSpan]) -> Option<Location> {
    let at = tokens.binary_search_by(|it| it.span.start.cmp(&start)).ok()?;
    tokens[..at]
        .iter()
        .rev()
        .filter(|it| !matches!(it.token, Token::Whitespace(_)))
        .take(SKIPPED_MAX)
        .find(|it| it.token.to_string() == symbol)
        .map(|it| it.span.start)
}

/// Whether operators of this kind are given places.
pub(super) fn is_placed(op: &BinaryOperator) -> bool {
    PLACED.iter().any(|(_, it)| it == op)
}

/// Whether this is the operator `symbol`, placed or not.
pub(crate) fn is(op: &BinaryOperator, symbol: &str) -> bool {
    let shown = op.to_string();
    shown.split('@').next() == Some(symbol)
}

/// Takes the places out of an operator.
pub(super) fn taken(op: &mut BinaryOperator) -> Places {
    let BinaryOperator::Custom(name) = op else { return Places::default() };
    let mut parts = name.split('@');
    let symbol = parts.next().unwrap_or_default();
    let Some((_, plain)) = PLACED.iter().find(|(it, _)| *it == symbol) else {
        return Places::default();
    };
    let mut next = || {
        let (line, column) = parts.next()?.split_once(':')?;
        Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
    };
    let places = Places { operator: next(), left: next(), right: next() };
    *op = plain.clone();
    places
}
