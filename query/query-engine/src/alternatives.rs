//! The one type of alternatives: results of CASE, `coalesce`, `greatest` and `least`, items of `ARRAY[…]`, sides of `nullif`.
//!
//! | alternatives | their type |
//! |---|---|
//! | string literals, NULLs and parameters beside others | the others' |
//! | numbers | the widest: `smallint`, `integer`, `bigint`, `numeric`, `real`, `double precision` |
//! | dates and timestamps | the widest: `date`, `timestamp`, `timestamptz` |
//! | of two kinds | none: 42804 |
//!
//! DataFusion has the type of the first THEN until all is planned, and makes text of a number beside text.
//!
//! Invariants:
//! - A CASE has the type of its first THEN that is no NULL, whoever asks: every other result is cast to it.
//! - What is not judged (arrays, OIDs, records) is of the type that DataFusion makes of it.
//!
//! Source: <https://www.postgresql.org/docs/15/typeconv-union-case.html>.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Placeholder};
use datafusion::logical_expr::type_coercion::other::get_coerce_type_for_case_expression;
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::error::fault;
use crate::floats::{self, widest};
use crate::intervals::{INTERVAL, is_span, with_days};
use crate::operators::exact;
use crate::operators::kinds::{self, Kind};

/// Functions of alternatives.
const FUNCTIONS: [&str; 5] = ["coalesce", "greatest", "least", "make_array", "nullif"];

/// Results of a CASE, ELSE first: its type is named first where there is none in common.
///
/// # Errors
/// 42804, and 22P02 for a literal that is none of the type.
pub(crate) fn of_case(it: &mut Case, schema: &DFSchema) -> Result<bool> {
    let mut results: Vec<&mut Expr> = Vec::with_capacity(it.when_then_expr.len() + 1);
    results.extend(it.else_expr.as_deref_mut());
    results.extend(it.when_then_expr.iter_mut().map(|(_, then)| &mut **then));
    let Some(types) = types(&results, schema) else { return Ok(false) };
    let target = match common("CASE", &mut results, &types)? {
        Some(target) => target,
        None => {
            let known: Vec<DataType> = types.iter().filter(|it| !it.is_null()).cloned().collect();
            match get_coerce_type_for_case_expression(&known, None) {
                Some(target) => target,
                // The error is the planner's.
                None => return Ok(false),
            }
        }
    };
    cast_to(results, &target, schema)
}

/// Arguments of a function that `name`s itself in errors.
///
/// # Errors
/// As [`of_case`].
pub(crate) fn of_call(name: &str, args: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let mut args: Vec<&mut Expr> = args.iter_mut().collect();
    let Some(types) = types(&args, schema) else { return Ok(false) };
    match common(name, &mut args, &types)? {
        Some(target) => cast_to(args, &target, schema),
        None => Ok(false),
    }
}

/// The sides of `nullif`, which are compared with `=`.
///
/// # Errors
/// 42883, and 22P02 for a literal that is none of the other side's type.
pub(crate) fn of_nullif(args: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let mut sides: Vec<&mut Expr> = args.iter_mut().collect();
    let Some(types) = types(&sides, schema) else { return Ok(false) };
    let kinds: Vec<Option<Kind>> =
        sides.iter().zip(&types).map(|(side, of)| kinds::kind(side, of)).collect();
    if let ([Some(left), Some(right)], [left_type, right_type]) =
        (kinds.as_slice(), types.as_slice())
        && !are_of_one(*left, *right)
    {
        let (left, right) = (kinds::shown(left_type), kinds::shown(right_type));
        return Err(fault("42883", format!("operator does not exist: {left} = {right}")));
    }
    match common("NULLIF", &mut sides, &types)? {
        Some(target) => cast_to(sides, &target, schema),
        None => Ok(false),
    }
}

/// The type of an expression whose alternatives are not of one type yet.
///
/// It stays as it is written, since what is grouped by is told by its looks, unless DataFusion would take it for something
/// of another kind.
///
/// # Errors
/// Those of its parts.
pub(crate) fn settled(expr: &mut Expr, schema: &DFSchema) -> Result<DataType> {
    let may_change = |it: &Expr| {
        Ok(match it {
            Expr::Case(_) | Expr::ScalarSubquery(_) => true,
            Expr::ScalarFunction(it) => FUNCTIONS.contains(&it.func.name()),
            _ => false,
        })
    };
    if !expr.exists(may_change)? {
        return expr.get_type(schema);
    }
    let typed = expr.clone().transform_up(|it| match it {
        Expr::ScalarSubquery(mut it) => {
            it.subquery = Arc::new(floats::beside_numerics(it.subquery.as_ref().clone())?);
            Ok(Transformed::yes(Expr::ScalarSubquery(it)))
        }
        it => floats::unified(it, schema),
    });
    let typed = typed.data()?;
    let (own, settled) = (expr.get_type(schema)?, typed.get_type(schema)?);
    if kinds::kind(expr, &own) != kinds::kind(&typed, &settled) {
        *expr = typed;
    }
    Ok(settled)
}

