//! An idempotent producer whose broker goes away before it hears the answer.

use bytes::Bytes;
use log_record::BatchBuilder;
use log_types::{ProducerEpoch, ProducerId};

use crate::client::{Client, settings, start};

const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;

/// InitProducerId 0 without a transactional id, by hand.
fn init_producer_id(client: &mut Client) -> (ProducerId, ProducerEpoch) {
    let request = [0, 22, 0, 0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x27, 0x10];
    let size = u32::try_from(request.len()).expect("a small frame");
    client.send(&[&size.to_be_bytes()[..], &request].concat());
    let answer = client.receive().expect("an answer");
    // Correlation id, throttle time, error code: then the id and its epoch.
    assert_eq!(answer[8..10], [0, 0], "no error");
    let id = i64::from_be_bytes(answer[10..18].try_into().expect("eight bytes"));
    let epoch = i16::from_be_bytes(answer[18..20].try_into().expect("two bytes"));
    (ProducerId(id), ProducerEpoch(epoch))
}

/// A batch of two records.
fn batch((id, epoch): (ProducerId, ProducerEpoch), sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(id, epoch, sequence);
    for value in [b"a", b"b"] {
        builder.push(1_000, None, Some(value), &[]).expect("a small record");
    }
    builder.build().expect("a small batch")
}

/// docs/kafka-semantics.md, rule 2: the last five batches are recognised by the next start of the node, over the wire; each has its first
/// offset, nothing is stored twice, and the producer goes on where it was.
#[test]
fn semantics_2_a_retry_after_a_restart_gets_the_original_offset() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    client.leader_epoch("t");
    let producer = init_producer_id(&mut client);
    for number in 0..6 {
        assert_eq!(client.produce("t", batch(producer, number * 2)), (0, i64::from(number) * 2));
    }
    node.shutdown().expect("a clean stop");
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    for number in 1..6 {
        assert_eq!(client.produce("t", batch(producer, number * 2)), (0, i64::from(number) * 2));
    }
    let gap = client.produce("t", batch(producer, 14));
    assert_eq!(gap, (OUT_OF_ORDER_SEQUENCE_NUMBER, -1), "one is missing");
    assert_eq!(client.produce("t", batch(producer, 12)), (0, 12), "nothing was stored twice");
    assert_ne!(init_producer_id(&mut client).0, producer.0, "an id is given out once");
    node.shutdown().expect("a clean stop");
}
