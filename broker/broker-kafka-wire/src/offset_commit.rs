//! OffsetCommit (8): stores offsets of a group. Versions 2 to 10, flexible from 8; topics by id, not name, from 10.
//!
//! Source: KIP-211 (no retention from version 5), KIP-320 (leader epoch, 6), KIP-345 (instance id, 7), KIP-848 (member
//! epoch, 9; topic ids, 10).

use crate::api::ApiKey;
use crate::message::{message, request, response};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

message! {
    /// One partition and the offset to commit.
    pub struct OffsetCommitPartition {
        partition: PartitionId, 0.., PartitionId(0);
        offset: Offset, 0.., Offset(0);
        /// −1 when the client does not know it.
        leader_epoch: LeaderEpoch, 6.., LeaderEpoch(-1);
        metadata: Option<String>, 0.., Some(String::new());
    }
}

message! {
    /// Partitions of one topic.
    pub struct OffsetCommitTopic {
        name: String, 0..=9, String::new();
        topic_id: TopicId, 10.., TopicId::default();
        partitions: Vec<OffsetCommitPartition>, 0.., Vec::new();
    }
}

message! {
    /// Asks to store offsets.
    pub struct OffsetCommitRequest {
        group_id: String, 0.., String::new();
        /// −1 from consumers that are not members.
        generation_id_or_member_epoch: i32, 1.., -1;
        member_id: String, 1.., String::new();
        group_instance_id: Option<String>, 7.., None;
        /// Milliseconds to keep the offsets; −1: as long as the broker is set to.
        retention_time_ms: i64, 2..=4, -1;
        topics: Vec<OffsetCommitTopic>, 0.., Vec::new();
    }
}

message! {
    /// The outcome for one partition.
    pub struct OffsetCommitPartitionResponse {
        partition: PartitionId, 0.., PartitionId(0);
        error_code: i16, 0.., 0;
    }
}

message! {
    /// Outcomes for one topic.
    pub struct OffsetCommitTopicResponse {
        name: String, 0..=9, String::new();
        topic_id: TopicId, 10.., TopicId::default();
        partitions: Vec<OffsetCommitPartitionResponse>, 0.., Vec::new();
    }
}

message! {
    /// What became of each offset.
    pub struct OffsetCommitResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 3.., 0;
        topics: Vec<OffsetCommitTopicResponse>, 0.., Vec::new();
    }
}

request!(OffsetCommitRequest, ApiKey::OffsetCommit);
response!(OffsetCommitResponse, ApiKey::OffsetCommit);
