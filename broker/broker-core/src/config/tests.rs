//! Tables, descriptions with sources, validation messages, changes, resolution.

use super::*;
use crate::config::broker_table::broker_def;
use std::collections::BTreeMap;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn entry(overrides: &[(&str, &str)], broker: &BrokerConfigs, name: &str) -> ConfigEntry {
    let entries = describe_topic(&map(overrides), broker);
    entries.into_iter().find(|entry| entry.name == name).expect("the config exists")
}

fn shown(entry: &ConfigEntry) -> Vec<(&str, &str, i8)> {
    let one = |synonym: &'static str, value, source: ConfigSource| (synonym, value, source.code());
    let synonyms = entry.synonyms.iter();
    synonyms.map(|own| one(own.name, own.value.as_deref().unwrap_or(""), own.source)).collect()
}

#[test]
fn tables_are_sorted_unique_and_their_defaults_are_valid() {
    for pair in TOPIC_CONFIGS.windows(2) {
        assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
    }
    for pair in BROKER_CONFIGS.windows(2) {
        assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
    }
    for def in TOPIC_CONFIGS {
        validate_topic(def.name, def.default).expect("default is valid");
        for synonym in def.synonyms {
            assert!(broker_def(synonym.name).is_some(), "{} has no {}", def.name, synonym.name);
        }
        let resolved = BrokerConfigs::default().topic_default(def);
        assert_eq!(resolved, def.default, "{} agrees with its broker default", def.name);
    }
    for def in BROKER_CONFIGS {
        if let Some(default) = def.default {
            rule::check(def.name, def.kind, def.rule, default).expect("default is valid");
        }
    }
}

#[test]
fn kip_226_synonyms_and_sources_of_a_topic_config() {
    let mut broker = BrokerConfigs::default();
    let plain = entry(&[], &broker, "retention.ms");
    assert_eq!(plain.value.as_deref(), Some("604800000"));
    assert_eq!(plain.source, ConfigSource::Default);
    assert_eq!(shown(&plain), [], "only a coarser unit has a value");
    broker.fixed = map(&[("log.retention.hours", "2")]);
    let fixed = entry(&[], &broker, "retention.ms");
    assert_eq!(fixed.value.as_deref(), Some("7200000"));
    assert_eq!((fixed.source, shown(&fixed)), (ConfigSource::Default, vec![]), "as Kafka says it");
    broker.fixed.insert("log.retention.minutes".into(), "1".into());
    assert_eq!(entry(&[], &broker, "retention.ms").value.as_deref(), Some("60000"));
    broker.dynamic = map(&[("log.retention.ms", "5")]);
    let own = entry(&[("retention.ms", "9")], &broker, "retention.ms");
    assert_eq!(own.value.as_deref(), Some("9"));
    assert_eq!(
        shown(&own),
        [
            ("retention.ms", "9", 1),
            ("log.retention.ms", "5", 3),
            ("log.retention.minutes", "1", 4),
            ("log.retention.hours", "2", 4),
            ("log.retention.hours", "168", 5),
        ]
    );
    assert_eq!(entry(&[], &broker, "retention.ms").value.as_deref(), Some("5"));
    broker.dynamic = map(&[("log.retention.ms", "-1")]);
    assert_eq!(entry(&[], &broker, "retention.ms").value.as_deref(), Some("-1"));
}

#[test]
fn values_and_types_of_configs_that_nobody_has_set() {
    let broker = BrokerConfigs::default();
    let entries = describe_topic(&BTreeMap::new(), &broker);
    assert!(entries.iter().all(|entry| entry.value.is_some() && !entry.read_only));
    let policy = entries.iter().find(|entry| entry.name == "cleanup.policy").unwrap();
    assert_eq!((policy.value.as_deref(), policy.kind.code()), (Some("delete"), 7));
    let entries = describe_broker(&broker);
    let find = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    assert!(find("num.partitions").read_only);
    assert!(!find("message.max.bytes").read_only);
    assert_eq!(find("log.retention.ms").value, None);
    assert_eq!(shown(find("log.retention.ms")), []);
    assert_eq!(shown(find("log.retention.hours")), [("log.retention.hours", "168", 5)]);
    assert_eq!(find("inter.broker.listener.name").value, None);
    assert_eq!(find("authorizer.class.name").value.as_deref(), Some(""));
}

