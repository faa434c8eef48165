//! What DescribeConfigs says, beside what Kafka 4.3.1 says.
//!
//! `kafka_topic.tsv` and `kafka_broker.tsv` were recorded from Kafka by `e2e/peers/describe_configs.py`, which says what their
//! columns are. `differences.txt` lists all that differs, under the reasons: what is not in it, and what is in it and does not
//! differ, fails.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};

use super::{BROKER, TOPIC, describe};
use crate::client::Client;

const KAFKA_TOPIC: &str = include_str!("kafka_topic.tsv");
const KAFKA_BROKER: &str = include_str!("kafka_broker.tsv");
const DIFFERENCES: &str = include_str!("differences.txt");

/// `ConfigSource.DEFAULT_CONFIG`.
const DEFAULT: i8 = 5;
/// What a null is written as.
const NULL: &str = "\\N";

/// Type, read-only, secret, default: as in a column each of the recorded files.
type Described = [String; 4];
const COLUMNS: [&str; 4] = ["type", "read-only", "secret", "default"];

fn recorded(file: &str) -> BTreeMap<String, Described> {
    let lines = file.lines().map(|line| {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [name, described @ ..] = <[String; 5]>::try_from(columns).expect("five columns");
        (name, described)
    });
    lines.collect()
}

/// The value where nobody has set it, else the default that a synonym of the name shows.
fn default(config: &DescribeConfigsResourceResult) -> String {
    let mut hidden = config.synonyms.iter().filter(|one| one.name == config.name);
    let value = match config.config_source {
        DEFAULT => config.value.clone(),
        _ => hidden.find(|one| one.source == DEFAULT).and_then(|one| one.value.clone()),
    };
    value.map_or_else(|| NULL.to_owned(), |value| value.to_string())
}

fn described(result: &DescribeConfigsResult) -> BTreeMap<String, Described> {
    let one = |config: &DescribeConfigsResourceResult| {
        let flags = [config.read_only, config.is_sensitive].map(|flag| flag.to_string());
        let [read_only, secret] = flags;
        let columns = [config.config_type.to_string(), read_only, secret, default(config)];
        (config.name.to_string(), columns)
    };
    result.configs.iter().map(one).collect()
}

/// A line for each config that one of the two does not have, and for each column that differs.
fn differences(
    kind: &str,
    kafka: &BTreeMap<String, Described>,
    ours: &BTreeMap<String, Described>,
) -> Vec<String> {
    let names: BTreeSet<&String> = kafka.keys().chain(ours.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (kafka.get(name), ours.get(name)) {
            (Some(kafka), Some(ours)) => {
                for (column, (kafka, ours)) in COLUMNS.iter().zip(kafka.iter().zip(ours)) {
                    if kafka != ours {
                        lines.push(format!("{kind} {name}: {column} {ours}, Kafka {kafka}"));
                    }
                }
            }
            (Some(_), None) => lines.push(format!("{kind} {name}: absent")),
            _ => lines.push(format!("{kind} {name}: ours")),
        }
    }
    lines
}

/// docs/kafka-semantics.md, rule 30 and failure 5.
#[test]
fn semantics_30_configs_are_described_as_kafka_does_or_there_is_a_reason() {
    let client = Client::with_topic();
    let (topic, broker) = (describe(&client, TOPIC, "t"), describe(&client, BROKER, "1"));
    let mut found = differences("topic", &recorded(KAFKA_TOPIC), &described(&topic));
    found.extend(differences("broker", &recorded(KAFKA_BROKER), &described(&broker)));
    found.sort();
    let (mut listed, mut reasoned) = (Vec::new(), false);
    for line in DIFFERENCES.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(reason) => reasoned = !reason.trim().is_empty(),
            None if reasoned => listed.push(line.to_owned()),
            None => panic!("no reason stands above {line}"),
        }
    }
    listed.sort();
    let missing: Vec<&String> = found.iter().filter(|line| !listed.contains(line)).collect();
    let stale: Vec<&String> = listed.iter().filter(|line| !found.contains(line)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not listed: {missing:#?}, stale: {stale:#?}");
    assert_eq!(found, listed, "each once");
}
