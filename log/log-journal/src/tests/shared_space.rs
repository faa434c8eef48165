//! Two journals on one file system that is full.
//!
//! The stories: two shards of one age looked for a segment at the same moments, each took half of what tmpfs had left, and
//! neither got any for as long as they looked; a shard kept a spare segment of 64 MiB that it had no use for while another
//! one refused writes of 100 bytes; two shards were full with a segment each, everything on both was deleted, and neither
//! could end its segment for lack of another one; one of two that were full took all that the other one's deletion freed.

use std::rc::Rc;
use std::sync::Arc;

use log_io::Durability;
use log_testkit::{CrashPolicy, Executor, SimDisk, SimDiskOptions};

use super::rig::{Rig, Step, append, options};
use crate::JournalOptions;

/// What is on the disk beside segments: checkpoints and the files kept for them, and bridges.
fn beside_bytes() -> u64 {
    (80 << 10) + 2 * crate::space::bridge_bytes(&options())
}

const DELETION: [Step; 2] = [Step::Note { stream: 5, bytes: 100 }, Step::Wait];

fn disk_bytes(segments: u64) -> u64 {
    segments * options().segment_bytes + beside_bytes()
}

/// Two journals with room for `segments` segments in all.
fn pair(segments: u64) -> [Rig; 2] {
    pair_of(&options(), disk_bytes(segments))
}

fn pair_of(options: &JournalOptions, bytes: u64) -> [Rig; 2] {
    let (executor, space) = (Rc::new(Executor::new(1)), Arc::default());
    let disks = [(); 2].map(|()| SimDisk::new(SimDiskOptions::default()));
    SimDisk::share_space(&disks);
    let rigs = disks.map(|disk| {
        disk.set_capacity_bytes(bytes);
        let options = JournalOptions { space: Arc::clone(&space), ..options.clone() };
        Rig::open_on(Rc::clone(&executor), disk, options, Vec::new()).unwrap().unwrap()
    });
    executor.run_until_stalled();
    rigs
}

/// A tick of both at the same moment, `count` times.
fn tick(rigs: &[Rig; 2], count: usize) {
    for _ in 0..count {
        for rig in rigs {
            rig.clock.advance_ms(200);
            rig.journal.tick();
        }
        rigs[0].executor.run_until_stalled();
    }
}

fn spares(rigs: &[Rig; 2]) -> [u64; 2] {
    [0, 1].map(|rig: usize| rigs[rig].journal.stats().spare_segments)
}

fn full(rigs: &[Rig; 2]) -> [bool; 2] {
    [0, 1].map(|rig: usize| rigs[rig].journal.stats().disk_full)
}

/// Writes to `stream` of both until both refuse, time passing; how many batches each took.
fn fill(rigs: &mut [Rig; 2], stream: u64) -> [usize; 2] {
    let mut taken = [0; 2];
    for _ in 0..1000 {
        let before = taken;
        for (rig, taken) in rigs.iter_mut().zip(&mut taken) {
            if rig.append(stream, 1, 6000, Durability::Synced) {
                assert!(rig.run(&[Step::Wait]));
                *taken += 1;
            }
        }
        if taken == before && full(rigs) == [true; 2] {
            tick(rigs, 100);
            if full(rigs) == [true; 2] {
                return taken;
            }
        }
        tick(rigs, 1);
    }
    panic!("the disk never gets full: {taken:?}");
}

#[test]
fn of_two_that_look_for_space_at_the_same_moments_one_finds_it() {
    let rigs = pair(2);
    tick(&rigs, 25);
    assert_eq!(spares(&rigs), [0, 0]);
    for rig in &rigs {
        rig.disk.set_capacity_bytes(disk_bytes(3));
    }
    tick(&rigs, 50);
    assert_eq!(spares(&rigs).iter().sum::<u64>(), 1, "10 s later");
    tick(&rigs, 300);
    assert_eq!(spares(&rigs).iter().sum::<u64>(), 1, "nobody needs it yet");
}

