//! Metadata (3): brokers, topics, leaders. Versions 0 to 13, flexible from 9; topic ids from 10.
//!
//! Which topics: version 0 says "all" with an empty list; later versions say it with null, and an empty list is none.
//! [`MetadataRequest::all_topics`] knows the difference.
//!
//! Source: KIP-4, KIP-112, KIP-430, KIP-516.

use crate::api::ApiKey;
use crate::message::{message, request, response};
use log_types::{LeaderEpoch, NodeId, PartitionId, TopicId};

/// "Not asked for" in the authorized-operations fields.
pub const AUTHORIZED_OPERATIONS_OMITTED: i32 = i32::MIN;

message! {
    /// A topic by name or, from version 10, by id.
    pub struct MetadataRequestTopic {
        topic_id: TopicId, 10.., TopicId::default();
        /// Null only with a topic id.
        name: Option<String>, 0.., None, null 10;
    }
}

message! {
    /// Asks for brokers and topics.
    pub struct MetadataRequest {
        /// `None`: all topics. In version 0 an empty list means that too.
        topics: Option<Vec<MetadataRequestTopic>>, 0.., None, null 1;
        allow_auto_topic_creation: bool, 4.., true;
        include_cluster_authorized_operations: bool, 8..=10, false;
        include_topic_authorized_operations: bool, 8.., false;
    }
}

message! {
    /// A broker and where clients reach it.
    pub struct MetadataBroker {
        node_id: NodeId, 0.., NodeId(0);
        host: String, 0.., String::new();
        port: i32, 0.., 0;
        rack: Option<String>, 1.., None;
    }
}

message! {
    /// A partition and its replicas.
    pub struct MetadataPartition {
        error_code: i16, 0.., 0;
        partition: PartitionId, 0.., PartitionId(0);
        /// −1 while there is none.
        leader_id: NodeId, 0.., NodeId(0);
        leader_epoch: LeaderEpoch, 7.., LeaderEpoch(-1);
        replica_nodes: Vec<NodeId>, 0.., Vec::new();
        isr_nodes: Vec<NodeId>, 0.., Vec::new();
        offline_replicas: Vec<NodeId>, 5.., Vec::new();
    }
}

message! {
    /// A topic and its partitions.
    pub struct MetadataTopic {
        error_code: i16, 0.., 0;
        /// Null when the topic was asked for by an unknown id.
        name: Option<String>, 0.., Some(String::new()), null 12;
        topic_id: TopicId, 10.., TopicId::default();
        is_internal: bool, 1.., false;
        partitions: Vec<MetadataPartition>, 0.., Vec::new();
        /// Bit set of allowed operations, [`AUTHORIZED_OPERATIONS_OMITTED`] unless asked for.
        topic_authorized_operations: i32, 8.., AUTHORIZED_OPERATIONS_OMITTED;
    }
}

message! {
    /// Brokers and topics.
    pub struct MetadataResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 3.., 0;
        brokers: Vec<MetadataBroker>, 0.., Vec::new();
        cluster_id: Option<String>, 2.., None;
        /// Broker that takes administrative requests; −1 for none.
        controller_id: NodeId, 1.., NodeId(-1);
        topics: Vec<MetadataTopic>, 0.., Vec::new();
        /// Bit set of allowed operations, [`AUTHORIZED_OPERATIONS_OMITTED`] unless asked for.
        cluster_authorized_operations: i32, 8..=10, AUTHORIZED_OPERATIONS_OMITTED;
        error_code: i16, 13.., 0;
    }
}

request!(MetadataRequest, ApiKey::Metadata);
response!(MetadataResponse, ApiKey::Metadata);

impl MetadataRequest {
    /// The request, read in `version`, asks for every topic.
    #[must_use]
    pub fn all_topics(&self, version: i16) -> bool {
        match &self.topics {
            None => true,
            Some(topics) => version == 0 && topics.is_empty(),
        }
    }
}
