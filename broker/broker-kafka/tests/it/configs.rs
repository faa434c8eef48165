//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

mod golden;

use std::collections::BTreeMap;

use broker_kafka::broker::Broker;
use broker_kafka::code;
use broker_kafka_wire::ApiKey;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, RequestKind,
    ResponseKind, alter_configs_request, incremental_alter_configs_request,
};

use crate::client::{Client, ask, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const INVALID_CONFIG: i16 = 40;

fn describe_with(
    client: &Client,
    version: i16,
    kind: i8,
    name: &str,
    keys: Option<&[&str]>,
    synonyms: bool,
) -> DescribeConfigsResult {
    let mut resource = DescribeConfigsResource::default();
    resource.resource_type = kind;
    resource.resource_name = text(name);
    resource.configuration_keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let mut request = DescribeConfigsRequest::default();
    request.resources = vec![resource];
    request.include_synonyms = synonyms;
    request.include_documentation = version >= 3;
    ask!(client, DescribeConfigs, version, request).results.remove(0)
}

fn describe(client: &Client, kind: i8, name: &str) -> DescribeConfigsResult {
    describe_with(client, 4, kind, name, None, true)
}

fn config<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    let found = result.configs.iter().find(|config| &*config.name == name);
    found.unwrap_or_else(|| panic!("{name} in {result:?}"))
}

/// IncrementalAlterConfigs of one resource; code and message.
fn alter(client: &Client, kind: i8, name: &str, ops: &[(&str, i8, Option<&str>)]) -> (i16, String) {
    alter_with(client, 1, kind, name, ops, false)
}

fn alter_with(
    client: &Client,
    version: i16,
    kind: i8,
    name: &str,
    ops: &[(&str, i8, Option<&str>)],
    validate_only: bool,
) -> (i16, String) {
    let configs = ops.iter().map(|(name, operation, value)| {
        let mut config = incremental_alter_configs_request::AlterableConfig::default();
        config.name = text(name);
        config.config_operation = *operation;
        config.value = value.map(text);
        config
    });
    let mut resource = incremental_alter_configs_request::AlterConfigsResource::default();
    resource.resource_type = kind;
    resource.resource_name = text(name);
    resource.configs = configs.collect();
    let mut request = IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource];
    request.validate_only = validate_only;
    let result = ask!(client, IncrementalAlterConfigs, version, request).responses.remove(0);
    assert_eq!((result.resource_type, &*result.resource_name), (kind, name));
    (result.error_code, result.error_message.map(|one| one.to_string()).unwrap_or_default())
}

fn replace(client: &Client, version: i16, kind: i8, name: &str, configs: &[(&str, &str)]) -> i16 {
    let configs = configs.iter().map(|(name, value)| {
        let mut config = alter_configs_request::AlterableConfig::default();
        config.name = text(name);
        config.value = Some(text(value));
        config
    });
    let mut resource = alter_configs_request::AlterConfigsResource::default();
    resource.resource_type = kind;
    resource.resource_name = text(name);
    resource.configs = configs.collect();
    let mut request = AlterConfigsRequest::default();
    request.resources = vec![resource];
    ask!(client, AlterConfigs, version, request).responses[0].error_code
}

fn topic_configs(client: &Client) -> BTreeMap<String, String> {
    client.double.catalog().topic("t").unwrap().configs.clone()
}

fn names(result: &DescribeConfigsResult) -> Vec<&str> {
    result.configs.iter().map(|config| &*config.name).collect()
}

#[test]
fn semantics_30_configs_are_described_in_every_version() {
    let client = Client::with_topic();
    let newest = [describe(&client, TOPIC, "t"), describe(&client, BROKER, "1")];
    for version in 1..=4 {
        let topic = describe_with(&client, version, TOPIC, "t", None, false);
        let broker = describe_with(&client, version, BROKER, "1", None, false);
        assert_eq!((topic.error_code, broker.error_code), (0, 0), "v{version}");
        assert_eq!([names(&topic), names(&broker)], [names(&newest[0]), names(&newest[1])]);
        assert_eq!(topic.error_message, None);
        let policy = config(&topic, "cleanup.policy");
        assert_eq!(policy.value.as_deref(), Some("delete"));
        assert_eq!(policy.config_source, 5, "DEFAULT_CONFIG");
        assert!(!policy.read_only && !policy.is_sensitive && policy.synonyms.is_empty());
        assert_eq!(policy.config_type, if version >= 3 { 7 } else { 0 }, "KIP-569: LIST");
        assert!(config(&broker, "num.io.threads").read_only);
        for (name, value) in [
            ("node.id", "1"),
            ("process.roles", "broker,controller"),
            ("advertised.listeners", "PLAINTEXT://broker.example:9092"),
            ("log.dirs", "/data"),
        ] {
            assert_eq!(config(&broker, name).value.as_deref(), Some(value), "this node's own");
        }
        let secret = config(&broker, "ssl.key.password");
        assert_eq!((secret.is_sensitive, &secret.value), (true, &None));
    }
}

