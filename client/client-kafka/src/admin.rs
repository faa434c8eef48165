//! Topics and their configuration.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};

use crate::client::{Client, str_bytes, topic_name};
use crate::error::{Error, check};

const METADATA_VERSION: i16 = 9;
const CREATE_TOPICS_VERSION: i16 = 5;
const DELETE_TOPICS_VERSION: i16 = 5;
const CREATE_PARTITIONS_VERSION: i16 = 2;
const DESCRIBE_CONFIGS_VERSION: i16 = 4;
const ALTER_CONFIGS_VERSION: i16 = 1;
/// The resource type of a topic in configuration requests.
const RESOURCE_TOPIC: i8 = 2;
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// A topic as Metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub internal: bool,
    /// Partition ids, ascending.
    pub partitions: Vec<i32>,
}

/// One configuration value of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    pub value: Option<String>,
    /// `topic`, `broker`, `default` or another of Kafka's sources.
    pub source: &'static str,
}

impl Client {
    /// All topics, or those named; a named topic that does not exist is an error and is not created.
    ///
    /// # Errors
    /// [`Error::Broker`] for the first topic that failed.
    pub async fn topics(&self, names: Option<&[&str]>) -> Result<Vec<Topic>, Error> {
        let wanted = names.map(|names| {
            let one =
                |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            names.iter().map(one).collect()
        });
        let request =
            MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(false);
        let response = self.connection.call(METADATA_VERSION, &request).await?;
        let mut topics = Vec::new();
        for topic in response.topics {
            let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
            check(topic.error_code, || format!("cannot read topic {name:?}"), None)?;
            let mut partitions: Vec<i32> =
                topic.partitions.iter().map(|found| found.partition_index).collect();
            partitions.sort_unstable();
            topics.push(Topic { name, internal: topic.is_internal, partitions });
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Creates a topic; −1 partitions takes the broker's default.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(String, String)],
    ) -> Result<(), Error> {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(str_bytes(key))
                .with_value(Some(str_bytes(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(self.timeout_ms());
        let response = self.connection.call(CREATE_TOPICS_VERSION, &request).await?;
        response.topics.iter().try_for_each(|topic| {
            let what = || format!("cannot create topic {name:?}");
            check(topic.error_code, what, topic.error_message.as_deref())
        })
    }

    /// Deletes a topic and its records.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(self.timeout_ms());
        let response = self.connection.call(DELETE_TOPICS_VERSION, &request).await?;
        response.responses.iter().try_for_each(|topic| {
            let what = || format!("cannot delete topic {name:?}");
            check(topic.error_code, what, topic.error_message.as_deref())
        })
    }

    /// Raises the number of partitions to `count`.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), Error> {
        let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count);
        let topic = topic.with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(self.timeout_ms());
        let response = self.connection.call(CREATE_PARTITIONS_VERSION, &request).await?;
        response.results.iter().try_for_each(|topic| {
            let what = || format!("cannot add partitions to topic {name:?}");
            check(topic.error_code, what, topic.error_message.as_deref())
        })
    }

    /// Every configuration value of a topic, by name.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, Error> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(str_bytes(name))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let response = self.connection.call(DESCRIBE_CONFIGS_VERSION, &request).await?;
        let mut entries = Vec::new();
        for result in response.results {
            let what = || format!("cannot read the configuration of topic {name:?}");
            check(result.error_code, what, result.error_message.as_deref())?;
            entries.extend(result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.map(|value| value.to_string()),
                source: source_name(config.config_source),
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Sets and resets configuration values of a topic.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn alter_topic(
        &self,
        name: &str,
        set: &[(String, String)],
        delete: &[String],
    ) -> Result<(), Error> {
        let set = set.iter().map(|(key, value)| {
            AlterableConfig::default()
                .with_name(str_bytes(key))
                .with_config_operation(OPERATION_SET)
                .with_value(Some(str_bytes(value)))
        });
        let delete = delete.iter().map(|key| {
            AlterableConfig::default()
                .with_name(str_bytes(key))
                .with_config_operation(OPERATION_DELETE)
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(str_bytes(name))
            .with_configs(set.chain(delete).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.connection.call(ALTER_CONFIGS_VERSION, &request).await?;
        response.responses.iter().try_for_each(|answer| {
            let what = || format!("cannot alter topic {name:?}");
            check(answer.error_code, what, answer.error_message.as_deref())
        })
    }
}

/// Kafka's `ConfigSource` numbers in words.
fn source_name(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 | 3 => "dynamic broker",
        4 => "broker",
        5 => "default",
        _ => "unknown",
    }
}
