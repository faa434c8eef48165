//! Full disks, recycling and retention (F5).

use log_io::Durability;
use log_testkit::{CrashPolicy, Fault, OpKind};
use log_types::{Offset, StreamId};

use super::rig::{Rig, Step, append, batch, options};
use crate::{AppendError, EntryKind, JournalOptions};

fn bounded(segments: u64) -> Rig {
    let options = JournalOptions {
        segments_max_bytes: Some(segments * options().segment_bytes),
        ..options()
    };
    let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
    Rig::open(disk, options, 1, Vec::new()).unwrap().unwrap()
}

/// Appends to stream 20 until the journal refuses; how many were accepted.
fn fill(rig: &mut Rig) -> usize {
    for count in 0..1000 {
        let base = rig.model.borrow().next.get(&20).copied().unwrap_or(0);
        let payload = batch(20, base, 1, 6000);
        match rig.append_raw(20, EntryKind::BATCH, base, 1, &payload, Durability::Synced) {
            Ok(_) => {
                rig.executor.run_until_stalled();
            }
            Err(error) => {
                assert_eq!(error, AppendError::DiskFull);
                return count;
            }
        }
    }
    panic!("the disk never got full");
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_recovers_when_data_is_dropped() {
    let mut rig = bounded(3);
    let accepted = fill(&mut rig);
    assert!(accepted > 20, "{accepted} entries fit into three segments");
    assert_eq!(
        rig.acknowledged(),
        accepted,
        "what was accepted is durable: a spare was ready for it"
    );
    rig.audit_reads();
    assert_eq!(*rig.full.borrow(), [true]);
    assert!(rig.run(&[Step::Tick, Step::Tick]), "trying again without space changes nothing");
    assert!(!rig.append(20, 1, 6000, Durability::Synced));
    let half = i64::try_from(accepted / 2).unwrap();
    assert!(rig.run(&[
        Step::LogStart { stream: 20, offset: half },
        Step::Tick,
        Step::Tick,
        Step::Tick,
        Step::Tick
    ]));
    assert_eq!(*rig.full.borrow(), [true, false]);
    assert!(rig.run(&[append(20, 1, 6000), Step::Wait]));
    rig.audit_reads();
}

#[test]
fn a_device_without_space_recovers_when_space_returns() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Settle]));
    rig.disk.set_capacity_bytes(rig.disk.used_bytes());
    let accepted = fill(&mut rig) + 1;
    rig.audit_reads();
    assert!(rig.outcome.borrow().is_none(), "the flusher goes on");
    rig.disk.set_capacity_bytes(u64::MAX);
    rig.journal.retry_space();
    rig.executor.run_until_stalled();
    assert!(rig.run(&[append(20, 1, 6000), Step::Wait]));
    assert_eq!(rig.acknowledged(), accepted + 1);
    let mut rig = rig.reopen();
    rig.audit(accepted + 1);
}

#[test]
fn a_full_journal_can_be_closed_and_opened() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Settle]));
    rig.disk.set_capacity_bytes(rig.disk.used_bytes());
    fill(&mut rig);
    let acknowledged = rig.acknowledged();
    assert!(rig.run(&[Step::Close]));
    let mut rig = rig.reopen();
    rig.audit(acknowledged);
    assert_eq!(rig.recovery.position, rig.appended.last().unwrap().position);
}

/// Three segments, full, and not one free block.
fn full_to_the_last_block(checkpoint_bytes: u64) -> Rig {
    let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
    let options = JournalOptions { checkpoint_bytes, ..options() };
    let segment_bytes = options.segment_bytes;
    let mut rig = Rig::open(disk, options, 1, Vec::new()).unwrap().unwrap();
    assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Settle]));
    rig.disk.set_capacity_bytes(rig.disk.used_bytes() + segment_bytes);
    fill(&mut rig);
    rig.disk.set_capacity_bytes(rig.disk.used_bytes());
    rig
}

