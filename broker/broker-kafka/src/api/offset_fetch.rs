//! OffsetFetch (9), versions 1–10: committed offsets, durable ones only. Version 8 asks for several groups (KIP-709),
//! version 10 for topics by id (KIP-848).
//!
//! A partition without a commit answers offset −1, and a topic with an unknown id UNKNOWN_TOPIC_ID. `require_stable` (7,
//! KIP-447) needs nothing: no commit is ever pending in a transaction. Very many partitions are looked up in several calls.

use std::collections::BTreeSet;

use broker_core::catalog::Catalog;
use broker_kafka_wire::{
    OffsetFetchGroup, OffsetFetchGroupResponse, OffsetFetchPartitionResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetFetchTopic, OffsetFetchTopicResponse,
};
use log_io::yield_once;
use log_types::{PartitionId, TopicId};

use super::topics;
use crate::broker::{
    CALL_PARTITIONS_MAX, Fatal, FetchOffsets, FetchedOffset, GroupAnswer, GroupCall, WantedOffsets,
};
use crate::code;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

const SEVERAL_GROUPS_VERSION_MIN: i16 = 8;
const TOPIC_IDS_VERSION_MIN: i16 = 10;

/// What an offset takes while the answer is built, its encoded form included, besides its metadata.
const OFFSET_BYTES: usize = 128;
/// The same for a topic or a group, besides its name.
const GROUP_BYTES: usize = 256;

/// The offsets of a group by topic, or the code that refuses them all.
type Fetched = Result<Vec<OffsetFetchTopicResponse>, i16>;

pub(crate) async fn handle(mut context: Context, request: OffsetFetchRequest) -> Response {
    let answered = if context.header.version < SEVERAL_GROUPS_VERSION_MIN {
        one_group(&mut context, request).await
    } else {
        several_groups(&mut context, request).await
    };
    let Ok(response) = answered else { return Response::Close };
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    context.send(response.encode_paced(version, correlation_id).await)
}

async fn one_group(
    context: &mut Context,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Fatal> {
    let mut response = OffsetFetchResponse::default();
    let mut group = Group { context, group_id: request.group_id, member_id: None };
    match group.fetch(request.topics).await? {
        Ok(topics) => response.topics = topics,
        Err(error_code) => response.error_code = error_code,
    }
    Ok(response)
}

async fn several_groups(
    context: &mut Context,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Fatal> {
    let mut response = OffsetFetchResponse::default();
    let (mut answered, mut pace) = (BTreeSet::new(), Pace::default());
    response.groups.reserve_exact(request.groups.len());
    for OffsetFetchGroup { group_id, member_id, member_epoch, topics } in request.groups {
        // A group that stands several times is looked up once: three bytes could ask for megabytes otherwise.
        context.grow(GROUP_BYTES + 2 * group_id.len()).await;
        let fetched = match answered.insert(group_id.clone()) {
            true => {
                let (group_id, member_id) =
                    (group_id.clone(), member_id.filter(|_| member_epoch >= 0));
                Group { context, group_id, member_id }.fetch(topics).await?
            }
            false => Err(code::INVALID_REQUEST),
        };
        let error_code = fetched.as_ref().err().copied().unwrap_or(code::NONE);
        let topics = fetched.unwrap_or_default();
        response.groups.push(OffsetFetchGroupResponse { group_id, topics, error_code });
        pace.partition(0).await;
    }
    pace.free(answered).await;
    Ok(response)
}

/// The group that is asked about.
struct Group<'a> {
    context: &'a mut Context,
    group_id: String,
    /// Checked when present.
    member_id: Option<String>,
}

impl Group<'_> {
    async fn fetch(&mut self, topics: Option<Vec<OffsetFetchTopic>>) -> Result<Fetched, Fatal> {
        if !topics::plausible(topics.iter().flatten().map(|topic| &*topic.name)) {
            return Err(Fatal);
        }
        match topics {
            Some(topics) => self.asked_for(topics).await,
            None => self.everything().await,
        }
    }

    fn by_id(&self) -> bool {
        self.context.header.version >= TOPIC_IDS_VERSION_MIN
    }

    async fn call(&self, wanted: WantedOffsets) -> Result<Result<Vec<FetchedOffset>, i16>, Fatal> {
        let (group_id, member_id) = (self.group_id.clone(), self.member_id.clone());
        let call = GroupCall::FetchOffsets(FetchOffsets { group_id, member_id, wanted });
        Ok(match self.context.broker.group(call).await? {
            GroupAnswer::Offsets(offsets) => offsets.map_err(|error| error.code()),
            _ => Err(code::COORDINATOR_NOT_AVAILABLE),
        })
    }

    /// The answer in the order of the request. What is asked for by name is looked up even where the topic does not exist
    /// any more: its commits may still be there.
    async fn asked_for(&mut self, topics: Vec<OffsetFetchTopic>) -> Result<Fetched, Fatal> {
        let (catalog, by_id) = (self.context.broker.catalog(), self.by_id());
        let mut asked = Asked { answers: Vec::with_capacity(topics.len()), ..Asked::default() };
        for topic in topics {
            let found = topics::find_by(&catalog, by_id, &topic.name, topic.topic_id);
            let known = match found {
                Ok(found) => Some((found.name.clone(), found.id)),
                Err(_) if by_id => None,
                Err(_) => Some((topic.name.clone(), TopicId::default())),
            };
            self.context.grow(GROUP_BYTES + 2 * topic.name.len()).await;
            asked.topic(topic.name, topic.topic_id, topic.partitions.len());
            for partition in topic.partitions {
                if asked.wanted.len() == CALL_PARTITIONS_MAX
                    && let Err(refused) = self.look_up(&mut asked).await?
                {
                    return Ok(Err(refused));
                }
                asked.partition(known.as_ref(), partition);
                asked.pace.partition(0).await;
            }
        }
        // Also when nothing is asked for: the group may refuse.
        Ok(self.look_up(&mut asked).await?.map(|()| asked.answers))
    }

    async fn look_up(&mut self, asked: &mut Asked) -> Result<Result<(), i16>, Fatal> {
        let wanted = WantedOffsets::Of(std::mem::take(&mut asked.wanted));
        let at = std::mem::take(&mut asked.at);
        let offsets = match self.call(wanted).await? {
            Ok(offsets) => offsets,
            Err(refused) => return Ok(Err(refused)),
        };
        self.context.grow(answer_bytes(&offsets)).await;
        for ((topic, partition), offset) in at.into_iter().zip(offsets) {
            committed(&mut asked.answers[topic].partitions[partition], offset);
        }
        Ok(Ok(()))
    }

    /// Everything the group has committed, by topic. A commit for an earlier topic of the same name does not count; where
    /// topics go by id, neither does one whose topic is gone.
    async fn everything(&mut self) -> Result<Fetched, Fatal> {
        let (catalog, by_id) = (self.context.broker.catalog(), self.by_id());
        let mut topics: Vec<OffsetFetchTopicResponse> = Vec::new();
        let mut after = None;
        loop {
            let page = match self.call(WantedOffsets::After(after)).await? {
                Ok(page) => page,
                Err(refused) => return Ok(Err(refused)),
            };
            self.context.grow(answer_bytes(&page)).await;
            if page.len() < CALL_PARTITIONS_MAX {
                add(&catalog, by_id, &mut topics, page);
                return Ok(Ok(topics));
            }
            after = page.last().map(|last| (last.topic.clone(), last.partition));
            add(&catalog, by_id, &mut topics, page);
            yield_once().await;
        }
    }
}

