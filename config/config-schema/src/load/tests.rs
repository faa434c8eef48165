//! Precedence, origins and refusals, through [`load`] alone.

use super::*;
use crate::units::{ByteSize, Limit};

fn file(path: &str, text: &str) -> FileText {
    FileText { path: path.into(), text: text.to_owned() }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn set(path: &str, value: &str) -> Override {
    Override { path: path.to_owned(), value: value.to_owned(), flag: "--set".to_owned() }
}

fn refused(sources: &Sources) -> String {
    load(sources).expect_err("the sources are wrong").to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    let loaded = load(&Sources::default()).expect("defaults are valid");
    assert_eq!(loaded.config.log.segment_bytes, ByteSize(64 << 20));
    assert_eq!(loaded.config.log.retention_bytes, Limit::None);
    assert_eq!(loaded.config.kafka.addr.port(), 9092);
    assert_eq!(loaded.origin("kafka.addr"), "default");
    assert!(loaded.is_default("kafka.addr"));
}

#[test]
fn later_layers_win_key_by_key_and_are_named() {
    let sources = Sources {
        files: vec![
            file(
                "/etc/lumadb/lumadb.toml",
                "[kafka]\nnum_partitions = 2\n[log]\nretention = \"1d\"\nsegment_bytes = \"8MiB\"",
            ),
            file("a.toml", "[kafka]\nnum_partitions = 3\n[log]\nretention = \"2d\""),
        ],
        env: env(&[
            ("LUMADB_KAFKA__NUM_PARTITIONS", "4"),
            ("LUMADB_E2E_REQUIRE", "all"),
            ("PATH", "/bin"),
        ]),
        overrides: vec![set("kafka.num_partitions", "5"), set("kafka.num_partitions", "6")],
    };
    let loaded = load(&sources).expect("all layers are valid");
    let row = |path: &str| format!("{} {}", loaded.value(path).unwrap_or("?"), loaded.origin(path));
    assert_eq!(row("kafka.num_partitions"), "6 flag --set");
    assert_eq!(row("log.retention"), "2d file a.toml");
    assert_eq!(row("log.segment_bytes"), "8MiB file /etc/lumadb/lumadb.toml");
    assert_eq!(row("pg.addr"), "127.0.0.1:5432 default");
    assert_eq!(loaded.config.kafka.num_partitions, 6);

    let loaded = load(&Sources { overrides: vec![], ..sources }).expect("all layers are valid");
    assert_eq!(loaded.origin("kafka.num_partitions"), "env LUMADB_KAFKA__NUM_PARTITIONS");
}

#[test]
fn an_unknown_key_names_its_origin_and_the_nearest_key() {
    let from_file = Sources {
        files: vec![file("x.toml", "[kafka]\nadress = \"127.0.0.1:1\"")],
        ..Sources::default()
    };
    assert_eq!(
        refused(&from_file),
        "unknown key kafka.adress in file x.toml; did you mean kafka.addr?"
    );
    let from_env =
        Sources { env: env(&[("LUMADB_LOG__SEGMENT_BYTE", "1MiB")]), ..Sources::default() };
    assert_eq!(
        refused(&from_env),
        "unknown key log.segment_byte in env LUMADB_LOG__SEGMENT_BYTE; did you mean log.segment_bytes?"
    );
    let from_flag = Sources { overrides: vec![set("zzz", "1")], ..Sources::default() };
    assert_eq!(refused(&from_flag), "unknown key zzz in flag --set");
    let top_level = Sources { files: vec![file("x.toml", "kafka = 1")], ..Sources::default() };
    assert!(refused(&top_level).starts_with("unknown key kafka in file x.toml"));
}

#[test]
fn a_wrong_value_names_key_value_origin_and_range() {
    let wrong = |path: &str, value: &str| {
        refused(&Sources { overrides: vec![set(path, value)], ..Sources::default() })
    };
    assert_eq!(
        wrong("log.segment_bytes", "64"),
        "log.segment_bytes = \"64\" from flag --set: expected a size with its unit from 1MiB to 1GiB"
    );
    assert_eq!(
        wrong("node.reactor", "kqueue"),
        "node.reactor = \"kqueue\" from flag --set: expected one of auto, io_uring, epoll"
    );
    assert!(wrong("kafka.num_partitions", "0").contains("from 1 to 10000"));
    assert!(wrong("kafka.num_partitions", "2147483648").contains("from 1 to 10000"));
    assert!(wrong("kafka.addr", "localhost").contains("an IP address and a port"));
    assert!(wrong("kafka.advertised_addr", "nohost").contains("a host and a port"));
    let number_for_text =
        Sources { files: vec![file("x.toml", "[pg]\naddr = 5432")], ..Sources::default() };
    assert!(refused(&number_for_text).starts_with("pg.addr = \"5432\" from file x.toml"));
    let broken = Sources { files: vec![file("x.toml", "[pg\naddr")], ..Sources::default() };
    assert!(refused(&broken).starts_with("cannot parse file x.toml: TOML parse error at line 1"));
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let sources = Sources {
        overrides: vec![set("log.message_bytes_max", "8MiB"), set("log.segment_bytes", "1MiB")],
        ..Sources::default()
    };
    assert_eq!(
        refused(&sources),
        "log.message_bytes_max (8MiB) is above half of log.segment_bytes (1MiB): such a batch could never be stored; \
         set log.segment_bytes to 16MiB or more, or log.message_bytes_max to 512KiB or less"
    );
    let smallest = Sources {
        overrides: vec![set("log.message_bytes_max", "512KiB"), set("log.segment_bytes", "1MiB")],
        ..Sources::default()
    };
    assert!(load(&smallest).is_ok(), "the smallest segment that the key allows");
    let sources = Sources {
        overrides: vec![
            set("log.message_bytes_max", "8MiB"),
            set("kafka.request_bytes_max", "1MiB"),
        ],
        ..Sources::default()
    };
    assert!(refused(&sources).contains("could never be sent"));
}

#[test]
fn text_that_looks_like_a_number_stays_text() {
    let sources = Sources { env: env(&[("LUMADB_NODE__DATA_DIR", "123")]), ..Sources::default() };
    assert_eq!(load(&sources).expect("a directory may be called 123").config.node.data_dir, "123");
}

/// It was ignored in silence, and the server ran with the default.
#[test]
fn a_variable_with_one_underscore_too_few_is_refused() {
    let sources = |name: &str| Sources { env: env(&[(name, "x")]), ..Sources::default() };
    let said = refused(&sources("LUMADB_KAFKA_NUM_PARTITIONS"));
    assert_eq!(
        said,
        "unknown key LUMADB_KAFKA_NUM_PARTITIONS in the environment; did you mean LUMADB_KAFKA__NUM_PARTITIONS?"
    );
    for other in ["LUMADB_URL", "LUMADB_BROKERS", "LUMADB_KAFKA"] {
        load(&sources(other)).expect("no key");
    }
}

/// `verbose` was taken for the name of a target: nothing was logged any more, not even that the server is ready.
#[test]
fn a_log_filter_is_made_of_levels() {
    let level = |text: &str| {
        load(&Sources { overrides: vec![set("logging.level", text)], ..Sources::default() })
    };
    for right in ["off", "WARN", "info,proto_pg=debug", "broker_node::shard=off", "info, a=trace"] {
        level(right).expect(right);
    }
    for wrong in ["verbose", "", "info,", "info,proto_pg", "=debug", "proto_pg=", "proto_pg=loud"] {
        let said = level(wrong).expect_err(wrong).to_string();
        assert!(said.contains("from flag --set: expected one of off, error"), "{said}");
    }
}
