//! Bit flips, misdirected and stale blocks: found below the watermark, cut off above it (F1, F2).

use log_io::Disk;
use log_testkit::CrashPolicy;
use log_types::{ClusterId, Offset, ShardId, StreamId};

use super::rig::{Proof, Rig, Step, append, options};
use crate::format::{BLOCK, DATA_START, segment_name};
use crate::{Finding, Journal, JournalError, ReadError, VerifyReport};

fn filled() -> Rig {
    let mut rig = Rig::fresh();
    for _ in 0..4 {
        assert!(rig.run(&[append(20, 1, 3000), append(21, 2, 4000), Step::Wait]));
    }
    assert!(rig.run(&[Step::Tick]));
    rig
}

pub(super) fn verify(disk: &dyn Disk) -> VerifyReport {
    let executor = log_testkit::Executor::new(1);
    let mut fold = Proof::default();
    let verified = Journal::verify(disk, ClusterId([7; 16]), ShardId(3), &mut fold);
    executor.block_on(verified).unwrap().unwrap()
}

fn reopen(disk: log_testkit::SimDisk) -> Result<Rig, JournalError> {
    Rig::open(disk, options(), 5, Vec::new()).unwrap()
}

#[test]
fn a_sound_journal_has_no_findings() {
    let mut rig = filled();
    assert!(rig.run(&super::roundtrip::script()));
    assert!(rig.run(&[Step::Close]));
    let report = verify(&rig.disk);
    assert_eq!(report.findings, Vec::<Finding>::new());
    assert_eq!(report.entries, rig.appended.len() as u64);
    assert!(report.footers > 2, "{report:?}");
    assert!(report.checkpoints > 0, "{report:?}");
}

#[test]
fn a_flipped_bit_in_any_block_of_acknowledged_frames_is_corruption() {
    let rig = filled();
    let disk = rig.disk.crash_image(CrashPolicy::KeepAll);
    let name = segment_name(log_types::SegmentId(1));
    let end = rig.journal.inner.state.borrow().written_end;
    for at in (DATA_START..end).step_by(701) {
        let disk = disk.fork();
        disk.flip_bit(&name, at, 3);
        let before = disk.peek(&name);
        match reopen(disk.clone()) {
            Err(JournalError::Corrupt { file, offset, expected, found, .. }) => {
                assert_eq!(file, name);
                assert!(offset <= at, "byte {at} reported at {offset}");
                assert_ne!(expected, found);
            }
            other => panic!("byte {at}: {:?}", other.map(|rig| rig.recovery)),
        }
        assert_eq!(disk.peek(&name), before, "nothing is changed");
        assert!(!verify(&disk).findings.is_empty(), "byte {at} is found offline");
    }
}

#[test]
fn a_flipped_bit_in_the_segment_header_is_corruption() {
    let rig = filled();
    for at in (0..BLOCK).step_by(173) {
        let disk = rig.disk.crash_image(CrashPolicy::KeepAll);
        disk.flip_bit(&segment_name(log_types::SegmentId(1)), at, 1);
        let opened = reopen(disk).map(|rig| rig.recovery);
        assert!(matches!(opened, Err(JournalError::Corrupt { .. })), "byte {at}: {opened:?}");
    }
}

/// Without ring records and later frames nothing proves that the last frame was ever acknowledged.
#[test]
fn a_damaged_last_frame_that_nothing_proves_is_a_torn_tail() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(20, 1, 3000), Step::Wait, append(20, 1, 3000), Step::Wait]));
    let end = rig.journal.inner.state.borrow().written_end;
    let disk = rig.disk.crash_image(CrashPolicy::DropAll);
    disk.flip_bit(&segment_name(log_types::SegmentId(1)), end - BLOCK + 100, 0);
    let reopened = reopen(disk).unwrap();
    assert_eq!(reopened.recovery.position.0, 1);
    assert_eq!(reopened.recovery.torn_bytes_truncated, BLOCK);
}

/// A zeroed header must not look like the end of the journal while later frames prove otherwise.
#[test]
fn a_zeroed_frame_before_others_is_corruption() {
    let rig = filled();
    let disk = rig.disk.crash_image(CrashPolicy::KeepAll);
    let name = segment_name(log_types::SegmentId(1));
    for slot in 1..=3 {
        disk.poke(&name, slot * BLOCK, &[0; 4096]);
    }
    disk.poke(&name, DATA_START, &[0; 4096]);
    let opened = reopen(disk).map(|rig| rig.recovery);
    assert!(matches!(opened, Err(JournalError::Corrupt { offset: DATA_START, .. })), "{opened:?}");
}

