//! Fetch (1), versions 4–18: whole batches from an offset, waiting up to `max_wait_ms` for `min_bytes`.
//!
//! ```text
//!  resolve partitions ─► read ─► enough, an error, or no time? ─yes─► answer
//!                          ▲                  │ no
//!                          └── woken ◄── watch the high watermarks, or time out
//! ```
//!
//! The batch that contains the fetch offset is returned whole; the first batch is returned even when it exceeds the
//! limits (KIP-74). Nothing at or beyond the high watermark is returned. Without transactions the last stable offset is
//! the high watermark.

use std::rc::Rc;
use std::time::Duration;

use broker_core::catalog::PartitionPlace;
use broker_kafka_wire::{
    BatchSlices, EpochEndOffset, FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse,
    FetchTopicResponse, LeaderIdAndEpoch,
};
use futures_util::future::{Either, select};
use log_types::{NodeId, Offset, PartitionId};

use super::topics;
use crate::broker::{Broker, Fatal, PartitionError, ReadReply, ReadRequest};
use crate::code;
use crate::handler::{Context, Response};

/// `fetch.max.bytes` of the broker: 55 MiB.
const RESPONSE_BYTES_MAX: usize = 55 << 20;
/// Longest wait a client may ask for; more is cut to this.
const WAIT_MS_MAX: i32 = 300_000;

/// One partition of the request, in the order of the answer.
pub(super) struct Asked {
    topic: usize,
    partition: PartitionId,
    read: Result<ReadRequest, i16>,
}

type Reads = Vec<Result<ReadReply, PartitionError>>;

pub(crate) async fn handle(context: Context, request: FetchRequest) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let broker = Rc::clone(&context.broker);
    if request.session_id != 0 && request.session_epoch > 0 {
        // No session is ever made here, so none can go on.
        let error_code = code::FETCH_SESSION_ID_NOT_FOUND;
        let response = FetchResponse { error_code, ..FetchResponse::default() };
        return Context::send(response.encode(version, correlation_id));
    }
    let (mut topics, asked) = resolve(&*broker, &request);
    let Ok(reads) = read_until_enough(&*broker, &request, &asked).await else { return Response::Close };
    let leader = LeaderIdAndEpoch {
        leader_id: NodeId(broker.identity().node_id),
        leader_epoch: broker.leader_epoch(),
    };
    let mut reads = reads.into_iter();
    for asked in asked {
        let answer = match asked.read {
            Ok(_) => reads.next().map_or_else(
                || refused(asked.partition, code::UNKNOWN_TOPIC_OR_PARTITION),
                |read| answer(asked.partition, read, leader.clone()),
            ),
            Err(error_code) => refused(asked.partition, error_code),
        };
        topics[asked.topic].partitions.push(answer);
    }
    let response = FetchResponse { topics, ..FetchResponse::default() };
    Context::send(response.encode(version, correlation_id))
}

fn resolve(broker: &dyn Broker, request: &FetchRequest) -> (Vec<FetchTopicResponse>, Vec<Asked>) {
    let catalog = broker.catalog();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut asked = Vec::new();
    for wanted in &request.topics {
        let topic = topics::find(&catalog, &wanted.topic, wanted.topic_id);
        for partition in &wanted.partitions {
            let place = topic.and_then(|topic| topics::place(topic, partition.partition));
            asked.push(Asked {
                topic: topics.len(),
                partition: partition.partition,
                read: place.map(|place| read_request(place, partition)),
            });
        }
        topics.push(FetchTopicResponse {
            topic: wanted.topic.clone(),
            topic_id: wanted.topic_id,
            partitions: Vec::with_capacity(wanted.partitions.len()),
        });
    }
    (topics, asked)
}

fn read_request(place: PartitionPlace, partition: &FetchPartition) -> ReadRequest {
    ReadRequest {
        place,
        offset: partition.fetch_offset,
        bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        current_epoch: partition.current_leader_epoch,
        last_fetched_epoch: partition.last_fetched_epoch,
    }
}

/// Reads, and while that gives too little and nothing is wrong, waits for the partitions to grow.
async fn read_until_enough(
    broker: &dyn Broker,
    request: &FetchRequest,
    asked: &[Asked],
) -> Result<Reads, Fatal> {
    let requests: Vec<ReadRequest> = asked.iter().filter_map(|asked| asked.read.ok()).collect();
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(RESPONSE_BYTES_MAX);
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0);
    let wait_ms = u64::try_from(request.max_wait_ms.min(WAIT_MS_MAX)).unwrap_or(0);
    let refused = requests.len() < asked.len();
    let mut deadline = None;
    loop {
        let reads = broker.read(requests.clone(), bytes_max).await?;
        let bytes: usize = reads.iter().flatten().map(ReadReply::bytes).sum();
        let news = reads.iter().any(|read| match read {
            Ok(reply) => reply.diverging.is_some(),
            Err(_) => true,
        });
        if refused || news || bytes >= bytes_min || wait_ms == 0 {
            return Ok(reads);
        }
        let growing = requests.iter().zip(&reads);
        let watched = growing.filter_map(|(request, read)| Some((request.place, read.as_ref().ok()?.visible)));
        let watch = broker.watch(watched.collect());
        let time_out =
            deadline.take().unwrap_or_else(|| broker.sleep(Duration::from_millis(wait_ms)));
        match select(watch, time_out).await {
            Either::Left(((), time_left)) => deadline = Some(time_left),
            Either::Right(((), _)) => return broker.read(requests, bytes_max).await,
        }
    }
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

