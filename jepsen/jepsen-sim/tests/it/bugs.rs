//! Check the checkers: defects made on purpose, in the disk, the settings and the clients, are reported under the
//! rule they break.

use jepsen_sim::{Options, SeededBug, run};

/// Seeds tried at most: a defect must show itself soon.
const SEEDS_MAX: u64 = 12;

fn check(bug: SeededBug, rules: &[&str]) {
    let options = Options { faults_ms: 400, bug: Some(bug) };
    for seed in 0..SEEDS_MAX {
        let violations = run(seed, options).violations;
        if rules.iter().any(|rule| violations.iter().any(|text| text.starts_with(rule))) {
            return;
        }
    }
    panic!("{bug:?} breaks none of {rules:?} with seeds below {SEEDS_MAX}");
}

/// Acknowledgements before durability: records are lost.
#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    check(SeededBug::LyingDisk, &["L1"]);
}

/// A consumer reads beyond what is durable: what it read is gone after a crash.
#[test]
fn reading_beyond_the_durable_end_is_caught() {
    check(SeededBug::AsyncTopic, &["L6"]);
}

/// The broker treats a retry as new: the record is there twice.
#[test]
fn a_forgotten_producer_is_caught() {
    check(SeededBug::ForgottenProducer, &["L3"]);
}