#[test]
fn a_misdirected_block_is_corruption() {
    let rig = filled();
    let disk = rig.disk.crash_image(CrashPolicy::KeepAll);
    let name = segment_name(log_types::SegmentId(1));
    let bytes = disk.peek(&name).unwrap();
    let from = usize::try_from(DATA_START).unwrap();
    disk.poke(&name, DATA_START + 4 * BLOCK, &bytes[from..from + 4096]);
    let opened = reopen(disk).map(|rig| rig.recovery);
    assert!(matches!(opened, Err(JournalError::Corrupt { .. })), "{opened:?}");
}

#[test]
fn damage_in_a_sealed_segment_is_not_served_and_names_its_place() {
    let mut rig = filled();
    assert!(rig.run(&super::roundtrip::script()));
    assert!(rig.run(&[Step::Close]));
    let rig = rig.reopen();
    let name = segment_name(log_types::SegmentId(1));
    rig.disk.flip_bit(&name, DATA_START + 1000, 2);
    let read = rig.journal.read(StreamId(20), Offset(0), Offset(i64::MAX), 1 << 20);
    match rig.executor.block_on(read).unwrap() {
        Err(ReadError::Corrupt { file, offset, expected, found, .. }) => {
            assert_eq!(file, name);
            assert!((DATA_START..DATA_START + 1000).contains(&offset), "{offset}");
            assert_ne!(expected, found);
        }
        other => panic!("{other:?}"),
    }
    assert!(!verify(&rig.disk).findings.is_empty());
}

#[test]
fn a_damaged_footer_is_an_error_of_the_read_that_needs_it() {
    let mut rig = filled();
    assert!(rig.run(&super::roundtrip::script()));
    assert!(rig.run(&[Step::Close]));
    let rig = rig.reopen();
    let name = segment_name(log_types::SegmentId(1));
    rig.disk.flip_bit(&name, options().segment_bytes - 2000, 2);
    let read = rig.journal.read(StreamId(20), Offset(0), Offset(i64::MAX), 1 << 20);
    assert!(matches!(rig.executor.block_on(read).unwrap(), Err(ReadError::Corrupt { .. })));
    assert!(!verify(&rig.disk).findings.is_empty());
}

#[test]
fn a_damaged_checkpoint_is_replaced_by_the_one_before() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&super::roundtrip::script()));
    assert!(rig.run(&[Step::Close]));
    let checkpoints: Vec<String> =
        rig.disk.names().into_iter().filter(|name| name.starts_with("checkpoint-")).collect();
    assert_eq!(checkpoints.len(), 2);
    let disk = rig.disk.fork();
    let bytes = disk.peek(&checkpoints[1]).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let end = BLOCK + word(64) + word(72);
    // Behind its last block a checkpoint says nothing: see `space.rs`.
    for at in (0..crate::format::align_up(end)).step_by(397) {
        let disk = disk.fork();
        disk.flip_bit(&checkpoints[1], at, 0);
        assert!(!verify(&disk).findings.is_empty(), "byte {at} is found offline");
        let mut reopened = Rig::open(disk, options(), 5, rig.appended.clone()).unwrap().unwrap();
        reopened.audit(rig.acknowledged());
        let recovery = &reopened.recovery;
        let used = recovery.frames == 0;
        assert_eq!(used, at >= end, "byte {at}: the older checkpoint needs replay");
        let told: Vec<&str> = recovery.rejected.iter().map(|found| found.file.as_str()).collect();
        let expected: &[&str] = if used { &[] } else { &[&checkpoints[1]] };
        assert_eq!(told, expected, "byte {at}: the owner is told");
        let counted = reopened.journal.stats().checkpoints_rejected;
        assert_eq!(counted, expected.len() as u64);
    }
}

#[test]
fn another_clusters_files_are_refused() {
    let rig = filled();
    let disk = rig.disk.crash_image(CrashPolicy::KeepAll);
    let other = crate::JournalOptions { cluster: ClusterId([8; 16]), ..options() };
    let opened = Rig::open(disk, other, 5, Vec::new()).unwrap().map(|rig| rig.recovery);
    assert!(matches!(opened, Err(JournalError::Foreign { .. })), "{opened:?}");
}
