//! ListOffsets (2), versions 1–11: log start, high watermark, largest timestamp, first offset at a time.
//!
//! −1 latest, −2 earliest, −3 largest timestamp (version 7), −4 earliest local (8): the log is all local, so it equals
//! the earliest; −5 latest tiered (9) and −6 earliest pending upload (11): nothing is tiered, so −1.
//! A partition that stands twice is refused (INVALID_REQUEST), as in Kafka. Source: KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023.

use std::collections::BTreeSet;

use broker_kafka_wire::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use futures_util::future::join_all;
use log_types::{Offset, PartitionId, TopicId};

use super::topics;
use crate::broker::{Broker, Fatal, OffsetQuery};
use crate::code;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

/// Partitions that are looked up at the same time, so that other cores work in parallel.
const ASKED_AT_ONCE: usize = 64;

/// What a timestamp of the request asks for; `Err` with what to answer where no record is looked for.
fn query_of(timestamp: i64, version: i16) -> Result<OffsetQuery, i16> {
    match timestamp {
        -1 => Ok(OffsetQuery::Latest),
        -2 => Ok(OffsetQuery::Earliest),
        -3 if version >= 7 => Ok(OffsetQuery::MaxTimestamp),
        -4 if version >= 8 => Ok(OffsetQuery::Earliest),
        -5 if version >= 9 => Err(code::NONE),
        -6 if version >= 11 => Err(code::NONE),
        0.. => Ok(OffsetQuery::Timestamp(timestamp)),
        _ => Err(code::UNSUPPORTED_VERSION),
    }
}

pub(crate) async fn handle(context: Context, request: ListOffsetsRequest) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let broker = &*context.broker;
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut pace = Pace::default();
    let repeated = repeated(&request, &mut pace).await;
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions.chunks(ASKED_AT_ONCE) {
            let asking = asked.iter().map(|asked| {
                let repeated = repeated.contains(&(&*topic.name, asked.partition));
                one(broker, version, &topic.name, asked, repeated)
            });
            for answer in join_all(asking).await {
                let Ok(answer) = answer else { return Response::Close };
                partitions.push(answer);
                pace.partition(0).await;
            }
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    pace.free(repeated).await;
    pace.free(request.topics).await;
    let response = ListOffsetsResponse { topics, ..ListOffsetsResponse::default() };
    context.send(response.encode_paced(version, correlation_id).await)
}

/// Partitions that stand in the request more than once: each time would look for an offset, perhaps on the disk.
async fn repeated<'a>(
    request: &'a ListOffsetsRequest,
    pace: &mut Pace,
) -> BTreeSet<(&'a str, PartitionId)> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        for asked in &topic.partitions {
            let partition = (&*topic.name, asked.partition);
            if !seen.insert(partition) {
                repeated.insert(partition);
            }
            pace.partition(0).await;
        }
    }
    pace.free(seen).await;
    repeated
}

async fn one(
    broker: &dyn Broker,
    version: i16,
    name: &str,
    asked: &ListOffsetsPartition,
    repeated: bool,
) -> Result<ListOffsetsPartitionResponse, Fatal> {
    let mut response = ListOffsetsPartitionResponse {
        partition: asked.partition,
        timestamp: -1,
        offset: Offset(-1),
        ..ListOffsetsPartitionResponse::default()
    };
    if repeated {
        response.error_code = code::INVALID_REQUEST;
        return Ok(response);
    }
    let catalog = broker.catalog();
    let place = topics::find(&catalog, name, TopicId::default())
        .and_then(|topic| topics::place(topic, asked.partition));
    let (place, query) = match (place, query_of(asked.timestamp, version)) {
        (Ok(place), Ok(query)) => (place, query),
        (Err(error_code), _) | (Ok(_), Err(error_code)) => {
            response.error_code = error_code;
            return Ok(response);
        }
    };
    match broker.find_offset(place, query, asked.current_leader_epoch).await? {
        Ok(found) => {
            response.timestamp = found.timestamp_ms;
            response.offset = found.offset;
            response.leader_epoch = found.epoch;
        }
        Err(error) => response.error_code = code::of_partition(&error),
    }
    Ok(response)
}
