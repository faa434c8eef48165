//! Connections in virtual time: the silent are closed, the busy are not, and who does not read or does not finish what it
//! began costs itself only (docs/kafka-semantics.md, rule 35).

use std::rc::Rc;
use std::time::Duration;

use broker_kafka_wire::{
    ApiVersionsRequest, FetchPartition, FetchRequest, FetchTopic, MetadataRequest,
    MetadataRequestTopic,
};
use broker_rt::{Connection, Runtime, write_all};
use jepsen_sim::{SimNode, World};
use log_types::{Offset, PartitionId};

use crate::harness::{Body, answer, connect, run_client, send};

/// Runs a client against a node of one core until it ends.
fn with_node(body: Body) {
    let world = World::new(35);
    let node = SimNode::new(&world, 1, &[]);
    node.start();
    run_client(&world, &node, body);
    world.end();
}

async fn api_versions(connection: &Rc<dyn Connection>) -> bool {
    let frame = ApiVersionsRequest::default().encode(0, 1, None).expect("encodes");
    write_all(&**connection, &frame.to_bytes()).await.is_ok() && answer(connection).await.is_some()
}

async fn seconds(runtime: &Rc<dyn Runtime>, count: u64) {
    runtime.sleep(Duration::from_secs(count)).await;
}

/// Creates the topic `t`.
async fn topic(connection: &Rc<dyn Connection>) {
    let name = Some("t".to_owned());
    let topics = Some(vec![MetadataRequestTopic { name, ..MetadataRequestTopic::default() }]);
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    send(connection, request.encode(9, 1, None).expect("encodes")).await;
    answer(connection).await.expect("an answer");
}

/// A fetch at the end of `t`, which waits.
fn long_fetch(max_wait_ms: i32) -> broker_kafka_wire::Frame {
    let partition = FetchPartition {
        partition: PartitionId(0),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: "t".to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        topics: vec![topic],
        min_bytes: 1,
        max_bytes: 1 << 20,
        max_wait_ms,
        ..FetchRequest::default()
    };
    request.encode(11, 3, None).expect("encodes")
}

/// `connections.max.idle.ms` is ten minutes.
#[test]
fn semantics_35_a_silent_connection_is_closed_and_one_that_speaks_is_not() {
    with_node(|runtime| {
        Box::pin(async move {
            let (silent, speaking) = (connect(&runtime).await, connect(&runtime).await);
            assert!(api_versions(&silent).await && api_versions(&speaking).await);
            for _ in 0..2 {
                seconds(&runtime, 590).await;
                assert!(api_versions(&speaking).await, "it was not silent for ten minutes");
            }
            assert!(!api_versions(&silent).await, "nearly twenty minutes");
        })
    });
}

#[test]
fn semantics_35_waiting_for_an_answer_is_not_silence() {
    with_node(|runtime| {
        Box::pin(async move {
            let connection = connect(&runtime).await;
            topic(&connection).await;
            // Five minutes are the longest that one fetch waits: three of them one after the other.
            for _ in 0..3 {
                send(&connection, long_fetch(i32::MAX)).await;
            }
            for _ in 0..3 {
                assert!(answer(&connection).await.is_some(), "answered after its wait");
            }
            assert!(api_versions(&connection).await);
        })
    });
}

/// A body of 1 MiB has 30 seconds and what 64 KiB a second take.
#[test]
fn semantics_35_a_request_that_is_not_finished_closes_and_delays_nobody() {
    with_node(|runtime| {
        Box::pin(async move {
            let (half, other) = (connect(&runtime).await, connect(&runtime).await);
            let size = 1_i32 << 20;
            write_all(&*half, &size.to_be_bytes()).await.expect("the node reads");
            write_all(&*half, &[0; 1000]).await.expect("the node reads");
            for _ in 0..4 {
                seconds(&runtime, 10).await;
                assert!(api_versions(&other).await);
            }
            seconds(&runtime, 10).await;
            assert!(answer(&half).await.is_none(), "closed after 46 seconds");
            assert!(api_versions(&other).await);
        })
    });
}

/// A core has memory for 256 MiB of requests: three clients that announced 100 MiB each and sent nothing kept everybody's
/// larger requests waiting for ten minutes, and for 27 with a byte now and then.
#[test]
fn who_announces_a_request_and_does_not_send_it_holds_up_others_for_seconds() {
    with_node(|runtime| {
        Box::pin(async move {
            let mut silent = Vec::new();
            for _ in 0..3 {
                let connection = connect(&runtime).await;
                let size = 100_i32 << 20;
                write_all(&*connection, &size.to_be_bytes()).await.expect("the node reads");
                silent.push(connection);
            }
            seconds(&runtime, 60).await;
            let other = connect(&runtime).await;
            let before = runtime.clock().mono_ns();
            let refused = [&100_000_i32.to_be_bytes()[..], &[0xff; 100_000]].concat();
            write_all(&*other, &refused).await.expect("the node reads");
            // Which it does when it was read.
            assert!(answer(&other).await.is_none(), "it is no request, so the node closes");
            let waited_s = (runtime.clock().mono_ns() - before) / 1_000_000_000;
            assert!(waited_s < 10, "{waited_s} s");
        })
    });
}

/// A request with very many elements that stood behind a fetch held the memory of what its elements become for as long as the
/// fetch waited, five minutes: nine such connections kept everybody's requests of some size waiting.
#[test]
fn who_lets_a_large_request_wait_behind_a_fetch_holds_up_others_for_seconds() {
    with_node(|runtime| {
        Box::pin(async move {
            let mut holding = Vec::new();
            for _ in 0..12 {
                let connection = connect(&runtime).await;
                topic(&connection).await;
                send(&connection, long_fetch(i32::MAX)).await;
                send(&connection, many_names(100_000)).await;
                holding.push(connection);
            }
            seconds(&runtime, 2).await;
            let other = connect(&runtime).await;
            let before = runtime.clock().mono_ns();
            send(&other, many_names(50_000)).await;
            assert!(answer(&other).await.is_some());
            let waited_s = (runtime.clock().mono_ns() - before) / 1_000_000_000;
            assert!(waited_s < 15, "{waited_s} s");
        })
    });
}

/// Asks for so many topics without a name.
fn many_names(count: usize) -> broker_kafka_wire::Frame {
    let name = Some(String::new());
    let topic = MetadataRequestTopic { name, ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic; count]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    request.encode(9, 4, None).expect("encodes")
}