#[test]
fn semantics_30_sources_and_synonyms() {
    let client = Client::with_topic();
    assert_eq!(alter(&client, BROKER, "", &[("log.retention.ms", SET, Some("5"))]).0, 0);
    let topic = describe(&client, TOPIC, "t");
    let retention = config(&topic, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 3));
    assert_eq!(alter(&client, TOPIC, "t", &[("retention.ms", SET, Some("6"))]).0, 0);
    let topic = describe(&client, TOPIC, "t");
    let retention = config(&topic, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("6"), 1));
    let synonyms: Vec<(&str, Option<&str>, i8)> = retention
        .synonyms
        .iter()
        .map(|one| (&*one.name, one.value.as_deref(), one.source))
        .collect();
    assert_eq!(synonyms[0], ("retention.ms", Some("6"), 1));
    assert_eq!(synonyms[1], ("log.retention.ms", Some("5"), 3));
    assert_eq!(synonyms.last(), Some(&("log.retention.hours", Some("168"), 5)));
    let own = describe(&client, BROKER, "1");
    assert_eq!(config(&own, "log.retention.ms").config_source, 2, "DYNAMIC_BROKER_CONFIG");
    let all = describe(&client, BROKER, "");
    assert_eq!(all.configs.len(), 1, "only what was set for the whole cluster");
    assert_eq!(config(&all, "log.retention.ms").config_source, 3);
}

#[test]
fn semantics_30_requested_keys_filter() {
    let client = Client::with_topic();
    let keys: &[&str] = &["retention.ms", "no.such.key"];
    let result = describe_with(&client, 4, TOPIC, "t", Some(keys), false);
    let names: Vec<&str> = result.configs.iter().map(|config| &*config.name).collect();
    assert_eq!(names, ["retention.ms"]);
    assert_eq!(describe_with(&client, 1, TOPIC, "t", Some(&[]), false).configs.len(), 0);
}

#[test]
fn semantics_30_unknown_resources_are_errors_of_their_own() {
    let client = Client::with_topic();
    let cases = [
        (TOPIC, "gone", code::UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "no/name", code::INVALID_TOPIC_EXCEPTION),
        (BROKER, "7", code::INVALID_REQUEST),
        (BROKER, "one", code::INVALID_REQUEST),
        (8, "1", code::INVALID_REQUEST),
        (0, "", code::INVALID_REQUEST),
    ];
    for (kind, name, expected) in cases {
        let result = describe(&client, kind, name);
        assert_eq!(result.error_code, expected, "{kind} {name}");
        assert!(result.configs.is_empty() && result.error_message.is_some());
        let ops = [("retention.ms", SET, Some("1"))];
        assert_eq!(alter(&client, kind, name, &ops).0, expected, "{kind} {name}");
        assert_eq!(replace(&client, 2, kind, name, &[("retention.ms", "1")]), expected);
    }
}

#[test]
fn semantics_30_incremental_operations_in_every_version() {
    for version in 0..=1 {
        let client = Client::with_topic();
        let ask = |ops: &[_], validate| alter_with(&client, version, TOPIC, "t", ops, validate);
        let set = [("cleanup.policy", SET, Some("compact")), ("retention.ms", SET, Some("9"))];
        assert_eq!(ask(&set, true), (0, String::new()));
        assert!(topic_configs(&client).is_empty(), "validate_only");
        assert_eq!(ask(&set, false).0, 0);
        assert_eq!(topic_configs(&client)["cleanup.policy"], "compact");
        assert_eq!(ask(&[("cleanup.policy", APPEND, Some("delete"))], false).0, 0);
        assert_eq!(topic_configs(&client)["cleanup.policy"], "compact,delete");
        assert_eq!(ask(&[("cleanup.policy", SUBTRACT, Some("compact"))], false).0, 0);
        assert_eq!(topic_configs(&client)["cleanup.policy"], "delete");
        assert_eq!(ask(&[("retention.ms", DELETE, None)], false).0, 0);
        assert!(!topic_configs(&client).contains_key("retention.ms"));
        let before = topic_configs(&client);
        for (ops, expected) in [
            (&[("retention.ms", APPEND, Some("1"))][..], INVALID_CONFIG),
            (&[("retention.ms", SET, Some("x"))], INVALID_CONFIG),
            (&[("no.such", SET, Some("1"))], INVALID_CONFIG),
            (&[("retention.ms", SET, None)], code::INVALID_REQUEST),
            (&[("retention.ms", 9, Some("1"))], code::INVALID_REQUEST),
            (&[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)], 42),
            (&[("retention.ms", SET, Some("1")), ("flush.ms", SET, Some("x"))], 40),
        ] {
            let (error, message) = ask(ops, false);
            assert_eq!(error, expected, "{ops:?}: {message}");
            assert!(!message.is_empty());
            assert_eq!(topic_configs(&client), before, "nothing of a wrong request is applied");
        }
    }
}

