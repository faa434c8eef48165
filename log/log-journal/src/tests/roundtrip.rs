//! Append, wait, reopen.

use log_testkit::{SimDisk, SimDiskOptions};

use super::rig::options;
use super::{Rig, Step, append, volatile};
use crate::JournalOptions;

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

/// Each segment kept its file open until the process had no descriptors left.
#[test]
fn segments_do_not_stay_open() {
    let options = JournalOptions { files_max: 8, ..options() };
    let disk = SimDisk::new(SimDiskOptions::default());
    let mut rig = Rig::open(disk, options, 1, Vec::new()).unwrap().unwrap();
    // A spare and the bridge come.
    let beside_sealed = rig.disk.open_files() + 2;
    for _ in 0..300 {
        assert!(rig.run(&[append(20, 3, 9000), append(20, 3, 9000), Step::Wait]));
        assert!(rig.disk.open_files() <= 8 + beside_sealed, "{} are open", rig.disk.open_files());
    }
    assert!(rig.journal.stats().seals > 100, "{:?}", rig.journal.stats());
    rig.audit_reads();
    assert!(rig.disk.open_files() <= 8 + beside_sealed, "reading opens no more");
    let acknowledged = rig.acknowledged();
    let mut rig = rig.reopen();
    assert!(rig.disk.open_files() <= beside_sealed, "{} are open", rig.disk.open_files());
    rig.audit(acknowledged);
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

/// A synced frame was in flight, a volatile one was started behind it, and the first completed: an assertion compared the
/// second's position with what was durable and ended the process. Any client that may create a topic could do that.
#[test]
fn a_volatile_frame_may_be_in_flight_behind_a_synced_one() {
    for seed in 0..20 {
        let disk = SimDiskOptions { latency_polls_max: 8, seed, ..SimDiskOptions::default() };
        let options =
            JournalOptions { pending_bytes_max: 1 << 20, segment_bytes: 4 << 20, ..options() };
        let mut rig = Rig::open(SimDisk::new(disk), options, seed, Vec::new()).unwrap().unwrap();
        for _ in 0..4 {
            // More than one block of each, so that they go into frames of their own.
            let synced = [append(20, 1, 30_000); 10];
            assert!(rig.run(&synced));
            assert!(rig.run(&[volatile(30, 1, 30_000); 10]));
        }
        assert!(rig.run(&[Step::Sync]));
        let acknowledged = rig.acknowledged();
        assert_eq!(acknowledged, rig.appended.len());
        rig.reopen().audit(acknowledged);
    }
}
