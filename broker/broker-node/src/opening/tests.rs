//! Small batches are opened beside large ones, and what is held is counted.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use broker_core::catalog::PartitionPlace;
use broker_core::config::{BrokerConfigs, TopicConfig};
use broker_kafka::broker::AppendRequest;
use log_codec::{Compression, compress};
use log_record::{BatchBuilder, BatchHeader};
use log_types::{ShardId, StreamId};

use super::{LARGE_WAITING_MAX, LARGE_WAITING_SHARE, Opening, SMALL_BYTES_MAX};

/// A batch with one record of zeros, for a topic that is stored with lz4.
fn request(value_bytes: usize) -> AppendRequest {
    packed_request(Compression::None, value_bytes)
}

fn packed_request(codec: Compression, value_bytes: usize) -> AppendRequest {
    let mut builder = BatchBuilder::new();
    builder.push(0, None, Some(&vec![0; value_bytes]), &[]).expect("fits");
    let batch = match codec {
        Compression::None => builder.build(),
        _ => {
            let packed = compress(codec, builder.records()).expect("to memory");
            builder.build_compressed(codec.id(), &packed)
        }
    };
    let batch = batch.expect("fits");
    let overrides = BTreeMap::from([
        ("compression.type".to_owned(), "lz4".to_owned()),
        ("max.message.bytes".to_owned(), "100000000".to_owned()),
    ]);
    let config = Arc::new(TopicConfig::resolve(&overrides, &BrokerConfigs::default()));
    let place = PartitionPlace { shard: ShardId(0), stream: StreamId(1) };
    AppendRequest { place, batch, opened: None, config }
}

