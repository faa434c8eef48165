//! Every client command against a live server.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Server, binary, luma, luma_with, wait};

#[test]
fn topics_from_creation_to_deletion() {
    let server = Server::start();
    assert_eq!(server.luma(&["topic", "list"]).ok(), "");
    server.luma(&["topic", "create", "orders", "-p", "2", "-c", "retention.ms=60000"]).ok();
    let err = server.luma(&["topic", "create", "orders"]).fails(6);
    assert!(err.contains("exists"), "{err}");
    assert_eq!(
        server.luma(&["topic", "list"]).ok(),
        "{\"name\":\"orders\",\"partitions\":2,\"internal\":false}\n"
    );
    assert!(server.luma(&["topic", "list", "--format", "table"]).ok().contains("│ orders ┆"));
    let described = server.luma(&["topic", "describe", "orders"]).ok();
    assert!(
        described.contains("{\"partition\":1,\"start\":0,\"end\":0,\"records\":0}"),
        "{described}"
    );
    assert!(described.contains("\"config\":\"retention.ms\",\"value\":\"60000\""), "{described}");
    let alter = ["topic", "alter", "orders", "-p", "3", "-c", "cleanup.policy=delete"];
    server.luma(&[&alter[..], &["--reset", "retention.ms"]].concat()).ok();
    let described = server.luma(&["topic", "describe", "orders", "--format", "json"]).ok();
    let described: serde_json::Value = serde_json::from_str(&described).expect("one JSON object");
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));
    let configs = described["configs"].as_array().expect("an array");
    let retention = configs.iter().find(|row| row["config"] == "retention.ms").expect("listed");
    assert_eq!(retention["value"], "604800000");
    server.luma(&["topic", "alter", "orders", "-p", "1"]).fails(2);
    server.luma(&["topic", "alter", "orders", "-c", "retention.ms=soon"]).fails(2);
    server.luma(&["topic", "alter", "orders"]).fails(2);
    server.luma(&["topic", "delete", "orders"]).fails(2);
    server.luma(&["topic", "delete", "orders", "--yes"]).ok();
    server.luma(&["topic", "describe", "orders"]).fails(5);
    server.luma(&["topic", "delete", "orders", "--yes"]).fails(5);
    server.luma(&["topic", "create", "not/allowed"]).fails(2);
}

#[test]
fn records_in_every_compression_format_and_offset() {
    let server = Server::start();
    let read = |args: &[&str]| {
        let all = [&["consume", "lines", "-F", "%v "][..], args].concat();
        server.luma(&all).ok()
    };
    server.luma(&["topic", "create", "lines"]).ok();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let input = format!("{codec}1\n{codec}2\n");
        server.luma_with(&["produce", "lines", "-z", codec, "-K", ":"], input.as_bytes()).ok();
    }
    let all = "none1 none2 gzip1 gzip2 snappy1 snappy2 lz41 lz42 zstd1 zstd2 ";
    assert_eq!(read(&[]), all);
    assert_eq!(read(&["-O", "start"]), all);
    assert_eq!(read(&["-O", "end"]), "");
    assert_eq!(read(&["-O", "8"]), "zstd1 zstd2 ");
    let beyond = server.luma(&["consume", "lines", "-O", "99"]);
    assert_eq!(beyond.err, "lines-0 has no offset 99: the nearest is 10\n");
    assert_eq!(beyond.ok(), "");
    assert_eq!(read(&["-O", "-3"]), "lz42 zstd1 zstd2 ");
    assert_eq!(read(&["-O", "+9"]), "zstd2 ");
    assert_eq!(read(&["-O", "3-5"]), "gzip2 snappy1 ");
    assert_eq!(read(&["-O", "@1h"]), all);
    assert_eq!(read(&["-O", "@2020-01-01T00:00:00Z"]), all);
    assert_eq!(read(&["-O", "@2100-01-01"]), "");
    assert_eq!(read(&["-n", "3"]), "none1 none2 gzip1 ");
    assert_eq!(read(&["-O", "-2", "-n", "1"]), "zstd1 ");
    let absent = server.luma(&["consume", "absent"]).fails(5);
    assert!(absent.contains("\"absent\": it does not exist"), "{absent}");
    server.luma(&["consume", "lines", "-p", "7"]).fails(5);
    server.luma(&["consume", "lines", "-O", "yesterday"]).fails(2);

    server.luma_with(&["produce", "keyed", "-K", "=", "-H", "h=1", "-H", "i=2"], b"k=v\n").ok();
    let template = "%t %p %o %k %v %h %k{hex} %x{v} %%\\t\\n";
    let shown = server.luma(&["consume", "keyed", "-F", template]).ok();
    assert_eq!(shown, "keyed 0 0 k v h=1,i=2 6b 76 %\t\n");
    let line = server.luma(&["consume", "keyed"]).ok();
    let record: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
    assert_eq!((&record["key"], &record["value"]), (&"k".into(), &"v".into()));
    assert_eq!(record["headers"][1]["value"], "2");
    let array = server.luma(&["consume", "lines", "--format", "json"]).ok();
    let array: Vec<serde_json::Value> = serde_json::from_str(&array).expect("one array");
    let lines = server.luma(&["consume", "lines"]).ok();
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("an object"));
    assert_eq!(array, lines.collect::<Vec<serde_json::Value>>());
    assert_eq!(server.luma(&["consume", "lines", "-O", "end", "-o", "json"]).ok(), "[]\n");
}

