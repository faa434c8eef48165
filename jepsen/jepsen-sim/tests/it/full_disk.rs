//! A node whose shards share a full disk takes writes again after records were deleted, however little there is beside the
//! segments that are being written.

use std::rc::Rc;
use std::time::Duration;

use broker_kafka_wire::{
    ApiKey, MetadataRequest, MetadataRequestTopic, ProduceRequest, ProduceResponse,
    decode_trusted_response, encode_guarded_request,
};
use broker_rt::{Connection, Runtime};
use bytes::Bytes;
use jepsen_sim::{SimNode, World};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{DeleteRecordsRequest, RequestKind, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;
use log_record::BatchBuilder;
use log_types::PartitionId;

use crate::harness::{Body, answer, connect, run_client, send};

const STORAGE_ERROR: i16 = 56;
/// Size of a simulated node's segments.
const SEGMENT_BYTES: u64 = 384 << 10;
/// For each shard: its bridge, its checkpoints, the files kept for them.
const BESIDE_BYTES: u64 = 100 << 10;

/// Two shards on a disk that has room for so many segments in all.
fn with_disk_of(segments: u64, body: Body) {
    let world = World::new(36);
    let node = SimNode::new(&world, 2, &[("num.partitions", "2"), ("log.retention.ms", "-1")]);
    node.host.share_space();
    node.host.limit_space(Some(segments * SEGMENT_BYTES + 2 * BESIDE_BYTES));
    node.start();
    run_client(&world, &node, body);
    node.crash();
    node.start();
    run_client(&world, &node, |runtime| {
        Box::pin(async move {
            let connection = connect(&runtime).await;
            make_topic(&connection).await;
        })
    });
    world.end();
}

/// Creates the topic `t`, unless it exists, of a partition on each shard.
async fn make_topic(connection: &Rc<dyn Connection>) {
    let name = Some("t".to_owned());
    let topics = Some(vec![MetadataRequestTopic { name, ..MetadataRequestTopic::default() }]);
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    send(connection, request.encode(9, 1, None).expect("encodes")).await;
    answer(connection).await.expect("an answer");
}

/// Error code and base offset of a batch of one record of 30 KB.
async fn produce(connection: &Rc<dyn Connection>, partition: i32) -> (i16, i64) {
    let mut batch = BatchBuilder::new();
    batch.push(1_700_000_000_000, None, Some(&[7; 30_000]), &[]).expect("a record fits");
    let batch = batch.build().expect("a batch");
    let request = ProduceRequest::of_batch("t", PartitionId(partition), batch);
    send(connection, request.encode(9, 2, None).expect("encodes")).await;
    let body = Bytes::from(answer(connection).await.expect("an answer"));
    let (_, answer) = ProduceResponse::decode(&body, 9).expect("an answer");
    let answer = &answer.topics[0].partitions[0];
    (answer.error_code, answer.base_offset.0)
}

/// Deletes everything below `offset`.
async fn delete(connection: &Rc<dyn Connection>, partition: i32, offset: i64) {
    let wanted = DeleteRecordsPartition::default().with_partition_index(partition);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partitions(vec![wanted.with_offset(offset)]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let request = RequestKind::DeleteRecords(request);
    let frame = encode_guarded_request(ApiKey::DeleteRecords, 2, 3, None, &request);
    send(connection, frame.expect("encodes")).await;
    let body = Bytes::from(answer(connection).await.expect("an answer"));
    let (_, answer) = decode_trusted_response(ApiKey::DeleteRecords, 2, &body).expect("an answer");
    let ResponseKind::DeleteRecords(answer) = answer else { panic!("{answer:?}") };
    let result = &answer.topics[0].partitions[0];
    assert_eq!((result.error_code, result.low_watermark), (0, offset));
}

/// Produces to both partitions until both have refused for ten seconds; where each ends.
async fn fill(runtime: &Rc<dyn Runtime>, connection: &Rc<dyn Connection>) -> [i64; 2] {
    let (mut ends, mut refused) = ([0; 2], 0);
    while refused < 100 {
        refused += 1;
        for (partition, end) in (0..).zip(&mut ends) {
            match produce(connection, partition).await {
                (0, base) => (*end, refused) = (base + 1, 0),
                (STORAGE_ERROR, _) => {}
                (code, _) => panic!("error {code}"),
            }
        }
        runtime.sleep(Duration::from_millis(100)).await;
    }
    ends
}

/// Both partitions take a batch within half a minute.
async fn write_again(runtime: &Rc<dyn Runtime>, connection: &Rc<dyn Connection>, what: &str) {
    for partition in 0..2 {
        let mut tries = 0;
        while produce(connection, partition).await.0 != 0 {
            tries += 1;
            assert!(tries < 300, "{what}: partition {partition} is full for ever");
            runtime.sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Neither could end its segment for lack of another one, and a segment is freed only when it was ended.
#[test]
fn what_is_deleted_is_space_where_each_shard_has_one_segment() {
    with_disk_of(2, |runtime| {
        Box::pin(async move {
            let connection = connect(&runtime).await;
            make_topic(&connection).await;
            for round in 0..4 {
                let ends = fill(&runtime, &connection).await;
                for (partition, end) in (0..).zip(ends) {
                    delete(&connection, partition, end).await;
                }
                write_again(&runtime, &connection, &format!("round {round}")).await;
            }
        })
    });
}

/// One had two segments and the other one had one: who got what the deletion of a part freed was the only one that went on.
#[test]
fn what_a_deletion_of_a_part_frees_is_space_for_both_shards() {
    with_disk_of(3, |runtime| {
        Box::pin(async move {
            let connection = connect(&runtime).await;
            make_topic(&connection).await;
            let ends = fill(&runtime, &connection).await;
            for (partition, end) in (0..).zip(ends) {
                delete(&connection, partition, end * 2 / 3).await;
            }
            write_again(&runtime, &connection, &format!("{ends:?}")).await;
        })
    });
}
