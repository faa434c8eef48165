//! Fetch (1), versions 4–18: whole batches from an offset, waiting up to `max_wait_ms` for `min_bytes`.
//!
//! ```text
//!  session begins ─► resolve partitions ─► read ─► enough, an error, or no time? ─yes─► session drops what is no news ─► answer
//!                                            ▲                  │ no
//!                                            └── woken ◄── watch the high watermarks, or time out
//! ```
//!
//! - The batch that contains the fetch offset is returned whole; the first batch is returned even when it exceeds the
//!   limits (KIP-74). Nothing at or beyond the high watermark is returned. Without transactions the last stable offset
//!   is the high watermark.
//! - Incremental sessions (version 7, KIP-227) live on the core of the connection: a client that comes back on another
//!   core gets FETCH_SESSION_ID_NOT_FOUND and opens a new one, as after a restart.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use broker_core::catalog::{Catalog, PartitionPlace};
use broker_core::config::BrokerCompression;
use broker_core::fetch_session::{
    FetchKey, FetchPartition as Wanted, FetchResult, FetchTopic as TopicKey,
};
use broker_kafka_wire::{
    BatchSlices, EpochEndOffset, FetchPartitionResponse, FetchRequest, FetchResponse,
    FetchTopicResponse, LeaderIdAndEpoch,
};
use futures_util::future::{Either, select};
use log_types::{NodeId, Offset, PartitionId, TopicId};

use super::topics;
use crate::broker::{Broker, Fatal, PartitionError, ReadReplies, ReadReply, ReadRequest, Reserved};
use crate::code;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

/// `fetch.max.bytes` of the broker: 55 MiB.
const RESPONSE_BYTES_MAX: usize = 55 << 20;
/// Longest wait a client may ask for; more is cut to this.
const WAIT_MS_MAX: i32 = 300_000;
/// From here on topics are named by id (KIP-516).
const BY_ID_VERSION_MIN: i16 = 13;

/// Older clients cannot read zstd, so topics stored in it are refused to them (KIP-110).
const ZSTD_VERSION_MIN: i16 = 10;

/// One partition of the fetch, in the order of the answer.
struct Asked {
    key: FetchKey,
    read: Result<ReadRequest, i16>,
}

type Reads = Vec<Result<ReadReply, PartitionError>>;

/// What the answer of a partition takes, besides its records.
const PARTITION_BYTES: usize = 1 << 10;
/// Fetches of more partitions wait no longer than this for records: what they hold meanwhile is in no budget.
const LARGE_PARTITIONS_MIN: usize = 1024;
const LARGE_WAIT_MS_MAX: i32 = 1000;

pub(crate) async fn handle(mut context: Context, request: FetchRequest) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    match fetch(&mut context, request).await {
        Ok((response, held)) => {
            let encoded = response.encode_paced(version, correlation_id).await;
            Response::of(encoded, Some(held))
        }
        Err(Fatal) => Response::Close,
    }
}

async fn fetch(
    context: &mut Context,
    request: FetchRequest,
) -> Result<(FetchResponse, Reserved), Fatal> {
    let names = request.topics.iter().map(|topic| &*topic.topic);
    let forgotten_names = request.forgotten_topics.iter().map(|topic| &*topic.topic);
    if !topics::plausible(names.chain(forgotten_names)) {
        return Err(Fatal);
    }
    let (broker, sessions) = (Rc::clone(&context.broker), Rc::clone(&context.sessions));
    let broker = &*broker;
    let version = context.header.version;
    let by_id = version >= BY_ID_VERSION_MIN;
    let failed = |error_code| {
        let response = FetchResponse { error_code, ..FetchResponse::default() };
        (response, Box::new(()) as Reserved)
    };
    let wanted = wanted(&request, by_id).await;
    let forgotten = forgotten(&request, by_id).await;
    let begun = sessions.borrow_mut().begin(
        broker.now_ms(),
        request.session_id,
        request.session_epoch,
        by_id,
        false,
        wanted,
        &forgotten,
    );
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(failed(error.code())),
    };
    let asked = resolve(broker, version, &begun.partitions).await;
    let wait = Wait::of(&request);
    let mut pace = Pace::default();
    pace.free(request.topics).await;
    pace.free(request.forgotten_topics).await;
    // Whatever is reserved while it waits for records, others wait for.
    context.hold(0);
    let read = read_until_enough(broker, &wait, &asked).await?;
    let ReadReplies { replies, held, .. } = read;
    context.hold(asked.len() * PARTITION_BYTES);
    let (answers, mut results) = answers(broker, asked, replies).await;
    let random = u32::try_from(broker.random() >> 32).unwrap_or(1);
    let finished = sessions.borrow_mut().finish(broker.now_ms(), begun, &mut results, random);
    match finished {
        Ok(session_id) => {
            let topics = by_topic(answers, &results).await;
            pace.free(results).await;
            Ok((FetchResponse { session_id, topics, ..FetchResponse::default() }, held))
        }
        Err(error) => Ok(failed(error.code())),
    }
}