/// A deletion could not be logged, so what was to be deleted stayed.
#[test]
fn a_deletion_is_logged_on_a_full_disk_and_survives_a_crash() {
    for policy in [CrashPolicy::DropAll, CrashPolicy::KeepAll] {
        let mut rig = full_to_the_last_block(0);
        let note = Step::Note { stream: 5, bytes: 100 };
        assert!(rig.run(&[note, Step::Wait]), "the reserve is there");
        assert_eq!(*rig.full.borrow(), [true], "and is not for records");
        assert!(!rig.append(20, 1, 10, Durability::Synced));
        let acknowledged = rig.acknowledged();
        assert_eq!(acknowledged, rig.appended.len());
        let disk = rig.disk.crash_image(policy);
        let mut rig = Rig::open(disk, options(), 3, rig.appended.clone()).unwrap().unwrap();
        rig.audit(acknowledged);
        fill(&mut rig);
        assert!(rig.run(&[note, Step::Wait]), "the rest of the reserve is still there");
        let acknowledged = rig.acknowledged();
        rig.reopen().audit(acknowledged);
    }
}

/// Logs notes one by one until the reserve is used up; how many.
fn use_up(rig: &mut Rig) -> u64 {
    let note = bytes::Bytes::from(vec![0xee; 100]);
    for count in 0..100 {
        let base = rig.model.borrow().next.get(&5).copied().unwrap_or(0);
        match rig.append_raw(5, EntryKind(9), base, 1, &note, Durability::Synced) {
            Ok(_) => assert!(rig.run(&[Step::Wait])),
            Err(error) => {
                assert_eq!(error, AppendError::DiskFull);
                return count;
            }
        }
    }
    panic!("the reserve never ends");
}

#[test]
fn a_reserve_that_is_used_up_refuses_and_is_there_again_after_space_returned() {
    let mut rig = full_to_the_last_block(0);
    let blocks = crate::space::segment_reserve_bytes(options().segment_bytes) / 4096;
    // What is left of the common part is used too.
    let frames = use_up(&mut rig);
    assert!(frames >= blocks, "{frames} frames in {blocks} blocks");
    rig.disk.set_capacity_bytes(u64::MAX);
    rig.journal.retry_space();
    assert!(rig.run(&[Step::Settle, append(20, 1, 6000), Step::Wait, Step::Settle]));
    rig.disk.set_capacity_bytes(rig.disk.used_bytes());
    fill(&mut rig);
    assert!(use_up(&mut rig) >= blocks);
    let acknowledged = rig.acknowledged();
    assert_eq!(acknowledged, rig.appended.len());
    rig.reopen().audit(acknowledged);
}

/// A checkpoint lets go of dead segments and needed space itself: what was deleted on a full disk stayed there.
#[test]
fn what_is_deleted_on_a_full_disk_is_space_again_without_one_free_block() {
    // With two checkpoints already there at each seal, and with none until they are needed.
    for checkpoint_bytes in [0, 1 << 40] {
        let mut rig = full_to_the_last_block(checkpoint_bytes);
        for round in 0..6 {
            let stream = 20 + round;
            assert!(rig.run(&[Step::Note { stream: 5, bytes: 100 }, Step::Wait]), "round {round}");
            assert!(rig.run(&[Step::Remove { stream }]));
            for _ in 0..6 {
                assert!(rig.run(&[Step::Tick]));
            }
            assert_eq!(rig.full.borrow().last(), Some(&false), "round {round}: {:?}", rig.journal);
            while rig.append(stream + 1, 1, 6000, Durability::Synced) {
                assert!(rig.run(&[Step::Wait]));
            }
            assert_eq!(rig.full.borrow().last(), Some(&true));
            rig.audit_reads();
            rig.disk.set_capacity_bytes(rig.disk.used_bytes());
            if round % 2 == 1 {
                let acknowledged = rig.acknowledged();
                let disk = rig.disk.crash_image(CrashPolicy::DropAll);
                let options = JournalOptions { checkpoint_bytes, ..options() };
                let removed = rig.log_start.clone();
                rig = Rig::open(disk, options, 4, rig.appended.clone()).unwrap().unwrap();
                for stream in removed.keys() {
                    rig.journal.remove_stream(StreamId(*stream));
                }
                rig.log_start = removed;
                rig.audit(acknowledged);
                while rig.append(stream + 1, 1, 6000, Durability::Synced) {
                    assert!(rig.run(&[Step::Wait]));
                }
            }
        }
    }
}

