//! Manual partition assignments, as CreateTopics and CreatePartitions carry them: this node is the only broker, so the
//! only valid assignment of a partition is this node alone.

use kafka_protocol::messages::BrokerId;

use super::refusal::Refusal;
use crate::code;

/// Checks the replicas of one partition (Kafka's `validateManualPartitionAssignment`).
pub(super) fn check_replicas(replicas: &[BrokerId], node_id: i32) -> Result<(), Refusal> {
    let invalid = |message| Err(Refusal::new(code::INVALID_REPLICA_ASSIGNMENT, message));
    let Some(first) = replicas.first() else {
        return invalid(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        );
    };
    if let Some(unknown) = replicas.iter().find(|replica| replica.0 != node_id) {
        return invalid(format!(
            "The manual partition assignment includes broker {}, but no such broker is registered.",
            unknown.0
        ));
    }
    if replicas.len() > 1 {
        return invalid(format!(
            "The manual partition assignment includes the broker {} more than once.",
            first.0
        ));
    }
    Ok(())
}
