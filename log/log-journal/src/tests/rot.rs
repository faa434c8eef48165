//! Every byte that can rot: cold reads return what was written or an error, and `verify` reports each flip (F1).

use bytes::Bytes;
use log_io::Durability;
use log_record::BatchBuilder;
use log_testkit::{SimDisk, SimDiskOptions};
use log_types::{LeaderEpoch, Offset, SegmentId, StreamId, Term};

use super::rig::{Rig, Step, append, options};
use super::{damage, roundtrip};
use crate::format::{BLOCK, DATA_START, Identity, Trailer, Watermark, segment_name};
use crate::{EntryKind, JournalOptions, ReadError};

/// Small segments, so that all of their bytes can be tried.
fn small() -> JournalOptions {
    JournalOptions { segment_bytes: 48 << 10, frame_bytes_max: 8 << 10, ..options() }
}

/// A closed journal of several sealed segments, two checkpoints and one open segment.
fn closed() -> Rig {
    let disk = SimDisk::new(SimDiskOptions::default());
    let mut rig = Rig::open(disk, small(), 1, Vec::new()).unwrap().unwrap();
    for round in 0..6 {
        let steps = [append(20, 2, 900), append(20, 1, 50), append(21, 3, 300), Step::Wait];
        assert!(rig.run(&steps));
        assert!(rig.run(&[append(21, 1, 5000), Step::Note { stream: 5, bytes: 50 }, Step::Wait]));
        if round == 3 {
            assert!(rig.run(&[Step::Checkpoint]));
        }
    }
    assert!(rig.run(&[Step::Close]));
    rig
}

/// A batch's own checksum does not cover its base offset and its leader epoch (16 bytes with the length between them).
/// Cold reads served both as they were found.
#[test]
fn a_flip_in_any_byte_of_a_batch_header_is_not_served() {
    let rig = closed();
    let first = rig.disk.peek(&segment_name(SegmentId(1))).unwrap();
    let in_first = |bytes: &[u8]| first.windows(bytes.len()).position(|window| window == bytes);
    let batches: Vec<(u64, u64, i64)> = rig
        .appended
        .iter()
        .filter(|entry| entry.stream.0 >= 20)
        .filter_map(|entry| Some((in_first(&entry.bytes)?, entry)))
        .map(|(at, entry)| (at as u64, entry.stream.0, entry.base.0))
        .collect();
    assert!(batches.len() >= 6, "{} batches in the first segment", batches.len());
    for (at, stream, base) in batches {
        for byte in 0..61 {
            let disk = rig.disk.fork();
            disk.flip_bit(&segment_name(SegmentId(1)), at + byte, u32::try_from(byte).unwrap());
            let rig = Rig::open(disk, small(), 5, Vec::new()).unwrap().unwrap();
            assert_eq!(rig.recovery.frames, 0, "the checkpoint spares the frames a look");
            let read = rig.journal.read(StreamId(stream), Offset(base), Offset(i64::MAX), 1 << 20);
            let read = rig.executor.block_on(read).unwrap();
            assert!(
                matches!(read, Err(ReadError::Corrupt { .. })),
                "byte {byte} of the batch at {at}: {read:?}"
            );
            let find = rig.journal.find_by_timestamp(StreamId(stream), Offset(base), 1_000 + base);
            let found = rig.executor.block_on(find).unwrap();
            assert!(
                matches!(found, Err(ReadError::Corrupt { .. })),
                "byte {byte} of the batch at {at}: {found:?}"
            );
        }
    }
}

/// Damage takes away what it hit, and nothing before it: a read gave nothing of up to `bytes_max` whole bytes in front.
#[test]
fn what_lies_before_damage_is_served() {
    let rig = closed();
    let first = rig.disk.peek(&segment_name(SegmentId(1))).unwrap();
    let at = |bytes: &[u8]| first.windows(bytes.len()).position(|window| window == bytes);
    let third = rig.appended.iter().filter(|entry| entry.stream.0 == 20).nth(2).unwrap();
    let disk = rig.disk.fork();
    disk.flip_bit(&segment_name(SegmentId(1)), at(&third.bytes).unwrap() as u64 + 100, 3);
    let rig = Rig::open(disk, small(), 5, Vec::new()).unwrap().unwrap();
    let read = |from| {
        let read = rig.journal.read(StreamId(20), from, Offset(i64::MAX), 1 << 20);
        rig.executor.block_on(read).unwrap()
    };
    let before = read(Offset(0)).unwrap();
    assert_eq!(before.next, third.base);
    assert!(before.batches.iter().map(Bytes::len).sum::<usize>() > 0);
    assert!(matches!(read(third.base), Err(ReadError::Corrupt { .. })));
}

/// The leader epoch of a batch is the term of its frame: batches of several openings lie side by side.
#[test]
fn batches_of_several_terms_are_read_back() {
    let disk = SimDisk::new(SimDiskOptions::default());
    let (mut appended, mut wanted) = (Vec::new(), Vec::new());
    for term in 1..5_i32 {
        let options = JournalOptions { term: Term(term.unsigned_abs().into()), ..small() };
        let mut rig = Rig::open(disk.clone(), options, 1, appended).unwrap().unwrap();
        for _ in 0..4 {
            let base = rig.model.borrow().next.get(&20).copied().unwrap_or(0);
            let mut builder = BatchBuilder::new().at(Offset(base), LeaderEpoch(term));
            builder.push(1_000 + base, None, Some(&[7; 4000]), &[]).unwrap();
            let batch = builder.build().unwrap();
            let synced = Durability::Synced;
            rig.append_raw(20, EntryKind::BATCH, base, 1, &batch, synced).unwrap();
            wanted.extend_from_slice(&batch);
        }
        let close = if term % 2 == 0 { Step::Close } else { Step::Wait };
        assert!(rig.run(&[Step::Wait, close]));
        assert_eq!(rig.read_all(20, 0, 10_000), wanted);
        assert_eq!(damage::verify(&disk).findings, []);
        appended = rig.appended.clone();
    }
}