/// A checkpoint at the very end of a segment names it as the one to go on in. It was freed with the segments before it,
/// and the next opening took its absence for lost data.
#[test]
fn a_segment_that_ends_where_a_checkpoint_was_taken_is_kept_with_it() {
    let mut rig = full_to_the_last_block(1 << 40);
    use_up(&mut rig);
    assert!(rig.run(&[Step::Remove { stream: 20 }, Step::Tick, Step::Tick, Step::Tick]));
    rig.disk.set_capacity_bytes(u64::MAX);
    rig.journal.retry_space();
    assert!(rig.run(&[Step::Settle, append(21, 1, 100), Step::Wait, Step::Tick, Step::Settle]));
    let acknowledged = rig.acknowledged();
    assert_eq!(acknowledged, rig.appended.len());
    rig.reopen().audit(acknowledged);
}

/// Three times full, deleted and written again; stops where the disk does.
fn deletions(disk: &log_testkit::SimDisk) -> Rig {
    let options = JournalOptions { checkpoint_bytes: 1 << 40, ..options() };
    let mut rig = Rig::open(disk.clone(), options, 1, Vec::new()).unwrap().unwrap();
    let note = Step::Note { stream: 5, bytes: 100 };
    for stream in 20..23 {
        while rig.append(stream, 1, 6000, Durability::Synced) && rig.run(&[Step::Wait]) {}
        rig.disk.set_capacity_bytes(rig.disk.used_bytes());
        if !rig.run(&[note, Step::Wait, Step::Remove { stream }]) {
            break;
        }
        assert!(rig.run(&[Step::Tick; 6]));
    }
    rig
}

/// The files of checkpoints are overwritten, and segments freed: at no moment may a power cut find neither old nor new.
#[test]
fn a_power_cut_while_a_full_disk_is_cleared_loses_nothing() {
    let limited = || {
        let bytes = 3 * options().segment_bytes + (64 << 10);
        let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
        disk.set_capacity_bytes(bytes);
        disk
    };
    let disk = limited();
    let rig = deletions(&disk);
    assert_eq!(*rig.full.borrow(), [true, false, true, false, true, false]);
    let total = disk.ops();
    for op in 20..total {
        let disk = limited();
        disk.halt_at(op);
        let rig = deletions(&disk);
        let acknowledged = rig.acknowledged();
        let policies = (0..3).map(|seed| CrashPolicy::Subset { seed: seed + op });
        for policy in policies.chain([CrashPolicy::DropAll, CrashPolicy::KeepAll]) {
            let disk = rig.disk.crash_image(policy);
            disk.set_capacity_bytes(u64::MAX);
            assert_eq!(super::damage::verify(&disk).findings, [], "{op}, {policy:?}");
            let opened = Rig::open(disk, options(), 2, rig.appended.clone()).unwrap();
            let mut opened = opened.unwrap_or_else(|error| panic!("{op}, {policy:?}: {error}"));
            opened.log_start.clone_from(&rig.log_start);
            opened.audit(acknowledged);
            assert!(opened.run(&[append(40, 1, 3000), Step::Wait]), "{op}, {policy:?}");
        }
    }
}

