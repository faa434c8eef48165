//! OffsetFetch (9), versions 1–9: committed offsets, durable ones only. Version 8 asks for several groups (KIP-709).
//!
//! A partition without a commit answers offset −1. `require_stable` (7, KIP-447) needs nothing: no commit is ever pending
//! in a transaction.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, ResponseKind, TopicName};
use log_types::{PartitionId, TopicId};

use super::text::{group_id, owned, text, topic_name};
use super::topics;
use crate::broker::{Fatal, FetchOffsets, FetchedOffset, GroupAnswer, GroupCall};
use crate::code;
use crate::handler::Context;

const SEVERAL_GROUPS_VERSION_MIN: i16 = 8;

pub(crate) async fn handle(
    context: &Context,
    request: OffsetFetchRequest,
) -> Result<ResponseKind, Fatal> {
    let mut response = OffsetFetchResponse::default();
    if context.header.version < SEVERAL_GROUPS_VERSION_MIN {
        let topics = request.topics.as_ref().map(|topics| {
            topics.iter().map(|topic| (&topic.name, &topic.partition_indexes[..])).collect()
        });
        let fetched = fetch(context, &request.group_id, None, topics).await?;
        match fetched {
            Ok(offsets) => response.topics = by_topic(offsets),
            Err(error_code) => response.error_code = error_code,
        }
        return Ok(ResponseKind::OffsetFetch(response));
    }
    for group in &request.groups {
        let topics = group.topics.as_ref().map(|topics| {
            topics.iter().map(|topic| (&topic.name, &topic.partition_indexes[..])).collect()
        });
        let member = owned(group.member_id.as_ref()).filter(|_| group.member_epoch >= 0);
        let mut answer = OffsetFetchResponseGroup::default();
        answer.group_id = group_id(&group.group_id);
        match fetch(context, &group.group_id, member, topics).await? {
            Ok(offsets) => answer.topics = by_topic_of_group(offsets),
            Err(error_code) => answer.error_code = error_code,
        }
        response.groups.push(answer);
    }
    Ok(ResponseKind::OffsetFetch(response))
}

async fn fetch(
    context: &Context,
    group: &str,
    member_id: Option<String>,
    topics: Option<Vec<(&TopicName, &[i32])>>,
) -> Result<Result<Vec<FetchedOffset>, i16>, Fatal> {
    if !topics::plausible(topics.iter().flatten().map(|(name, _)| &****name)) {
        return Err(Fatal);
    }
    let catalog = context.broker.catalog();
    let partitions = topics.map(|topics| {
        let wanted = topics.into_iter().flat_map(|(name, indexes)| {
            let id = catalog.topic(name).map_or(TopicId::default(), |topic| topic.id);
            indexes.iter().map(move |index| (name.to_string(), id, PartitionId(*index)))
        });
        wanted.collect()
    });
    let call =
        GroupCall::FetchOffsets(FetchOffsets { group_id: group.to_owned(), member_id, partitions });
    Ok(match context.broker.group(call).await? {
        GroupAnswer::Offsets(offsets) => offsets.map_err(|error| error.code()),
        _ => Err(code::COORDINATOR_NOT_AVAILABLE),
    })
}

fn grouped(offsets: Vec<FetchedOffset>) -> BTreeMap<String, Vec<FetchedOffset>> {
    let mut topics: BTreeMap<String, Vec<FetchedOffset>> = BTreeMap::new();
    for offset in offsets {
        topics.entry(offset.topic.clone()).or_default().push(offset);
    }
    topics
}

fn by_topic(offsets: Vec<FetchedOffset>) -> Vec<OffsetFetchResponseTopic> {
    let topics = grouped(offsets).into_iter().map(|(topic, offsets)| {
        let partitions = offsets.into_iter().map(|offset| {
            let mut answer = OffsetFetchResponsePartition::default();
            answer.partition_index = offset.partition.0;
            answer.committed_offset = -1;
            answer.committed_leader_epoch = -1;
            answer.metadata = Some(text(""));
            if let Some(committed) = offset.committed {
                answer.committed_offset = committed.offset.0;
                answer.committed_leader_epoch = committed.leader_epoch.0;
                answer.metadata = Some(text(&committed.metadata));
            }
            answer
        });
        let mut answer = OffsetFetchResponseTopic::default();
        answer.name = topic_name(&topic);
        answer.partitions = partitions.collect();
        answer
    });
    topics.collect()
}

fn by_topic_of_group(offsets: Vec<FetchedOffset>) -> Vec<OffsetFetchResponseTopics> {
    let topics = by_topic(offsets).into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            let mut answer = OffsetFetchResponsePartitions::default();
            answer.partition_index = partition.partition_index;
            answer.committed_offset = partition.committed_offset;
            answer.committed_leader_epoch = partition.committed_leader_epoch;
            answer.metadata = partition.metadata;
            answer
        });
        let mut answer = OffsetFetchResponseTopics::default();
        answer.name = topic.name;
        answer.partitions = partitions.collect();
        answer
    });
    topics.collect()
}
