//! Metadata (3), versions 0–13: brokers, topics, partitions; creates missing topics when asked and allowed, up to 100 in a
//! request and none once the client has gone.
//!
//! Null means all topics (version 0: empty does); each is described once. Authorized operations are sent only when asked for. Source: KIP-4,
//! KIP-430 (operations), KIP-516 (topic ids), KIP-700 (cluster operations moved to DescribeCluster).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use broker_core::catalog::{CatalogError, NewTopicSpec, Topic};
use broker_core::config::{BrokerConfigs, topic_name_error};
use broker_kafka_wire::{
    AUTHORIZED_OPERATIONS_OMITTED, MetadataBroker, MetadataPartition, MetadataRequest,
    MetadataRequestTopic, MetadataResponse, MetadataTopic,
};
use log_types::{NodeId, PartitionId, TopicId};

use crate::broker::{Broker, CatalogCommand, CatalogFailure};
use crate::code;
use crate::context::Context;
use crate::handler::{Response, num_partitions};
use broker_kafka_wire::Pace;

/// Every operation on a topic: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS (KIP-430).
const TOPIC_OPERATIONS: i32 = 0b0000_1101_1111_1000;
/// Every operation on the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b0001_1111_1010_0000;

/// Topics that one request creates at most. The rest of a longer list is answered with LEADER_NOT_AVAILABLE, as Kafka answers
/// for a topic that is being created: the client asks again, and others had their turn at the catalog. (Kafka's controller
/// has a quota instead, KIP-599.)
const AUTO_CREATED_MAX: usize = 100;

/// What a partition's description takes while the answer is built: three lists, and its encoded form.
const PARTITION_BYTES: usize = 224;
/// The same for a topic.
const TOPIC_BYTES: usize = 512;

pub(crate) async fn handle(context: Context, request: MetadataRequest) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let broker = Rc::clone(&context.broker);
    let mut describing = Describing { context, topics: Vec::new(), pace: Pace::default() };
    let described = match request.all_topics(version) {
        true => describing.all().await,
        false => describing.asked_for(&request).await,
    };
    if described.is_err() {
        return Response::Close;
    }
    let Describing { context, mut topics, mut pace } = describing;
    pace.free(request.topics.into_iter().flatten()).await;
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == code::NONE) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
            pace.element().await;
        }
    }
    let identity = broker.identity();
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
    context.send(response.encode_paced(version, correlation_id).await)
}

/// The node is stopping.
struct Closed;

/// The topics of an answer that is being built.
struct Describing {
    context: Context,
    topics: Vec<MetadataTopic>,
    pace: Pace,
}

impl Describing {
    async fn all(&mut self) -> Result<(), Closed> {
        let catalog = self.context.broker.catalog();
        self.topics.reserve_exact(catalog.topics.len());
        for topic in catalog.topics.values() {
            self.describe(topic).await;
        }
        Ok(())
    }

    async fn asked_for(&mut self, request: &MetadataRequest) -> Result<(), Closed> {
        let broker = Rc::clone(&self.context.broker);
        // A topic that stands several times is described once: three bytes could ask for megabytes otherwise.
        let mut answered = BTreeSet::new();
        // A list that grows is copied in one go.
        let count = request.topics.as_ref().map_or(0, Vec::len);
        self.topics.reserve_exact(count);
        // Topics are created before the first is described: the turn to build waits for no write.
        let mut found = Vec::with_capacity(count);
        let mut creations_left = AUTO_CREATED_MAX;
        for wanted in request.topics.iter().flatten() {
            if !answered.insert((&wanted.name, wanted.topic_id)) {
                self.pace.element().await;
                continue;
            }
            let topic = match known_topic(&*broker, wanted) {
                Err(code::UNKNOWN_TOPIC_OR_PARTITION) if request.allow_auto_topic_creation => {
                    self.created(wanted, &mut creations_left).await?
                }
                known => known,
            };
            found.push((wanted, topic));
            self.pace.element().await;
        }
        self.pace.free(answered).await;
        for (wanted, topic) in found {
            match topic {
                Ok(topic) => self.describe(&topic).await,
                Err(error_code) => self.refuse(wanted, error_code).await,
            }
        }
        Ok(())
    }