/// A journal whose only segment is full, on a disk without one free block, as `stream` filled it.
fn one_full_segment(disk: &log_testkit::SimDisk, stream: u64) -> Rig {
    let options = JournalOptions { checkpoint_bytes: 1 << 40, ..options() };
    // With the files for checkpoints.
    let beside = (40 << 10) + crate::space::bridge_bytes(&options);
    disk.set_capacity_bytes(options.segment_bytes + beside);
    let mut rig = Rig::open(disk.clone(), options, 1, Vec::new()).unwrap().unwrap();
    assert!(rig.run(&[Step::Settle]));
    while rig.append(stream, 1, 6000, Durability::Synced) && rig.run(&[Step::Wait]) {}
    disk.set_capacity_bytes(disk.used_bytes());
    rig
}

/// The segment could not be ended for lack of another one, and not be freed before it was ended.
#[test]
fn one_segment_is_enough_to_get_the_space_of_what_is_deleted() {
    let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
    let mut rig = one_full_segment(&disk, 20);
    for round in 0..6 {
        let stream = 20 + round;
        assert_eq!(rig.journal.stats().segments, 1, "round {round}");
        assert_eq!(rig.full.borrow().last(), Some(&true), "round {round}");
        assert!(rig.run(&[Step::Note { stream: 5, bytes: 100 }, Step::Wait]));
        assert!(rig.run(&[Step::Remove { stream }, Step::Tick]));
        assert_eq!(rig.journal.stats().segments, 2, "on the bridge");
        assert!(!rig.append(stream + 1, 1, 10, Durability::Synced), "which is not for records");
        assert!(rig.run(&[Step::Note { stream: 5, bytes: 100 }, Step::Wait]), "but for deletions");
        if round % 2 == 1 {
            let acknowledged = rig.acknowledged();
            let disk = rig.disk.crash_image(CrashPolicy::DropAll);
            let log_start = rig.log_start.clone();
            rig = Rig::open(disk, options(), 4, rig.appended.clone()).unwrap().unwrap();
            for removed in log_start.keys() {
                rig.journal.remove_stream(StreamId(*removed));
            }
            rig.log_start = log_start;
            rig.audit(acknowledged);
        }
        assert!(rig.run(&[Step::Tick; 30]));
        assert!(!rig.journal.stats().disk_full, "round {round}: {:?}", rig.journal);
        let mut taken = 0;
        while rig.append(stream + 1, 1, 6000, Durability::Synced) {
            assert!(rig.run(&[Step::Wait]));
            taken += 1;
        }
        assert!(taken >= 8, "round {round}: {taken} batches");
        assert!(rig.run(&[Step::Tick; 6]), "what was the bridge is the bridge");
        rig.audit_reads();
    }
}

/// A segment and a bridge take each other's place: at no moment may a power cut find neither.
#[test]
fn a_power_cut_on_the_way_over_the_bridge_loses_nothing() {
    let clear = |halt: Option<u64>| {
        let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
        let mut rig = one_full_segment(&disk, 20);
        let before = disk.ops();
        if let Some(op) = halt {
            disk.halt_at(before + op);
        }
        let deleted = rig.run(&[Step::Note { stream: 5, bytes: 100 }, Step::Wait]);
        if deleted && rig.run(&[Step::Remove { stream: 20 }]) {
            rig.run(&[Step::Tick; 8]);
            rig.run(&[append(21, 1, 6000), Step::Wait, Step::Tick, Step::Tick]);
        }
        (rig, disk.ops() - before)
    };
    let (rig, total) = clear(None);
    assert_eq!(*rig.full.borrow(), [true, false]);
    assert!(total > 30, "{total} operations");
    for op in 0..total {
        let (rig, _) = clear(Some(op));
        let acknowledged = rig.acknowledged();
        let policies = (0..3).map(|seed| CrashPolicy::Subset { seed: seed + op });
        for policy in policies.chain([CrashPolicy::DropAll, CrashPolicy::KeepAll]) {
            let disk = rig.disk.crash_image(policy);
            assert_eq!(super::damage::verify(&disk).findings, [], "{op}, {policy:?}");
            let opened = Rig::open(disk, options(), 2, rig.appended.clone()).unwrap();
            let mut opened = opened.unwrap_or_else(|error| panic!("{op}, {policy:?}: {error}"));
            opened.log_start.clone_from(&rig.log_start);
            opened.audit(acknowledged);
            // Without one block more than there was; whether the removal survived is the owner's to say.
            opened.journal.remove_stream(StreamId(20));
            opened.log_start.insert(20, i64::MAX);
            // Tells the journal that it has no space, if it has none.
            opened.append(21, 1, 6000, Durability::Synced);
            assert!(opened.run(&[Step::Tick; 30]));
            assert!(opened.run(&[append(21, 1, 6000), Step::Wait]), "{op}, {policy:?}");
        }
    }
}

