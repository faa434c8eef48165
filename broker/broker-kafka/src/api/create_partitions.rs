//! CreatePartitions (37), versions 0–3: raises a topic's partition count. Every topic of the request has a result.
//!
//! Source: KIP-195, Kafka's `ReplicationControlManager.createPartitions`.

use std::collections::BTreeMap;

use broker_core::catalog::Catalog;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ResponseKind};

use super::assignment::check_replicas;
use super::refusal::{DUPLICATE_NAME, Refusal};
use crate::broker::{Broker, CatalogCommand, Fatal};
use crate::code;
use crate::context::Context;
use broker_kafka_wire::Pace;

pub(crate) async fn handle(
    context: &Context,
    request: CreatePartitionsRequest,
) -> Result<ResponseKind, Fatal> {
    let mut counts = BTreeMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.clone()).or_insert(0_usize) += 1;
    }
    let mut response = CreatePartitionsResponse::default();
    let mut pace = Pace::default();
    for topic in &request.topics {
        // A topic that stands several times is answered once.
        let Some(count) = counts.remove(&topic.name) else { continue };
        let outcome = match count {
            1 => create(&*context.broker, topic, request.validate_only).await?,
            _ => Err(Refusal::new(code::INVALID_REQUEST, DUPLICATE_NAME)),
        };
        let mut result = CreatePartitionsTopicResult::default();
        result.name = topic.name.clone();
        (result.error_code, result.error_message) = Refusal::fields(&outcome);
        response.results.push(result);
        pace.partition(0).await;
    }
    Ok(ResponseKind::CreatePartitions(response))
}

async fn create(
    broker: &dyn Broker,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<Result<(), Refusal>, Fatal> {
    let count = match check(&broker.catalog(), broker.identity().node_id, topic) {
        Ok(count) => count,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if validate_only {
        return Ok(Ok(()));
    }
    let name = topic.name.to_string();
    match broker.change_catalog(CatalogCommand::AddPartitions { name, count }).await {
        Ok(_) => Ok(Ok(())),
        Err(failure) => Refusal::of_catalog(failure).map(Err),
    }
}

/// The new total count.
fn check(
    catalog: &Catalog,
    node_id: i32,
    wanted: &CreatePartitionsTopic,
) -> Result<usize, Refusal> {
    let topic = catalog.topic(&wanted.name).ok_or_else(Refusal::unknown_topic)?;
    let current = topic.partitions.len();
    let invalid = |message| Err(Refusal::new(code::INVALID_PARTITIONS, message));
    let count = match usize::try_from(wanted.count) {
        Ok(count) if count == current => {
            return invalid(format!("Topic already has {current} partition(s)."));
        }
        Ok(count) if count > current => count,
        _ => {
            return invalid(format!(
                "The topic {} currently has {current} partition(s); {} would not be an increase.",
                topic.name, wanted.count
            ));
        }
    };
    if let Some(assignments) = &wanted.assignments {
        let added = count - current;
        if assignments.len() != added {
            let message = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(Refusal::new(code::INVALID_REPLICA_ASSIGNMENT, message));
        }
        for assignment in assignments {
            check_replicas(&assignment.broker_ids, node_id)?;
        }
    }
    catalog.plan_partitions(&topic.name, count, 1)?;
    Ok(count)
}
