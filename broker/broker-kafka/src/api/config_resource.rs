//! What DescribeConfigs, AlterConfigs and IncrementalAlterConfigs share: naming a resource, and changing it.
//!
//! There is one broker, so its own overrides and the cluster-wide defaults are the same set: it is changed through the
//! resource "" as well as through this node's id.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_core::catalog::Topic;
use broker_core::config::{BrokerConfigs, ConfigError, topic_name_error};

use super::refusal::Refusal;
use crate::broker::{Broker, CatalogCommand, Fatal};
use crate::code;

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

/// Changes a resource's overrides: `change` gets whether it is a topic, the overrides as they are, and the broker's
/// configs, and gives the complete new overrides.
pub(super) async fn change(
    broker: &dyn Broker,
    resource: &Resource,
    validate_only: bool,
    change: impl FnOnce(
        bool,
        &BTreeMap<String, String>,
        &BrokerConfigs,
    ) -> Result<BTreeMap<String, String>, ConfigError>,
) -> Result<Result<(), Refusal>, Fatal> {
    let config = broker.broker_config();
    let (changed, current) = match resource {
        Resource::Topic(topic) => (change(true, &topic.configs, &config), topic.configs.clone()),
        Resource::AllBrokers | Resource::ThisBroker => {
            let current = broker.catalog().broker_configs.as_ref().clone();
            (change(false, &current, &config), current)
        }
    };
    let configs = match changed {
        Ok(configs) => configs,
        Err(error) => return Ok(Err(Refusal::from(error))),
    };
    if validate_only || configs == current {
        return Ok(Ok(()));
    }
    let command = match resource {
        Resource::Topic(topic) => {
            CatalogCommand::ConfigureTopic { name: topic.name.clone(), configs }
        }
        Resource::AllBrokers | Resource::ThisBroker => CatalogCommand::ConfigureBroker { configs },
    };
    match broker.change_catalog(command).await {
        Ok(_) => Ok(Ok(())),
        Err(failure) => Refusal::of_catalog(failure).map(Err),
    }
}

/// How often each resource of a request is named: twice is INVALID_REQUEST for all of them.
pub(super) fn repeated<'a>(
    resources: impl Iterator<Item = (i8, &'a str)>,
) -> BTreeMap<(i8, String), bool> {
    let mut seen = BTreeMap::new();
    for (kind, name) in resources {
        seen.entry((kind, name.to_owned())).and_modify(|twice| *twice = true).or_insert(false);
    }
    seen
}

/// What is answered for a resource that is named twice.
pub(super) fn named_twice() -> Refusal {
    Refusal::new(code::INVALID_REQUEST, "Each resource must appear at most once.")
}
