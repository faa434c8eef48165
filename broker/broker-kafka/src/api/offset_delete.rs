//! OffsetDelete (47), version 0: forgets committed offsets of a group (KIP-496).
//!
//! A topic that the group is subscribed to: GROUP_SUBSCRIBED_TO_TOPIC for its partitions. A topic that does not exist:
//! UNKNOWN_TOPIC_OR_PARTITION for its partitions. An error of the group stands alone, without topics.

use broker_core::group::TopicPartition;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, ResponseKind};
use log_io::yield_once;
use log_types::PartitionId;

use crate::broker::{CALL_PARTITIONS_MAX, Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;

pub(crate) async fn handle(
    context: &Context,
    request: OffsetDeleteRequest,
) -> Result<ResponseKind, Fatal> {
    let catalog = context.broker.catalog();
    let mut response = OffsetDeleteResponse::default();
    let mut wanted = Wanted::default();
    for topic in &request.topics {
        let known = catalog.topic(&topic.name).is_some();
        let mut answer = OffsetDeleteResponseTopic::default();
        answer.name = topic.name.clone();
        response.topics.push(answer);
        for partition in &topic.partitions {
            if wanted.partitions.len() == CALL_PARTITIONS_MAX {
                delete(context, &request.group_id, &mut wanted, &mut response).await?;
            }
            let mut result = OffsetDeleteResponsePartition::default();
            result.partition_index = partition.partition_index;
            result.error_code = code::UNKNOWN_TOPIC_OR_PARTITION;
            let at = response.topics.len() - 1;
            response.topics[at].partitions.push(result);
            if known {
                wanted.at.push((at, response.topics[at].partitions.len() - 1));
                wanted.partitions.push(TopicPartition {
                    topic: topic.name.to_string(),
                    partition: PartitionId(partition.partition_index),
                });
            }
        }
    }
    // Also when nothing is left to delete: the group may refuse.
    delete(context, &request.group_id, &mut wanted, &mut response).await?;
    if response.error_code != code::NONE {
        response.topics.clear();
    }
    Ok(ResponseKind::OffsetDelete(response))
}

/// What the next call deletes, and where in the response the outcomes go.
#[derive(Default)]
struct Wanted {
    partitions: Vec<TopicPartition>,
    at: Vec<(usize, usize)>,
}

async fn delete(
    context: &Context,
    group_id: &str,
    wanted: &mut Wanted,
    response: &mut OffsetDeleteResponse,
) -> Result<(), Fatal> {
    let Wanted { partitions, at } = std::mem::take(wanted);
    let call = GroupCall::DeleteOffsets { group_id: group_id.to_owned(), partitions };
    match context.broker.group(call).await? {
        GroupAnswer::OffsetsDeleted(Ok(results)) => {
            for ((topic, partition), result) in at.into_iter().zip(results) {
                response.topics[topic].partitions[partition].error_code =
                    result.error.map_or(code::NONE, |error| error.code());
            }
        }
        GroupAnswer::OffsetsDeleted(Err(error)) => response.error_code = error.code(),
        _ => response.error_code = code::COORDINATOR_NOT_AVAILABLE,
    }
    yield_once().await;
    Ok(())
}
