//! OffsetCommit (8), versions 2–10: durable before it is answered. Unknown partitions are refused one by one, and topics
//! with an unknown id (10) whole. Very many partitions are committed in several calls, the order of requests kept.
//!
//! Source: KIP-211 (retention is the broker's from version 5), KIP-320 (leader epoch, 6), KIP-345 (7), KIP-848 (a group
//! that does not exist, 9; topic ids, 10).

use std::sync::Arc;

use broker_core::catalog::Topic;
use broker_core::group::{CommitPartition, CommitRequest, GroupError, ReplyTo};
use broker_kafka_wire::{
    OffsetCommitPartition, OffsetCommitPartitionResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetCommitTopic, OffsetCommitTopicResponse, RequestHeader,
};
use log_io::LocalFuture;

use super::topics;
use crate::broker::{Broker, CALL_PARTITIONS_MAX, Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

const TOPIC_IDS_VERSION_MIN: i16 = 10;
const UNKNOWN_GROUP_VERSION_MIN: i16 = 9;

/// Metadata that one call carries at most, besides that of its last partition.
const CALL_METADATA_BYTES_MAX: usize = 256 << 10;

/// A request that is being committed, in calls of a bounded size.
struct Committing {
    version: i16,
    /// What each call has of the group and the member; no partitions.
    call: CommitRequest,
    response: OffsetCommitResponse,
    /// Not yet given to the coordinator, and where in the response their outcomes go.
    partitions: Vec<CommitPartition>,
    at: Vec<(usize, usize)>,
    metadata_bytes: usize,
}

/// Checks the partitions, in the order of the requests, and commits all but the last of those that are too many for one
/// call; the future commits these when it is first polled.
pub(crate) async fn begin(
    context: Context,
    request: OffsetCommitRequest,
) -> LocalFuture<'static, Response> {
    match prepare(&context, request).await {
        Ok(committing) => Box::pin(finish(context, committing)),
        Err(Fatal) => Box::pin(async { Response::Close }),
    }
}

async fn prepare(context: &Context, request: OffsetCommitRequest) -> Result<Committing, Fatal> {
    if !topics::plausible(request.topics.iter().map(|topic| &*topic.name)) {
        return Err(Fatal);
    }
    let (catalog, version) = (context.broker.catalog(), context.header.version);
    let mut pace = Pace::default();
    let (mut committing, topics) = Committing::of(version, request);
    committing.response.topics.reserve_exact(topics.len());
    for topic in topics {
        let index = committing.response.topics.len();
        let found = topics::find_by(
            &catalog,
            version >= TOPIC_IDS_VERSION_MIN,
            &topic.name,
            topic.topic_id,
        );
        let (name, topic_id) = (topic.name, topic.topic_id);
        // With room for all: a list that grows is copied in one go.
        let partitions = Vec::with_capacity(topic.partitions.len());
        let answer = OffsetCommitTopicResponse { name, topic_id, partitions };
        committing.response.topics.push(answer);
        for wanted in topic.partitions {
            if committing.is_full() {
                committing.commit(&*context.broker).await?;
            }
            committing.take(index, found, wanted);
            pace.partition(0).await;
        }
    }
    Ok(committing)
}

async fn finish(context: Context, mut committing: Committing) -> Response {
    if !committing.partitions.is_empty() && committing.commit(&*context.broker).await.is_err() {
        return Response::Close;
    }
    let RequestHeader { version, correlation_id, .. } = context.header;
    context.send(committing.response.encode_paced(version, correlation_id).await)
}

impl Committing {
    fn of(version: i16, request: OffsetCommitRequest) -> (Self, Vec<OffsetCommitTopic>) {
        let call = CommitRequest {
            reply_to: ReplyTo(0),
            group_id: request.group_id,
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id_or_member_epoch,
            retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
            partitions: Vec::new(),
        };
        let response = OffsetCommitResponse::default();
        let (partitions, at) = (Vec::new(), Vec::new());
        (Self { version, call, response, partitions, at, metadata_bytes: 0 }, request.topics)
    }

    fn is_full(&self) -> bool {
        self.partitions.len() == CALL_PARTITIONS_MAX
            || self.metadata_bytes >= CALL_METADATA_BYTES_MAX
    }

    /// Takes a partition of the `index`th topic in.
    fn take(
        &mut self,
        index: usize,
        found: Result<&Arc<Topic>, i16>,
        wanted: OffsetCommitPartition,
    ) {
        let known = found.and_then(|found| topics::place(found, wanted.partition).map(|_| found));
        let answers = &mut self.response.topics[index].partitions;
        answers.push(OffsetCommitPartitionResponse {
            partition: wanted.partition,
            error_code: known.err().unwrap_or(code::NONE),
        });
        if let Ok(found) = known {
            self.at.push((index, answers.len() - 1));
            self.metadata_bytes += wanted.metadata.as_ref().map_or(0, String::len);
            self.partitions.push(to_commit(found, wanted));
        }
    }

    async fn commit(&mut self, broker: &dyn Broker) -> Result<(), Fatal> {
        self.metadata_bytes = 0;
        let partitions = std::mem::take(&mut self.partitions);
        let at = std::mem::take(&mut self.at);
        let call = GroupCall::Commit(CommitRequest { partitions, ..self.call.clone() });
        let codes: Vec<i16> = match broker.group(call).await? {
            GroupAnswer::Commit(results) => results
                .iter()
                .map(|result| result.error.map_or(code::NONE, |e| code_of(e, self.version)))
                .collect(),
            // Of all that clients repeat, this one alone leaves them the coordinator: with another they look for it again and
            // again, and miss their heartbeats meanwhile.
            _ => vec![code::COORDINATOR_LOAD_IN_PROGRESS; at.len()],
        };
        for ((topic, partition), error_code) in at.into_iter().zip(codes) {
            self.response.topics[topic].partitions[partition].error_code = error_code;
        }
        Ok(())
    }
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

fn to_commit(topic: &Topic, partition: OffsetCommitPartition) -> CommitPartition {
    CommitPartition {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: partition.partition,
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.unwrap_or_default(),
    }
}