/// The partitions of a request, answered and still to be looked up.
#[derive(Default)]
struct Asked {
    answers: Vec<OffsetFetchTopicResponse>,
    wanted: Vec<(String, TopicId, PartitionId)>,
    /// Where in the answers those go.
    at: Vec<(usize, usize)>,
    pace: Pace,
}

impl Asked {
    /// A topic of which so many partitions are asked for: a list that grows is copied in one go.
    fn topic(&mut self, name: String, topic_id: TopicId, count: usize) {
        let partitions = Vec::with_capacity(count);
        self.answers.push(OffsetFetchTopicResponse { name, topic_id, partitions });
    }

    /// A partition of the last topic; `known` when that can be looked up.
    fn partition(&mut self, known: Option<&(String, TopicId)>, partition: PartitionId) {
        let topic = self.answers.len() - 1;
        let answers = &mut self.answers[topic].partitions;
        let error_code = known.map_or(code::UNKNOWN_TOPIC_ID, |_| code::NONE);
        answers.push(OffsetFetchPartitionResponse { partition, error_code, ..Default::default() });
        if let Some((name, id)) = known {
            self.at.push((topic, answers.len() - 1));
            self.wanted.push((name.clone(), *id, partition));
        }
    }
}

/// What looked up offsets take in the answer. Those of a page of everything may each come with a topic.
fn answer_bytes(offsets: &[FetchedOffset]) -> usize {
    let bytes = |offset: &FetchedOffset| {
        let metadata = offset.committed.as_ref().map_or(0, |committed| committed.metadata.len());
        OFFSET_BYTES + 2 * (metadata + offset.topic.len())
    };
    offsets.iter().map(bytes).sum()
}

/// Adds a page of a group's commits to its topics.
fn add(
    catalog: &Catalog,
    by_id: bool,
    topics: &mut Vec<OffsetFetchTopicResponse>,
    page: Vec<FetchedOffset>,
) {
    for offset in page {
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
                // A list that grows is copied in one go.
                partitions: Vec::with_capacity(topic.map_or(0, |topic| topic.partitions.len())),
            });
        }
        let last = topics.last_mut().expect("pushed if there was none");
        let partition = offset.partition;
        let mut answer = OffsetFetchPartitionResponse { partition, ..Default::default() };
        committed(&mut answer, offset);
        last.partitions.push(answer);
    }
}

fn committed(answer: &mut OffsetFetchPartitionResponse, fetched: FetchedOffset) {
    if let Some(committed) = fetched.committed {
        answer.offset = committed.offset;
        answer.leader_epoch = committed.leader_epoch;
        answer.metadata = Some(committed.metadata);
    }
}
