//! OffsetDelete (47), version 0: forgets committed offsets of a group (KIP-496).
//!
//! A topic that the group is subscribed to: GROUP_SUBSCRIBED_TO_TOPIC for its partitions. A topic that does not exist:
//! UNKNOWN_TOPIC_OR_PARTITION for its partitions. An error of the group stands alone, without topics.

use std::collections::BTreeMap;

use broker_core::group::TopicPartition;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, ResponseKind};
use log_types::PartitionId;

use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::handler::Context;

pub(crate) async fn handle(
    context: &Context,
    request: OffsetDeleteRequest,
) -> Result<ResponseKind, Fatal> {
    let catalog = context.broker.catalog();
    let known = request.topics.iter().filter(|topic| catalog.topic(&topic.name).is_some());
    let partitions = known.flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition {
            topic: topic.name.to_string(),
            partition: PartitionId(partition.partition_index),
        })
    });
    let call = GroupCall::DeleteOffsets {
        group_id: request.group_id.to_string(),
        partitions: partitions.collect(),
    };
    let mut response = OffsetDeleteResponse::default();
    let results = match context.broker.group(call).await? {
        GroupAnswer::OffsetsDeleted(Ok(results)) => results,
        GroupAnswer::OffsetsDeleted(Err(error)) => {
            response.error_code = error.code();
            return Ok(ResponseKind::OffsetDelete(response));
        }
        _ => {
            response.error_code = code::COORDINATOR_NOT_AVAILABLE;
            return Ok(ResponseKind::OffsetDelete(response));
        }
    };
    let codes: BTreeMap<(String, i32), i16> = results
        .into_iter()
        .map(|one| {
            let error_code = one.error.map_or(code::NONE, |error| error.code());
            ((one.topic, one.partition.0), error_code)
        })
        .collect();
    for topic in &request.topics {
        let mut answer = OffsetDeleteResponseTopic::default();
        answer.name = topic.name.clone();
        for partition in &topic.partitions {
            let mut result = OffsetDeleteResponsePartition::default();
            result.partition_index = partition.partition_index;
            let key = (topic.name.to_string(), partition.partition_index);
            result.error_code =
                codes.get(&key).copied().unwrap_or(code::UNKNOWN_TOPIC_OR_PARTITION);
            answer.partitions.push(result);
        }
        response.topics.push(answer);
    }
    Ok(ResponseKind::OffsetDelete(response))
}