    /// The topic, created where that is allowed and nobody waits too long for it.
    async fn created(
        &self,
        wanted: &MetadataRequestTopic,
        left: &mut usize,
    ) -> Result<Result<Arc<Topic>, i16>, Closed> {
        let broker = &*self.context.broker;
        let config = broker.broker_config();
        if config.value("auto.create.topics.enable") == Some("false") {
            return Ok(Err(code::UNKNOWN_TOPIC_OR_PARTITION));
        }
        match left.checked_sub(1) {
            Some(fewer) if !self.context.peer.is_gone() => *left = fewer,
            _ => return Ok(Err(code::LEADER_NOT_AVAILABLE)),
        }
        create(broker, wanted.name.as_deref().unwrap_or_default(), &config).await
    }

    async fn describe(&mut self, topic: &Topic) {
        let (node, leader_epoch) = {
            let broker = &*self.context.broker;
            (NodeId(broker.identity().node_id), broker.leader_epoch())
        };
        let count = topic.partitions.len();
        self.context.grow(TOPIC_BYTES + topic.name.len() + count * PARTITION_BYTES).await;
        let mut partitions = Vec::with_capacity(count);
        for (partition, _) in (0..).zip(&topic.partitions) {
            partitions.push(MetadataPartition {
                error_code: code::NONE,
                partition: PartitionId(partition),
                leader_id: node,
                leader_epoch,
                replica_nodes: vec![node],
                isr_nodes: vec![node],
                offline_replicas: Vec::new(),
            });
            self.pace.element().await;
        }
        self.topics.push(MetadataTopic {
            error_code: code::NONE,
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: false,
            partitions,
            topic_authorized_operations: AUTHORIZED_OPERATIONS_OMITTED,
        });
        self.pace.partition(0).await;
    }

    async fn refuse(&mut self, wanted: &MetadataRequestTopic, error_code: i16) {
        let name = wanted.name.clone();
        self.context.grow(TOPIC_BYTES + name.as_ref().map_or(0, String::len)).await;
        // A name that is not known has no id, whatever the request says.
        let topic_id = if name.is_none() { wanted.topic_id } else { TopicId::default() };
        let topic = MetadataTopic { error_code, name, topic_id, ..MetadataTopic::default() };
        self.topics.push(topic);
        self.pace.partition(0).await;
    }
}

/// The topic that is asked for, or the code that refuses it.
fn known_topic(broker: &dyn Broker, wanted: &MetadataRequestTopic) -> Result<Arc<Topic>, i16> {
    let catalog = broker.catalog();
    let Some(name) = &wanted.name else {
        return catalog.topic_by_id(wanted.topic_id).cloned().ok_or(code::UNKNOWN_TOPIC_ID);
    };
    match catalog.topic(name) {
        Some(topic) => Ok(Arc::clone(topic)),
        None if topic_name_error(name).is_some() => Err(code::INVALID_TOPIC_EXCEPTION),
        None => Err(code::UNKNOWN_TOPIC_OR_PARTITION),
    }
}

/// Creates a topic that was asked for; the code that refuses it when it cannot be.
async fn create(
    broker: &dyn Broker,
    name: &str,
    config: &BrokerConfigs,
) -> Result<Result<Arc<Topic>, i16>, Closed> {
    let spec = NewTopicSpec {
        name: name.to_owned(),
        partition_count: num_partitions(config),
        configs: BTreeMap::new(),
    };
    let missing = match broker.change_catalog(CatalogCommand::CreateTopic(spec)).await {
        // Another client created it first; when it is not there, it was deleted since.
        Err(CatalogFailure::Refused(CatalogError::TopicExists { .. })) => {
            code::LEADER_NOT_AVAILABLE
        }
        Ok(_) | Err(CatalogFailure::Refused(_)) => code::INVALID_TOPIC_EXCEPTION,
        Err(CatalogFailure::DiskFull) => return Ok(Err(code::KAFKA_STORAGE_ERROR)),
        Err(CatalogFailure::Fatal) => return Err(Closed),
    };
    Ok(broker.catalog().topic(name).cloned().ok_or(missing))
}
