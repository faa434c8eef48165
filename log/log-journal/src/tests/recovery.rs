//! What an opening costs: bounded by the checkpoint interval, not by how much the journal holds.

use log_testkit::{CrashPolicy, OpKind, SimDisk, SimDiskOptions};

use super::rig::{Rig, Step, append, options};
use crate::JournalOptions;
use crate::format::DATA_START;

const SEGMENT_BYTES: u64 = 256 << 10;
/// Between checkpoints; small against what is written.
const CHECKPOINT_BYTES: u64 = 1 << 20;

fn small() -> JournalOptions {
    JournalOptions { segment_bytes: SEGMENT_BYTES, checkpoint_bytes: CHECKPOINT_BYTES, ..options() }
}

/// A journal of about `segments` segments, in several streams.
fn written(segments: u64) -> Rig {
    let mut rig = Rig::open(SimDisk::new(SimDiskOptions::default()), small(), 1, Vec::new())
        .unwrap()
        .unwrap();
    while rig.journal.stats().segments < segments {
        for stream in 20..30 {
            assert!(rig.run(&[append(stream, 1, 6000)]));
        }
        assert!(rig.run(&[Step::Wait]));
    }
    // What was just appended need not be at the start of a segment.
    assert!(rig.run(&[append(20, 1, 6000), Step::Wait, Step::Tick]));
    rig
}

/// What opening `disk` takes: bytes read, files opened, frames replayed.
fn cost(disk: &SimDisk, rig: &Rig) -> (u64, u64, u64) {
    let (read, opened) = (disk.bytes_read(), disk.count(OpKind::Open));
    let acknowledged = rig.acknowledged();
    let mut reopened = Rig::open(disk.clone(), small(), 2, rig.appended.clone()).unwrap().unwrap();
    let cost =
        (disk.bytes_read() - read, disk.count(OpKind::Open) - opened, reopened.recovery.frames);
    reopened.audit(acknowledged);
    cost
}

fn checkpoint_bytes(disk: &SimDisk) -> u64 {
    let names = disk.names();
    let newest = names.iter().rfind(|name| name.starts_with("checkpoint-"));
    newest.and_then(|name| disk.peek(name)).map_or(0, |bytes| bytes.len() as u64)
}

/// After a clean stop: the checkpoint, and the end of one segment.
#[test]
fn opening_after_a_clean_stop_reads_the_checkpoint_and_one_segment() {
    for segments in [4, 40] {
        let mut rig = written(segments);
        assert!(rig.run(&[Step::Close]));
        let disk = rig.disk.fork();
        let spares = disk.names().iter().filter(|name| name.starts_with("spare-")).count() as u64;
        let (read, opened, frames) = cost(&disk, &rig);
        let bound = checkpoint_bytes(&disk) + DATA_START + SEGMENT_BYTES + 4096;
        assert!(read <= bound, "{segments} segments: {read} bytes read, {bound} allowed");
        assert!(opened <= 2 + spares, "{segments} segments: {opened} files opened");
        assert_eq!(frames, 0);
    }
}

/// After a kill: what was written since the checkpoint as well, which is taken at the end of a segment when
/// `checkpoint_bytes` were written.
#[test]
fn opening_after_a_kill_reads_what_was_written_since_the_checkpoint() {
    let mut replayed = 0;
    for segments in [8, 9, 10, 11, 40] {
        let rig = written(segments);
        let disk = rig.disk.crash_image(CrashPolicy::DropAll);
        let (read, opened, frames) = cost(&disk, &rig);
        // Two checkpoints when the newest is not whole, the interval and the segment in which it ends, the rest of the
        // last segment where a later frame is looked for; frames that end beyond a piece are read again.
        let interval = CHECKPOINT_BYTES + 2 * SEGMENT_BYTES;
        let bound = 2 * checkpoint_bytes(&disk) + (interval + SEGMENT_BYTES) * 5 / 4;
        assert!(read <= bound, "{segments} segments: {read} bytes read, {bound} allowed");
        // Each segment since the checkpoint is opened by itself and as the one after another.
        let files = 2 * (interval / SEGMENT_BYTES + 1) + 4;
        assert!(opened <= files, "{segments} segments: {opened} files opened");
        replayed += frames;
    }
    assert!(replayed > 0, "something was replayed");
}
