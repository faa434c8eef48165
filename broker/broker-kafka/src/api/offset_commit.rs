//! OffsetCommit (8), versions 2–9: durable before it is answered. Unknown partitions are refused one by one.
//!
//! Source: KIP-211 (retention is the broker's from version 5), KIP-320 (leader epoch, 6), KIP-345 (7).

use std::collections::BTreeMap;

use broker_core::group::{CommitPartition, CommitRequest, ReplyTo};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, ResponseKind};
use log_types::{LeaderEpoch, Offset, PartitionId};

use super::text::owned;
use super::topics;
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::handler::Context;

pub(crate) async fn handle(
    context: &Context,
    request: OffsetCommitRequest,
) -> Result<ResponseKind, Fatal> {
    if !topics::plausible(request.topics.iter().map(|topic| &**topic.name)) {
        return Err(Fatal);
    }
    let catalog = context.broker.catalog();
    let mut partitions = Vec::new();
    let mut codes: BTreeMap<(String, i32), i16> = BTreeMap::new();
    for topic in &request.topics {
        let found = catalog.topic(&topic.name);
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let exists = found.is_some_and(|topic| topic.place(PartitionId(index)).is_some());
            if !exists {
                codes.insert((topic.name.to_string(), index), code::UNKNOWN_TOPIC_OR_PARTITION);
                continue;
            }
            partitions.push(CommitPartition {
                topic: topic.name.to_string(),
                topic_id: found.map(|topic| topic.id).unwrap_or_default(),
                partition: PartitionId(index),
                offset: Offset(partition.committed_offset),
                leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                metadata: owned(partition.committed_metadata.as_ref()).unwrap_or_default(),
            });
        }
    }
    let asked = partitions.iter().map(|p| (p.topic.clone(), p.partition.0)).collect::<Vec<_>>();
    let call = GroupCall::Commit(CommitRequest {
        reply_to: ReplyTo(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id_or_member_epoch,
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        partitions,
    });
    match context.broker.group(call).await? {
        GroupAnswer::Commit(results) => {
            for result in results {
                let error_code = result.error.map_or(code::NONE, |error| error.code());
                codes.insert((result.topic, result.partition.0), error_code);
            }
        }
        _ => codes.extend(asked.into_iter().map(|key| (key, code::COORDINATOR_NOT_AVAILABLE))),
    }
    Ok(ResponseKind::OffsetCommit(response(&request, &codes)))
}

fn response(
    request: &OffsetCommitRequest,
    codes: &BTreeMap<(String, i32), i16>,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let key = (topic.name.to_string(), partition.partition_index);
            let mut answer = OffsetCommitResponsePartition::default();
            answer.partition_index = partition.partition_index;
            answer.error_code = codes.get(&key).copied().unwrap_or(code::NONE);
            answer
        });
        let mut answer = OffsetCommitResponseTopic::default();
        answer.name = topic.name.clone();
        answer.partitions = partitions.collect();
        answer
    });
    let mut response = OffsetCommitResponse::default();
    response.topics = topics.collect();
    response
}
