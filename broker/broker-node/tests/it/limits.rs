//! Limits of a node (docs/bad-inputs.md): at the limit, one above, and at 2^31 − 1; nobody else is disturbed.

use broker_kafka_wire::{ELEMENTS_MAX, FetchPartition, FetchRequest, FetchTopic, MetadataRequest};
use broker_node::{Node, NodeStats};
use log_types::PartitionId;

use crate::client::{
    API_VERSIONS_BYTES_MIN, Client, api_versions, batch, correlation_id, produce_request, served,
    settings, start,
};

#[test]
fn a_request_at_the_size_limit_is_served_and_one_above_closes() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.request_bytes_max = 1000;
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.send(&api_versions(1, 1000));
    assert_eq!(correlation_id(&client.receive().expect("served")), 1);
    client.send(&api_versions(2, 1001));
    assert!(client.receive().is_none(), "one byte too many closes the connection");
    assert!(served(&node));
    node.shutdown().expect("a clean stop");
}

#[test]
fn impossible_sizes_close_the_connection_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    for size in [-1, i32::MIN, i32::MAX, 3, 0] {
        let mut client = Client::connect(node.kafka_addr());
        client.send(&size.to_be_bytes());
        client.send(&[0; 16]);
        assert!(client.receive().is_none(), "size {size}");
        assert!(served(&node), "after size {size}");
    }
    node.shutdown().expect("a clean stop");
}

#[test]
fn bytes_that_are_not_kafka_close_the_connection_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let metadata_bomb =
        b"\x00\x00\x00\x0f\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\x03\x3c\x0c\x00\xb6";
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &metadata_bomb[..]] {
        let mut client = Client::connect(node.kafka_addr());
        client.send(bytes);
        assert!(client.receive().is_none(), "{bytes:?}");
    }
    assert!(served(&node));
    node.shutdown().expect("a clean stop");
}

#[test]
fn one_connection_above_the_limit_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.connections_max = 3;
    let node = start(settings);
    let mut clients: Vec<Client> = Vec::new();
    for index in 0..3 {
        let mut client = Client::connect(node.kafka_addr());
        client.send(&api_versions(index, API_VERSIONS_BYTES_MIN));
        assert!(client.receive().is_some(), "connection {index}");
        clients.push(client);
    }
    let mut fourth = Client::connect(node.kafka_addr());
    fourth.send(&api_versions(9, API_VERSIONS_BYTES_MIN));
    assert!(fourth.receive().is_none(), "the limit is three");
    for client in &mut clients {
        client.send(&api_versions(4, API_VERSIONS_BYTES_MIN));
        assert!(client.receive().is_some(), "the others go on");
    }
    node.shutdown().expect("a clean stop");
}

#[test]
fn semantics_7_pipelined_requests_are_answered_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.cores = 2;
    settings.broker.insert("num.partitions".to_owned(), "2".to_owned());
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let mut bytes = Vec::new();
    for id in 0..200 {
        match id % 2 {
            0 => bytes.extend(api_versions(id, API_VERSIONS_BYTES_MIN)),
            _ => {
                let request = produce_request("t", batch(b"v"), -1);
                bytes.extend(request.encode(9, id, None).expect("encodes").to_bytes());
            }
        }
    }
    client.send(&bytes);
    for id in 0..200 {
        assert_eq!(correlation_id(&client.receive().expect("answered")), id);
    }
    node.shutdown().expect("a clean stop");
}

#[test]
fn semantics_6_acks_0_is_not_answered_and_its_error_closes() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    client.send(
        &produce_request("t", batch(b"v"), 0).encode(9, 5, None).expect("encodes").to_bytes(),
    );
    client.send(&api_versions(6, API_VERSIONS_BYTES_MIN));
    assert_eq!(correlation_id(&client.receive().expect("answered")), 6, "nothing came for acks 0");
    client.send(
        &produce_request("no-such", batch(b"v"), 0).encode(9, 7, None).expect("encodes").to_bytes(),
    );
    assert!(client.receive().is_none(), "an error that cannot be answered closes");
    node.shutdown().expect("a clean stop");
}

/// A Metadata 1 request that claims `count` names and has `present` empty ones.
fn metadata(count: i32, present: usize) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 1, 0, 0, 0, 9, 0xff, 0xff];
    body.extend_from_slice(&count.to_be_bytes());
    body.resize(body.len() + 2 * present, 0);
    let size = i32::try_from(body.len()).expect("a small frame");
    [&size.to_be_bytes()[..], &body].concat()
}

#[test]
fn as_many_elements_as_allowed_are_served_and_one_more_closes() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let most = i32::try_from(ELEMENTS_MAX).expect("a small count");
    let mut client = Client::connect(node.kafka_addr());
    client.send(&metadata(most, ELEMENTS_MAX));
    assert_eq!(correlation_id(&client.receive().expect("served")), 9);
    client.send(&metadata(most + 1, ELEMENTS_MAX + 1));
    assert!(client.receive().is_none(), "one element too many closes the connection");
    let mut client = Client::connect(node.kafka_addr());
    client.send(&metadata(i32::MAX, 10_000));
    assert!(client.receive().is_none(), "elements that are not there");
    assert!(served(&node));
    node.shutdown().expect("a clean stop");
}