/// `None` where one has no type: that is refused elsewhere.
fn types(exprs: &[&mut Expr], schema: &DFSchema) -> Option<Vec<DataType>> {
    exprs
        .iter()
        .map(|it| if is_open(it) { Some(DataType::Null) } else { it.get_type(schema).ok() })
        .collect()
}

/// A parameter that may be of any type.
pub(crate) fn is_open(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(Placeholder { field: None, .. }))
}

/// Whether values of these kinds are compared with each other.
pub(crate) fn are_of_one(left: Kind, right: Kind) -> bool {
    use Kind::{Date, Timestamp};
    left == right || matches!((left, right), (Date, Timestamp) | (Timestamp, Date))
}

/// The type of all, to which literals and parameters among them are brought; `None` where they are not judged.
///
/// # Errors
/// As [`of_case`].
pub(crate) fn common(
    name: &str,
    exprs: &mut [&mut Expr],
    types: &[DataType],
) -> Result<Option<DataType>> {
    let unknown =
        |(expr, of): &(&mut &mut Expr, &DataType)| of.is_null() || kinds::literal(expr).is_some();
    let (mut first, mut known) = (None, Vec::new());
    for (expr, of) in exprs.iter_mut().zip(types).filter(|it| !unknown(it)) {
        let Some(kind) = kinds::kind(expr, of).filter(|_| !of.is_unsigned_integer()) else {
            return Ok(None);
        };
        let (first, first_type) = *first.get_or_insert((kind, of));
        if !are_of_one(first, kind) {
            let (left, right) = (kinds::shown(first_type), kinds::shown(of));
            let message = format!("{name} types {left} and {right} cannot be matched");
            return Err(fault("42804", message));
        }
        known.push(of.clone());
    }
    let Some((kind, _)) = first else { return Ok(None) };
    for (expr, _) in exprs.iter_mut().zip(types).filter(unknown) {
        if kind == Kind::Number
            && known.iter().all(|it| !it.is_floating())
            && known.iter().any(DataType::is_decimal)
            && let Some(text) = kinds::literal(expr)
        {
            let number = numeric(text)?;
            known.push(number.data_type());
            **expr = Expr::Literal(number, None);
        }
    }
    let Some(target) = widest_of(&known) else { return Ok(None) };
    for expr in exprs {
        if let Expr::Placeholder(it) = &mut **expr {
            it.field.get_or_insert_with(|| Arc::new(Field::new(&it.id, target.clone(), true)));
        }
        kinds::literal_as(expr, &target)?;
    }
    Ok(Some(target))
}

fn widest_of(types: &[DataType]) -> Option<DataType> {
    if types.iter().any(DataType::is_floating) {
        return Some(widest(types));
    }
    if types.iter().all(is_span) && types.windows(2).any(|it| it[0] != it[1]) {
        return Some(INTERVAL);
    }
    get_coerce_type_for_case_expression(types, None)
}

/// A literal beside numerics, with all its digits.
fn numeric(text: &str) -> Result<ScalarValue> {
    let unread = || fault("22P02", format!("invalid input syntax for type numeric: \"{text}\""));
    let number = exact::read(text.trim()).unwrap_or_else(|| Err(unread()))?;
    let DataType::Decimal256(digits, scale) = exact::OPEN else { return Err(unread()) };
    Ok(ScalarValue::Decimal256(Some(number), digits, scale))
}

fn cast_to(exprs: Vec<&mut Expr>, target: &DataType, schema: &DFSchema) -> Result<bool> {
    let mut any = false;
    for expr in exprs {
        let own = expr.get_type(schema)?;
        if own == *target || own.is_null() {
            continue;
        }
        let inner = std::mem::take(expr);
        *expr = match (is_span(&own), target) {
            (true, &INTERVAL) => with_days(inner, &own),
            _ => datafusion::logical_expr::cast(inner, target.clone()),
        };
        any = true;
    }
    Ok(any)
}
