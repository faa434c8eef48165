//! A shard on a core of its own: requests over very many partitions let others run and keep their order; the largest
//! timestamp.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use broker_core::catalog::PartitionPlace;
use broker_core::config::{BrokerConfigs, TopicConfig};
use broker_core::group::GroupConfig;
use broker_kafka::broker::{OffsetQuery, PartitionError, ReadRequest};
use broker_rt::{Backend, Options, Runtime, run_cores};
use futures_util::FutureExt;
use log_io::LocalFuture;
use log_journal::JournalOptions;
use log_record::BatchBuilder;
use log_types::{ClusterId, LeaderEpoch, Offset, ShardId, StreamId};

use super::{AppendItem, COLD_READS_MAX, Shard, ShardOptions};

pub(super) mod in_memory;
mod overtaken;
mod unsynced;

const STREAM: StreamId = StreamId(16);
const MISSING: StreamId = StreamId(17);
const MANY: usize = 10_000;

/// Runs `body` with a shard that has one stream, on a core of its own.
fn with_shard(body: fn(Rc<Shard>)) {
    run_with_shard(move |shard| {
        body(shard);
        Box::pin(async {})
    });
}

/// The same for what waits for the disk.
fn run_with_shard(body: impl Fn(Rc<Shard>) -> LocalFuture<'static, ()> + Send + Sync + 'static) {
    run_with_tail(64 << 20, body);
}

/// The same with a tail of `tail_bytes_max` in memory.
fn run_with_tail(
    tail_bytes_max: usize,
    body: impl Fn(Rc<Shard>) -> LocalFuture<'static, ()> + Send + Sync + 'static,
) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let body = Arc::new(body);
    let running = run_cores(
        &Options::new(Backend::Epoll, 1),
        Arc::new(move |_, runtime: Rc<dyn Runtime>| {
            let (path, body) = (path.clone(), Arc::clone(&body));
            Box::pin(async move {
                let options = ShardOptions {
                    journal: JournalOptions {
                        segment_bytes: 16 << 20,
                        tail_bytes_max,
                        ..JournalOptions::new(ClusterId([7; 16]), ShardId(0))
                    },
                    epoch: LeaderEpoch(1),
                    groups: GroupConfig::default(),
                    full_shards: Arc::default(),
                };
                let shard = Shard::open(&*runtime, &path, options).await.expect("opens");
                shard.add_stream(STREAM);
                body(shard).await;
            })
        }),
    );
    running.expect("the core starts").join().expect("the core ends well");
}

/// A batch that is answered from memory.
pub(super) fn item(stream: StreamId) -> AppendItem {
    let mut builder = BatchBuilder::new();
    builder.push(1_000, None, Some(b"v"), &[]).expect("fits");
    let configs = BTreeMap::from([("luma.durability".to_owned(), "async".to_owned())]);
    let config = Arc::new(TopicConfig::resolve(&configs, &BrokerConfigs::default()));
    AppendItem { stream, batch: builder.build().expect("fits"), opened: None, config }
}

/// A fetch of the one stream.
fn request(offset: i64) -> ReadRequest {
    ReadRequest {
        place: PartitionPlace { stream: STREAM, shard: ShardId(0) },
        offset: Offset(offset),
        bytes_max: 1 << 20,
        current_epoch: LeaderEpoch(-1),
        last_fetched_epoch: LeaderEpoch(-1),
    }
}

#[test]
fn appends_to_many_partitions_yield_and_keep_their_order() {
    with_shard(|shard| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut items = vec![item(STREAM)];
        items.extend((0..MANY).map(|_| item(MISSING)));
        items.push(item(STREAM));
        let mut long = pin!(Rc::clone(&shard).append_all(items));
        let mut short = pin!(Rc::clone(&shard).append_all(vec![item(STREAM)]));
        assert!(long.as_mut().poll(&mut cx).is_pending(), "others get a turn");
        assert!(short.as_mut().poll(&mut cx).is_pending(), "but not to append before it");
        let mut turns = 0;
        let results = loop {
            turns += 1;
            assert!(turns < MANY, "the request ends");
            if let std::task::Poll::Ready(results) = long.as_mut().poll(&mut cx) {
                break results.expect("no failure");
            }
        };
        assert!(turns > 10, "{turns}");
        let offset = |index: usize| results[index].as_ref().map(|appended| appended.base_offset);
        assert_eq!((offset(0), offset(MANY + 1)), (Ok(Offset(0)), Ok(Offset(1))));
        let std::task::Poll::Ready(results) = short.as_mut().poll(&mut cx) else {
            panic!("its turn came");
        };
        let results = results.expect("no failure");
        assert_eq!(results[0].as_ref().map(|one| one.base_offset), Ok(Offset(2)));
    });
}