/// Two changes that both start from the same overrides: the second used to write back what it had read, and with that
/// the first was lost.
#[test]
fn semantics_30_concurrent_incremental_changes_are_both_kept() {
    let client = Client::with_topic();
    let before = client.double.catalog();
    client.double.show_catalog(Some(before));
    assert_eq!(alter(&client, TOPIC, "t", &[("retention.ms", SET, Some("5"))]).0, 0);
    assert_eq!(alter(&client, TOPIC, "t", &[("cleanup.policy", APPEND, Some("compact"))]).0, 0);
    assert_eq!(alter(&client, BROKER, "", &[("message.max.bytes", SET, Some("2000"))]).0, 0);
    assert_eq!(alter(&client, BROKER, "", &[("log.retention.ms", SET, Some("7"))]).0, 0);
    client.double.show_catalog(None);
    let configs = topic_configs(&client);
    assert_eq!(configs.get("retention.ms").map(String::as_str), Some("5"));
    assert_eq!(configs.get("cleanup.policy").map(String::as_str), Some("delete,compact"));
    assert_eq!(client.double.catalog().broker_configs.len(), 2);
    let version = client.double.catalog().version;
    assert_eq!(alter(&client, TOPIC, "t", &[("retention.ms", SET, Some("6"))]).0, 0);
    assert_eq!(client.double.catalog().version, version + 1);
}

#[test]
fn semantics_30_alter_configs_replaces_all() {
    for version in 0..=2 {
        let client = Client::with_topic();
        let both = [("retention.ms", "1"), ("cleanup.policy", "compact")];
        assert_eq!(replace(&client, version, TOPIC, "t", &both), 0);
        assert_eq!(topic_configs(&client).len(), 2);
        assert_eq!(replace(&client, version, TOPIC, "t", &[("flush.ms", "7")]), 0);
        assert_eq!(topic_configs(&client), BTreeMap::from([("flush.ms".into(), "7".into())]));
        let wrong = replace(&client, version, TOPIC, "t", &[("flush.ms", "x")]);
        assert_eq!(wrong, INVALID_CONFIG);
        assert_eq!(replace(&client, version, BROKER, "1", &[("log.retention.ms", "2")]), 0);
        assert_eq!(client.double.catalog().broker_configs["log.retention.ms"], "2");
        let fixed = replace(&client, version, BROKER, "1", &[("num.io.threads", "2")]);
        assert_eq!(fixed, code::INVALID_REQUEST, "read-only");
    }
}

#[test]
fn semantics_30_a_resource_named_twice_is_refused() {
    let client = Client::with_topic();
    let mut resource = incremental_alter_configs_request::AlterConfigsResource::default();
    resource.resource_type = TOPIC;
    resource.resource_name = text("t");
    let mut request = IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource.clone(), resource];
    let response = ask!(client, IncrementalAlterConfigs, 1, request);
    assert_eq!(response.responses.len(), 1);
    assert_eq!(response.responses[0].error_code, code::INVALID_REQUEST);
}

#[test]
fn compression_type_of_a_topic_is_described_and_obeyed() {
    let client = Client::with_topic();
    assert_eq!(alter(&client, TOPIC, "t", &[("compression.type", SET, Some("zstd"))]).0, 0);
    let topic = describe(&client, TOPIC, "t");
    assert_eq!(config(&topic, "compression.type").value.as_deref(), Some("zstd"));
    assert_eq!(alter(&client, TOPIC, "t", &[("compression.type", SET, Some("rar"))]).0, 40);
}