/// Small lines did not reach a topic of small messages, since their batch was too large for it; and which line was too long
/// was nobody's business.
#[test]
fn a_topic_of_small_messages_takes_many_and_names_the_one_that_is_too_large() {
    let server = Server::start();
    server.luma(&["topic", "create", "small", "-p", "2", "-c", "max.message.bytes=2000"]).ok();
    let lines: String = (0..3000).map(|n| format!("{}:{n}\n", n % 7)).collect();
    server.luma_with(&["produce", "small", "-K", ":"], lines.as_bytes()).ok();
    let read = server.luma(&["consume", "small", "-F", "%k %v\n"]).ok();
    assert_eq!(read.lines().count(), 3000);
    for key in 0..7 {
        let of_key = read.lines().filter_map(|line| line.strip_prefix(&format!("{key} ")));
        let of_key: Vec<u32> = of_key.map(|value| value.parse().expect("a number")).collect();
        assert!(of_key.is_sorted(), "the order of key {key} is lost");
    }
    let lines = format!("1\n2\n{}\n4\n", "x".repeat(2000));
    let err = server.luma_with(&["produce", "small", "-p", "0"], lines.as_bytes()).fails(1);
    assert!(err.contains("produced 2 records"), "{err}");
    assert!(err.contains("error: line 3: "), "{err}");
    assert!(err.contains("max.message.bytes is 2000"), "{err}");
    server.luma_with(&["produce", "small", "-z", "gzip"], lines.as_bytes()).ok();
}

/// The read of the next line held the thread that would have seen it.
#[test]
fn ctrl_c_ends_produce_while_it_waits_for_a_line() {
    let server = Server::start();
    server.luma(&["topic", "create", "live"]).ok();
    let mut command = binary();
    command.args(["produce", "live", "-b", server.kafka()]).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().expect("the command starts");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "first").expect("it reads");
    // It is there, so the command waits for the next.
    assert_eq!(server.luma(&["consume", "live", "-f", "-n", "1", "-F", "%v"]).ok(), "first");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a child has a pid");
    kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(wait(child), 130);
}

#[test]
fn following_sees_what_comes_later() {
    let server = Server::start();
    server.luma_with(&["produce", "live"], b"before\n").ok();
    let mut command = binary();
    command.args(["consume", "live", "-f", "-n", "3", "-F", "%v\\n", "-b", server.kafka()]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the command starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "before");
    server.luma_with(&["produce", "live"], b"after\nlast\n").ok();
    assert_eq!((next(), next()), ("after".to_owned(), "last".to_owned()));
    assert_eq!(wait(child), 0);
}

