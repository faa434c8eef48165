//! OffsetCommit (8), versions 2–10: durable before it is answered. Unknown partitions are refused one by one, and topics
//! with an unknown id (10) whole.
//!
//! Source: KIP-211 (retention is the broker's from version 5), KIP-320 (leader epoch, 6), KIP-345 (7), KIP-848 (a group
//! that does not exist, 9; topic ids, 10).

use broker_core::catalog::{Catalog, Topic};
use broker_core::group::{CommitPartition, CommitRequest, GroupError, ReplyTo};
use broker_kafka_wire::{
    OffsetCommitPartition, OffsetCommitPartitionResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetCommitTopic, OffsetCommitTopicResponse,
};

use super::topics;
use crate::broker::{GroupAnswer, GroupCall};
use crate::code;
use crate::handler::{Context, Response};

const TOPIC_IDS_VERSION_MIN: i16 = 10;
const UNKNOWN_GROUP_VERSION_MIN: i16 = 9;

pub(crate) async fn handle(context: Context, request: OffsetCommitRequest) -> Response {
    let version = context.header.version;
    if !topics::plausible(request.topics.iter().map(|topic| &*topic.name)) {
        return Response::Close;
    }
    let (mut response, partitions, at) = sorted(&context.broker.catalog(), version, request.topics);
    if partitions.is_empty() {
        return Context::send(response.encode(version, context.header.correlation_id));
    }
    let call = GroupCall::Commit(CommitRequest {
        reply_to: ReplyTo(0),
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        partitions,
    });
    let Ok(answer) = context.broker.group(call).await else { return Response::Close };
    let codes: Vec<i16> = match answer {
        GroupAnswer::Commit(results) => results
            .iter()
            .map(|result| result.error.map_or(code::NONE, |e| code_of(e, version)))
            .collect(),
        _ => vec![code::COORDINATOR_NOT_AVAILABLE; at.len()],
    };
    for ((topic, partition), error_code) in at.into_iter().zip(codes) {
        response.topics[topic].partitions[partition].error_code = error_code;
    }
    Context::send(response.encode(version, context.header.correlation_id))
}

/// The code of a refusal; before version 9 clients do not know that a group may be unknown.
fn code_of(error: GroupError, version: i16) -> i16 {
    match error {
        GroupError::GroupIdNotFound if version < UNKNOWN_GROUP_VERSION_MIN => {
            GroupError::IllegalGeneration.code()
        }
        error => error.code(),
    }
}

/// A response with the refusals the catalog gives; what is left to commit; and where in the response its outcomes go.
fn sorted(
    catalog: &Catalog,
    version: i16,
    topics: Vec<OffsetCommitTopic>,
) -> (OffsetCommitResponse, Vec<CommitPartition>, Vec<(usize, usize)>) {
    let mut response = OffsetCommitResponse::default();
    let (mut partitions, mut at) = (Vec::new(), Vec::new());
    for topic in topics {
        let mut answer =
            OffsetCommitTopicResponse { topic_id: topic.topic_id, ..Default::default() };
        let found =
            topics::find_by(catalog, version >= TOPIC_IDS_VERSION_MIN, &topic.name, topic.topic_id);
        for partition in topic.partitions {
            let known =
                found.and_then(|found| topics::place(found, partition.partition).map(|_| found));
            if let Ok(found) = known {
                at.push((response.topics.len(), answer.partitions.len()));
                partitions.push(to_commit(found, &partition));
            }
            answer.partitions.push(OffsetCommitPartitionResponse {
                partition: partition.partition,
                error_code: known.err().unwrap_or(code::NONE),
            });
        }
        answer.name = topic.name;
        response.topics.push(answer);
    }
    (response, partitions, at)
}

fn to_commit(topic: &Topic, partition: &OffsetCommitPartition) -> CommitPartition {
    CommitPartition {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: partition.partition,
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.clone().unwrap_or_default(),
    }
}
