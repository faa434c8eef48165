//! Functions, casts and literals that PostgreSQL writes otherwise than DataFusion.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, CastKind, CharacterLength, DataType,
    DateTimeField, ExactNumberInfo, Expr, Fetch, FunctionArg, FunctionArgExpr, FunctionArguments,
    LimitClause, Query, SelectItem, SetExpr, Subscript, TypedString, UnaryOperator, Value, Values,
    VisitMut, VisitorMut,
};

use query_api::Error;

use super::subquery::call as call_of;
use super::{null, parts, renamed};
use crate::error::unsupported;
use crate::functions::{arrays, json, numeric, similar, times};
use crate::operators::exact;

/// Functions under DataFusion's names.
const SYNONYMS: [(&str, &str); 5] = [
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("sign", "signum"),
    ("stddev_samp", "stddev"),
    ("variance", "var_samp"),
];
/// Functions whose integers are unsigned in DataFusion, where they wrap, and quotients of which are not integers.
const COUNTED: [&str; 4] = ["dense_rank", "rank", "regr_count", "row_number"];
/// Those whose integers are `integer`.
const SMALL: [&str; 5] = ["array_length", "array_ndims", "array_position", "cardinality", "ntile"];
const SECONDS: [&str; 5] = ["second", "seconds", "sec", "secs", "s"];
const MILLISECONDS: [&str; 4] = ["millisecond", "milliseconds", "msec", "ms"];
/// Exponents beyond it make no decimal.
const EXPONENT_MAX: i32 = 30;

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, null())
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

pub(super) fn as_integer(expr: &mut Expr) {
    *expr = cast(take(expr), DataType::Integer(None));
}

/// Whether this is a written `integer`.
pub(super) fn is_small(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } | Expr::Nested(expr) => is_small(expr),
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok())
        }
        _ => false,
    }
}

/// The first rows of a recursive query have their types before the others are planned.
pub(super) fn first_rows(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|it| it.recursive) else { return };
    for cte in &mut with.cte_tables {
        let SetExpr::SetOperation { left, .. } = cte.query.body.as_mut() else { continue };
        match left.as_mut() {
            SetExpr::Select(select) => {
                for item in &mut select.projection {
                    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } =
                        item
                    {
                        let _ = expr.visit(&mut Small);
                    }
                }
            }
            SetExpr::Values(values) => {
                for row in &mut values.rows {
                    for value in &mut row.content {
                        let _ = value.visit(&mut Small);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Casts written integers to what they are.
struct Small;

impl VisitorMut for Small {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_small(expr) && matches!(expr, Expr::Value(_)) {
            as_integer(expr);
        }
        ControlFlow::Continue(())
    }
}

fn arguments(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    if function.over.is_some() || function.filter.is_some() || !list.clauses.is_empty() {
        return None;
    }
    let plain = list.args.iter().map(|it| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    plain.collect()
}

/// A call under another name, or as an operator.
pub(super) fn call(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = parts(&function.name).join(".");
    if let Some((_, synonym)) = SYNONYMS.iter().find(|(from, _)| *from == name) {
        *expr = renamed(take(expr), synonym);
        return;
    }
    if COUNTED.contains(&name.as_str()) {
        *expr = cast(take(expr), DataType::BigInt(None));
        return;
    }
    if SMALL.contains(&name.as_str()) {
        as_integer(expr);
        return;
    }
    let Some(args) = arguments(expr) else { return };
    match (name.as_str(), <[Expr; 2]>::try_from(args.clone())) {
        ("encode", Ok([bytes, format])) => {
            // A literal is bytes there, as they are written for bytea.
            let bytes = if is_literal(&bytes) { cast(bytes, DataType::Bytea) } else { bytes };
            *expr = encoded(bytes, format);
        }
        ("mod", Ok([left, right])) => *expr = nested(left, BinaryOperator::Modulo, right),
        // Of one argument to base ten; as a quotient of natural logarithms it would be inexact.
        ("log", Err(_)) if args.len() == 1 => *expr = renamed(take(expr), "log10"),
        ("date_part", Ok([part, from])) => {
            let double = || DataType::Double(ExactNumberInfo::None);
            if is_text(&part, &["epoch"]) {
                *expr = cast(call_of(times::EPOCH, vec![from]), double());
                return;
            }
            let micros_each = match () {
                () if is_text(&part, &SECONDS) => "1e6",
                () if is_text(&part, &MILLISECONDS) => "1e3",
                () => return *expr = cast(take(expr), double()),
            };
            let micros = cast(call_of("date_part", vec![text("microsecond"), from]), double());
            *expr = nested(micros, BinaryOperator::Divide, cast(number_of(micros_each), double()));
        }
        _ => {}
    }
}

/// Base 64 is padded, and has 76 letters in a line.
fn encoded(bytes: Expr, format: Expr) -> Expr {
    if !is_text(&format, &["base64"]) {
        return call_of("encode", vec![bytes, format]);
    }
    let letters = call_of("encode", vec![bytes, text("base64pad")]);
    let lines = [letters, text("(.{76})"), text("\\1\n"), text("g")];
    call_of("rtrim", vec![call_of("regexp_replace", lines.into()), text("\n")])
}

fn is_text(expr: &Expr, wanted: &[&str]) -> bool {
    let Expr::Value(value) = expr else { return false };
    let Value::SingleQuotedString(text) = &value.value else { return false };
    wanted.iter().any(|it| text.eq_ignore_ascii_case(it))
}

fn number_of(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span())
}

fn nested(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let (left, right) = (Box::new(left), Box::new(right));
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }))
}

