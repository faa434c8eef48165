//! OffsetForLeaderEpoch (23), versions 2–4: where a leader epoch ends, so that clients notice a truncated log.
//!
//! −1, −1 when nothing is known of the epoch. Source: KIP-101, KIP-279, KIP-320.

use broker_core::catalog::Catalog;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ResponseKind,
};
use log_types::{LeaderEpoch, PartitionId};

use super::topics;
use crate::broker::{Broker, Fatal};
use crate::code;
use crate::context::Context;
use broker_kafka_wire::Pace;

pub(crate) async fn handle(
    context: &Context,
    request: OffsetForLeaderEpochRequest,
) -> Result<ResponseKind, Fatal> {
    let catalog = context.broker.catalog();
    let mut response = OffsetForLeaderEpochResponse::default();
    let mut pace = Pace::default();
    for topic in &request.topics {
        let mut answer = OffsetForLeaderTopicResult::default();
        answer.topic = topic.topic.clone();
        for partition in &topic.partitions {
            answer
                .partitions
                .push(find(&*context.broker, &catalog, &topic.topic, partition).await?);
            pace.partition(0).await;
        }
        response.topics.push(answer);
    }
    Ok(ResponseKind::OffsetForLeaderEpoch(response))
}

async fn find(
    broker: &dyn Broker,
    catalog: &Catalog,
    name: &str,
    wanted: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, Fatal> {
    let mut answer = EpochEndOffset::default();
    answer.partition = wanted.partition;
    let topic = catalog.topic(name);
    let Some(place) =
        topic.and_then(|topic| topics::place(topic, PartitionId(wanted.partition)).ok())
    else {
        answer.error_code = code::UNKNOWN_TOPIC_OR_PARTITION;
        return Ok(answer);
    };
    let (epoch, current) =
        (LeaderEpoch(wanted.leader_epoch), LeaderEpoch(wanted.current_leader_epoch));
    match broker.epoch_end(place, epoch, current).await? {
        Ok(Some((epoch, end))) => {
            answer.leader_epoch = epoch.0;
            answer.end_offset = end.0;
        }
        Ok(None) => {}
        Err(error) => answer.error_code = code::of_partition(&error),
    }
    Ok(answer)
}