/// Space for a half of a segment is space.
#[test]
fn a_full_journal_takes_what_there_is() {
    let large =
        || JournalOptions { segment_bytes: 192 << 10, frame_bytes_max: 16 << 10, ..options() };
    let disk = log_testkit::SimDisk::new(log_testkit::SimDiskOptions::default());
    let mut rig = Rig::open(disk, large(), 1, Vec::new()).unwrap().unwrap();
    assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Settle]));
    let used = rig.disk.used_bytes();
    rig.disk.set_capacity_bytes(used);
    fill(&mut rig);
    rig.disk.set_capacity_bytes(used + (100 << 10));
    assert!(rig.run(&[Step::Tick; 100]));
    let more = fill(&mut rig);
    assert!(more >= 8, "{more} batches into 96 KiB");
    let acknowledged = rig.acknowledged();
    let mut rig = rig.reopen_with(large());
    rig.audit(acknowledged);
    rig.disk.set_capacity_bytes(u64::MAX);
    assert!(rig.run(&[Step::Tick; 100]));
    assert!(rig.run(&[append(20, 1, 6000), Step::Wait]));
}

/// Segments were small, now entries are larger than one: the last one, in which nothing was, was never ended.
#[test]
fn a_small_segment_without_a_frame_is_left_for_one_that_entries_fit_into() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[Step::Settle, Step::Close]));
    let options = JournalOptions {
        segment_bytes: 512 << 10,
        frame_bytes_max: 200 << 10,
        pending_bytes_max: 400 << 10,
        ..options()
    };
    let mut rig = rig.reopen_with(options.clone());
    assert!(rig.run(&[append(20, 1, 150_000), Step::Wait]));
    let acknowledged = rig.acknowledged();
    assert_eq!(acknowledged, 1);
    rig.reopen_with(options).audit(acknowledged);
}

/// Each attempt takes what is free for a moment, from whoever else writes to the file system.
#[test]
fn space_is_looked_for_less_and_less_often() {
    let mut rig = full_to_the_last_block(0);
    let before = rig.disk.count(OpKind::Allocate);
    for _ in 0..600 {
        assert!(rig.run(&[Step::Tick]));
    }
    let attempts = rig.disk.count(OpKind::Allocate) - before;
    assert!((8..=20).contains(&attempts), "{attempts} attempts in a minute");
    rig.disk.set_capacity_bytes(u64::MAX);
    for _ in 0..100 {
        assert!(rig.run(&[Step::Tick]));
    }
    assert_eq!(*rig.full.borrow(), [true, false], "found within 10 s");
}

#[test]
fn recycled_segments_with_stale_frames_are_read_and_recovered_exactly() {
    let mut rig = Rig::fresh();
    for round in 1..40_i64 {
        assert!(rig.run(&[append(20, 1, 9000), append(21, 1, 9000), Step::Wait]));
        if round % 4 == 0 {
            let offset = round - 3;
            assert!(rig.run(&[
                Step::LogStart { stream: 20, offset },
                Step::LogStart { stream: 21, offset }
            ]));
            assert!(rig.run(&[Step::Tick, Step::Tick]));
        }
        if round % 7 == 0 {
            let acknowledged = rig.acknowledged();
            rig = rig.reopen();
            rig.audit(acknowledged);
        }
    }
    let names = rig.disk.names();
    assert!(names.len() <= 9, "segments are reused: {names:?}");
    rig.audit_reads();
}