#[test]
fn sensitive_values_are_never_shown() {
    let fixed = map(&[("ssl.key.password", "secret")]);
    let broker = BrokerConfigs { fixed, ..BrokerConfigs::default() };
    let entries = describe_broker(&broker);
    let entry = entries.iter().find(|entry| entry.name == "ssl.key.password").unwrap();
    assert!(entry.sensitive && entry.value.is_none());
    assert!(!format!("{entries:?}").contains("secret"));
}

#[test]
fn validation_speaks_as_kafka_does() {
    let check = |name: &str, value: &str, expected: &str| {
        let error = validate_topic(name, value).expect_err("refused");
        assert_eq!((error.code(), error.to_string().as_str()), (40, expected));
    };
    check("nope", "1", "Unknown topic config name: nope");
    check(
        "retention.ms",
        "abc",
        "Invalid value abc for configuration retention.ms: Not a number of type LONG",
    );
    check(
        "retention.ms",
        "-2",
        "Invalid value -2 for configuration retention.ms: Value must be at least -1",
    );
    check(
        "max.message.bytes",
        "2147483648",
        "Invalid value 2147483648 for configuration max.message.bytes: Not a number of type INT",
    );
    check(
        "cleanup.policy",
        "delete,foo",
        "Invalid value delete,foo for configuration cleanup.policy: String must be one of: compact, delete",
    );
    check(
        "preallocate",
        "yes",
        "Invalid value yes for configuration preallocate: Expected value to be either true or false",
    );
    check(
        "min.cleanable.dirty.ratio",
        "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
    );
    assert!(validate_topic("min.cleanable.dirty.ratio", "NaN").is_err());
    assert!(validate_topic("compression.type", "lzma").is_err());
    assert!(validate_topic("leader.replication.throttled.replicas", "0:1,1:2").is_ok());
    assert!(validate_topic("leader.replication.throttled.replicas", "x").is_err());
    assert!(validate_topic("remote.storage.enable", "true").is_err());
    assert!(validate_topic("luma.durability", "async").is_ok());
    let error = validate_topic("luma.durability", "quorum-memory").unwrap_err();
    assert!(error.to_string().contains("no replication"), "{error}");
}

fn set(name: &str, value: &str) -> (String, AlterOp) {
    (name.to_owned(), AlterOp::Set(Some(value.to_owned())))
}

fn alter(
    current: &[(&str, &str)],
    ops: &[(String, AlterOp)],
) -> Result<BTreeMap<String, String>, ConfigError> {
    alter_incremental(true, &map(current), &BrokerConfigs::default(), ops)
}

#[test]
fn kip_339_incremental_operations() {
    let after = alter(&[("retention.ms", "5")], &[set("max.message.bytes", "7")]).unwrap();
    assert_eq!(after, map(&[("max.message.bytes", "7"), ("retention.ms", "5")]));
    let after =
        alter(&[("retention.ms", "5")], &[("retention.ms".into(), AlterOp::Delete)]).unwrap();
    assert!(after.is_empty());
    let append = |value: &str| ("cleanup.policy".to_owned(), AlterOp::Append(Some(value.into())));
    let subtract =
        |value: &str| ("cleanup.policy".to_owned(), AlterOp::Subtract(Some(value.into())));
    assert_eq!(
        alter(&[], &[append("compact")]).unwrap(),
        map(&[("cleanup.policy", "delete,compact")])
    );
    let both = [("cleanup.policy", "compact,delete")];
    assert_eq!(alter(&both, &[append("delete")]).unwrap(), map(&both));
    assert_eq!(alter(&both, &[subtract("delete")]).unwrap(), map(&[("cleanup.policy", "compact")]));
    assert_eq!(alter(&[], &[subtract("delete")]).unwrap_err().code(), 40, "an empty policy");
    assert_eq!(alter(&[], &[append("foo")]).unwrap_err().code(), 40);
}

