//! OffsetFetch (9): committed offsets. Versions 1 to 10, flexible from 6; several groups from 8; topics by id, not name,
//! from 10.
//!
//! Null topics, from version 2, ask for everything that the group has committed.
//!
//! Source: KIP-88 (null topics), KIP-320 (leader epoch, 5), KIP-447 (require stable, 7), KIP-709 (several groups, 8),
//! KIP-848 (member, 9; topic ids, 10).

use crate::api::ApiKey;
use crate::message::{message, request, response};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

message! {
    /// Partitions of one topic.
    pub struct OffsetFetchTopic {
        name: String, 0..=9, String::new();
        topic_id: TopicId, 10.., TopicId::default();
        partitions: Vec<PartitionId>, 0.., Vec::new();
    }
}

message! {
    /// One group and what is asked about it.
    pub struct OffsetFetchGroup {
        group_id: String, 8.., String::new();
        member_id: Option<String>, 9.., None;
        /// −1 from those that are not members of a KIP-848 group.
        member_epoch: i32, 9.., -1;
        /// `None`: all topics.
        topics: Option<Vec<OffsetFetchTopic>>, 8.., Some(Vec::new());
    }
}

message! {
    /// Asks for committed offsets: of one group up to version 7, of `groups` from 8.
    pub struct OffsetFetchRequest {
        group_id: String, 0..=7, String::new();
        /// `None`: all topics.
        topics: Option<Vec<OffsetFetchTopic>>, 0..=7, Some(Vec::new()), null 2;
        groups: Vec<OffsetFetchGroup>, 8.., Vec::new();
        /// Rather an error than an offset that an open transaction may change.
        require_stable: bool, 7.., false;
    }
}

message! {
    /// What is committed for one partition.
    pub struct OffsetFetchPartitionResponse {
        partition: PartitionId, 0.., PartitionId(0);
        /// −1 for none.
        offset: Offset, 0.., Offset(-1);
        /// −1 when unknown.
        leader_epoch: LeaderEpoch, 5.., LeaderEpoch(-1);
        metadata: Option<String>, 0.., Some(String::new());
        error_code: i16, 0.., 0;
    }
}

message! {
    /// Offsets of one topic.
    pub struct OffsetFetchTopicResponse {
        name: String, 0..=9, String::new();
        topic_id: TopicId, 10.., TopicId::default();
        partitions: Vec<OffsetFetchPartitionResponse>, 0.., Vec::new();
    }
}

message! {
    /// Offsets of one group.
    pub struct OffsetFetchGroupResponse {
        group_id: String, 8.., String::new();
        topics: Vec<OffsetFetchTopicResponse>, 8.., Vec::new();
        error_code: i16, 8.., 0;
    }
}

message! {
    /// Committed offsets: of one group up to version 7, of `groups` from 8.
    pub struct OffsetFetchResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 3.., 0;
        topics: Vec<OffsetFetchTopicResponse>, 0..=7, Vec::new();
        error_code: i16, 2..=7, 0;
        groups: Vec<OffsetFetchGroupResponse>, 8.., Vec::new();
    }
}

request!(OffsetFetchRequest, ApiKey::OffsetFetch);
response!(OffsetFetchResponse, ApiKey::OffsetFetch);
