//! What is acknowledged is there after a restart, on either reactor, with any number of cores; what retention took is not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker_node::{Node, NodeSettings};
use broker_rt::{Reactor, choose};
use log_record::{BatchBuilder, Batches};

use crate::client::{Client, batch, settings, start};

fn offsets(client: &mut Client) -> Vec<i64> {
    let (error_code, bytes) = client.fetch("t", 0);
    assert_eq!(error_code, 0);
    let batches =
        Batches::strict(&bytes).map(|batch| batch.expect("whole batches").0.base_offset.0);
    batches.collect()
}

#[test]
fn acknowledged_records_survive_restarts_and_each_start_is_a_leader_epoch() {
    let dir = tempfile::tempdir().expect("a directory");
    for epoch in 1..=4 {
        let mut settings = settings(&dir);
        // Shards are fixed at the first start; later starts spread them over other numbers of cores.
        settings.cores = if epoch == 2 { 1 } else { 2 };
        let node = start(settings);
        let mut client = Client::connect(node.kafka_addr());
        assert_eq!(client.leader_epoch("t"), epoch);
        let expected: Vec<i64> = (0..i64::from(epoch - 1)).collect();
        assert_eq!(offsets(&mut client), expected);
        assert_eq!(client.produce("t", batch(b"v")), (0, i64::from(epoch - 1)));
        node.shutdown().expect("a clean stop");
    }
}

#[test]
fn a_data_directory_moves_between_the_reactors() {
    if let Err(error) = choose(Reactor::IoUring) {
        return config_testkit::skipped("io_uring", &error.to_string());
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (round, reactor) in
        [Reactor::IoUring, Reactor::Epoll, Reactor::IoUring].into_iter().enumerate()
    {
        let mut settings = settings(&dir);
        settings.reactor = reactor;
        let node: Node = start(settings);
        let mut client = Client::connect(node.kafka_addr());
        client.leader_epoch("t");
        assert_eq!(offsets(&mut client).len(), round);
        let (error_code, _) = client.produce("t", batch(b"v"));
        assert_eq!(error_code, 0);
        node.shutdown().expect("a clean stop");
    }
}

/// `log.segment_bytes` said 1 MiB is allowed, and a node with it, or with 8 MiB, did not start.
#[test]
fn the_smallest_segment_takes_the_largest_batch_that_fits_into_half_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || start(NodeSettings { segment_bytes: 1 << 20, ..settings(&dir) });
    let half = 512 << 10;
    let node = start();
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for offset in 0..5 {
        assert_eq!(client.produce("t", batch(&vec![7; half - 200])), (0, offset));
    }
    let message_too_large = 10;
    assert_eq!(client.produce("t", batch(&vec![7; half])).0, message_too_large);
    node.shutdown().expect("a clean stop");
    let node = start();
    let mut client = Client::connect(node.kafka_addr());
    let mut found = Vec::new();
    while found.len() < 5 {
        let next = i64::try_from(found.len()).expect("a small number");
        let (error_code, bytes) = client.fetch("t", next);
        assert_eq!(error_code, 0);
        let batches = Batches::strict(&bytes);
        found.extend(batches.map(|batch| batch.expect("whole batches").0.base_offset.0));
    }
    assert_eq!(found, [0, 1, 2, 3, 4]);
    node.shutdown().expect("a clean stop");
}

/// Nothing of the segment being written was ever deleted: an idle topic kept its last 64 MiB, and a quiet node everything.
#[test]
fn an_idle_topic_loses_what_is_too_old_for_good_and_goes_on_where_it_ended() {
    let offset_out_of_range = 1;
    let dir = tempfile::tempdir().expect("a directory");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let mut fresh = BatchBuilder::new();
    fresh.push(i64::try_from(now).expect("a time"), None, Some(b"v"), &[]).expect("fits");
    let fresh = fresh.build().expect("a small batch");

    let expiring = || {
        let mut settings = settings(&dir);
        settings.broker.remove("log.retention.ms");
        settings
    };
    let often = NodeSettings { retention_check: Duration::ZERO, ..expiring() };
    let node = start(often);
    let mut client = Client::connect(node.kafka_addr());
    for topic in ["old", "mixed"] {
        client.leader_epoch(topic);
        assert_eq!(client.produce(topic, batch(b"of 1970")), (0, 0));
    }
    assert_eq!(client.produce("mixed", fresh.clone()), (0, 1));
    for topic in ["old", "mixed"] {
        while client.fetch(topic, 0).0 != offset_out_of_range {}
    }
    assert_eq!(client.fetch("old", 1), (0, Vec::new()));
    node.shutdown().expect("a clean stop");

    let never = NodeSettings { retention_check: Duration::MAX, ..expiring() };
    let node = start(never);
    let mut client = Client::connect(node.kafka_addr());
    for topic in ["old", "mixed"] {
        assert_eq!(client.fetch(topic, 0).0, offset_out_of_range, "{topic}");
    }
    assert_eq!(client.produce("old", fresh), (0, 1));
    for topic in ["old", "mixed"] {
        let (error_code, bytes) = client.fetch(topic, 1);
        let bases = Batches::strict(&bytes).map(|batch| batch.expect("whole").0.base_offset.0);
        assert_eq!((error_code, bases.collect::<Vec<_>>()), (0, vec![1]), "{topic}");
    }
    node.shutdown().expect("a clean stop");
}