fn topic_key(by_id: bool, name: &str, id: TopicId) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.into()) }
}

/// The request's partitions.
async fn wanted(request: &FetchRequest, by_id: bool) -> Vec<Wanted> {
    // With room for all, here and below: a list that grows is copied in one go.
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let (mut wanted, mut pace) = (Vec::with_capacity(count), Pace::default());
    for topic in &request.topics {
        let key = topic_key(by_id, &topic.topic, topic.topic_id);
        for partition in &topic.partitions {
            wanted.push(Wanted {
                key: FetchKey { topic: key.clone(), partition: partition.partition },
                fetch_offset: partition.fetch_offset,
                log_start: partition.log_start_offset,
                bytes_max: partition.partition_max_bytes,
                leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            });
            pace.partition(0).await;
        }
    }
    wanted
}

/// The partitions that leave the session.
async fn forgotten(request: &FetchRequest, by_id: bool) -> Vec<FetchKey> {
    let count = request.forgotten_topics.iter().map(|topic| topic.partitions.len()).sum();
    let (mut forgotten, mut pace) = (Vec::with_capacity(count), Pace::default());
    for topic in &request.forgotten_topics {
        let key = topic_key(by_id, &topic.topic, topic.topic_id);
        for partition in &topic.partitions {
            forgotten.push(FetchKey { topic: key.clone(), partition: *partition });
            pace.partition(0).await;
        }
    }
    forgotten
}

async fn resolve(broker: &dyn Broker, version: i16, partitions: &[Wanted]) -> Vec<Asked> {
    let catalog = broker.catalog();
    let (mut asked, mut pace) = (Vec::with_capacity(partitions.len()), Pace::default());
    for wanted in partitions {
        asked.push(resolve_one(broker, &catalog, version, wanted));
        pace.partition(0).await;
    }
    asked
}

fn resolve_one(broker: &dyn Broker, catalog: &Catalog, version: i16, wanted: &Wanted) -> Asked {
    let topic = match &wanted.key.topic {
        TopicKey::Name(name) => topics::find(catalog, name, TopicId::default()),
        // No topic has the id of all zeros.
        TopicKey::Id(id) => catalog.topic_by_id(*id).ok_or(code::UNKNOWN_TOPIC_ID),
    };
    let place = topic.and_then(|topic| {
        let place = topics::place(topic, wanted.key.partition)?;
        let zstd = broker.topic_config(topic).compression == BrokerCompression::Zstd;
        match zstd && version < ZSTD_VERSION_MIN {
            true => Err(code::UNSUPPORTED_COMPRESSION_TYPE),
            false => Ok(place),
        }
    });
    let read = place.map(|place| ReadRequest {
        place,
        offset: wanted.fetch_offset,
        bytes_max: usize::try_from(wanted.bytes_max).unwrap_or(0),
        current_epoch: wanted.leader_epoch,
        last_fetched_epoch: wanted.last_fetched_epoch,
    });
    Asked { key: wanted.key.clone(), read }
}

type Answers = Vec<(FetchKey, FetchPartitionResponse)>;

/// The answers, and what the session must know of them.
async fn answers(
    broker: &dyn Broker,
    asked: Vec<Asked>,
    reads: Reads,
) -> (Answers, Vec<FetchResult>) {
    let leader = LeaderIdAndEpoch {
        leader_id: NodeId(broker.identity().node_id),
        leader_epoch: broker.leader_epoch(),
    };
    let (mut reads, mut pace) = (reads.into_iter(), Pace::default());
    let mut answers = Vec::with_capacity(asked.len());
    let mut results = Vec::with_capacity(asked.len());
    for Asked { key, read } in asked {
        let partition = key.partition;
        let answer = match read {
            Ok(_) => reads.next().map_or_else(
                || refused(partition, code::UNKNOWN_TOPIC_OR_PARTITION),
                |read| answer(partition, read, leader.clone()),
            ),
            Err(error_code) => refused(partition, error_code),
        };
        results.push(result(&key, &answer));
        answers.push((key, answer));
        pace.partition(0).await;
    }
    (answers, results)
}

fn result(key: &FetchKey, answer: &FetchPartitionResponse) -> FetchResult {
    FetchResult {
        key: key.clone(),
        error: answer.error_code,
        high_watermark: answer.high_watermark,
        log_start: answer.log_start_offset,
        records_bytes: answer.records.len(),
        redirected: answer.diverging_epoch != EpochEndOffset::default(),
    }
}

