//! Between an append and its sync: the log has more than anybody is shown or told.

use std::path::Path;
use std::pin::Pin;

use broker_kafka::broker::Appended;
use futures_executor::block_on;
use futures_util::future::{Either, select};
use log_testkit::{SimDisk, SimDiskOptions};
use log_types::{ProducerEpoch, ProducerId};

use super::in_memory::InMemory;
use super::*;

/// Runs `body` with a shard whose disk goes on when the flusher is polled, and only then: threads may be done at once.
fn with_slow_disk(body: impl AsyncFnOnce(Rc<Shard>)) {
    let runtime = InMemory::new(&SimDisk::new(SimDiskOptions::default()));
    let options = ShardOptions {
        journal: JournalOptions {
            segment_bytes: 1 << 20,
            frame_bytes_max: 256 << 10,
            ..JournalOptions::new(ClusterId([7; 16]), ShardId(0))
        },
        epoch: LeaderEpoch(1),
        groups: GroupConfig::default(),
        full_shards: Arc::default(),
    };
    block_on(async {
        let shard = Shard::open(&runtime, Path::new("data"), options).await.expect("opens");
        shard.add_stream(STREAM);
        body(shard).await;
    });
}

/// A batch of three records of an idempotent producer, answered when it is on stable storage.
fn synced(sequence: i32) -> AppendItem {
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
    for value in [b"a", b"b", b"c"] {
        builder.push(1_000, None, Some(value), &[]).expect("fits");
    }
    let config = Arc::new(TopicConfig::resolve(&BTreeMap::new(), &BrokerConfigs::default()));
    AppendItem { stream: STREAM, batch: builder.build().expect("fits"), opened: None, config }
}

type Appending = LocalFuture<'static, Appended>;

fn append(shard: &Rc<Shard>, sequence: i32) -> Appending {
    let appending = Rc::clone(shard).append_all(vec![synced(sequence)]);
    Box::pin(async move {
        let answers = appending.await.expect("no failure");
        answers.into_iter().next().expect("one answer").expect("accepted")
    })
}

/// High watermark and bytes of a fetch from `offset`; what is in memory is read at once.
fn fetch(shard: &Rc<Shard>, offset: i64) -> (i64, usize) {
    let request = request(offset);
    let reading = Rc::clone(shard).read_all(vec![request], 1 << 20, true).now_or_never();
    let reply = reading.expect("from memory").0.remove(0).expect("in range");
    (reply.visible.0, reply.bytes())
}

fn find(shard: &Rc<Shard>, query: OffsetQuery) -> i64 {
    let finding = Rc::clone(shard).find_offset(STREAM, query, LeaderEpoch(-1)).now_or_never();
    finding.expect("from memory").expect("found").offset.0
}

fn poll(future: &mut Pin<Box<impl Future + ?Sized>>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// docs/kafka-semantics.md, rule 11: neither fetch nor ListOffsets shows what is not durable, wherever it is on its way; who asks from there is
/// not out of range.
#[test]
fn semantics_11_nothing_is_read_before_it_is_durable() {
    with_slow_disk(async |shard| {
        let mut flushing = shard.journal.run(Rc::clone(&shard) as Rc<_>);
        let mut appending = append(&shard, 0);
        for stage in ["in memory", "being written"] {
            assert!(!poll(&mut appending), "{stage}: not acknowledged");
            for offset in 0..=3 {
                assert_eq!(fetch(&shard, offset), (0, 0), "{stage}: from {offset}");
            }
            assert_eq!(find(&shard, OffsetQuery::Latest), 0, "{stage}");
            assert_eq!(find(&shard, OffsetQuery::Timestamp(0)), -1, "{stage}");
            assert_eq!(find(&shard, OffsetQuery::MaxTimestamp), -1, "{stage}");
            // The device answers in a later turn only.
            assert!(!poll(&mut flushing), "{stage}");
        }
        let Either::Right((appended, flushing)) = select(flushing, appending).await else {
            panic!("the journal is open");
        };
        assert_eq!(appended.base_offset, Offset(0));
        let one = synced(0).batch.len();
        assert_eq!(fetch(&shard, 1), (3, one));
        assert_eq!(find(&shard, OffsetQuery::Latest), 3);
        assert_eq!(find(&shard, OffsetQuery::Timestamp(0)), 0);
        let mut appending = append(&shard, 3);
        assert!(!poll(&mut appending));
        assert_eq!(fetch(&shard, 1), (3, one), "the log has more");
        assert_eq!(fetch(&shard, 3), (3, 0), "the log has more");
        let Either::Right(_) = select(flushing, appending).await else {
            panic!("the journal is open");
        };
        assert_eq!(fetch(&shard, 1), (6, 2 * one));
    });
}

/// docs/kafka-semantics.md, rule 2: a retry that overtakes the sync of its first copy is told the same, and no sooner.
#[test]
fn semantics_2_a_duplicate_of_what_is_being_synced_waits_with_it() {
    with_slow_disk(async |shard| {
        let mut flushing = shard.journal.run(Rc::clone(&shard) as Rc<_>);
        let mut first = append(&shard, 0);
        assert!(!poll(&mut first));
        let mut early = append(&shard, 0);
        assert!(!poll(&mut early), "the first copy is in memory");
        assert!(!poll(&mut flushing), "the journal is open");
        let mut late = append(&shard, 0);
        assert!(!poll(&mut late), "the first copy is being written");
        for copy in [first, early, late] {
            let Either::Right((appended, rest)) = select(flushing, copy).await else {
                panic!("the journal is open");
            };
            assert_eq!(appended.base_offset, Offset(0));
            assert_eq!(find(&shard, OffsetQuery::Latest), 3, "durable, and stored once");
            flushing = rest;
        }
    });
}