#[test]
fn dense_requests_wait_for_memory_and_nobody_else_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    // Less than one of these requests takes: they are served one after the other.
    settings.request_memory_bytes_max = 1 << 20;
    let node = start(settings);
    let most = i32::try_from(ELEMENTS_MAX).expect("a small count");
    let mut hostile: Vec<Client> = (0..8).map(|_| Client::connect(node.kafka_addr())).collect();
    for client in &mut hostile {
        client.send(&metadata(most, ELEMENTS_MAX));
    }
    let mut client = Client::connect(node.kafka_addr());
    for id in 0..100 {
        client.send(&api_versions(id, API_VERSIONS_BYTES_MIN));
        assert_eq!(correlation_id(&client.receive().expect("served")), id);
    }
    for client in &mut hostile {
        assert_eq!(correlation_id(&client.receive().expect("served in its turn")), 9);
    }
    node.shutdown().expect("a clean stop");
}

fn stats(node: &Node) -> NodeStats {
    futures_executor::block_on(node.handle().stats()).expect("the node runs")
}

/// A fetch of `bytes_max` of `topic` from its beginning.
fn fetch(topic: &str, bytes_max: i32, correlation_id: i32) -> Vec<u8> {
    let partition = FetchPartition {
        partition: PartitionId(0),
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    let request =
        FetchRequest { topics: vec![topic], max_bytes: bytes_max, ..FetchRequest::default() };
    request.encode(11, correlation_id, None).expect("encodes").to_bytes().to_vec()
}

/// docs/bad-inputs.md and docs/kafka-semantics.md, rule 35: a client that asks for more and more and takes nothing holds one answer, and
/// all of them together leave room for others.
#[test]
fn clients_that_do_not_read_what_they_fetch_hold_little_memory() {
    const BUDGET: usize = 4 << 20;
    const BATCH: usize = 512 << 10;
    const HOSTILE: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.request_memory_bytes_max = BUDGET;
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for _ in 0..32 {
        assert_eq!(client.produce("t", batch(&[7; BATCH])).0, 0);
    }
    let mut hostile: Vec<Client> =
        (0..HOSTILE).map(|_| Client::connect(node.kafka_addr())).collect();
    for id in 0..20 {
        for client in &mut hostile {
            client.send(&fetch("t", 16 << 20, id));
        }
        client.send(&fetch("t", 16 << 20, id));
        let answer = client.receive().expect("served beside them");
        assert_eq!(correlation_id(&answer), id);
        assert!(answer.len() > BATCH, "at least one batch, {} bytes", answer.len());
        let held = usize::try_from(stats(&node).answer_memory_bytes).expect("a small figure");
        assert!(held <= BUDGET + (HOSTILE + 1) * 2 * BATCH, "{held} bytes are held");
    }
    for client in &mut hostile {
        for id in 0..20 {
            let answer = client.receive().expect("served when it reads");
            assert_eq!(correlation_id(&answer), id);
            assert!(answer.len() > BATCH, "{} bytes", answer.len());
        }
    }
    node.shutdown().expect("a clean stop");
}

/// docs/bad-inputs.md: the same for answers that are no records. A client that asks what there is, again and again, and
/// takes nothing holds one answer, all of them together a budget and one; small answers are not held up.
#[test]
fn clients_that_do_not_read_what_they_list_hold_little_memory() {
    const BUDGET: usize = 1 << 20;
    const HOSTILE: usize = 8;
    // What the answer takes while it is built: more than a kernel takes off our hands, many times more than the budget.
    const ANSWER: usize = PARTITIONS * 256;
    const PARTITIONS: usize = 40_000;
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.request_memory_bytes_max = BUDGET;
    settings.broker.insert("num.partitions".to_owned(), PARTITIONS.to_string());
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let list = |id| {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        request.encode(9, id, None).expect("encodes").to_bytes()
    };
    let mut hostile: Vec<Client> =
        (0..HOSTILE).map(|_| Client::connect(node.kafka_addr())).collect();
    for client in &mut hostile {
        for id in 0..20 {
            client.send(&list(id));
        }
    }
    let mut held_max = 0;
    for id in 0..100 {
        client.send(&api_versions(id, API_VERSIONS_BYTES_MIN));
        assert_eq!(correlation_id(&client.receive().expect("served")), id);
        let held = usize::try_from(stats(&node).answer_memory_bytes).expect("a small figure");
        held_max = held_max.max(held);
    }
    assert!(held_max > BUDGET, "the answers are counted, {held_max} bytes");
    assert!(held_max <= BUDGET + ANSWER, "{held_max} bytes are held");
    drop(hostile);
    // Waits for its turn behind those that are being built.
    client.send(&list(7));
    let answer = client.receive().expect("served when they have gone");
    assert!(correlation_id(&answer) == 7 && answer.len() > PARTITIONS * 20);
    while stats(&node).connections_active > 1 || stats(&node).answer_memory_bytes > 0 {
        std::thread::yield_now();
    }
    node.shutdown().expect("a clean stop");
}

/// A fetch of partitions that do not exist, which is answered as soon as it is looked at.
fn fetch_unknown(partitions: i32, correlation_id: i32) -> Vec<u8> {
    let partition =
        |index| FetchPartition { partition: PartitionId(1 + index), ..FetchPartition::default() };
    let partitions = (0..partitions).map(partition).collect();
    let topic = FetchTopic { topic: "t".to_owned(), partitions, ..FetchTopic::default() };
    let request = FetchRequest { topics: vec![topic], max_bytes: 1, ..FetchRequest::default() };
    request.encode(11, correlation_id, None).expect("encodes").to_bytes().to_vec()
}

/// A fetch that waits for records from the end of `t` on.
fn long_poll(correlation_id: i32) -> Vec<u8> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic =
        FetchTopic { topic: "t".to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        topics: vec![topic],
        max_bytes: 1 << 20,
        min_bytes: 1,
        max_wait_ms: 300_000,
        ..FetchRequest::default()
    };
    request.encode(11, correlation_id, None).expect("encodes").to_bytes().to_vec()
}