/// Polls until it is done; `None` after so many polls.
fn polled<T>(future: &mut (impl Future<Output = T> + Unpin), polls_max: usize) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    (0..polls_max).find_map(|_| match std::pin::Pin::new(&mut *future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// The story: one budget served both lines, so the batch that was being decompressed took it alone, or those who waited behind
/// it did together, and small batches waited for memory.
#[test]
fn small_batches_do_not_wait_for_large_ones() {
    let opening = Opening::new(2 * SMALL_BYTES_MAX);
    let mut first = pin!(opening.open(packed_request(Compression::Snappy, 4 << 20), 0, None));
    assert!(polled(&mut first, 50).is_none(), "it has its turn and goes on");
    assert!(opening.used() > 2 * SMALL_BYTES_MAX, "more than the budget: {}", opening.used());
    // One that is sent large, and ones that turn out to be.
    let large = [(Compression::None, 300 << 10), (Compression::Snappy, 4 << 20)];
    let large = [large; 4].concat();
    let mut others: Vec<_> = large
        .into_iter()
        .map(|(codec, bytes)| Box::pin(opening.open(packed_request(codec, bytes), 0, None)))
        .collect();
    for other in &mut others {
        assert!(polled(other, 100).is_none(), "the next large ones wait for it");
    }
    let (small, held) =
        polled(&mut pin!(opening.open(request(1000), 0, None)), 1).expect("at once");
    let small = small.expect("a right batch");
    let header = BatchHeader::parse(&small.batch).expect("a batch");
    assert_eq!((header.attributes.compression(), small.opened.is_some()), (3, true));
    drop(held);
    assert!(polled(&mut first, 10_000).is_some_and(|(opened, _)| opened.is_ok()));
    for mut other in others {
        assert!(polled(&mut other, 10_000).is_some_and(|(opened, _)| opened.is_ok()));
    }
    assert_eq!(opening.used(), 0);
}

/// The story: as many waited for the large turn as came, each with the memory that its request was read into, until there was
/// none for anybody's.
#[test]
fn a_few_wait_for_the_large_turn_and_the_rest_are_to_come_again() {
    let opening = Opening::new(64 << 20);
    let large = || Box::pin(opening.open(packed_request(Compression::Snappy, 1 << 20), 0, None));
    let mut first = large();
    assert!(polled(&mut first, 20).is_none(), "it has its turn");
    let mut waiting: Vec<_> = (0..LARGE_WAITING_MAX).map(|_| large()).collect();
    for one in &mut waiting {
        assert!(polled(one, 50).is_none());
    }
    let refused = |held| {
        let refused = polled(&mut Box::pin(opening.open(request(300 << 10), 0, held)), 50);
        let (refused, held) = refused.expect("answered");
        assert_eq!(refused.map(|_| ()).map_err(|error| error.code()), Err(19));
        held
    };
    let used = opening.used();
    drop(refused(None));
    assert_eq!(opening.used(), used, "it leaves nothing behind");
    // What the same request opened before stays.
    let (small, held) =
        polled(&mut pin!(opening.open(request(1000), 0, None)), 1).expect("at once");
    let bytes = small.expect("a right batch").batch.len();
    let held = refused(Some((held, bytes)));
    assert_eq!(opening.used(), used + bytes);
    drop(held);
    // Who goes away makes room.
    drop(waiting.pop());
    let mut next = large();
    assert!(polled(&mut next, 50).is_none());
    waiting.push(next);
    for mut one in std::iter::once(first).chain(waiting) {
        assert!(polled(&mut one, 10_000).is_some_and(|(opened, _)| opened.is_ok()));
    }
    assert_eq!(opening.used(), 0);
    assert!(polled(&mut large(), 10_000).is_some_and(|(opened, _)| opened.is_ok()));
}

/// The story: eight requests of 100 MiB could wait, with more memory than there is for all requests of the core.
#[test]
fn those_who_wait_for_the_large_turn_take_a_share_of_the_memory_for_requests() {
    let opening = Opening::new(64 << 20);
    let share = (64 << 20) / LARGE_WAITING_SHARE;
    let large = |request_bytes| {
        Box::pin(opening.open(packed_request(Compression::Snappy, 1 << 20), request_bytes, None))
    };
    let busy = |request_bytes| {
        let answer = polled(&mut large(request_bytes), 50);
        answer.is_some_and(|(refused, _)| refused.is_err_and(|error| error.code() == 19))
    };
    let (mut first, mut huge) = (large(share), large(100 << 20));
    assert!(polled(&mut first, 20).is_none(), "it has its turn and does not wait");
    assert!(polled(&mut huge, 50).is_none(), "one may wait, whatever it takes");
    assert!(busy(0) && busy(usize::MAX));
    drop(huge);
    let (mut half, mut rest) = (large(share / 2), large(share / 2));
    assert!(polled(&mut half, 50).is_none() && polled(&mut rest, 50).is_none());
    assert!(busy(1));
    drop(half);
    assert!(busy(share / 2 + 1));
    let mut half = large(share / 2);
    assert!(polled(&mut half, 50).is_none(), "who went away made room");
    for mut one in [first, rest, half] {
        assert!(polled(&mut one, 10_000).is_some_and(|(opened, _)| opened.is_ok()));
    }
    assert_eq!((opening.used(), opening.0.large_waiting.get()), (0, (0, 0)));
}

/// A client that goes away takes with it what was counted for it.
#[test]
fn a_large_batch_that_is_given_up_leaves_nothing_behind() {
    let opening = Opening::new(64 << 20);
    let mut large = Box::pin(opening.open(packed_request(Compression::Snappy, 4 << 20), 0, None));
    assert!(polled(&mut large, 50).is_none());
    assert!(opening.used() > 0);
    drop(large);
    assert_eq!(opening.used(), 0);
}

#[test]
fn what_is_held_is_counted_until_it_is_appended() {
    let opening = Opening::new(2 * SMALL_BYTES_MAX);
    let open = |held| polled(&mut pin!(opening.open(request(1000), 0, held)), 1000);
    let (first, held) = open(None).expect("there is room");
    let bytes = first.expect("a right batch").batch.len();
    assert_eq!(opening.used(), bytes);
    let (second, held) = open(Some((held, bytes))).expect("the same request waits for nothing");
    assert_eq!(opening.used(), 2 * bytes, "{second:?}");
    let others: Vec<_> = (0..1).map(|_| opening.0.memory.take_up_to(usize::MAX, 0)).collect();
    let rest = opening.0.memory.take_up_to(usize::MAX, 2 * SMALL_BYTES_MAX);
    assert!(open(None).is_none(), "another one waits until there is room");
    drop((others, rest));
    drop(held);
    assert_eq!(opening.used(), 0);
}
