//! Produce (0), versions 3–13: appends one batch per partition.
//!
//! acks 0 is never answered, but an error closes the connection; acks 1 and −1 are answered when the batches are as
//! durable as their topics ask. A batch is stored byte for byte as it was sent, except its base offset and leader epoch.
//! Source: KIP-98, KIP-467 (record errors), KIP-516 (topic ids from 13).

use broker_core::partition::AppendError;
use broker_kafka_wire::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use bytes::Bytes;
use log_record::BatchHeader;
use log_types::{Offset, PartitionId};

use super::topics;
use crate::broker::{AppendRequest, Appended, Broker, Fatal, PartitionError};
use crate::code;
use crate::handler::{Context, Response};

/// Attribute value of zstd; accepted from version 7 on (KIP-110).
const ZSTD: u8 = 4;
const ZSTD_VERSION_MIN: i16 = 7;

/// One partition of the request: where its answer goes, and what is appended or why not.
struct Slot {
    topic: usize,
    partition: PartitionId,
    outcome: Result<usize, i16>,
}

pub(crate) async fn handle(context: Context, request: ProduceRequest) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let acks = request.acks;
    let mut topics: Vec<TopicProduceResponse> = Vec::with_capacity(request.topics.len());
    let mut slots = Vec::new();
    let mut appends = Vec::new();
    for topic in request.topics {
        for data in topic.partitions {
            let records = data.records.unwrap_or_default();
            let prepared = prepare(
                &*context.broker,
                version,
                acks,
                &topic.name,
                topic.topic_id,
                data.partition,
                records,
            );
            let outcome = prepared.map(|append| {
                appends.push(append);
                appends.len() - 1
            });
            slots.push(Slot { topic: topics.len(), partition: data.partition, outcome });
        }
        topics.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: Vec::new(),
        });
    }
    let Ok(results) = context.broker.append(appends).await else { return Response::Close };
    let mut failed = false;
    for slot in slots {
        let answer = match slot.outcome {
            Ok(index) => answer(slot.partition, &results[index]),
            Err(error_code) => refused(slot.partition, error_code, None),
        };
        failed |= answer.error_code != code::NONE;
        topics[slot.topic].partitions.push(answer);
    }
    match (acks, failed) {
        (0, true) => Response::Close,
        (0, false) => Response::Nothing,
        _ => {
            let response = ProduceResponse { topics, ..ProduceResponse::default() };
            Context::send(response.encode(version, correlation_id))
        }
    }
}

fn prepare(
    broker: &dyn Broker,
    version: i16,
    acks: i16,
    name: &str,
    id: log_types::TopicId,
    partition: PartitionId,
    batch: Bytes,
) -> Result<AppendRequest, i16> {
    if !(-1..=1).contains(&acks) {
        return Err(code::INVALID_REQUIRED_ACKS);
    }
    let catalog = broker.catalog();
    let topic = topics::find(&catalog, name, id)?;
    let place = topics::place(topic, partition)?;
    let config = broker.topic_config(topic);
    if acks == -1 && config.min_insync_replicas > 1 {
        return Err(code::NOT_ENOUGH_REPLICAS);
    }
    let compression = BatchHeader::parse(&batch).map(|header| header.attributes.compression());
    if compression == Ok(ZSTD) && version < ZSTD_VERSION_MIN {
        return Err(code::UNSUPPORTED_COMPRESSION_TYPE);
    }
    Ok(AppendRequest { place, batch, config })
}

fn answer(
    partition: PartitionId,
    result: &Result<Appended, PartitionError>,
) -> PartitionProduceResponse {
    match result {
        Ok(appended) => PartitionProduceResponse {
            partition,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time_ms,
            log_start_offset: appended.log_start,
            ..PartitionProduceResponse::default()
        },
        Err(error) => refused(partition, code::of_partition(error), Some(error)),
    }
}

fn refused(
    partition: PartitionId,
    error_code: i16,
    error: Option<&PartitionError>,
) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse {
        partition,
        error_code,
        base_offset: Offset(-1),
        ..PartitionProduceResponse::default()
    };
    if let Some(PartitionError::Append(error)) = error {
        response.error_message = Some(error.to_string());
        if let AppendError::InvalidRecord { problems, .. } = error {
            let named = problems.iter().map(|problem| BatchIndexAndErrorMessage {
                batch_index: problem.index,
                message: Some(problem.message.clone()),
            });
            response.record_errors = named.collect();
        }
    }
    response
}

/// The node is failing: nothing may be said about the outcome.
impl From<Fatal> for Response {
    fn from(_: Fatal) -> Self {
        Self::Close
    }
}