/// KIP-734: the record with the largest timestamp among those that are left. Deleting it used to leave none, and then
/// whatever came next.
#[test]
fn semantics_9_the_largest_timestamp_is_found_again_when_its_record_is_deleted() {
    with_shard(|shard| {
        let timestamps = [500, 9_000, 700, 800, 800, 600];
        for timestamp in timestamps {
            let mut one = item(STREAM);
            let mut builder = BatchBuilder::new();
            builder.push(timestamp, None, Some(b"v"), &[]).expect("fits");
            one.batch = builder.build().expect("fits");
            let appended = Rc::clone(&shard).append_all(vec![one]).now_or_never();
            assert!(appended.expect("from memory").expect("no failure")[0].is_ok());
        }
        let max = || {
            let query = OffsetQuery::MaxTimestamp;
            let finding = Rc::clone(&shard).find_offset(STREAM, query, LeaderEpoch(-1));
            let found = finding.now_or_never().expect("from memory").expect("found");
            (found.offset, found.timestamp_ms)
        };
        assert_eq!(max(), (Offset(1), 9_000));
        for (log_start, expected) in [(2, (3, 800)), (4, (4, 800)), (5, (5, 600)), (6, (-1, -1))] {
            shard.log_start_entry(STREAM, Offset(log_start)).expect("logged");
            shard.journal.set_log_start(STREAM, Offset(log_start));
            assert_eq!(max(), (Offset(expected.0), expected.1), "from {log_start}");
        }
    });
}

#[test]
fn reads_of_many_partitions_yield() {
    with_shard(|shard| {
        let request = request(0);
        let mut cx = Context::from_waker(Waker::noop());
        let mut reading = pin!(shard.read_all(vec![request; MANY], 1 << 20, true));
        let turns = (1..MANY).find(|_| reading.as_mut().poll(&mut cx).is_ready());
        assert!(turns.expect("it ends") > 10);
    });
}

/// They went by the limit on reads from files: some thousands at a time held up whoever appends.
#[test]
fn looking_for_a_timestamp_waits_for_its_turn_to_read_files() {
    with_shard(|shard| {
        let appended = Rc::clone(&shard).append_all(vec![item(STREAM)]).now_or_never();
        assert!(appended.expect("from memory").expect("no failure")[0].is_ok());
        let take = |_| shard.cold_reads.take().now_or_never().expect("one is left");
        let mut turns: Vec<_> = (0..COLD_READS_MAX).map(take).collect();
        let query = OffsetQuery::Timestamp(0);
        let mut finding = Box::pin(Rc::clone(&shard).find_offset(STREAM, query, LeaderEpoch(-1)));
        assert!((&mut finding).now_or_never().is_none(), "others have all turns");
        turns.pop();
        let found = finding.now_or_never().expect("its turn").expect("found");
        assert_eq!((found.offset, found.timestamp_ms), (Offset(0), 1_000));
        assert!(shard.cold_reads.take().now_or_never().is_some(), "given back");
    });
}

/// The story: `/metrics?detail=partitions` of a hundred thousand partitions looked all of them up in one go.
#[test]
fn ranges_of_many_partitions_yield() {
    with_shard(|shard| {
        let mut streams = vec![MISSING; MANY];
        streams.push(STREAM);
        let appended = Rc::clone(&shard).append_all(vec![item(STREAM)]).now_or_never();
        assert!(appended.expect("from memory").expect("no failure")[0].is_ok());
        let mut cx = Context::from_waker(Waker::noop());
        let mut asking = pin!(shard.ranges(streams));
        let mut turns = 0;
        let ranges = loop {
            turns += 1;
            if let std::task::Poll::Ready(ranges) = asking.as_mut().poll(&mut cx) {
                break ranges;
            }
        };
        assert!((10..MANY).contains(&turns), "{turns}");
        assert_eq!((ranges.len(), ranges[0], ranges[MANY]), (MANY + 1, (0, 0), (0, 1)));
    });
}

#[test]
fn reads_from_memory_are_counted_apart_from_those_of_files() {
    run_with_shard(|shard| {
        Box::pin(async move {
            let read = |offset| {
                let request = request(offset);
                Rc::clone(&shard).read_all(vec![request], 1 << 20, true)
            };
            let appended = Rc::clone(&shard).append_all(vec![item(STREAM)]).await;
            assert!(appended.expect("no failure")[0].is_ok());
            let counted = || (shard.counters.tail_hits.get(), shard.counters.tail_misses.get());
            assert_eq!(read(1).await.1, 0, "there is nothing yet, in memory or elsewhere");
            assert_eq!(counted(), (0, 0));
            assert!(read(0).await.1 > 0);
            assert_eq!(counted(), (1, 0));
        })
    });
}