/// The answers that are still in `kept`, whose order is theirs, by topic.
async fn by_topic(answers: Answers, kept: &[FetchResult]) -> Vec<FetchTopicResponse> {
    let mut pace = Pace::default();
    let mut counts: BTreeMap<&TopicKey, usize> = BTreeMap::new();
    for result in kept {
        *counts.entry(&result.key.topic).or_default() += 1;
        pace.element().await;
    }
    let mut kept = kept.iter().peekable();
    let mut topics: Vec<FetchTopicResponse> = Vec::with_capacity(counts.len());
    let mut index: BTreeMap<TopicKey, usize> = BTreeMap::new();
    for (key, answer) in answers {
        pace.partition(0).await;
        if kept.next_if(|result| result.key == key).is_none() {
            continue;
        }
        let count = counts.get(&key.topic).copied().unwrap_or_default();
        let at = *index.entry(key.topic).or_insert_with_key(|key| {
            topics.push(new_topic(key, count));
            topics.len() - 1
        });
        topics[at].partitions.push(answer);
    }
    pace.free(counts).await;
    pace.free(index).await;
    topics
}

/// The answer of a topic of which so many partitions are answered.
fn new_topic(key: &TopicKey, count: usize) -> FetchTopicResponse {
    let partitions = Vec::with_capacity(count);
    let mut topic = FetchTopicResponse { partitions, ..FetchTopicResponse::default() };
    match key {
        TopicKey::Name(name) => topic.topic = name.to_string(),
        TopicKey::Id(id) => topic.topic_id = *id,
    }
    topic
}

/// How much is to be read at most, and at least unless that takes longer.
struct Wait {
    bytes_max: usize,
    bytes_min: usize,
    ms_max: i32,
}

impl Wait {
    fn of(request: &FetchRequest) -> Self {
        let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(RESPONSE_BYTES_MAX);
        let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max);
        Self { bytes_max, bytes_min, ms_max: request.max_wait_ms }
    }
}

/// Reads, and while that gives too little and nothing is wrong, waits for the partitions to grow.
async fn read_until_enough(
    broker: &dyn Broker,
    wait: &Wait,
    asked: &[Asked],
) -> Result<ReadReplies, Fatal> {
    let Wait { bytes_max, bytes_min, .. } = *wait;
    let (mut requests, mut pace) = (Vec::with_capacity(asked.len()), Pace::default());
    for asked in asked {
        requests.extend(asked.read);
        pace.element().await;
    }
    let requests = Rc::new(requests);
    let wait_ms_max = match asked.len() > LARGE_PARTITIONS_MIN {
        true => LARGE_WAIT_MS_MAX,
        false => WAIT_MS_MAX,
    };
    let wait_ms = u64::try_from(wait.ms_max.min(wait_ms_max)).unwrap_or(0);
    let refused = requests.len() < asked.len();
    if asked.is_empty() {
        // A session that only closes, or has nothing left, has nothing to wait for.
        let (replies, held) = (Reads::new(), Box::new(()));
        return Ok(ReadReplies { replies, bytes: 0, curtailed: false, held });
    }
    let mut deadline = None;
    loop {
        let read = broker.read(Rc::clone(&requests), bytes_max).await?;
        let no_room = read.curtailed && read.bytes > 0;
        if refused || no_room || read.bytes >= bytes_min || wait_ms == 0 {
            return Ok(read);
        }
        let Some(watched) = growing(&requests, &read.replies).await else { return Ok(read) };
        let watch = broker.watch(watched);
        pace.free(read.replies).await;
        drop(read.held);
        let time_out =
            deadline.take().unwrap_or_else(|| broker.sleep(Duration::from_millis(wait_ms)));
        match select(watch, time_out).await {
            Either::Left(((), time_left)) => deadline = Some(time_left),
            Either::Right(((), _)) => return broker.read(requests, bytes_max).await,
        }
    }
}

/// What there is to wait for: each partition and where its records end. `None` when there is news of one already.
async fn growing(requests: &[ReadRequest], reads: &Reads) -> Option<Vec<(PartitionPlace, Offset)>> {
    let (mut watched, mut pace) = (Vec::with_capacity(reads.len()), Pace::default());
    for (request, read) in requests.iter().zip(reads) {
        match read {
            Ok(reply) if reply.diverging.is_none() => watched.push((request.place, reply.visible)),
            _ => return None,
        }
        pace.element().await;
    }
    Some(watched)
}

fn refused(partition: PartitionId, error_code: i16) -> FetchPartitionResponse {
    FetchPartitionResponse {
        partition,
        error_code,
        high_watermark: Offset(-1),
        ..FetchPartitionResponse::default()
    }
}

fn answer(
    partition: PartitionId,
    read: Result<ReadReply, PartitionError>,
    leader: LeaderIdAndEpoch,
) -> FetchPartitionResponse {
    let reply = match read {
        Ok(reply) => reply,
        Err(error) => {
            let mut response = refused(partition, code::of_partition(&error));
            if matches!(error, PartitionError::FencedEpoch) {
                response.current_leader = leader;
            }
            return response;
        }
    };
    let mut response = FetchPartitionResponse {
        partition,
        high_watermark: reply.visible,
        last_stable_offset: reply.visible,
        log_start_offset: reply.log_start,
        records: BatchSlices(reply.batches),
        ..FetchPartitionResponse::default()
    };
    if let Some((epoch, end_offset)) = reply.diverging {
        response.diverging_epoch = EpochEndOffset { epoch, end_offset };
    }
    response
}
