//! Medians, ranks and verdicts at their edges.

use super::{Verdict, median, paired, percentile};

#[test]
fn medians() {
    assert!(median(&[]).is_nan());
    assert_eq!(median(&[3.0]).to_bits(), 3.0_f64.to_bits());
    assert_eq!(median(&[4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
    assert_eq!(median(&[9.0, 1.0, 5.0]).to_bits(), 5.0_f64.to_bits());
}

#[test]
fn ranks() {
    let sorted: Vec<u32> = (1..=1000).collect();
    assert_eq!(percentile(&sorted, 0.5).to_bits(), 500.0_f64.to_bits());
    assert_eq!(percentile(&sorted, 0.999).to_bits(), 999.0_f64.to_bits());
    assert_eq!(percentile(&sorted, 1.0).to_bits(), 1000.0_f64.to_bits());
    assert_eq!(percentile(&[7], 0.0).to_bits(), 7.0_f64.to_bits());
    assert!(percentile(&[], 0.5).is_nan());
}

#[test]
fn a_clear_difference_is_a_verdict_and_noise_is_not() {
    let theirs = [1.0; 7];
    let check = |ours: [f64; 7], more| paired(&ours, &theirs, more).verdict;
    assert_eq!(check([2.0, 2.1, 1.9, 2.0, 2.2, 2.0, 1.8], true), Verdict::Better);
    assert_eq!(check([2.0, 2.1, 1.9, 2.0, 2.2, 2.0, 1.8], false), Verdict::Worse);
    assert_eq!(check([0.5, 0.4, 0.5, 0.6, 0.5, 0.5, 0.5], true), Verdict::Worse);
    assert_eq!(check([1.01, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0], true), Verdict::Equal);
    assert_eq!(check([0.5, 1.5, 0.7, 1.4, 1.0, 0.6, 1.8], true), Verdict::Undetermined);
}

#[test]
fn one_or_two_pairs_are_no_evidence() {
    assert_eq!(paired(&[9.0, 9.0], &[1.0, 1.0], true).verdict, Verdict::Undetermined);
    assert_eq!(paired(&[], &[], true).verdict, Verdict::Undetermined);
}
