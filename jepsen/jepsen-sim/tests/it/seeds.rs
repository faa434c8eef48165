//! A handful of seeds, each run twice: nothing acknowledged is lost, and the trace is a function of the seed.

use jepsen_sim::{Options, run};

/// Virtual milliseconds of load and faults: short, so that many seeds fit a test run.
const OPTIONS: Options = Options { faults_ms: 400, bug: None, fail: None };

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
fn seeds_100_to_108_hold() {
    check(100..108);
}

#[test]
fn seeds_108_to_116_hold() {
    check(108..116);
}

#[test]
fn seeds_116_to_124_hold() {
    check(116..124);
}

/// Runs as long as those of `cargo sim`. A name was refused because of a topic that was not announced yet (500205, 500665);
/// retention went by a clock that was ahead (500414), a lost deletion came late (700229), and the checker knew neither.
#[test]
fn seeds_that_once_found_something_hold() {
    for seed in [500_205, 500_414, 500_665, 700_229] {
        let outcome = run(seed, Options::default());
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}: {:#?}", outcome.notes);
        assert!(outcome.counts.topics_deleted > 10, "seed {seed}: topics come and go");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run(1, OPTIONS).hash, run(2, OPTIONS).hash, "the hash depends on the seed");
}

#[test]
fn runs_do_work_and_meet_faults() {
    let outcomes: Vec<_> = (200..208).map(|seed| run(seed, OPTIONS)).collect();
    let total = |count: fn(&jepsen_sim::Counts) -> u64| {
        outcomes.iter().map(|o| count(&o.counts)).sum::<u64>()
    };
    assert!(total(|counts| counts.acked) > 1_000, "records are acknowledged");
    assert!(total(|counts| counts.read) > 1_000, "records are read");
    assert!(total(|counts| counts.commits) > 10, "offsets are committed");
    assert!(total(|counts| counts.deletes) > 2, "records are deleted");
    assert!(total(|counts| counts.retained) > 10, "retention deletes");
    assert!(total(|counts| counts.compressed) > 50, "batches are compressed");
    assert!(total(|counts| counts.session_fetches) > 50, "sessions are used");
    assert!(total(|counts| counts.topics_deleted) > 5, "topics are deleted");
    assert!(total(|counts| counts.zombies) > 0, "ended generations are tried");
    assert!(total(|counts| counts.states_proven) > 0, "states of checkpoints are proven");
    assert!(outcomes.iter().map(|outcome| outcome.starts).sum::<u32>() > 12, "nodes crash");
    assert!(outcomes.iter().any(|outcome| outcome.disk_errors > 0), "writes and syncs fail");
}