#[test]
fn a_reader_that_goes_away_ends_consume_silently() {
    let server = Server::start();
    let line = format!("{}\n", "x".repeat(1000));
    server.luma_with(&["produce", "long"], line.repeat(500).as_bytes()).ok();
    let mut command = binary();
    command.args(["consume", "long", "-F", "%v\\n", "-b", server.kafka()]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    drop(child.stdout.take());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said)
        .expect("text");
    assert_eq!((wait(child), said.as_str()), (0, ""));
}

#[test]
fn groups_are_listed_described_and_moved() {
    let server = Server::start();
    server.luma_with(&["produce", "work"], b"1\n2\n3\n").ok();
    assert_eq!(server.luma(&["group", "list"]).ok(), "");
    server.luma(&["group", "describe", "absent"]).fails(5);
    let seek = ["group", "seek", "team", "--topic", "work", "--to"];
    let moved = server.luma(&[&seek[..], &["1", "--yes"]].concat()).ok();
    assert_eq!(moved, "{\"topic\":\"work\",\"partition\":0,\"committed\":1}\n");
    assert!(
        server.luma(&["group", "list"]).ok().contains("\"group\":\"team\",\"state\":\"Empty\"")
    );
    let described = server.luma(&["group", "describe", "team"]).ok();
    let wanted = "{\"topic\":\"work\",\"partition\":0,\"committed\":1,\"end\":3,\"lag\":2}";
    assert!(described.contains(wanted), "{described}");
    let described = server.luma(&["group", "describe", "team", "--format", "json"]).ok();
    let described: serde_json::Value = serde_json::from_str(&described).expect("one JSON object");
    assert_eq!(described["members"][0]["state"], "Empty");
    for (to, committed) in [("end", 3), ("start", 0), ("-1", 2), ("@1h", 0)] {
        let moved = server.luma(&[&seek[..], &[to, "--yes"]].concat()).ok();
        assert!(moved.contains(&format!("\"committed\":{committed}}}")), "{to}: {moved}");
    }
    server.luma(&[&seek[..], &["end"]].concat()).fails(2);
    server.luma(&["group", "seek", "team", "--topic", "absent", "--to", "end", "-y"]).fails(5);
    // A name mistyped made a group in silence, and an offset beyond the end became the end.
    let typo = ["group", "seek", "taem", "--topic", "work", "--to"];
    server.luma(&[&typo[..], &["start"]].concat()).fails(2);
    server.luma(&["group", "describe", "taem"]).fails(5);
    let made = server.luma(&[&typo[..], &["2", "--yes"]].concat());
    assert_eq!(made.err, "group \"taem\" did not exist: it was created\n");
    let moved = server.luma(&[&typo[..], &["99", "--yes"]].concat());
    assert_eq!(moved.err, "work-0 has no offset 99: the nearest is 3\n");
    assert!(moved.ok().contains("\"committed\":3}"));
}