#[test]
fn retention_frees_segments_only_after_checkpoints() {
    let mut rig = Rig::fresh();
    for _ in 0..30 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait]));
    }
    let before = rig.journal.stats().segments;
    assert!(before >= 3, "{before} segments");
    assert_eq!(rig.journal.extents(StreamId(20)).len() as u64, before);
    let bytes = rig.journal.stream_bytes(StreamId(20));
    assert!(rig.run(&[
        Step::LogStart { stream: 20, offset: 30 },
        Step::Tick,
        Step::Tick,
        Step::Tick,
        Step::Tick
    ]));
    assert!(rig.journal.stream_bytes(StreamId(20)) < bytes);
    assert_eq!(rig.journal.stats().segments, 1, "{:?}", rig.journal.stats());
    assert!(rig.run(&[Step::Remove { stream: 20 }]));
    assert_eq!(rig.journal.stream_bytes(StreamId(20)), 0);
    assert!(rig.journal.extents(StreamId(20)).is_empty());
    let read = rig.journal.read(StreamId(20), Offset(0), Offset(i64::MAX), 100);
    assert!(rig.executor.block_on(read).unwrap().unwrap().batches.is_empty());
}

#[test]
fn dead_segments_are_kept_for_reuse_up_to_a_bound() {
    let mut rig = Rig::fresh();
    let most = crate::roll::spares_max(&options());
    while rig.journal.stats().segments < most as u64 + 4 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait]));
    }
    let offset = rig.model.borrow().next[&20];
    assert!(rig.run(&[Step::LogStart { stream: 20, offset }]));
    for _ in 0..8 {
        assert!(rig.run(&[Step::Tick]));
    }
    let stats = rig.journal.stats();
    assert_eq!((stats.segments, stats.spare_segments), (1, most as u64));
    let rig = rig.reopen();
    assert_eq!(rig.journal.stats().spare_segments, most as u64, "an opening keeps them");
}

#[test]
fn spares_are_bounded_by_number_and_by_bytes() {
    let with =
        |segment_bytes| crate::roll::spares_max(&JournalOptions { segment_bytes, ..options() });
    assert_eq!([1 << 20, 64 << 20, 256 << 20, 1 << 30].map(with), [16, 16, 4, 2]);
}

#[test]
fn an_entry_larger_than_a_frame_is_refused_and_the_largest_is_not() {
    let mut rig = Rig::fresh();
    let max = options().frame_bytes_max;
    let note = |bytes: usize| bytes::Bytes::from(vec![0xee; bytes]);
    let refused = rig.append_raw(5, EntryKind(9), 0, 1, &note(max + 1), Durability::Synced);
    assert_eq!(refused, Err(AppendError::TooLarge { bytes: max + 1, bytes_max: max }));
    for _ in 0..5 {
        assert!(rig.append_raw(5, EntryKind(9), 0, 1, &note(max), Durability::Synced).is_ok());
    }
    assert!(rig.run(&[Step::Wait]));
    let acknowledged = rig.acknowledged();
    rig.reopen().audit(acknowledged);
}

