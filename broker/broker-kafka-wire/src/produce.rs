//! Produce (0): record batches in, offsets out. Versions 3 to 13, flexible from 9; topics by id from 13.
//!
//! The request's records are slices of the frame they came in. With `acks = 0` there is no response.
//!
//! Source: KIP-98, KIP-467 (record errors, 8), KIP-951 (current leader, 10), KIP-890 (12), KIP-516 (13).

use crate::api::ApiKey;
use crate::fetch::{LeaderIdAndEpoch, NodeEndpoint};
use crate::message::{message, request, response};
use bytes::Bytes;
use log_types::{Offset, PartitionId, TopicId};

message! {
    /// Batches for one partition.
    pub struct PartitionProduceData {
        partition: PartitionId, 0.., PartitionId(0);
        /// One batch of format 2, as it is.
        records: Option<Bytes>, 0.., None;
    }
}

message! {
    /// Batches for the partitions of one topic.
    pub struct TopicProduceData {
        name: String, 0..=12, String::new();
        topic_id: TopicId, 13.., TopicId::default();
        partitions: Vec<PartitionProduceData>, 0.., Vec::new();
    }
}

message! {
    /// Appends batches.
    pub struct ProduceRequest {
        transactional_id: Option<String>, 3.., None;
        /// 0 none (no response), 1 leader, −1 all in-sync replicas.
        acks: i16, 0.., 0;
        timeout_ms: i32, 0.., 0;
        topics: Vec<TopicProduceData>, 0.., Vec::new();
    }
}

impl ProduceRequest {
    /// One batch for a partition of the topic of this name, to be acknowledged by all replicas within 30 s.
    #[must_use]
    pub fn of_batch(topic: &str, partition: PartitionId, batch: Bytes) -> Self {
        let data = PartitionProduceData { partition, records: Some(batch) };
        let topic = TopicProduceData {
            name: topic.to_owned(),
            partitions: vec![data],
            ..TopicProduceData::default()
        };
        Self { acks: -1, timeout_ms: 30_000, topics: vec![topic], ..Self::default() }
    }
}

message! {
    /// A record that made its batch fail (KIP-467).
    pub struct BatchIndexAndErrorMessage {
        /// Index of the record in its batch, from 0.
        batch_index: i32, 8.., 0;
        message: Option<String>, 8.., None;
    }
}

message! {
    /// Where the batch of one partition went.
    pub struct PartitionProduceResponse {
        partition: PartitionId, 0.., PartitionId(0);
        error_code: i16, 0.., 0;
        /// Offset of the batch's first record.
        base_offset: Offset, 0.., Offset(0);
        /// Milliseconds, −1 unless the topic uses LogAppendTime.
        log_append_time_ms: i64, 2.., -1;
        log_start_offset: Offset, 5.., Offset(-1);
        record_errors: Vec<BatchIndexAndErrorMessage>, 8.., Vec::new();
        error_message: Option<String>, 8.., None;
    }
    tagged {
        /// The real leader, with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
        0 current_leader: LeaderIdAndEpoch, 10.., LeaderIdAndEpoch::default();
    }
}

message! {
    /// Where the batches of one topic went.
    pub struct TopicProduceResponse {
        name: String, 0..=12, String::new();
        topic_id: TopicId, 13.., TopicId::default();
        partitions: Vec<PartitionProduceResponse>, 0.., Vec::new();
    }
}

message! {
    /// Where the batches went.
    pub struct ProduceResponse {
        topics: Vec<TopicProduceResponse>, 0.., Vec::new();
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 1.., 0;
    }
    tagged {
        /// Addresses of the leaders named in `current_leader`.
        0 node_endpoints: Vec<NodeEndpoint>, 10.., Vec::new();
    }
}

request!(ProduceRequest, ApiKey::Produce);
response!(ProduceResponse, ApiKey::Produce);
