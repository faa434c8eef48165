//! Predicates on `_partition`, `_offset` and `_timestamp` as ranges of the log.
//!
//! Invariants:
//! - A range never excludes a record that the predicate keeps.
//! - Predicates on `_partition` and conjunctions with `_offset` are answered exactly by the ranges; those on `_timestamp`,
//!   offsets joined with OR, and what is understood in part only narrow them, and DataFusion filters again.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator, TableProviderFilterPushDown};

/// Offsets between two ranges that are read with them: about what one read returns anyway.
const GAP_MAX: i64 = 1000;
/// Ranges of one disjunction; more are joined with what lies between them.
const SPANS_MAX: usize = 64;
/// Of all predicates; each is looked up in each partition.
const TIMESTAMPS_MAX: usize = 16;

/// Inclusive range; empty when `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Span {
    pub(crate) const ALL: Self = Self { low: i64::MIN, high: i64::MAX };
    const NONE: Self = Self { low: 1, high: 0 };

    fn meet(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    fn is_empty(self) -> bool {
        self.low > self.high
    }
}

/// What is understood of a predicate.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    Partition(Span),
    Offset(Span),
    /// Microseconds since the epoch.
    Timestamp(Span),
    And(Vec<Bound>),
    Or(Vec<Bound>),
    /// Nothing is.
    Any,
}

/// How DataFusion may treat `filter`.
pub(crate) fn support(filter: &Expr) -> TableProviderFilterPushDown {
    let bound = bound(filter);
    if bound.exact() {
        TableProviderFilterPushDown::Exact
    } else if bound.says_nothing() {
        TableProviderFilterPushDown::Unsupported
    } else {
        TableProviderFilterPushDown::Inexact
    }
}

/// What the conjunction of `filters` says.
pub(crate) fn bounds(filters: &[Expr]) -> Bound {
    Bound::And(filters.iter().map(bound).collect())
}

impl Bound {
    fn exact(&self) -> bool {
        match self {
            Self::Partition(_) | Self::Offset(_) => true,
            Self::Timestamp(_) | Self::Any => false,
            Self::And(parts) => parts.iter().all(Self::exact),
            Self::Or(parts) => parts.iter().all(|it| matches!(it, Self::Partition(_))),
        }
    }

    fn says_nothing(&self) -> bool {
        match self {
            Self::Any => true,
            Self::And(parts) => parts.iter().all(Self::says_nothing),
            Self::Or(parts) => parts.iter().any(Self::says_nothing),
            _ => false,
        }
    }

    /// The ranges of time it asks for, some of them when they are many.
    pub(crate) fn timestamps(&self) -> Vec<Span> {
        let mut found = Vec::new();
        self.add_timestamps(&mut found);
        found
    }

    fn add_timestamps(&self, found: &mut Vec<Span>) {
        match self {
            Self::Timestamp(span) if found.len() < TIMESTAMPS_MAX && !found.contains(span) => {
                found.push(*span);
            }
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|it| it.add_timestamps(found));
            }
            _ => {}
        }
    }

    /// The offsets of `partition` that it may keep, ascending and apart; `at` gives those of a range of time.
    pub(crate) fn offsets(&self, partition: i32, at: &dyn Fn(Span) -> Span) -> Vec<Span> {
        let one = |span: Span| if span.is_empty() { Vec::new() } else { vec![span] };
        match self {
            Self::Partition(span) => {
                let partition = i64::from(partition);
                if span.low <= partition && partition <= span.high {
                    one(Span::ALL)
                } else {
                    Vec::new()
                }
            }
            Self::Offset(span) => one(*span),
            Self::Timestamp(span) => one(at(*span)),
            Self::And(parts) => parts
                .iter()
                .fold(one(Span::ALL), |kept, part| meet(&kept, &part.offsets(partition, at))),
            Self::Or(parts) => {
                joined(parts.iter().flat_map(|part| part.offsets(partition, at)).collect())
            }
            Self::Any => one(Span::ALL),
        }
    }
}

/// What is in both; each is ascending.
pub(crate) fn meet(left: &[Span], right: &[Span]) -> Vec<Span> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        let both = a.meet(*b);
        if !both.is_empty() {
            found.push(both);
        }
        if a.high < b.high { i += 1 } else { j += 1 }
    }
    found
}

/// Ascending, a few, with what lies between close ones.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|it| it.low);
    let mut found: Vec<Span> = Vec::new();
    for span in spans {
        match found.last_mut() {
            Some(last) if span.low <= last.high.saturating_add(GAP_MAX) => {
                last.high = last.high.max(span.high);
            }
            _ => found.push(span),
        }
    }
    let together = found.len().div_ceil(SPANS_MAX).max(1);
    let hull = |spans: &[Span]| Span { low: spans[0].low, high: spans[spans.len() - 1].high };
    found.chunks(together).map(hull).collect()
}

fn bound(filter: &Expr) -> Bound {
    understood(filter).unwrap_or(Bound::Any)
}

fn understood(filter: &Expr) -> Option<Bound> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(Bound::And(vec![bound(left), bound(right)]))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(Bound::Or(disjuncts(vec![bound(left), bound(right)])))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let Some(name) = column(left) {
                on_column(name, span(*op, literal(right)?)?)
            } else {
                on_column(column(right)?, span(op.swap()?, literal(left)?)?)
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            on_column(column(expr)?, Span { low: literal(low)?, high: literal(high)? })
        }
        Expr::InList(list) if !list.negated => {
            let name = column(&list.expr)?;
            let values = list.list.iter().map(|value| {
                let value = literal(value)?;
                on_column(name, Span { low: value, high: value })
            });
            Some(Bound::Or(values.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// Those of disjunctions within are its own.
fn disjuncts(parts: Vec<Bound>) -> Vec<Bound> {
    let flat = parts.into_iter().flat_map(|part| match part {
        Bound::Or(parts) => parts,
        part => vec![part],
    });
    flat.collect()
}

fn on_column(name: &str, span: Span) -> Option<Bound> {
    match name {
        "_partition" => Some(Bound::Partition(span)),
        "_offset" => Some(Bound::Offset(span)),
        "_timestamp" => Some(Bound::Timestamp(span)),
        _ => None,
    }
}

fn span(op: Operator, value: i64) -> Option<Span> {
    Some(match op {
        Operator::Eq => Span { low: value, high: value },
        Operator::Gt => value.checked_add(1).map_or(Span::NONE, |low| Span { low, ..Span::ALL }),
        Operator::GtEq => Span { low: value, ..Span::ALL },
        Operator::Lt => value.checked_sub(1).map_or(Span::NONE, |high| Span { high, ..Span::ALL }),
        Operator::LtEq => Span { high: value, ..Span::ALL },
        _ => return None,
    })
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(column.name.as_str()),
        _ => None,
    }
}

/// Integers as they are, timestamps in microseconds.
fn literal(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::Int16(Some(it)) => Some(i64::from(*it)),
        ScalarValue::Int32(Some(it)) => Some(i64::from(*it)),
        ScalarValue::Int64(Some(it)) | ScalarValue::TimestampMicrosecond(Some(it), Some(_)) => {
            Some(*it)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
