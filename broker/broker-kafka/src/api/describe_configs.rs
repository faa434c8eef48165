//! DescribeConfigs (32), versions 1–4: the configs of a topic or a broker with value, default, source, synonyms, type,
//! whether they are read-only and whether they are secret. Of a topic these are all of Kafka's; of a broker those that mean
//! something here.
//!
//! - Requested keys filter; null means all. Keys that do not exist are left out, as in Kafka.
//! - A broker resource is this node's id, or "" for the cluster-wide overrides alone.
//! - Synonyms only on request; types from version 3 (KIP-569). Documentation is null: there are no texts.
//! - Secret values are null.
//!
//! Source: KIP-133, KIP-226, KIP-569, Kafka's `ConfigHelper`.

use std::collections::BTreeSet;

use broker_core::config::{
    BrokerConfigs, ConfigEntry, ConfigSource, describe_broker, describe_topic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse, ResponseKind};

use super::config_resource::{Resource, find};
use super::refusal::Refusal;
use super::text::{optional, text};
use crate::broker::{Broker, Fatal};
use crate::context::{Context, Encoded};
use broker_kafka_wire::Pace;

/// What describing a resource is taken to cost, in bytes worked on: some 80 configs.
const RESOURCE_BYTES: usize = 64 << 10;
const TYPE_VERSION_MIN: i16 = 3;

pub(crate) async fn handle(
    context: &mut Context,
    request: DescribeConfigsRequest,
) -> Result<Encoded, Fatal> {
    let version = context.header.version;
    let response = ResponseKind::DescribeConfigs(DescribeConfigsResponse::default());
    let mut answer = context.elements(&response)?;
    let configs = with_identity(&*context.broker);
    let (mut answered, mut pace) = (BTreeSet::new(), Pace::default());
    for resource in &request.resources {
        // A resource that stands several times is described once.
        if !answered.insert((resource.resource_type, &resource.resource_name)) {
            continue;
        }
        let mut result = DescribeConfigsResult::default();
        result.resource_type = resource.resource_type;
        result.resource_name = resource.resource_name.clone();
        result.error_message = None;
        match describe(&*context.broker, &configs, resource) {
            Ok(entries) => {
                let configs =
                    entries.into_iter().map(|one| config(one, version, request.include_synonyms));
                result.configs = configs.collect();
            }
            Err(refusal) => {
                result.error_code = refusal.code;
                result.error_message = Some(text(&refusal.message));
            }
        }
        context.push(&mut answer, &result).await?;
        pace.partition(RESOURCE_BYTES).await;
    }
    Ok(answer.finish())
}

fn describe(
    broker: &dyn Broker,
    configs: &BrokerConfigs,
    wanted: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let mut entries = match find(broker, wanted.resource_type, &wanted.resource_name)? {
        Resource::Topic(topic) => describe_topic(&topic.configs, configs),
        Resource::ThisBroker => describe_broker(configs).into_iter().map(as_own).collect(),
        Resource::AllBrokers => {
            let mut entries = describe_broker(configs);
            entries.retain(|entry| configs.dynamic.contains_key(entry.name));
            entries
        }
    };
    if let Some(keys) = &wanted.configuration_keys {
        let keys: BTreeSet<&str> = keys.iter().map(|key| &**key).collect();
        entries.retain(|entry| keys.contains(entry.name));
    }
    Ok(entries)
}

/// The broker's configs, with what the node knows of itself where its settings do not say.
fn with_identity(broker: &dyn Broker) -> BrokerConfigs {
    let mut configs = BrokerConfigs::clone(&broker.broker_config());
    let (identity, log_dir) = (broker.identity(), broker.log_dir().path);
    for (name, value) in [
        ("node.id", identity.node_id.to_string()),
        ("process.roles", "broker,controller".to_owned()),
        ("broker.id", identity.node_id.to_string()),
        ("advertised.listeners", format!("PLAINTEXT://{}:{}", identity.host, identity.port)),
        ("log.dir", log_dir.clone()),
        ("log.dirs", log_dir),
    ] {
        configs.fixed.entry(name.to_owned()).or_insert(value);
    }
    configs
}

/// Overrides of the only broker, described through its id, are its own (`DYNAMIC_BROKER_CONFIG`): tools that look for what
/// they set on it find it.
fn as_own(mut entry: ConfigEntry) -> ConfigEntry {
    let own = |source| match source {
        ConfigSource::DynamicDefaultBroker => ConfigSource::DynamicBroker,
        other => other,
    };
    entry.source = own(entry.source);
    for synonym in &mut entry.synonyms {
        synonym.source = own(synonym.source);
    }
    entry
}

fn config(
    entry: ConfigEntry,
    version: i16,
    include_synonyms: bool,
) -> DescribeConfigsResourceResult {
    let mut config = DescribeConfigsResourceResult::default();
    config.name = text(entry.name);
    config.value = optional(entry.value.as_deref());
    config.read_only = entry.read_only;
    config.config_source = entry.source.code();
    config.is_sensitive = entry.sensitive;
    if version >= TYPE_VERSION_MIN {
        config.config_type = entry.kind.code();
    }
    config.documentation = None;
    if include_synonyms {
        let synonyms = entry.synonyms.into_iter().map(|one| {
            let mut synonym = DescribeConfigsSynonym::default();
            synonym.name = text(one.name);
            synonym.value = optional(one.value.as_deref());
            synonym.source = one.source.code();
            synonym
        });
        config.synonyms = synonyms.collect();
    }
    config
}
