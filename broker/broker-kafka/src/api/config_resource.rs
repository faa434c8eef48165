//! What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs share: naming a resource, and changing it.
//!
//! There is one broker, so its own overrides and the cluster-wide defaults are the same set: it is changed through the
//! resource "" as well as through this node's id.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_core::catalog::Topic;
use broker_core::config::{ConfigChange, ConfigError, topic_name_error};

use super::refusal::Refusal;
use crate::broker::{Broker, CatalogCommand, Fatal};
use crate::code;
use broker_kafka_wire::Pace;

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;
/// `ConfigResource.Type.BROKER`.
const BROKER: i8 = 4;

/// A resource that has configs.
pub(super) enum Resource {
    Topic(Arc<Topic>),
    /// "": the defaults of all brokers.
    AllBrokers,
    /// This node.
    ThisBroker,
}

/// Finds the resource that a request names.
pub(super) fn find(broker: &dyn Broker, kind: i8, name: &str) -> Result<Resource, Refusal> {
    let invalid = |message: String| Err(Refusal::new(code::INVALID_REQUEST, message));
    match kind {
        TOPIC => {
            if let Some(message) = topic_name_error(name) {
                return Err(Refusal::new(code::INVALID_TOPIC_EXCEPTION, message));
            }
            let unknown = || {
                let message = format!("The topic '{name}' does not exist.");
                Refusal::new(code::UNKNOWN_TOPIC_OR_PARTITION, message)
            };
            broker.catalog().topic(name).cloned().map(Resource::Topic).ok_or_else(unknown)
        }
        BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        BROKER => {
            let node_id = broker.identity().node_id;
            match name.parse::<i32>() {
                Ok(id) if id == node_id => Ok(Resource::ThisBroker),
                Ok(id) => invalid(format!(
                    "Unexpected broker id, expected {node_id} or empty string, but received {id}"
                )),
                Err(_) => {
                    let shown: String = name.chars().take(100).collect();
                    invalid(format!("Broker id must be an integer, but it is: {shown}"))
                }
            }
        }
        _ => invalid(format!("Unsupported resource type: {kind}")),
    }
}

/// One resource of AlterConfigs or IncrementalAlterConfigs.
pub(super) struct Wanted {
    pub(super) kind: i8,
    pub(super) name: String,
    /// What to change, or what is wrong with the request itself.
    pub(super) change: Result<ConfigChange, ConfigError>,
}

/// What became of it.
pub(super) struct Changed {
    pub(super) kind: i8,
    pub(super) name: String,
    pub(super) outcome: Result<(), Refusal>,
}

/// Changes each resource by itself, in order. One that is named twice is answered once, refused.
pub(super) async fn change_all(
    broker: &dyn Broker,
    wanted: Vec<Wanted>,
    validate_only: bool,
) -> Result<Vec<Changed>, Fatal> {
    let mut repeated: BTreeMap<(i8, String), bool> = BTreeMap::new();
    for one in &wanted {
        let key = (one.kind, one.name.clone());
        repeated.entry(key).and_modify(|twice| *twice = true).or_insert(false);
    }
    let mut changed = Vec::with_capacity(repeated.len());
    let mut pace = Pace::default();
    for one in wanted {
        let (kind, name) = (one.kind, one.name);
        let outcome = match repeated.remove(&(kind, name.clone())) {
            None => continue,
            Some(true) => {
                let message = "Each resource must appear at most once.";
                Err(Refusal::new(code::INVALID_REQUEST, message))
            }
            Some(false) => {
                match find(broker, kind, &name).and_then(|found| Ok((found, one.change?))) {
                    Ok((resource, wanted)) => {
                        change(broker, &resource, wanted, validate_only).await?
                    }
                    Err(refusal) => Err(refusal),
                }
            }
        };
        changed.push(Changed { kind, name, outcome });
        pace.partition(0).await;
    }
    Ok(changed)
}

/// The catalog applies the change to the overrides as they are when it comes to it: what another client changes
/// meanwhile is not lost.
async fn change(
    broker: &dyn Broker,
    resource: &Resource,
    change: ConfigChange,
    validate_only: bool,
) -> Result<Result<(), Refusal>, Fatal> {
    if validate_only {
        let (catalog, config) = (broker.catalog(), broker.broker_config());
        let checked = match resource {
            Resource::Topic(topic) => change.apply(true, &topic.configs, &config),
            Resource::AllBrokers | Resource::ThisBroker => {
                change.apply(false, &catalog.broker_configs, &config)
            }
        };
        return Ok(checked.map(|_| ()).map_err(Refusal::from));
    }
    let command = match resource {
        Resource::Topic(topic) => {
            CatalogCommand::ConfigureTopic { name: topic.name.clone(), id: topic.id, change }
        }
        Resource::AllBrokers | Resource::ThisBroker => CatalogCommand::ConfigureBroker(change),
    };
    match broker.change_catalog(command).await {
        Ok(_) => Ok(Ok(())),
        Err(failure) => Refusal::of_catalog(failure).map(Err),
    }
}
