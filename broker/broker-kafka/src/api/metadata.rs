//! Metadata (3), versions 0–13: brokers, topics, partitions; creates missing topics when asked and allowed.
//!
//! Null means all topics (version 0: empty does); each is described once. Authorized operations are sent only when asked for. Source: KIP-4,
//! KIP-430 (operations), KIP-516 (topic ids), KIP-700 (cluster operations moved to DescribeCluster).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker_core::catalog::{Catalog, CatalogError, NewTopicSpec, Topic};
use broker_core::config::topic_name_error;
use broker_kafka_wire::{
    AUTHORIZED_OPERATIONS_OMITTED, MetadataBroker, MetadataPartition, MetadataRequest,
    MetadataRequestTopic, MetadataResponse, MetadataTopic,
};
use log_types::{NodeId, PartitionId, TopicId};

use crate::broker::{Broker, CatalogCommand, CatalogFailure};
use crate::code;
use crate::handler::{Context, Response, num_partitions};
use crate::pace::Pace;

/// Every operation on a topic: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS (KIP-430).
const TOPIC_OPERATIONS: i32 = 0b0000_1101_1111_1000;
/// Every operation on the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b0001_1111_1010_0000;

/// What a partition's description is taken to cost, in bytes worked on.
const PARTITION_BYTES: usize = 1 << 10;

pub(crate) async fn handle(context: Context, request: MetadataRequest) -> Response {
    let broker = &*context.broker;
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let identity = broker.identity();
    let mut topics = Vec::new();
    let mut pace = Pace::default();
    if request.all_topics(version) {
        let catalog = broker.catalog();
        for topic in catalog.topics.values() {
            topics.push(describe(broker, topic));
            pace.spend(topic.partitions.len() * PARTITION_BYTES).await;
        }
    } else {
        // A topic that stands several times is described once: three bytes could ask for megabytes otherwise.
        let mut answered = BTreeSet::new();
        for wanted in request.topics.iter().flatten() {
            if !answered.insert((&wanted.name, wanted.topic_id)) {
                pace.spend(0).await;
                continue;
            }
            let create = request.allow_auto_topic_creation;
            match one_topic(broker, wanted, create).await {
                Ok(topic) => {
                    pace.spend(topic.partitions.len() * PARTITION_BYTES).await;
                    topics.push(topic);
                }
                Err(Closed) => return Response::Close,
            }
        }
    }
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == code::NONE) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let node_id = NodeId(identity.node_id);
    let response = MetadataResponse {
        brokers: vec![MetadataBroker {
            node_id,
            host: identity.host.clone(),
            port: i32::from(identity.port),
            rack: None,
        }],
        cluster_id: Some(identity.cluster_id.clone()),
        controller_id: node_id,
        topics,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => AUTHORIZED_OPERATIONS_OMITTED,
        },
        ..MetadataResponse::default()
    };
    Context::send(response.encode_paced(version, correlation_id).await)
}

/// The node is stopping.
struct Closed;

async fn one_topic(
    broker: &dyn Broker,
    wanted: &MetadataRequestTopic,
    create: bool,
) -> Result<MetadataTopic, Closed> {
    let catalog = broker.catalog();
    let Some(name) = &wanted.name else {
        return Ok(match catalog.topic_by_id(wanted.topic_id) {
            Some(topic) => describe(broker, topic),
            None => failed(code::UNKNOWN_TOPIC_ID, None, wanted.topic_id),
        });
    };
    let failed = |error_code| failed(error_code, Some(name.clone()), TopicId::default());
    if let Some(topic) = catalog.topic(name) {
        return Ok(describe(broker, topic));
    }
    if topic_name_error(name).is_some() {
        return Ok(failed(code::INVALID_TOPIC_EXCEPTION));
    }
    let config = broker.broker_config();
    if !create || config.value("auto.create.topics.enable") == Some("false") {
        return Ok(failed(code::UNKNOWN_TOPIC_OR_PARTITION));
    }
    let spec = NewTopicSpec {
        name: name.clone(),
        partition_count: num_partitions(&config),
        configs: BTreeMap::new(),
    };
    match broker.change_catalog(CatalogCommand::CreateTopic(spec)).await {
        // Another client created it first; it may not be durable, hence not known to every core, yet.
        Err(CatalogFailure::Refused(CatalogError::TopicExists { .. })) => {
            let catalog = broker.catalog();
            return Ok(match catalog.topic(name) {
                Some(topic) => describe(broker, topic),
                None => failed(code::LEADER_NOT_AVAILABLE),
            });
        }
        Ok(_) | Err(CatalogFailure::Refused(_)) => {}
        Err(CatalogFailure::DiskFull) => return Ok(failed(code::KAFKA_STORAGE_ERROR)),
        Err(CatalogFailure::Fatal) => return Err(Closed),
    }
    let catalog: Arc<Catalog> = broker.catalog();
    Ok(match catalog.topic(name) {
        Some(topic) => describe(broker, topic),
        None => failed(code::INVALID_TOPIC_EXCEPTION),
    })
}

fn failed(error_code: i16, name: Option<String>, topic_id: TopicId) -> MetadataTopic {
    MetadataTopic { error_code, name, topic_id, ..MetadataTopic::default() }
}

fn describe(broker: &dyn Broker, topic: &Topic) -> MetadataTopic {
    let node = NodeId(broker.identity().node_id);
    let leader_epoch = broker.leader_epoch();
    let partitions = (0..).zip(&topic.partitions).map(|(partition, _)| MetadataPartition {
        error_code: code::NONE,
        partition: PartitionId(partition),
        leader_id: node,
        leader_epoch,
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        offline_replicas: Vec::new(),
    });
    MetadataTopic {
        error_code: code::NONE,
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: false,
        partitions: partitions.collect(),
        topic_authorized_operations: AUTHORIZED_OPERATIONS_OMITTED,
    }
}
