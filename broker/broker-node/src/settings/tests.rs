//! What DescribeConfigs shows of a node is what it enforces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use broker_core::config::{ConfigEntry, ConfigSource, describe_broker};

use super::NodeSettings;

fn settings() -> NodeSettings {
    let addr = "127.0.0.1:0".parse().expect("an address");
    NodeSettings::new(PathBuf::from("/data"), addr)
}

fn described(settings: &NodeSettings, name: &str) -> ConfigEntry {
    let entries = describe_broker(&settings.broker_config(&BTreeMap::new()));
    entries.into_iter().find(|entry| entry.name == name).expect("a config of the table")
}

#[test]
fn semantics_30_what_is_enforced_is_what_is_shown() {
    let mut settings = settings();
    settings.cores = 2;
    settings.connections_max = 7;
    settings.connections_per_ip_max = 3;
    settings.request_bytes_max = 1 << 20;
    settings.connection_idle_max = Duration::from_secs(1);
    settings.retention_check = Duration::from_millis(1500);
    settings.producer_expiration = Duration::from_secs(20);
    for (name, value) in [
        ("num.io.threads", "2"),
        ("num.network.threads", "2"),
        ("max.connections", "7"),
        ("max.connections.per.ip", "3"),
        ("socket.request.max.bytes", "1048576"),
        ("connections.max.idle.ms", "1000"),
        ("log.retention.check.interval.ms", "1500"),
        ("producer.id.expiration.ms", "20000"),
    ] {
        let shown = described(&settings, name);
        assert_eq!(
            (shown.value.as_deref(), shown.source),
            (Some(value), ConfigSource::StaticBroker)
        );
        assert!(shown.read_only, "{name}");
    }
}

#[test]
fn semantics_30_untouched_limits_are_shown_as_defaults() {
    let mut settings = settings();
    // What is enforced is the typed setting, whatever text stands beside it.
    settings.broker.insert("max.connections".to_owned(), "5".to_owned());
    for (name, value) in [
        ("max.connections", "10000"),
        ("max.connections.per.ip", "1000"),
        ("socket.request.max.bytes", "104857600"),
        ("connections.max.idle.ms", "600000"),
        ("log.retention.check.interval.ms", "300000"),
        ("producer.id.expiration.ms", "86400000"),
    ] {
        let shown = described(&settings, name);
        assert_eq!((shown.value.as_deref(), shown.source), (Some(value), ConfigSource::Default));
    }
}

#[test]
fn semantics_30_a_limit_beyond_32_bits_is_shown_as_none() {
    let mut settings = settings();
    settings.connections_max = usize::MAX;
    assert_eq!(described(&settings, "max.connections").value.as_deref(), Some("2147483647"));
}
