//! Leader epochs on the wire: each start of the node is one.

use broker_kafka_wire::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic, MetadataRequest,
    MetadataResponse,
};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

use crate::client::{Client, batch, settings, start};

fn topic_id(client: &mut Client) -> TopicId {
    let request = MetadataRequest::default();
    let body = client.call(&request.encode(12, 1, None).expect("encodes"));
    let (_, response) = MetadataResponse::decode(&body, 12).expect("decodes");
    response.topics[0].topic_id
}

/// docs/kafka-semantics.md, rule 14, KIP-595: who last read of an epoch that ended before its offset is told where it ended, at once and with no
/// records; who agrees is given what comes next.
#[test]
fn kip_595_a_fetch_from_another_history_is_told_where_its_epoch_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    for _ in 0..3 {
        let node = start(settings(&dir));
        let mut client = Client::connect(node.kafka_addr());
        client.leader_epoch("t");
        for _ in 0..2 {
            assert_eq!(client.produce("t", batch(b"v")).0, 0);
        }
        node.shutdown().expect("a clean stop");
    }
    // Epoch 1 wrote 0 and 1, epoch 2 wrote 2 and 3, epoch 3 wrote 4 and 5; nobody wrote in 4.
    let node = start(settings(&dir));
    let mut client = Client::connect(node.kafka_addr());
    let id = topic_id(&mut client);
    let diverged = |epoch, end| (0, epoch, end, false);
    let agrees = (0, -1, -1, true);
    for version in 12..=18 {
        let mut ask = |last_fetched_epoch, offset| {
            let partition = FetchPartition {
                partition: PartitionId(0),
                fetch_offset: Offset(offset),
                last_fetched_epoch: LeaderEpoch(last_fetched_epoch),
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            };
            let topic =
                FetchTopic { topic: "t".to_owned(), topic_id: id, partitions: vec![partition] };
            // Whoever has to wait for records does not end.
            let request = FetchRequest {
                topics: vec![topic],
                max_bytes: 1 << 20,
                min_bytes: 1,
                max_wait_ms: i32::MAX,
                ..FetchRequest::default()
            };
            let body = client.call(&request.encode(version, 3, None).expect("encodes"));
            let (_, response) = FetchResponse::decode(&body, version).expect("decodes");
            let found = &response.topics[0].partitions[0];
            let EpochEndOffset { epoch, end_offset } = found.diverging_epoch;
            (found.error_code, epoch.0, end_offset.0, !found.records.is_empty())
        };
        assert_eq!(ask(1, 2), agrees, "v{version}: epoch 1 ended there");
        assert_eq!(ask(1, 3), diverged(1, 2), "v{version}");
        assert_eq!(ask(2, 4), agrees, "v{version}");
        assert_eq!(ask(2, 6), diverged(2, 4), "v{version}: there is nothing to wait for");
        assert_eq!(ask(3, 9), diverged(3, 6), "v{version}: beyond the end, and not out of range");
        assert_eq!(ask(-1, 3), agrees, "v{version}: a client that does not say");
    }
    node.shutdown().expect("a clean stop");
}