/// `SIMILAR TO` is `~` with its pattern as a regular expression.
pub(super) fn similar(expr: &mut Expr) {
    let Expr::SimilarTo { negated, expr: value, pattern, escape_char } = expr else { return };
    let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let mut args = vec![take(pattern)];
    args.extend(escape_char.take().map(Expr::Value));
    *expr = nested(take(value), op, call_of(similar::NAME, args));
}

/// `extract` is numeric and exact: seconds have their fraction, and so has the epoch.
pub(super) fn extract(expr: &mut Expr) {
    let Expr::Extract { field, expr: from, .. } = expr else { return };
    let numeric =
        |precision, scale| DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, scale));
    let of_micros = |from: Expr, factor: &str| {
        let micros = call_of("date_part", vec![text("microsecond"), from]);
        nested(cast(micros, numeric(20, 0)), BinaryOperator::Multiply, number_of(factor))
    };
    *expr = match field {
        DateTimeField::Second | DateTimeField::Seconds => of_micros(take(from), "0.000001"),
        DateTimeField::Millisecond | DateTimeField::Milliseconds => of_micros(take(from), "0.001"),
        DateTimeField::Epoch => cast(call_of(times::EPOCH, vec![take(from)]), numeric(24, 6)),
        _ => cast(take(expr), numeric(20, 0)),
    };
}

/// Casts to types whose values here would not be PostgreSQL's: blanks at the end of `character(n)` count in some places
/// and not in others.
///
/// # Errors
/// 0A000.
pub(super) fn refuse_padded(expr: &Expr) -> Result<(), Error> {
    let (Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. })) = expr
    else {
        return Ok(());
    };
    let is_padded = match data_type {
        DataType::Char(_) | DataType::Character(_) => true,
        DataType::Custom(name, length) => {
            !length.is_empty() && parts(name).last().is_some_and(|it| it == "bpchar")
        }
        _ => false,
    };
    match is_padded {
        true => Err(unsupported("type character(n) is not supported")
            .with_hint("use text, or varchar(n) to cut")),
        false => Ok(()),
    }
}

/// Casts to JSON read it.
pub(super) fn json(expr: &mut Expr) {
    let function = match expr {
        Expr::Cast { data_type: DataType::JSON, .. }
        | Expr::TypedString(TypedString { data_type: DataType::JSON, .. }) => json::JSON,
        Expr::Cast { data_type: DataType::JSONB, .. }
        | Expr::TypedString(TypedString { data_type: DataType::JSONB, .. }) => json::JSONB,
        _ => return,
    };
    let inner = match expr {
        Expr::Cast { expr, .. } => take(expr),
        Expr::TypedString(TypedString { value, .. }) => Expr::Value(value.clone()),
        _ => return,
    };
    *expr = call_of(function, vec![inner]);
}

