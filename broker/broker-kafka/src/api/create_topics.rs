//! CreateTopics (19), versions 2–7: each topic succeeds or fails by itself, with a message.
//!
//! - −1 partitions or replicas mean the broker's defaults; there is one broker, so a replication factor other than 1
//!   cannot be reached.
//! - A manual assignment fixes the partition count; it may name this broker only.
//! - `validate_only` answers as if the topic had been created, without an id.
//! - From version 5 the answer carries partition count, replication factor and every config (KIP-525), from 7 the topic
//!   id (KIP-516).
//!
//! - What nobody will learn of is not begun: the topics behind the one that is being created when the client goes.
//!
//! Source: KIP-4, KIP-464 (defaults), Kafka's `ReplicationControlManager.createTopic`.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::catalog::{CatalogRecord, NewTopicSpec};
use broker_core::config::{alter_replace, describe_topic, topic_name_error};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, ResponseKind};
use log_types::TopicId;

use super::assignment::check_replicas;
use super::refusal::{DUPLICATE_NAME, Refusal};
use super::text::{optional, owned, text, uuid};
use crate::broker::{Broker, CatalogCommand, Fatal};
use crate::code;
use crate::context::{Context, Encoded};
use crate::handler::num_partitions;
use broker_kafka_wire::Pace;

/// From here on results describe the topic.
const DETAILS_VERSION_MIN: i16 = 5;
/// What a topic's check and description are taken to cost, in bytes worked on: some 30 configs.
const TOPIC_BYTES: usize = 64 << 10;
const TOPIC_ID_VERSION_MIN: i16 = 7;

pub(crate) async fn handle(
    context: &mut Context,
    request: CreateTopicsRequest,
) -> Result<Encoded, Fatal> {
    let (mut names, mut pace) = (BTreeMap::new(), Pace::default());
    for topic in &request.topics {
        *names.entry(topic.name.clone()).or_insert(0_usize) += 1;
        pace.partition(0).await;
    }
    // All are created before the first is described: the turn to build waits for no write.
    let mut outcomes = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        // A topic that stands several times is answered once.
        let outcome = match names.remove(&topic.name) {
            None => continue,
            // Those that were created before stay: each is a change of its own.
            Some(_) if context.peer.is_gone() => return Err(Fatal),
            Some(1) => create(&*context.broker, &topic, request.validate_only).await?,
            Some(_) => Err(Refusal::new(code::INVALID_REQUEST, DUPLICATE_NAME)),
        };
        outcomes.push((topic, outcome));
        pace.partition(TOPIC_BYTES).await;
    }
    let response = ResponseKind::CreateTopics(CreateTopicsResponse::default());
    let mut answer = context.elements(&response)?;
    for (topic, outcome) in outcomes {
        let result = result(context, &topic, outcome);
        context.push(&mut answer, &result).await?;
        pace.partition(TOPIC_BYTES).await;
    }
    Ok(answer.finish())
}

/// What was created, or would be.
struct Created {
    spec: NewTopicSpec,
    id: TopicId,
}