#[test]
fn a_spare_is_given_to_who_has_no_space_left() {
    let mut rigs = pair(3);
    tick(&rigs, 25);
    let (rich, poor) = if spares(&rigs) == [1, 0] { (0, 1) } else { (1, 0) };
    let mut taken = 0;
    for _ in 0..60 {
        taken += usize::from(rigs[poor].append(20, 1, 6000, Durability::Synced));
        tick(&rigs, 1);
    }
    assert_eq!((spares(&rigs), full(&rigs)[poor]), ([0, 0], true));
    assert!(taken > 12, "{taken} batches: a segment takes 8");
    assert!(rigs[rich].run(&[append(20, 1, 6000), Step::Wait]), "its own segment has room");
    tick(&rigs, 300);
    assert_eq!(spares(&rigs), [0, 0], "the other one still waits for more");
    for rig in &rigs {
        rig.disk.set_capacity_bytes(u64::MAX);
    }
    tick(&rigs, 100);
    assert_eq!((spares(&rigs), full(&rigs)), ([1, 1], [false; 2]), "found within 10 s");
}

#[test]
fn what_is_deleted_on_both_is_space_for_both_again_and_again() {
    // Nothing but a segment each, and one more than that.
    for segments in [2, 3] {
        let mut rigs = pair(segments);
        let first: usize = fill(&mut rigs, 20).iter().sum();
        assert!(first > 12, "{first} batches: a segment takes 8");
        for stream in 20..26 {
            for rig in &mut rigs {
                assert!(rig.run(&DELETION) && rig.run(&[Step::Remove { stream }]));
            }
            tick(&rigs, 20);
            assert_eq!(full(&rigs), [false; 2], "{segments} segments, stream {stream}");
            for rig in &mut rigs {
                assert!(rig.run(&[append(stream + 1, 1, 6000), Step::Wait]));
            }
            let taken: usize = fill(&mut rigs, stream + 1).iter().sum();
            // One segment is left from before: with deletions of others in it.
            assert!(taken > first / 2, "stream {stream}: {taken} of {first} batches");
            for rig in &rigs {
                rig.audit_reads();
            }
        }
    }
}

/// Segments of which two of the smallest that do are one.
fn large() -> JournalOptions {
    JournalOptions { segment_bytes: 192 << 10, frame_bytes_max: 16 << 10, ..options() }
}

/// One has two segments, the other one has one, and what becomes free is the older one of the two.
#[test]
fn what_a_part_of_one_frees_is_space_for_both() {
    let bytes = 3 * large().segment_bytes + beside_bytes();
    let mut rigs = pair_of(&large(), bytes);
    let taken = fill(&mut rigs, 20);
    let rich = usize::from(taken[1] > taken[0]);
    assert!(taken[rich] > taken[1 - rich] * 3 / 2, "{taken:?}");
    for (rig, taken) in rigs.iter_mut().zip(taken) {
        assert!(rig.run(&DELETION));
        let offset = i64::try_from(taken * 2 / 3).unwrap();
        assert!(rig.run(&[Step::LogStart { stream: 20, offset }]));
    }
    tick(&rigs, 40);
    assert_eq!(full(&rigs), [false; 2]);
    for rig in &mut rigs {
        assert!(rig.run(&[append(20, 1, 6000), append(20, 1, 6000), Step::Wait]));
        rig.audit_reads();
    }
    let more = fill(&mut rigs, 20);
    assert!(more.iter().sum::<usize>() > 4, "{more:?}");
    for rig in rigs {
        let acknowledged = rig.acknowledged();
        let mut rig = rig.reopen_with(large());
        rig.audit(acknowledged);
    }
}

/// What was given back was nothing that anybody needs.
#[test]
fn a_power_cut_after_spares_were_given_back_loses_nothing() {
    for policy in [CrashPolicy::DropAll, CrashPolicy::KeepAll] {
        let mut rigs = pair(3);
        fill(&mut rigs, 20);
        for rig in &mut rigs {
            assert!(rig.run(&DELETION) && rig.run(&[Step::Remove { stream: 20 }]));
        }
        for _ in 0..20 {
            tick(&rigs, 1);
            for rig in &rigs {
                let disk = rig.disk.crash_image(policy);
                disk.set_capacity_bytes(u64::MAX);
                let opened = Rig::open(disk, options(), 2, rig.appended.clone());
                let mut opened = opened.unwrap().unwrap();
                opened.log_start.clone_from(&rig.log_start);
                opened.audit(rig.acknowledged());
            }
        }
    }
}