/// The last of three fetches of a connection took all memory for decoded elements, and the second waited for some of it.
#[test]
fn fetches_of_a_connection_do_not_wait_for_memory_that_later_ones_hold() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.request_memory_bytes_max = 1 << 20;
    let node = start(settings);
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let mut reader = Client::connect(node.kafka_addr());
    reader.send(&long_poll(1));
    reader.send(&fetch_unknown(65, 2));
    reader.send(&fetch_unknown(4000, 3));
    assert_eq!(client.produce("t", batch(b"ends the wait")).0, 0);
    for id in 1..=3 {
        assert_eq!(correlation_id(&reader.receive().expect("served")), id);
    }
    assert!(served(&node));
    node.shutdown().expect("a clean stop");
}

#[test]
fn a_fetch_that_waits_ends_with_its_connection() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let mut gone = Client::connect(node.kafka_addr());
    gone.send(&long_poll(1));
    while stats(&node).connections_active < 2 {
        std::thread::yield_now();
    }
    drop(gone);
    while stats(&node).connections_active > 1 {
        std::thread::yield_now();
    }
    node.shutdown().expect("a clean stop");
}

/// What a client has asked for and not taken is not read once it has gone.
#[test]
fn fetches_of_a_closed_connection_end_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    for _ in 0..16 {
        assert_eq!(client.produce("t", batch(&[7; 512 << 10])).0, 0);
    }
    let mut gone = Client::connect(node.kafka_addr());
    for id in 0..32 {
        gone.send(&fetch("t", 16 << 20, id));
    }
    drop(gone);
    while stats(&node).connections_active > 1 {
        std::thread::yield_now();
    }
    assert_eq!(stats(&node).answer_memory_bytes, 0);
    node.shutdown().expect("a clean stop");
}

/// The story: a request's memory was held until its answer was written, so one behind a fetch that waits for minutes, or behind
/// an answer that its client did not take, kept everybody's large requests waiting for as long.
#[test]
fn a_request_that_is_done_holds_no_memory_while_its_answer_waits_for_its_turn() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut settings = settings(&dir);
    settings.request_memory_bytes_max = 1 << 20;
    let node = start(settings);
    let (mut slow, mut other) =
        (Client::connect(node.kafka_addr()), Client::connect(node.kafka_addr()));
    slow.leader_epoch("quiet");
    slow.leader_epoch("t");
    let large = || batch(&[7; 600_000]);
    slow.send(&long_fetch("quiet").encode(11, 8, None).expect("encodes").to_bytes());
    slow.send(&produce_request("t", large(), -1).encode(9, 9, None).expect("encodes").to_bytes());
    // Answered when that has been appended.
    other.call(&long_fetch("t").encode(11, 10, None).expect("encodes"));
    assert_eq!(other.produce("t", large()), (0, 1));
    drop(slow);
    node.shutdown().expect("a clean stop");
}

/// A fetch from the start of the topic that waits for minutes for the first record.
fn long_fetch(topic: &str) -> FetchRequest {
    let partition = FetchPartition {
        partition: PartitionId(0),
        partition_max_bytes: 1 << 10,
        ..FetchPartition::default()
    };
    let topics = vec![FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..FetchTopic::default()
    }];
    FetchRequest {
        topics,
        min_bytes: 1,
        max_bytes: 1 << 10,
        max_wait_ms: 300_000,
        ..FetchRequest::default()
    }
}
