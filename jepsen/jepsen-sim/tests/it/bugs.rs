//! Check the checkers: defects made on purpose, in the disk, the settings and the clients, are reported under the
//! rule they break.

use jepsen_sim::{Options, SeededBug, run};

/// Seeds tried at most: a defect must show itself soon.
const SEEDS_MAX: u64 = 12;

fn check(bug: SeededBug, rules: &[&str]) {
    let options = Options { faults_ms: 400, bug: Some(bug), fail: None };
    for seed in 0..SEEDS_MAX {
        let violations = run(seed, options).violations;
        if rules.iter().any(|rule| violations.iter().any(|text| text.starts_with(rule))) {
            return;
        }
    }
    panic!("{bug:?} breaks none of {rules:?} with seeds below {SEEDS_MAX}");
}

/// Acknowledgements before durability: records are lost, or a start misses what the watermark calls durable.
#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    check(SeededBug::LyingDisk, &["L1", "F: the node failed without a fault"]);
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

/// A client's compressed batch does not hold what its header says.
#[test]
fn a_mislabelled_codec_is_caught() {
    check(SeededBug::WrongCodec, &["L2"]);
}

/// The log starts later than anybody asked for.
#[test]
fn a_deletion_nobody_asked_for_is_caught() {
    check(SeededBug::UnaskedDelete, &["L8"]);
}

/// Two members read the same partition in one generation.
#[test]
fn a_greedy_member_is_caught() {
    check(SeededBug::GreedyMember, &["G2"]);
}

/// Recovery takes rot below the watermark for a torn tail and cuts off what was acknowledged.
#[test]
fn a_truncated_log_is_caught() {
    check(SeededBug::ForgetfulDisk, &["L1", "L4", "L6"]);
}

/// A fetch fails although nothing is known to be wrong.
#[test]
fn a_read_that_fails_without_a_cause_is_caught() {
    check(SeededBug::SecretRot, &["F5"]);
}

/// A checkpoint says something else than the journal.
#[test]
fn a_state_that_is_not_the_fold_is_caught() {
    check(SeededBug::ForgedState, &["M1"]);
}

/// A reader misses a record of each answer.
#[test]
fn a_session_that_skips_is_caught() {
    check(SeededBug::SkippingSession, &["L1"]);
}

/// A topic that was deleted is still there when it is created again.
#[test]
fn a_topic_that_stays_is_caught() {
    check(SeededBug::KeptTopic, &["T"]);
}
