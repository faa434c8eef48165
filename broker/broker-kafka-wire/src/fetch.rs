//! Fetch (1): record batches out. Versions 4 to 18, flexible from 12; sessions from 7, topics by id from 13.
//!
//! The response's records are a scatter list: batches stay the slices they are in the log's buffers.
//!
//! Source: KIP-74 (sizes), KIP-227 (sessions, 7), KIP-320 (epochs, 9), KIP-392 (followers, 11), KIP-595 (divergence,
//! 12), KIP-516 (13), KIP-903 (replica state, 15), KIP-951 (endpoints, 16), KIP-853 (directory, 17), KIP-1166 (18).

use crate::api::ApiKey;
use crate::message::{BatchSlices, message, request, response};
use log_types::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId};

message! {
    /// What is wanted of one partition.
    pub struct FetchPartition {
        partition: PartitionId, 0.., PartitionId(0);
        /// −1 when the client does not know it.
        current_leader_epoch: LeaderEpoch, 9.., LeaderEpoch(-1);
        fetch_offset: Offset, 0.., Offset(0);
        /// Epoch of the last record the client has; −1 for none.
        last_fetched_epoch: LeaderEpoch, 12.., LeaderEpoch(-1);
        /// −1 from consumers.
        log_start_offset: Offset, 5.., Offset(-1);
        /// Bytes; the first batch is sent even if larger (KIP-74).
        partition_max_bytes: i32, 0.., 0;
    }
    tagged {
        0 replica_directory_id: TopicId, 17.., TopicId::default();
        /// `i64::MAX` when the follower does not tell.
        1 high_watermark: Offset, 18.., Offset(i64::MAX);
    }
}

message! {
    /// What is wanted of one topic.
    pub struct FetchTopic {
        topic: String, 0..=12, String::new();
        topic_id: TopicId, 13.., TopicId::default();
        partitions: Vec<FetchPartition>, 0.., Vec::new();
    }
}

message! {
    /// Partitions that leave the fetch session.
    pub struct ForgottenTopic {
        topic: String, 7..=12, String::new();
        topic_id: TopicId, 13.., TopicId::default();
        partitions: Vec<PartitionId>, 7.., Vec::new();
    }
}

message! {
    /// Who a fetching replica is (version 15).
    pub struct ReplicaState {
        replica_id: NodeId, 15.., NodeId(-1);
        replica_epoch: i64, 15.., -1;
    }
}

message! {
    /// Asks for records.
    pub struct FetchRequest {
        /// −1 from consumers.
        replica_id: NodeId, 0..=14, NodeId(-1);
        /// How long the broker may wait for `min_bytes`.
        max_wait_ms: i32, 0.., 0;
        min_bytes: i32, 0.., 0;
        max_bytes: i32, 3.., i32::MAX;
        /// 0 read uncommitted, 1 read committed.
        isolation_level: i8, 4.., 0;
        /// 0 for no or a new session.
        session_id: i32, 7.., 0;
        /// −1 for no session, 0 for a new one.
        session_epoch: i32, 7.., -1;
        topics: Vec<FetchTopic>, 0.., Vec::new();
        forgotten_topics: Vec<ForgottenTopic>, 7.., Vec::new();
        rack_id: String, 11.., String::new();
    }
    tagged {
        0 cluster_id: Option<String>, 12.., None;
        1 replica_state: ReplicaState, 15.., ReplicaState::default();
    }
}

message! {
    /// An aborted transaction whose records are in the response.
    pub struct AbortedTransaction {
        producer_id: ProducerId, 4.., ProducerId(0);
        first_offset: Offset, 4.., Offset(0);
    }
}

message! {
    /// Where the client's log and the leader's part.
    pub struct EpochEndOffset {
        epoch: LeaderEpoch, 12.., LeaderEpoch(-1);
        end_offset: Offset, 12.., Offset(-1);
    }
}

message! {
    /// The real leader.
    pub struct LeaderIdAndEpoch {
        leader_id: NodeId, 0.., NodeId(-1);
        leader_epoch: LeaderEpoch, 0.., LeaderEpoch(-1);
    }
}

message! {
    /// A snapshot that a replica must fetch instead.
    pub struct SnapshotId {
        end_offset: Offset, 0.., Offset(-1);
        epoch: LeaderEpoch, 0.., LeaderEpoch(-1);
    }
}

message! {
    /// Where a leader named in the response is reached.
    pub struct NodeEndpoint {
        node_id: NodeId, 0.., NodeId(0);
        host: String, 0.., String::new();
        port: i32, 0.., 0;
        rack: Option<String>, 0.., None;
    }
}

message! {
    /// Records of one partition.
    pub struct FetchPartitionResponse {
        partition: PartitionId, 0.., PartitionId(0);
        error_code: i16, 0.., 0;
        high_watermark: Offset, 0.., Offset(0);
        last_stable_offset: Offset, 4.., Offset(-1);
        log_start_offset: Offset, 5.., Offset(-1);
        /// Sorted by first offset; `None` under read uncommitted.
        aborted_transactions: Option<Vec<AbortedTransaction>>, 4.., None;
        /// −1 for none (KIP-392).
        preferred_read_replica: NodeId, 11.., NodeId(-1);
        records: BatchSlices, 0.., BatchSlices::default();
    }
    tagged {
        0 diverging_epoch: EpochEndOffset, 12.., EpochEndOffset::default();
        1 current_leader: LeaderIdAndEpoch, 12.., LeaderIdAndEpoch::default();
        2 snapshot_id: SnapshotId, 12.., SnapshotId::default();
    }
}

message! {
    /// Records of one topic.
    pub struct FetchTopicResponse {
        topic: String, 0..=12, String::new();
        topic_id: TopicId, 13.., TopicId::default();
        partitions: Vec<FetchPartitionResponse>, 0.., Vec::new();
    }
}

message! {
    /// Records.
    pub struct FetchResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 1.., 0;
        error_code: i16, 7.., 0;
        /// 0 when no session was made.
        session_id: i32, 7.., 0;
        topics: Vec<FetchTopicResponse>, 0.., Vec::new();
    }
    tagged {
        0 node_endpoints: Vec<NodeEndpoint>, 16.., Vec::new();
    }
}

request!(FetchRequest, ApiKey::Fetch);
response!(FetchResponse, ApiKey::Fetch);

#[cfg(test)]
mod tests;
