//! Kafka's error codes, as far as the handlers answer with them; those of the state machines are `broker-core`'s.
//!
//! Source: `org.apache.kafka.common.protocol.Errors`.

use crate::broker::PartitionError;

pub const NONE: i16 = 0;
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
pub const CORRUPT_MESSAGE: i16 = 2;
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub const LEADER_NOT_AVAILABLE: i16 = 5;
pub const MESSAGE_TOO_LARGE: i16 = 10;
pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub const INVALID_TOPIC_EXCEPTION: i16 = 17;
pub const NOT_ENOUGH_REPLICAS: i16 = 19;
pub const INVALID_REQUIRED_ACKS: i16 = 21;
pub const ILLEGAL_SASL_STATE: i16 = 34;
pub const UNSUPPORTED_VERSION: i16 = 35;
pub const TOPIC_ALREADY_EXISTS: i16 = 36;
pub const INVALID_PARTITIONS: i16 = 37;
pub const INVALID_REPLICATION_FACTOR: i16 = 38;
pub const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
pub const INVALID_REQUEST: i16 = 42;
pub const POLICY_VIOLATION: i16 = 44;
pub const KAFKA_STORAGE_ERROR: i16 = 56;
pub const TOPIC_DELETION_DISABLED: i16 = 73;
pub const FENCED_LEADER_EPOCH: i16 = 74;
pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
pub const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
pub const UNKNOWN_TOPIC_ID: i16 = 100;
pub const MISMATCHED_ENDPOINT_TYPE: i16 = 114;
pub const UNSUPPORTED_ENDPOINT_TYPE: i16 = 115;

/// The code of a partition's refusal.
#[must_use]
pub fn of_partition(error: &PartitionError) -> i16 {
    match error {
        PartitionError::Unknown => UNKNOWN_TOPIC_OR_PARTITION,
        PartitionError::Append(error) => error.code(),
        PartitionError::DiskFull => KAFKA_STORAGE_ERROR,
        PartitionError::Corrupt(_) => CORRUPT_MESSAGE,
        PartitionError::OutOfRange => OFFSET_OUT_OF_RANGE,
        PartitionError::FencedEpoch => FENCED_LEADER_EPOCH,
        PartitionError::UnknownEpoch => UNKNOWN_LEADER_EPOCH,
    }
}