/// Bytes of `name` that no checksum covers, because they say nothing (see the head of `verify.rs`).
fn silent(name: &str, bytes: &[u8], newest_end: u64) -> Vec<std::ops::Range<u64>> {
    let end = bytes.len() as u64;
    if name.starts_with("spare-") || !name.ends_with(".luma") {
        let whole = 0..end;
        return vec![whole];
    }
    if name.starts_with("checkpoint-") {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let behind = BLOCK + crate::format::align_up(word(64) + word(72))..end;
        return vec![behind];
    }
    let Some(id) = crate::format::parse_name(name, "segment-") else { return Vec::new() };
    let identity = Identity { cluster: options().cluster, shard: options().shard };
    let block =
        |at: u64| &bytes[usize::try_from(at).unwrap()..usize::try_from(at + BLOCK).unwrap()];
    let records = (0..3).filter_map(|slot| {
        Watermark::decode(block(BLOCK * (1 + slot)), identity, SegmentId(id)).ok()
    });
    let newest = records.map(|record| record.sequence).max().unwrap();
    // The slot that is written next; and the newest record, without which that slot would be the next.
    let slot = |sequence: u64| BLOCK * (1 + sequence % 3)..BLOCK * (2 + sequence % 3);
    let mut silent = vec![slot(newest), slot(newest + 1)];
    match Trailer::decode(block(end - BLOCK), identity, SegmentId(id)) {
        Ok(trailer) => {
            let footer_end =
                trailer.frames_end + crate::format::align_up(trailer.footer_bytes.into());
            silent.push(footer_end..end - BLOCK);
        }
        Err(_) => silent.push(newest_end..end),
    }
    silent
}

#[test]
fn verify_reports_a_flip_in_any_byte_that_says_something() {
    let rig = closed();
    let newest_end = rig.journal.inner.state.borrow().written_end;
    assert_eq!(damage::verify(&rig.disk).findings, [], "the journal is sound");
    let mut tried = 0;
    for name in rig.disk.names() {
        let bytes = rig.disk.peek(&name).unwrap();
        let silent = silent(&name, &bytes, newest_end);
        for at in 0..bytes.len() as u64 {
            let head = at < DATA_START && at % BLOCK < 80;
            let chosen = head || at % 61 == 0 || at % BLOCK > BLOCK - 5;
            if !chosen || silent.iter().any(|range| range.contains(&at)) {
                continue;
            }
            rig.disk.flip_bit(&name, at, u32::try_from(at % 8).unwrap());
            let findings = damage::verify(&rig.disk).findings;
            assert!(!findings.is_empty(), "byte {at} of {name} is not noticed");
            rig.disk.flip_bit(&name, at, u32::try_from(at % 8).unwrap());
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried} bytes tried");
    assert_eq!(damage::verify(&rig.disk).findings, [], "every flip was taken back");
}

/// The owner's state in a checkpoint must be the fold of the frames (M1).
#[test]
fn verify_proves_the_states_of_checkpoints() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&roundtrip::script()));
    assert!(rig.run(&[Step::Checkpoint, append(20, 1, 50), Step::Wait, Step::Close]));
    let report = damage::verify(&rig.disk);
    assert_eq!(report.findings, []);
    assert_eq!((report.checkpoints, report.states_proven), (2, 2), "folded from the first frame");

    // An owner that forgets one entry takes a wrong checkpoint.
    let mut rig = Rig::fresh();
    assert!(rig.run(&roundtrip::script()));
    rig.model.borrow_mut().count -= 1;
    assert!(rig.run(&[append(20, 1, 50), Step::Wait, Step::Close]));
    let findings = damage::verify(&rig.disk).findings;
    assert!(findings.iter().any(|found| found.what == "entries of the model"), "{findings:?}");
}

/// Without the first segment the fold starts at the older checkpoint and proves the newer one.
#[test]
fn verify_proves_the_newer_checkpoint_of_a_trimmed_journal() {
    let mut rig = Rig::fresh();
    for _ in 0..30 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait]));
    }
    let trim = Step::LogStart { stream: 20, offset: 25 };
    assert!(rig.run(&[trim, Step::Tick, Step::Tick, Step::Tick, Step::Tick]));
    assert!(!rig.disk.names().contains(&segment_name(SegmentId(1))));
    for _ in 0..5 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait]));
    }
    assert!(rig.run(&[Step::Close]));
    let report = damage::verify(&rig.disk);
    assert_eq!(report.findings, []);
    assert_eq!((report.checkpoints, report.states_proven), (2, 1));
}

/// A segment that a checkpoint names and that is gone is lost data, also when no frame is read to notice it.
#[test]
fn verify_misses_a_segment_that_is_gone() {
    let rig = closed();
    let executor = log_testkit::Executor::new(1);
    let removed = log_io::Disk::remove(&rig.disk, &segment_name(SegmentId(1)));
    assert!(executor.block_on(removed).unwrap().is_ok());
    let findings = damage::verify(&rig.disk).findings;
    let what = "segment file that the checkpoint names";
    assert!(findings.iter().any(|found| found.what == what), "{findings:?}");
}