#[test]
fn wrong_changes_are_refused_whole() {
    let message = |ops: &[(String, AlterOp)]| {
        let error = alter(&[], ops).expect_err("refused");
        (error.code(), error.to_string())
    };
    let (code, text) = message(&[("retention.ms".into(), AlterOp::Append(Some("1".into())))]);
    assert_eq!(
        (code, text.as_str()),
        (40, "Can't APPEND to key retention.ms because its type is not LIST.")
    );
    assert_eq!(message(&[set("retention.ms", "1"), set("retention.ms", "2")]).0, 42);
    assert_eq!(message(&[("retention.ms".into(), AlterOp::Set(None))]).0, 42);
    assert_eq!(message(&[set("retention.ms", "1"), set("nope", "2")]).0, 40);
    let (code, text) =
        message(&[set("min.compaction.lag.ms", "9"), set("max.compaction.lag.ms", "8")]);
    assert_eq!(code, 40);
    assert!(text.contains("min.compaction.lag.ms (9) > max.compaction.lag.ms (8)"), "{text}");
    assert_eq!(AlterOp::from_wire(4, None).unwrap_err().code(), 42);
}

#[test]
fn alter_configs_replaces_all() {
    let broker = BrokerConfigs::default();
    let after = alter_replace(true, &broker, &[("retention.ms".into(), Some("5".into()))]).unwrap();
    assert_eq!(after, map(&[("retention.ms", "5")]));
    assert!(alter_replace(true, &broker, &[]).unwrap().is_empty());
    assert_eq!(
        alter_replace(true, &broker, &[("retention.ms".into(), None)]).unwrap_err().code(),
        42
    );
}

#[test]
fn broker_configs_change_only_where_the_change_is_honoured() {
    let broker = BrokerConfigs::default();
    let change = |name: &str, value: &str| {
        alter_incremental(false, &BTreeMap::new(), &broker, &[set(name, value)])
    };
    assert_eq!(change("message.max.bytes", "5").unwrap(), map(&[("message.max.bytes", "5")]));
    assert_eq!(change("num.partitions", "5").unwrap_err().code(), 42);
    assert_eq!(change("nope", "5").unwrap_err().code(), 40);
    assert_eq!(change("luma.durability", "quorum-memory").unwrap_err().code(), 42);
}

#[test]
fn resolved_config_follows_the_sources() {
    let mut broker = BrokerConfigs::default();
    let plain = TopicConfig::resolve(&BTreeMap::new(), &broker);
    assert!(plain.delete && !plain.compact);
    assert_eq!(plain.retention_ms, Some(604_800_000));
    assert_eq!(plain.retention_bytes, None);
    assert_eq!(plain.max_message_bytes, 1_048_588);
    assert_eq!(plain.timestamp_before_ms_max, i64::MAX);
    assert_eq!(plain.timestamp_after_ms_max, 3_600_000);
    assert_eq!(plain.durability, Durability::Fsync);
    assert_eq!(plain.compression, BrokerCompression::Producer);
    assert_eq!(plain.min_insync_replicas, 1);
    broker.dynamic = map(&[("message.max.bytes", "99"), ("luma.durability", "async")]);
    let overrides = map(&[
        ("cleanup.policy", "compact, delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", "-1"),
        ("compression.type", "zstd"),
        ("min.insync.replicas", "not a number"),
    ]);
    let own = TopicConfig::resolve(&overrides, &broker);
    assert!(own.compact && own.delete);
    assert_eq!(own.retention_ms, None);
    assert_eq!(own.max_message_bytes, 99);
    assert_eq!(own.durability, Durability::Async);
    assert_eq!(own.timestamp_source, TimestampSource::LogAppend);
    assert_eq!(own.compression, BrokerCompression::Zstd);
    assert_eq!(own.min_insync_replicas, 1, "unreadable values fall back");
}

