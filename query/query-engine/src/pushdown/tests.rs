//! Sets of ranges: what is joined, and that nothing is lost.

use super::{Bound, SPANS_MAX, Span, meet};

fn points(offsets: impl Iterator<Item = i64>) -> Bound {
    Bound::Or(offsets.map(|it| Bound::Offset(Span { low: it, high: it })).collect())
}

#[test]
fn many_ranges_far_apart_become_a_few_that_hold_them_all() {
    let wanted: Vec<i64> = (0..1000).map(|it| it * 10_000).collect();
    let spans = points(wanted.iter().rev().copied()).offsets(0, &|_| Span::ALL);
    assert!(spans.len() <= SPANS_MAX, "{} ranges", spans.len());
    assert!(spans.windows(2).all(|pair| pair[0].high < pair[1].low), "{spans:?}");
    let held = |it: &i64| spans.iter().any(|span| span.low <= *it && *it <= span.high);
    assert!(wanted.iter().all(held), "{spans:?}");
}

#[test]
fn what_is_in_both_is_in_each_at_the_edges_too() {
    let span = |low, high| Span { low, high };
    let left = [span(i64::MIN, 3), span(5, 9), span(12, i64::MAX)];
    let right = [span(3, 5), span(9, 12), span(20, 21)];
    let both = [span(3, 3), span(5, 5), span(9, 9), span(12, 12), span(20, 21)];
    assert_eq!(meet(&left, &right), both);
    assert_eq!(meet(&right, &left), both);
    assert_eq!(meet(&left, &[]), []);
}
