//! DeleteRecords (21), versions 0–2: moves a partition's log start forward, durably; −1 means to the high watermark.
//!
//! Beyond the high watermark: OFFSET_OUT_OF_RANGE. A topic without `cleanup.policy=delete` keeps its records:
//! POLICY_VIOLATION. An offset below the log start changes nothing and succeeds. Source: KIP-107.

use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, ResponseKind};
use log_types::{Offset, PartitionId};

use super::topics;
use crate::broker::{Broker, Fatal};
use crate::code;
use crate::context::Context;
use broker_kafka_wire::Pace;

/// Offset that means the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(
    context: &Context,
    request: DeleteRecordsRequest,
) -> Result<ResponseKind, Fatal> {
    let mut response = DeleteRecordsResponse::default();
    let mut pace = Pace::default();
    for topic in &request.topics {
        let mut answer = DeleteRecordsTopicResult::default();
        answer.name = topic.name.clone();
        for partition in &topic.partitions {
            let outcome = delete(&*context.broker, &topic.name, partition).await?;
            let mut result = DeleteRecordsPartitionResult::default();
            result.partition_index = partition.partition_index;
            match outcome {
                Ok(log_start) => result.low_watermark = log_start.0,
                Err(error_code) => {
                    result.low_watermark = -1;
                    result.error_code = error_code;
                }
            }
            answer.partitions.push(result);
            pace.partition(0).await;
        }
        response.topics.push(answer);
    }
    Ok(ResponseKind::DeleteRecords(response))
}

async fn delete(
    broker: &dyn Broker,
    name: &str,
    partition: &DeleteRecordsPartition,
) -> Result<Result<Offset, i16>, Fatal> {
    let catalog = broker.catalog();
    let found = catalog.topic(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION).and_then(|topic| {
        let place = topics::place(topic, PartitionId(partition.partition_index))?;
        match broker.topic_config(topic).delete {
            true => Ok(place),
            false => Err(code::POLICY_VIOLATION),
        }
    });
    let place = match found {
        Ok(place) => place,
        Err(error_code) => return Ok(Err(error_code)),
    };
    let before = match partition.offset {
        HIGH_WATERMARK => None,
        offset if offset < 0 => return Ok(Err(code::OFFSET_OUT_OF_RANGE)),
        offset => Some(Offset(offset)),
    };
    let deleted = broker.delete_records(place, before).await?;
    Ok(deleted.map_err(|error| code::of_partition(&error)))
}
