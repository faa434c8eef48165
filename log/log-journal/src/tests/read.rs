//! Reads at the tail, cold, inside batches and by time.

use bytes::Bytes;
use log_types::{Offset, StreamId};

use super::rig::{Rig, Step, append, batch, volatile};
use crate::ReadBatches;

fn read(rig: &Rig, from: i64, upto: i64, bytes_max: usize) -> ReadBatches {
    let read = rig.journal.read(StreamId(20), Offset(from), Offset(upto), bytes_max);
    rig.executor.block_on(read).unwrap().unwrap()
}

fn joined(read: &ReadBatches) -> Vec<u8> {
    read.batches.concat()
}

/// Batches 0..=2, 3..=5, 6..=8 and so on, in the tail or read back.
fn each_place(check: impl Fn(&Rig)) {
    let mut rig = Rig::fresh();
    for _ in 0..5 {
        assert!(rig.run(&[append(20, 3, 50), append(21, 1, 50)]));
    }
    check(&rig);
    assert!(rig.run(&[Step::Wait]));
    check(&rig);
    let rig = rig.reopen();
    check(&rig);
    let mut rig = rig;
    for _ in 0..20 {
        assert!(rig.run(&[append(21, 1, 9000), Step::Wait]));
    }
    assert!(rig.journal.stats().seals > 0);
    check(&rig);
    check(&rig.reopen());
}

#[test]
fn the_batch_that_holds_the_offset_comes_first() {
    each_place(|rig| {
        for from in 3..6 {
            let found = read(rig, from, 6, 1 << 20);
            assert_eq!(joined(&found), batch(20, 3, 3, 50), "from {from}");
            assert_eq!(found.next, Offset(6));
        }
    });
}

#[test]
fn the_first_batch_is_returned_even_when_larger_than_the_limit() {
    each_place(|rig| {
        let found = read(rig, 0, i64::MAX, 1);
        assert_eq!(joined(&found), batch(20, 0, 3, 50));
        assert_eq!(found.next, Offset(3));
        assert_eq!(read(rig, 0, i64::MAX, batch(20, 0, 3, 50).len() * 2).next, Offset(6));
    });
}

#[test]
fn a_batch_that_ends_beyond_the_bound_is_not_returned() {
    each_place(|rig| {
        assert_eq!(read(rig, 0, 6, 1 << 20).next, Offset(6));
        assert_eq!(read(rig, 0, 5, 1 << 20).next, Offset(3));
        assert_eq!(read(rig, 0, 2, 1 << 20).next, Offset(0));
        assert!(read(rig, 15, i64::MAX, 1 << 20).batches.is_empty());
    });
}

#[test]
fn a_time_finds_the_first_batch_that_reaches_it() {
    each_place(|rig| {
        let find = |from: i64, timestamp: i64| {
            let find = rig.journal.find_by_timestamp(StreamId(20), Offset(from), timestamp);
            rig.executor.block_on(find).unwrap().unwrap()
        };
        assert_eq!(find(0, 0), Some(batch(20, 0, 3, 50)));
        assert_eq!(find(0, 1_002), Some(batch(20, 0, 3, 50)));
        assert_eq!(find(0, 1_003), Some(batch(20, 3, 3, 50)));
        assert_eq!(find(9, 1_003), Some(batch(20, 9, 3, 50)));
        assert_eq!(find(0, 1_014), Some(batch(20, 12, 3, 50)));
        assert_eq!(find(0, 1_015), None);
    });
}

#[test]
fn the_tail_is_read_without_waiting_and_shares_the_written_block() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[volatile(20, 3, 50)]));
    let open = rig.journal.try_read_tail(StreamId(20), Offset(0), Offset(3), 1 << 20).unwrap();
    assert_eq!(joined(&open), batch(20, 0, 3, 50), "readable at append");
    assert!(rig.run(&[Step::Sync]));
    let first = rig.journal.try_read_tail(StreamId(20), Offset(0), Offset(3), 1 << 20).unwrap();
    let again = rig.journal.try_read_tail(StreamId(20), Offset(0), Offset(3), 1 << 20).unwrap();
    assert_eq!(first.batches[0].as_ptr(), again.batches[0].as_ptr(), "no copy");
    let rig = rig.reopen();
    assert!(
        rig.journal.try_read_tail(StreamId(20), Offset(0), Offset(3), 1 << 20).is_none(),
        "not in memory"
    );
}

#[test]
fn contiguous_batches_of_one_frame_are_one_piece() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(20, 3, 50), append(20, 3, 50), append(20, 3, 50), Step::Wait]));
    let found = read(&rig, 0, i64::MAX, 1 << 20);
    assert_eq!(found.batches.len(), 1);
    let wanted: Vec<Bytes> = [0, 3, 6].map(|base| batch(20, base, 3, 50)).to_vec();
    assert_eq!(joined(&found), wanted.concat());
}

#[test]
fn what_a_forward_reader_wants_next_is_read_before_it_comes_across_segments() {
    let mut rig = Rig::fresh();
    for _ in 0..60 {
        assert!(rig.run(&[append(20, 1, 9000), Step::Wait]));
    }
    let rig = rig.reopen();
    let extents = rig.journal.extents(StreamId(20));
    assert!(extents.len() > 6, "{} segments", extents.len());
    let chunks = || rig.journal.stats().chunk_bytes / (96 << 10);
    let read_segment = |index: usize| {
        let from = extents[index].base_offset.0;
        assert_eq!(read(&rig, from, i64::MAX, 1).next, Offset(from + 1));
        rig.executor.run_until_stalled();
    };
    read_segment(0);
    assert_eq!(chunks(), 1, "one read says nothing about the next");
    read_segment(1);
    assert_eq!(chunks(), 4, "the second was in order: two more are read ahead");
    read_segment(2);
    assert_eq!(chunks(), 4, "the cache holds four: one in, one out");
    let bytes_read = rig.disk.bytes_read();
    read_segment(3);
    let footers_and_next = rig.disk.bytes_read() - bytes_read;
    assert!(footers_and_next < 2 * (96 << 10), "its chunk was there: {footers_and_next} bytes");
    read_segment(0);
    let before = chunks();
    read_segment(4);
    assert!(chunks() <= before + 1, "a jump reads nothing ahead");
}