#[test]
fn topic_names() {
    for name in ["a", "A.b_c-9", "__consumer_offsets", &"x".repeat(249)] {
        assert_eq!(topic_name_error(name), None, "{name}");
    }
    for name in ["", ".", "..", "a b", "a/b", "ü", "a\0", &"x".repeat(250)] {
        assert!(topic_name_error(name).is_some(), "{name}");
    }
    assert!(topic_names_collide("a.b", "a_b"));
    assert!(!topic_names_collide("a.b", "a.b"));
    assert!(!topic_names_collide("a.b", "a-b"));
}

/// `ConfigHelper.configSynonyms`: by source, then by unit, without what stands before the config's own first value.
#[test]
fn kip_226_synonyms_of_a_broker_config_in_several_units() {
    let broker = BrokerConfigs {
        fixed: map(&[("log.retention.hours", "2"), ("log.retention.minutes", "1")]),
        dynamic: map(&[("log.retention.ms", "5")]),
    };
    let entries = describe_broker(&broker);
    let find = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    let hours = [("log.retention.hours", "2", 4), ("log.retention.hours", "168", 5)];
    assert_eq!(shown(find("log.retention.hours")), hours);
    let minutes = [("log.retention.minutes", "1", 4), hours[0], hours[1]];
    assert_eq!(shown(find("log.retention.minutes")), minutes);
    let millis = find("log.retention.ms");
    assert_eq!(shown(millis), [&[("log.retention.ms", "5", 3)][..], &minutes].concat());
    assert_eq!(millis.source, ConfigSource::DynamicDefaultBroker);
    let scheduler = [("log.flush.scheduler.interval.ms", "9223372036854775807", 5)];
    assert_eq!(shown(find("log.flush.scheduler.interval.ms")), scheduler);
}

#[test]
fn kafka_13609_wrong_values_of_brokers_are_wrong_requests() {
    let check = |name: &str, value: &str, code: i16, expected: &str| {
        let error = validate_broker(name, value).expect_err("refused");
        assert_eq!((error.code(), error.to_string().as_str()), (code, expected));
    };
    let problem = "Invalid value x for configuration log.retention.ms: Not a number of type LONG";
    check("log.retention.ms", "x", 42, problem);
    check("num.partitions", "2", 42, "Cannot update these configs dynamically: num.partitions");
    check(
        "log.cleaner.io.buffer.size",
        "1",
        40,
        "Unknown broker config name: log.cleaner.io.buffer.size",
    );
    assert!(validate_broker("log.retention.ms", "5").is_ok());
}

/// Which settings of topics do something, found by setting each to another value, is what the README says.
#[test]
fn the_readme_names_the_topic_settings_that_act() {
    let broker = BrokerConfigs::default();
    let resolved = |name: &str, value: &str| TopicConfig::resolve(&map(&[(name, value)]), &broker);
    let acts = |def: &&TopicDef| {
        let other = ["compact", "async", "gzip", "LogAppendTime", "7", "true", "0:0"];
        let mut valid = other.into_iter().filter(|value| validate_topic(def.name, value).is_ok());
        let plain = TopicConfig::resolve(&BTreeMap::new(), &broker);
        valid.any(|value| resolved(def.name, value) != plain)
    };
    let acting: Vec<&str> = TOPIC_CONFIGS.iter().filter(acts).map(|def| def.name).collect();
    let readme = include_str!("../../../../README.md");
    let (_, named) =
        readme.split_once("Settings of topics that act: ").expect("the README says it");
    let (named, _) = named.split_once(". ").expect("a sentence");
    let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, acting);
}
