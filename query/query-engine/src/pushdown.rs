//! Predicates on `_partition`, `_offset` and `_timestamp` as ranges of the log.
//!
//! Invariants:
//! - A range never excludes a record that the predicate keeps.
//! - Predicates on `_partition` and `_offset` that are understood are answered exactly by the range; those on
//!   `_timestamp` only narrow it, and DataFusion filters again.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator, TableProviderFilterPushDown};

/// What the understood predicates leave, as inclusive ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) offset: Span,
    /// Microseconds since the epoch.
    pub(crate) timestamp: Span,
}

/// Inclusive range; empty when `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Span {
    pub(crate) const ALL: Self = Self { low: i64::MIN, high: i64::MAX };
    const NONE: Self = Self { low: 1, high: 0 };

    pub(crate) fn meet(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    fn contains(self, value: i64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A predicate on one system column.
#[derive(Clone, Debug)]
enum Bound {
    Partition(Vec<Span>),
    Offset(Span),
    Timestamp(Span),
}

/// How DataFusion may treat `filter`.
pub(crate) fn support(filter: &Expr) -> TableProviderFilterPushDown {
    match bound(filter) {
        Some(Bound::Partition(_) | Bound::Offset(_)) => TableProviderFilterPushDown::Exact,
        Some(Bound::Timestamp(_)) => TableProviderFilterPushDown::Inexact,
        None => TableProviderFilterPushDown::Unsupported,
    }
}

/// The ranges that the conjunction of `filters` leaves, and whether `partition` is wanted.
pub(crate) fn ranges(filters: &[Expr]) -> (Ranges, impl Fn(i32) -> bool + use<>) {
    let mut ranges = Ranges { offset: Span::ALL, timestamp: Span::ALL };
    let mut partitions: Vec<Vec<Span>> = Vec::new();
    for filter in filters {
        match bound(filter) {
            Some(Bound::Partition(spans)) => partitions.push(spans),
            Some(Bound::Offset(span)) => ranges.offset = ranges.offset.meet(span),
            Some(Bound::Timestamp(span)) => ranges.timestamp = ranges.timestamp.meet(span),
            None => {}
        }
    }
    let wanted = move |partition: i32| {
        partitions.iter().all(|spans| spans.iter().any(|span| span.contains(partition.into())))
    };
    (ranges, wanted)
}

fn bound(filter: &Expr) -> Option<Bound> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (bound(left)?, bound(right)?) {
                (Bound::Offset(left), Bound::Offset(right)) => {
                    Some(Bound::Offset(left.meet(right)))
                }
                (Bound::Timestamp(left), Bound::Timestamp(right)) => {
                    Some(Bound::Timestamp(left.meet(right)))
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            match (bound(left)?, bound(right)?) {
                (Bound::Partition(mut left), Bound::Partition(right)) => {
                    left.extend(right);
                    Some(Bound::Partition(left))
                }
                _ => None,
            }
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
            let values: Option<Vec<i64>> = list.list.iter().map(literal).collect();
            let spans = values?.into_iter().map(|it| Span { low: it, high: it }).collect();
            (column(&list.expr)? == "_partition").then_some(Bound::Partition(spans))
        }
        _ => None,
    }
}

fn on_column(name: &str, span: Span) -> Option<Bound> {
    match name {
        "_partition" => Some(Bound::Partition(vec![span])),
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