async fn create(
    broker: &dyn Broker,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<Result<Created, Refusal>, Fatal> {
    let spec = match plan(broker, topic) {
        Ok(spec) => spec,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if validate_only {
        return Ok(Ok(Created { spec, id: TopicId::default() }));
    }
    match broker.change_catalog(CatalogCommand::CreateTopic(spec.clone())).await {
        Ok(CatalogRecord::TopicCreated(topic)) => Ok(Ok(Created { spec, id: topic.id })),
        // The catalog answers a command with its own record.
        Ok(_) => Err(Fatal),
        Err(failure) => Refusal::of_catalog(failure).map(Err),
    }
}

/// Everything that can be said before the change; the catalog decides again when it happens.
fn plan(broker: &dyn Broker, topic: &CreatableTopic) -> Result<NewTopicSpec, Refusal> {
    if let Some(message) = topic_name_error(&topic.name) {
        return Err(Refusal::new(code::INVALID_TOPIC_EXCEPTION, message));
    }
    let config = broker.broker_config();
    let partition_count = match topic.assignments.is_empty() {
        true => automatic_count(topic, num_partitions(&config))?,
        false => manual_count(topic, broker.identity().node_id)?,
    };
    let configs: Vec<(String, Option<String>)> =
        topic.configs.iter().map(|one| (one.name.to_string(), owned(one.value.as_ref()))).collect();
    let configs = alter_replace(true, &config, &configs)?;
    let spec = NewTopicSpec { name: topic.name.to_string(), partition_count, configs };
    broker.catalog().plan_topic(spec.clone(), 1, 0)?;
    Ok(spec)
}

fn automatic_count(topic: &CreatableTopic, default: usize) -> Result<usize, Refusal> {
    match topic.replication_factor {
        -1 | 1 => {}
        factor if factor < 1 => {
            let message =
                "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::new(code::INVALID_REPLICATION_FACTOR, message));
        }
        factor => {
            let message = format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only 1 broker(s) are registered."
            );
            return Err(Refusal::new(code::INVALID_REPLICATION_FACTOR, message));
        }
    }
    if topic.num_partitions == -1 {
        return Ok(default);
    }
    usize::try_from(topic.num_partitions).ok().filter(|count| *count > 0).ok_or_else(|| {
        let message = "Number of partitions was set to an invalid non-positive value.";
        Refusal::new(code::INVALID_PARTITIONS, message)
    })
}

fn manual_count(topic: &CreatableTopic, node_id: i32) -> Result<usize, Refusal> {
    for (value, name) in [
        (i32::from(topic.replication_factor), "replication factor"),
        (topic.num_partitions, "numPartitions"),
    ] {
        if value != -1 {
            let message = format!(
                "A manual partition assignment was specified, but {name} was not set to -1."
            );
            return Err(Refusal::new(code::INVALID_REQUEST, message));
        }
    }
    let mut partitions = BTreeSet::new();
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
        if !partitions.insert(*partition_index) {
            let message = format!(
                "Found multiple manual partition assignments for partition {partition_index}"
            );
            return Err(Refusal::new(code::INVALID_REPLICA_ASSIGNMENT, message));
        }
        check_replicas(broker_ids, node_id)?;
    }
    if !(0..).zip(&partitions).all(|(expected, partition)| expected == *partition) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(Refusal::new(code::INVALID_REPLICA_ASSIGNMENT, message));
    }
    Ok(partitions.len())
}

fn result(
    context: &Context,
    topic: &CreatableTopic,
    outcome: Result<Created, Refusal>,
) -> CreatableTopicResult {
    let version = context.header.version;
    let mut result = CreatableTopicResult::default();
    result.name = topic.name.clone();
    result.error_message = None;
    let created = match outcome {
        Ok(created) => created,
        Err(refusal) => {
            result.error_code = refusal.code;
            result.error_message = Some(text(&refusal.message));
            if version >= DETAILS_VERSION_MIN {
                result.configs = Some(Vec::new());
            }
            return result;
        }
    };
    if version >= TOPIC_ID_VERSION_MIN {
        result.topic_id = uuid(created.id);
    }
    if version >= DETAILS_VERSION_MIN {
        result.num_partitions = i32::try_from(created.spec.partition_count).unwrap_or(i32::MAX);
        result.replication_factor = 1;
        let entries = describe_topic(&created.spec.configs, &context.broker.broker_config());
        let configs = entries.into_iter().map(|entry| {
            let mut config = CreatableTopicConfigs::default();
            config.name = text(entry.name);
            config.value = optional(entry.value.as_deref());
            config.read_only = entry.read_only;
            config.config_source = entry.source.code();
            config.is_sensitive = entry.sensitive;
            config
        });
        result.configs = Some(configs.collect());
    }
    result
}
