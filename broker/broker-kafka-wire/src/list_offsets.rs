//! ListOffsets (2): offsets by timestamp. Versions 1 to 11, flexible from 6.
//!
//! Timestamps below zero ask for a place: −1 latest, −2 earliest, −3 the record with the largest timestamp (from
//! version 7), −4 earliest local (8), −5 latest tiered (9), −6 earliest pending upload (11).
//!
//! Source: KIP-79, KIP-207 (leader epoch), KIP-734, KIP-405, KIP-1005, KIP-1023.

use crate::api::ApiKey;
use crate::message::{message, request, response};
use log_types::{LeaderEpoch, NodeId, Offset, PartitionId};

message! {
    /// One partition and the timestamp looked for.
    pub struct ListOffsetsPartition {
        partition: PartitionId, 0.., PartitionId(0);
        /// −1 when the client does not know it.
        current_leader_epoch: LeaderEpoch, 4.., LeaderEpoch(-1);
        /// Milliseconds, or one of the negative places.
        timestamp: i64, 0.., 0;
    }
}

message! {
    /// Partitions of one topic.
    pub struct ListOffsetsTopic {
        name: String, 0.., String::new();
        partitions: Vec<ListOffsetsPartition>, 0.., Vec::new();
    }
}

message! {
    /// Asks for offsets by timestamp.
    pub struct ListOffsetsRequest {
        /// −1 from clients, −2 from debugging tools.
        replica_id: NodeId, 0.., NodeId(-1);
        /// 0 read uncommitted, 1 read committed.
        isolation_level: i8, 2.., 0;
        topics: Vec<ListOffsetsTopic>, 0.., Vec::new();
        /// How long the broker may wait for remote storage, in milliseconds.
        timeout_ms: i32, 10.., 0;
    }
}

message! {
    /// The offset found.
    pub struct ListOffsetsPartitionResponse {
        partition: PartitionId, 0.., PartitionId(0);
        error_code: i16, 0.., 0;
        /// Timestamp of the record found; −1 for none.
        timestamp: i64, 1.., -1;
        /// −1 when no record has such a timestamp.
        offset: Offset, 1.., Offset(-1);
        leader_epoch: LeaderEpoch, 4.., LeaderEpoch(-1);
    }
}

message! {
    /// Offsets of one topic's partitions.
    pub struct ListOffsetsTopicResponse {
        name: String, 0.., String::new();
        partitions: Vec<ListOffsetsPartitionResponse>, 0.., Vec::new();
    }
}

message! {
    /// Offsets by timestamp.
    pub struct ListOffsetsResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 2.., 0;
        topics: Vec<ListOffsetsTopicResponse>, 0.., Vec::new();
    }
}

request!(ListOffsetsRequest, ApiKey::ListOffsets);
response!(ListOffsetsResponse, ApiKey::ListOffsets);
