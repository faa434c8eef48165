//! How many frames are under way at the same time.

use log_testkit::{SimDisk, SimDiskOptions};

use super::rig::options;
use super::{Rig, Step, append, volatile};
use crate::JournalOptions;

/// "At most two frames in flight" (ARCHITECTURE.md), and no fewer while there is more to write: of synced frames, of others,
/// and of both, whatever the device's order.
#[test]
fn two_frames_are_in_flight_under_load_and_never_more() {
    let loads: [(&str, &[Step]); 3] = [
        ("synced", &[append(20, 1, 5000)]),
        ("volatile", &[volatile(30, 1, 5000)]),
        ("both", &[append(20, 1, 5000), append(21, 1, 9000), volatile(30, 1, 5000)]),
    ];
    for (name, load) in loads {
        for seed in 0..10 {
            let disk = SimDiskOptions { latency_polls_max: 8, seed, ..SimDiskOptions::default() };
            let disk = SimDisk::new(disk);
            let options =
                JournalOptions { pending_bytes_max: 1 << 20, segment_bytes: 4 << 20, ..options() };
            let mut rig = Rig::open(disk.clone(), options, seed, Vec::new()).unwrap().unwrap();
            for _ in 0..60 {
                assert!(rig.run(load));
            }
            assert!(rig.run(&[Step::Sync]));
            assert!(rig.journal.stats().frames > 4, "{name}, seed {seed}");
            assert_eq!(disk.writes_at_once_max(*b"LFRM"), 2, "{name}, seed {seed}");
        }
    }
}