#[test]
fn sql_from_arguments_and_from_standard_input() {
    let server = Server::start();
    let url = server.pg_url();
    server
        .luma_with(
            &["produce", "people"],
            b"{\"id\":1,\"name\":\"ada\"}\n{\"id\":2,\"name\":null}\n",
        )
        .ok();
    let sql = |args: &[&str], input: &str| {
        luma_with(&[&["sql", &url][..], args].concat(), input.as_bytes())
    };
    let query = "select id, name, _offset from people order by id";
    let jsonl =
        "{\"id\":1,\"name\":\"ada\",\"_offset\":0}\n{\"id\":2,\"name\":null,\"_offset\":1}\n";
    assert_eq!(sql(&["-c", query], "").ok(), jsonl);
    for described in ["\\d people", "\\d People", "\\d \"people\"", "\\d public.people"] {
        let columns = sql(&["-c", described], "").ok();
        assert!(columns.starts_with("{\"column\":\"id\",\"type\":\"bigint\""), "{columns}");
    }
    for absent in ["\\d nope", "\\dt nope", "\\d other.people"] {
        let done = sql(&["-c", absent], "");
        assert_eq!(done.out, "");
        let name = &absent[absent.find(' ').expect("has one") + 1..];
        let psql = format!("Did not find any relation named \"{name}\".");
        assert!(done.fails(5).contains(&psql), "{absent}");
    }
    assert_eq!(sql(&["-c", "\\dt peo*"], "").ok(), "{\"schema\":\"public\",\"name\":\"people\"}\n");
    assert_eq!(sql(&["-c", "\\dn"], "").ok(), "{\"schema\":\"public\"}\n");
    assert_eq!(luma(&["query", query, "--url", &url]).ok(), jsonl);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("q.sql");
    std::fs::write(&file, query).expect("writable");
    assert_eq!(sql(&["-f", file.to_str().expect("text")], "").ok(), jsonl);
    sql(&["-f", "/no/such/file"], "").fails(5);
    let meant = luma(&["sql", query]).fails(2);
    assert!(meant.contains("after -c"), "{meant}");
    assert_eq!(sql(&[], &format!("{query};")).ok(), jsonl);
    assert_eq!(sql(&["-c", query, "--format", "csv"], "").ok(), "id,name,_offset\n1,ada,0\n2,,1\n");
    assert!(sql(&["-c", query, "--format", "table"], "").ok().contains("│  1 ┆ ada"));
    assert!(sql(&["-c", query, "-o", "vertical"], "").ok().contains("-[ RECORD 2 ]\n"));
    assert_eq!(
        sql(&["-c", "select 1 as a", "-c", "select 2 as b"], "").ok(),
        "{\"a\":1}\n{\"b\":2}\n"
    );
    assert!(sql(&["-c", "select 1", "--timing"], "").err.contains("time: "));
    assert!(sql(&["-c", "\\dt"], "").ok().contains("\"name\":\"people\""));
    assert!(sql(&["-c", "\\d people"], "").ok().contains("\"column\":\"name\""));
    assert!(sql(&["-c", "\\l"], "").ok().contains("\"luma\""));
    assert!(sql(&["-c", "\\dn"], "").ok().contains("\"public\""));
    sql(&["-c", "\\nonsense"], "").fails(2);
    let err = sql(&["-c", "select nothing from people"], "").fails(1);
    assert!(err.contains("42703") && err.contains('^'), "{err}");
    let err = sql(&["-c", "select * from peple"], "").fails(5);
    assert!(err.contains("42P01"), "{err}");
    let err = sql(&["-c", "select * from peple", "--format", "json"], "").fails(5);
    serde_json::from_str::<serde_json::Value>(&err).expect("JSON");
}

#[test]
fn benchmarks_report_what_they_did() {
    let server = Server::start();
    let common = ["--duration", "300ms", "--record-size", "100B", "--format", "json"];
    let report = |args: &[&str]| -> serde_json::Value {
        let text = server.luma(&[args, &common[..]].concat()).ok();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        rows.into_iter().next().expect("one row")
    };
    let produced = report(&["bench", "produce", "--batch-size", "10KiB"]);
    let records = produced["records"].as_u64().expect("a count");
    assert!(records > 0, "{produced}");
    assert!(produced["p50_us"].as_u64() <= produced["max_us"].as_u64(), "{produced}");
    assert!(report(&["bench", "produce", "--rate", "50"])["records"].as_u64() > Some(0));
    let consumed = report(&["bench", "consume"])["records"].as_u64().expect("a count");
    assert!(consumed > 0);
    assert!(report(&["bench", "latency", "--rate", "50"])["p99_us"].as_u64() > Some(0));
    let end = luma(&["consume", "bench", "-O", "end", "-b", server.kafka()]);
    assert_eq!(end.ok(), "");
}