/// A literal beside JSON in a column of VALUES is JSON.
pub(super) fn json_columns(query: &mut Query) {
    let SetExpr::Values(Values { rows, .. }) = query.body.as_mut() else { return };
    for column in 0..rows.first().map_or(0, |it| it.content.len()) {
        let read = |it: &Expr| match it {
            Expr::Function(it) => {
                [json::JSON, json::JSONB].into_iter().find(|name| parts(&it.name) == [*name])
            }
            _ => None,
        };
        let found = rows.iter().find_map(|row| row.content.get(column).and_then(read));
        let Some(name) = found else { continue };
        for value in rows.iter_mut().filter_map(|row| row.content.get_mut(column)) {
            if is_literal(value) {
                *value = call_of(name, vec![take(value)]);
            }
        }
    }
}

/// `varchar(n)` cuts; `numeric` alone keeps all digits.
pub(super) fn cast_to_length(expr: &mut Expr) {
    let Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. } =
        expr
    else {
        return;
    };
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) = data_type
        && is_plain_numeric(item)
    {
        **item = exact::type_name();
        return;
    }
    if is_plain_numeric(data_type) {
        *expr = call_of(numeric::NAME, vec![take(inner)]);
        return;
    }
    let (DataType::Varchar(Some(length))
    | DataType::CharVarying(Some(length))
    | DataType::CharacterVarying(Some(length))) = data_type
    else {
        return;
    };
    let CharacterLength::IntegerLength { length, .. } = *length else { return };
    let count = number_of(&length.to_string());
    *expr = call_of("left", vec![cast(take(inner), DataType::Text), count]);
}

/// `numeric` without digits, under any of its names: `pg_catalog.numeric` is what a parameter's type is written as.
fn is_plain_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits) => {
            *digits == ExactNumberInfo::None
        }
        DataType::Custom(name, digits) if digits.is_empty() => {
            let parts = parts(name);
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            matches!(parts.as_slice(), ["numeric" | "decimal"] | ["pg_catalog", "numeric"])
        }
        _ => false,
    }
}

/// `-2 ^ 2` is 4: the sign binds tighter. With its sign the least bigint is one ([`number`]).
pub(super) fn negate_first(expr: &mut Expr) {
    let Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } = expr else { return };
    if let Expr::Value(value) = inner.as_mut()
        && let Value::Number(digits, _) = &mut value.value
        && let Some(whole) = digits.strip_suffix('.')
        && format!("-{whole}").parse::<i64>().is_ok()
    {
        digits.pop();
    }
    if let Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } = inner.as_mut() {
        let base = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(take(left)) };
        *expr = nested(base, BinaryOperator::PGExp, take(right));
    }
}

/// A number too large or small for a decimal is floating point, and an integer too large for a bigint is a decimal.
pub(super) fn number(expr: &mut Expr) {
    let Expr::Value(value) = expr else { return };
    let Value::Number(digits, _) = &mut value.value else { return };
    if digits.parse::<i64>().is_err() && digits.parse::<u64>().is_ok() {
        // DataFusion's unsigned integers wrap.
        digits.push('.');
        return;
    }
    let Some((_, exponent)) = digits.split_once(['e', 'E']) else { return };
    if exponent.parse().is_ok_and(|it: i32| it.abs() <= EXPONENT_MAX) {
        return;
    }
    let literal = text(digits);
    *expr = cast(literal, DataType::Double(ExactNumberInfo::None));
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
pub(super) fn fetch(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let one = || Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
    let count = quantity.clone().unwrap_or_else(one);
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(count),
                offset: None,
                limit_by: Vec::new(),
            });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(count),
        _ => return,
    }
    query.fetch = None;
}

/// What stands outside an array is NULL, and a slice has what is inside: DataFusion counts from the end below 1.
pub(super) fn subscripts(chain: &mut [AccessExpr]) {
    for access in chain {
        match access {
            AccessExpr::Subscript(Subscript::Index { index }) if !is_literal(index) => {
                *index = call_of(arrays::INDEX, vec![take(index)]);
            }
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) => {
                let first = lower_bound.take().unwrap_or_else(|| number_of("1"));
                let last = upper_bound.take().unwrap_or_else(|| number_of("2147483647"));
                *lower_bound = Some(call_of(arrays::LOWER, vec![first]));
                *upper_bound = Some(call_of(arrays::UPPER, vec![last]));
            }
            _ => {}
        }
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(_))
}