/// A checkpoint that found no space left a file behind that took some and was in the way of the next one. Now it leaves
/// what there was before: the file to write it into.
#[test]
fn a_checkpoint_without_space_leaves_no_trace_and_is_tried_again() {
    let ready = || {
        let mut rig = Rig::fresh();
        assert!(rig.run(&[append(20, 1, 9000), append(21, 1, 9000), Step::Wait, Step::Settle]));
        rig
    };
    let checkpoints =
        |rig: &Rig| rig.disk.names().iter().filter(|name| name.starts_with("checkpoint-")).count();
    let mut rig = ready();
    let before = rig.disk.ops();
    assert!(rig.run(&[Step::Checkpoint]));
    let total = rig.disk.ops() - before;
    assert!(total > 9, "{total} operations: the file for the next one is made as well");
    // Create (there is one), open, allocate, sync_dir, two writes, sync, rename, sync_dir.
    let total = 9;
    // Removing what is left may fail as well.
    for (op, also) in (0..total).flat_map(|op| [(op, false), (op, true)]) {
        let mut rig = ready();
        rig.disk.fail_at(rig.disk.ops() + op, Fault::StorageFull);
        if also {
            rig.disk.fail_at(rig.disk.ops() + op + 1, Fault::Io);
        }
        assert!(rig.run(&[Step::Checkpoint]));
        assert!(rig.outcome.borrow().is_none(), "operation {op}: the journal goes on");
        let left = checkpoints(&rig);
        assert!(also || left == 0, "operation {op}: {:?}", rig.disk.names());
        assert_eq!(rig.journal.stats().checkpoints, 0, "operation {op}");
        assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Checkpoint]));
        assert_eq!(rig.journal.stats().checkpoints, 1, "operation {op}");
        assert!(checkpoints(&rig) == 1 || also, "operation {op}: {:?}", rig.disk.names());
        let acknowledged = rig.acknowledged();
        assert_eq!(acknowledged, 3);
        rig.reopen().audit(acknowledged);
    }
}

/// Retention needs to know how old data is that has no timestamp, or one of the future.
#[test]
fn a_sealed_share_knows_when_it_was_complete() {
    let mut rig = Rig::fresh();
    let start_ms = log_io::Clock::wall_ms(&*rig.clock);
    for _ in 0..32 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait, Step::Tick]));
    }
    assert!(rig.run(&[append(20, 1, 10), Step::Wait]));
    let extents = rig.journal.extents(StreamId(20));
    let times: Vec<Option<i64>> = extents.iter().map(|extent| extent.written_ms).collect();
    let (open, sealed) = times.split_last().unwrap();
    assert_eq!(*open, None);
    assert!(sealed.len() >= 2 && sealed.iter().all(|at| at.is_some_and(|at| at > start_ms)));
    assert!(sealed.is_sorted(), "{sealed:?}");
    for close in [Step::Settle, Step::Close] {
        assert!(rig.run(&[close]));
        rig = rig.reopen();
        assert_eq!(rig.journal.extents(StreamId(20)), extents, "after {close:?}");
    }
}

/// The open segment of a quiet node holds data of all ages: retention takes it piece by piece.
#[test]
fn the_segment_being_written_is_shown_in_pieces() {
    let mut rig = Rig::fresh();
    for _ in 0..3 {
        assert!(rig.run(&[append(20, 2, 10), Step::Wait, append(21, 1, 10), Step::Wait]));
    }
    let offsets = |rig: &Rig| {
        let pieces = rig.journal.open_extents(StreamId(20));
        let whole: Vec<_> =
            rig.journal.extents(StreamId(20)).into_iter().map(|it| it.bytes).collect();
        assert_eq!([pieces.iter().map(|it| it.bytes).sum::<u64>()], whole[..]);
        pieces.iter().map(|it| (it.base_offset.0, it.last_offset.0)).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&rig), [(0, 1), (2, 3), (4, 5)]);
    assert!(rig.run(&[Step::LogStart { stream: 20, offset: 3 }]));
    assert_eq!(offsets(&rig), [(2, 3), (4, 5)]);
    assert!(rig.run(&[Step::Settle, Step::Close]));
    let mut rig = rig.reopen();
    assert!(rig.run(&[Step::Remove { stream: 20 }]));
    assert_eq!(rig.journal.open_extents(StreamId(20)), []);
    assert_eq!(rig.journal.open_extents(StreamId(99)), []);
}
