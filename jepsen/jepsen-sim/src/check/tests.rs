//! Each rule is broken once by hand and must be reported under its id.

use super::*;

fn id(producer: u32, number: u32) -> RecordId {
    RecordId { producer, number }
}

fn check(history: &History, rule: &str) {
    let violations = history.violations();
    assert!(
        violations.iter().any(|text| text.starts_with(rule)),
        "{rule} is reported: {violations:?}"
    );
}

/// Two records of one producer, acknowledged at 0 and 1.
fn two() -> History {
    let history = History::default();
    for number in 0..2 {
        let floor = history.sent(id(1, number), 0, true);
        history.acked(0, i64::from(number), &[id(1, number)], floor);
    }
    history
}

#[test]
fn a_correct_history_passes() {
    let history = two();
    let floor = history.watermark_floor(0);
    history.watermark(0, floor, 2, "tail");
    history.read(0, 0, 2, &[(0, id(1, 0)), (1, id(1, 1))], "tail");
    history.committing("g", 0, 2);
    history.committed("g", 0, 2);
    history.committed_seen("g", 0, history.committed_floor("g", 0), 2);
    history.check_final(0, 0, 2, &[(0, id(1, 0)), (1, id(1, 1))]);
    assert_eq!(history.violations(), Vec::<String>::new());
}

#[test]
fn l1_a_lost_record_is_reported() {
    let history = two();
    history.check_final(0, 0, 1, &[(0, id(1, 0))]);
    check(&history, "L1");
}

#[test]
fn l2_a_phantom_is_reported() {
    let history = two();
    history.read(0, 0, 1, &[(0, id(9, 9))], "tail");
    check(&history, "L2");
}

#[test]
fn l3_a_duplicate_is_reported() {
    let history = two();
    history.check_final(0, 0, 3, &[(0, id(1, 0)), (1, id(1, 1)), (2, id(1, 1))]);
    check(&history, "L3");
}

#[test]
fn l4_a_changed_offset_is_reported() {
    let history = two();
    history.read(0, 0, 2, &[(0, id(1, 0)), (1, id(1, 1))], "tail");
    history.check_final(0, 0, 2, &[(0, id(1, 1)), (1, id(1, 0))]);
    check(&history, "L4");
}

#[test]
fn l5_an_offset_below_an_earlier_acknowledgement_is_reported() {
    let history = two();
    let floor = history.sent(id(2, 0), 0, true);
    history.acked(0, 1, &[id(2, 0)], floor);
    check(&history, "L5");
}

#[test]
fn l6_a_falling_watermark_and_a_vanished_read_are_reported() {
    let history = two();
    history.watermark(0, history.watermark_floor(0), 1, "tail");
    check(&history, "L6");
    let history = History::default();
    history.sent(id(1, 0), 0, false);
    history.read(0, 0, 1, &[(0, id(1, 0))], "tail");
    history.check_final(0, 0, 0, &[]);
    check(&history, "L6");
}

#[test]
fn l6_a_record_at_the_watermark_is_reported() {
    let history = two();
    history.read(0, 0, 1, &[(0, id(1, 0)), (1, id(1, 1))], "tail");
    check(&history, "L6");
}

#[test]
fn g1_a_lost_commit_is_reported() {
    let history = two();
    history.committing("g", 0, 2);
    history.committed("g", 0, 2);
    history.committed_seen("g", 0, history.committed_floor("g", 0), -1);
    check(&history, "G1");
}

#[test]
fn l8_a_log_start_that_nobody_asked_for_or_that_goes_back_is_reported() {
    let history = two();
    history.log_start(0, history.start_floor(0), 1, "tail");
    check(&history, "L8");
    let history = two();
    history.deleting(0, 1);
    history.log_start(0, history.start_floor(0), 1, "tail");
    history.log_start(0, history.start_floor(0), 0, "tail");
    assert_eq!(history.violations(), Vec::<String>::new(), "not acknowledged yet");
    history.deleted(0, 1);
    history.log_start(0, history.start_floor(0), 0, "tail");
    check(&history, "L8");
}

#[test]
fn what_was_deleted_need_not_be_there_and_the_rest_must() {
    let history = two();
    history.deleting(0, 1);
    history.deleted(0, 1);
    history.check_final(0, 1, 2, &[(1, id(1, 1))]);
    assert_eq!(history.violations(), Vec::<String>::new());
    history.check_final(0, 1, 1, &[]);
    check(&history, "L1");
}

#[test]
fn g2_a_partition_with_two_owners_is_reported() {
    let history = History::default();
    history.assigned("g", 1, "a", &[0, 1]);
    history.assigned("g", 1, "a", &[0, 1]);
    history.assigned("g", 2, "b", &[0]);
    assert_eq!(history.violations(), Vec::<String>::new());
    history.assigned("g", 2, "a", &[1, 0]);
    check(&history, "G2");
}

#[test]
fn g3_an_accepted_request_of_an_ended_generation_is_reported() {
    let history = History::default();
    history.assigned("g", 3, "a", &[0]);
    let floor = history.generation_floor("g");
    history.assigned("g", 4, "b", &[0]);
    history.accepted("g", 3, floor, "a commit");
    assert_eq!(history.violations(), Vec::<String>::new(), "it was sent before");
    history.accepted("g", 3, history.generation_floor("g"), "a commit");
    check(&history, "G3");
}
