//! OffsetFetch (9), versions 1–10: committed offsets, durable ones only. Version 8 asks for several groups (KIP-709),
//! version 10 for topics by id (KIP-848).
//!
//! A partition without a commit answers offset −1, and a topic with an unknown id UNKNOWN_TOPIC_ID. `require_stable` (7,
//! KIP-447) needs nothing: no commit is ever pending in a transaction.

use broker_core::catalog::Catalog;
use broker_kafka_wire::{
    OffsetFetchGroup, OffsetFetchGroupResponse, OffsetFetchPartitionResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetFetchTopic, OffsetFetchTopicResponse,
};
use log_types::{PartitionId, TopicId};

use super::topics;
use crate::broker::{Fatal, FetchOffsets, FetchedOffset, GroupAnswer, GroupCall};
use crate::code;
use crate::handler::{Context, Response};

const SEVERAL_GROUPS_VERSION_MIN: i16 = 8;
const TOPIC_IDS_VERSION_MIN: i16 = 10;

/// The offsets of a group by topic, or the code that refuses them all.
type Fetched = Result<Vec<OffsetFetchTopicResponse>, i16>;

pub(crate) async fn handle(context: Context, request: OffsetFetchRequest) -> Response {
    let answered = if context.header.version < SEVERAL_GROUPS_VERSION_MIN {
        one_group(&context, request).await
    } else {
        several_groups(&context, request).await
    };
    let Ok(response) = answered else { return Response::Close };
    Context::send(response.encode(context.header.version, context.header.correlation_id))
}

async fn one_group(
    context: &Context,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Fatal> {
    let mut response = OffsetFetchResponse::default();
    match fetch(context, request.group_id, None, request.topics).await? {
        Ok(topics) => response.topics = topics,
        Err(error_code) => response.error_code = error_code,
    }
    Ok(response)
}

async fn several_groups(
    context: &Context,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Fatal> {
    let mut response = OffsetFetchResponse::default();
    for OffsetFetchGroup { group_id, member_id, member_epoch, topics } in request.groups {
        let member_id = member_id.filter(|_| member_epoch >= 0);
        let fetched = fetch(context, group_id.clone(), member_id, topics).await?;
        let error_code = fetched.as_ref().err().copied().unwrap_or(code::NONE);
        let topics = fetched.unwrap_or_default();
        response.groups.push(OffsetFetchGroupResponse { group_id, topics, error_code });
    }
    Ok(response)
}

async fn fetch(
    context: &Context,
    group_id: String,
    member_id: Option<String>,
    topics: Option<Vec<OffsetFetchTopic>>,
) -> Result<Fetched, Fatal> {
    if !topics::plausible(topics.iter().flatten().map(|topic| &*topic.name)) {
        return Err(Fatal);
    }
    let catalog = context.broker.catalog();
    let by_id = context.header.version >= TOPIC_IDS_VERSION_MIN;
    let partitions = topics.as_ref().map(|topics| wanted(&catalog, by_id, topics));
    let call = GroupCall::FetchOffsets(FetchOffsets { group_id, member_id, partitions });
    let offsets = match context.broker.group(call).await? {
        GroupAnswer::Offsets(Ok(offsets)) => offsets,
        GroupAnswer::Offsets(Err(error)) => return Ok(Err(error.code())),
        _ => return Ok(Err(code::COORDINATOR_NOT_AVAILABLE)),
    };
    Ok(Ok(match topics {
        Some(topics) => asked_for(&catalog, by_id, topics, offsets),
        None => everything(&catalog, by_id, offsets),
    }))
}

/// The partitions to look up: all of the topics that exist, and of those asked for by name also what does not exist any
/// more, whose commits may still be there.
fn wanted(
    catalog: &Catalog,
    by_id: bool,
    topics: &[OffsetFetchTopic],
) -> Vec<(String, TopicId, PartitionId)> {
    let mut wanted = Vec::new();
    for topic in topics {
        let (name, id) = match topics::find_by(catalog, by_id, &topic.name, topic.topic_id) {
            Ok(found) => (&found.name, found.id),
            Err(_) if by_id => continue,
            Err(_) => (&topic.name, TopicId::default()),
        };
        wanted.extend(topic.partitions.iter().map(|partition| (name.clone(), id, *partition)));
    }
    wanted
}

/// The answer in the order of the request; `offsets` are those of [`wanted`].
fn asked_for(
    catalog: &Catalog,
    by_id: bool,
    topics: Vec<OffsetFetchTopic>,
    offsets: Vec<FetchedOffset>,
) -> Vec<OffsetFetchTopicResponse> {
    let mut offsets = offsets.into_iter();
    let answers = topics.into_iter().map(|topic| {
        let unknown = by_id && catalog.topic_by_id(topic.topic_id).is_none();
        let partitions = topic.partitions.into_iter().map(|partition| {
            if unknown {
                let error_code = code::UNKNOWN_TOPIC_ID;
                return OffsetFetchPartitionResponse {
                    partition,
                    error_code,
                    ..Default::default()
                };
            }
            answer(partition, offsets.next())
        });
        let partitions = partitions.collect();
        OffsetFetchTopicResponse { name: topic.name, topic_id: topic.topic_id, partitions }
    });
    answers.collect()
}

/// Everything the group has committed, by topic. A commit for an earlier topic of the same name does not count; where
/// topics go by id, neither does one whose topic is gone.
fn everything(
    catalog: &Catalog,
    by_id: bool,
    offsets: Vec<FetchedOffset>,
) -> Vec<OffsetFetchTopicResponse> {
    let mut topics: Vec<OffsetFetchTopicResponse> = Vec::new();
    for offset in offsets {
        let topic = catalog.topic(&offset.topic);
        let none = TopicId::default();
        let committed_for = offset.committed.as_ref().map_or(none, |committed| committed.topic_id);
        let stale = topic.is_some_and(|topic| committed_for != none && committed_for != topic.id);
        if stale || (by_id && topic.is_none()) {
            continue;
        }
        if topics.last().is_none_or(|last| last.name != offset.topic) {
            topics.push(OffsetFetchTopicResponse {
                name: offset.topic.clone(),
                topic_id: topic.map_or(none, |topic| topic.id),
                partitions: Vec::new(),
            });
        }
        let last = topics.last_mut().expect("pushed if there was none");
        last.partitions.push(answer(offset.partition, Some(offset)));
    }
    topics
}

fn answer(partition: PartitionId, fetched: Option<FetchedOffset>) -> OffsetFetchPartitionResponse {
    let none = OffsetFetchPartitionResponse { partition, ..Default::default() };
    match fetched.and_then(|fetched| fetched.committed) {
        None => none,
        Some(committed) => OffsetFetchPartitionResponse {
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: Some(committed.metadata),
            ..none
        },
    }
}
