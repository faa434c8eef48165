//! Append, wait, reopen.

use super::{Rig, Step, append, volatile};

/// A script that crosses several segments, mixes durabilities and entry kinds, and trims.
pub(super) fn script() -> Vec<Step> {
    let mut script = Vec::new();
    for round in 0..12_u64 {
        script.push(append(20 + round % 3, 2, 700));
        script.push(append(20, 1, 3000));
        script.push(volatile(30, 3, 100));
        script.push(Step::Note { stream: 5, bytes: 64 });
        script.push(append(21, 1, 9000));
        script.push(Step::Wait);
        script.push(append(22, 1, 5000));
    }
    script.push(Step::Sync);
    script
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&script()));
    assert_eq!(rig.acknowledged(), rig.appended.len());
    rig.audit_reads();
    assert!(rig.journal.stats().seals > 2, "{:?}", rig.journal.stats());
    let acknowledged = rig.acknowledged();
    let mut rig = rig.reopen();
    rig.audit(acknowledged);
    assert!(rig.run(&script()));
    rig.audit_reads();
    let acknowledged = rig.acknowledged();
    rig.reopen().audit(acknowledged);
}

#[test]
fn a_closed_journal_says_so() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&script()));
    assert!(rig.run(&[volatile(30, 1, 10), Step::Close]));
    assert_eq!(rig.acknowledged(), rig.appended.len(), "closing makes volatile entries durable");
    let acknowledged = rig.acknowledged();
    let mut rig = rig.reopen();
    assert!(rig.recovery.clean);
    assert_eq!(rig.recovery.frames, 0, "closing takes a checkpoint");
    rig.audit(acknowledged);
}
