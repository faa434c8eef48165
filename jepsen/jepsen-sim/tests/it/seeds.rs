//! A handful of seeds, each run twice: nothing acknowledged is lost, and the trace is a function of the seed.

use jepsen_sim::{Options, run};

/// Virtual milliseconds of load and faults: short, so that many seeds fit a test run.
const OPTIONS: Options = Options { faults_ms: 400, bug: None };

fn check(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let first = run(seed, OPTIONS);
        assert!(
            first.violations.is_empty(),
            "seed {seed} (cargo sim --seed {seed}): {:#?}\n{:#?}",
            first.violations,
            first.notes
        );
        let second = run(seed, OPTIONS);
        assert_eq!(first, second, "seed {seed} gives the same trace twice");
    }
}

#[test]
fn seeds_100_to_110_hold() {
    check(100..110);
}

#[test]
fn seeds_110_to_120_hold() {
    check(110..120);
}

#[test]
fn seeds_120_to_130_hold() {
    check(120..130);
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run(1, OPTIONS).hash, run(2, OPTIONS).hash, "the hash depends on the seed");
}

#[test]
fn runs_do_work_and_meet_faults() {
    let outcomes: Vec<_> = (200..206).map(|seed| run(seed, OPTIONS)).collect();
    let total = |count: fn(&jepsen_sim::Counts) -> u64| {
        outcomes.iter().map(|o| count(&o.counts)).sum::<u64>()
    };
    assert!(total(|counts| counts.acked) > 1_000, "records are acknowledged");
    assert!(total(|counts| counts.read) > 1_000, "records are read");
    assert!(total(|counts| counts.commits) > 10, "offsets are committed");
    assert!(outcomes.iter().map(|outcome| outcome.starts).sum::<u32>() > 12, "nodes crash");
    assert!(outcomes.iter().any(|outcome| outcome.disk_errors > 0), "writes and syncs fail");
}
