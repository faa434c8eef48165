//! Reads from files, and what takes the records away meanwhile.

use futures_util::future::{Either, select};

use super::*;

/// A batch that is answered when it is on stable storage.
fn durable() -> AppendItem {
    let config = TopicConfig::resolve(&BTreeMap::new(), &BrokerConfigs::default());
    AppendItem { config: Arc::new(config), ..item(STREAM) }
}

async fn delete_under_a_read(shard: Rc<Shard>) {
    for _ in 0..3 {
        let appended = Rc::clone(&shard).append_all(vec![durable()]).await;
        assert!(appended.expect("no failure")[0].is_ok());
    }
    let request = request(0);
    let take = |_| shard.cold_reads.take().now_or_never().expect("one is left");
    let turns: Vec<_> = (0..COLD_READS_MAX).map(take).collect();
    let mut reading = Box::pin(Rc::clone(&shard).read_all(vec![request], 1 << 20, true));
    assert!((&mut reading).now_or_never().is_none(), "others have all turns");
    let deleted = Rc::clone(&shard).delete_records(STREAM, Some(Offset(2))).await;
    assert_eq!(deleted.expect("no failure"), Ok(Offset(2)));
    drop(turns);
    let (replies, bytes) = reading.await;
    assert!(matches!(replies[..], [Err(PartitionError::OutOfRange)]), "{replies:?}");
    assert_eq!(bytes, 0);
}

/// Found by the simulator (seed 500064): a read from files that a deletion overtook went on behind what was deleted, so its
/// consumer was never told that it had missed records.
#[test]
fn semantics_13_a_read_that_a_deletion_overtakes_is_out_of_range() {
    run_with_tail(4096, |shard| {
        Box::pin(async move {
            let flushing = shard.journal.run(Rc::clone(&shard) as Rc<_>);
            let deleting = pin!(delete_under_a_read(Rc::clone(&shard)));
            let Either::Right(((), _)) = select(flushing, deleting).await else {
                panic!("the log ended");
            };
        })
    });
}
