//! Commands that need no server, and `verify`.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::harness::{Server, binary, finish, luma, serve};

fn filled(data: &Path) {
    let server = Server::start_in(data);
    let lines: String =
        (0..100).map(|n| format!("record {n} is long enough to be found\n")).collect();
    server.luma_with(&["produce", "checked"], lines.as_bytes()).ok();
    assert_eq!(server.end(Signal::TERM), 0);
}

/// The file below `dir` that holds `needle`, and where.
fn find(dir: &Path, needle: &[u8]) -> Option<(PathBuf, u64)> {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            if let Some(found) = find(&path, needle) {
                return Some(found);
            }
            continue;
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .expect("readable");
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            return Some((path, at as u64));
        }
    }
    None
}

#[test]
fn verify_names_the_file_and_offset_of_a_flipped_byte() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let path = data.to_str().expect("text");
    assert!(luma(&["verify", "--data-dir", path]).fails(5).contains("does not exist"));
    let file = env!("CARGO_BIN_EXE_lumadb");
    assert!(luma(&["verify", "--data-dir", file]).fails(2).contains("is not a directory"));
    let other = dir.path().to_str().expect("text");
    assert!(luma(&["verify", "--data-dir", other]).fails(5).contains("no data of a server"));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0, "nothing was written");
    filled(&data);
    let clean = luma(&["verify", "--data-dir", path]);
    assert!(clean.err.contains("checked 1 shards"), "{clean:?}");
    assert_eq!(clean.ok(), "");
    assert_eq!(luma(&["verify", "--data-dir", path, "--format", "json"]).ok(), "[]\n");

    let (file, at) = find(&data, b"record 50 is long").expect("records are stored as they came");
    let mut flipped =
        std::fs::OpenOptions::new().read(true).write(true).open(&file).expect("there");
    let mut byte = [0];
    flipped.seek(SeekFrom::Start(at)).and_then(|_| flipped.read_exact(&mut byte)).expect("there");
    byte[0] ^= 0x40;
    flipped.seek(SeekFrom::Start(at)).and_then(|_| flipped.write_all(&byte)).expect("writable");
    drop(flipped);

    let found = luma(&["verify", "--data-dir", path, "--format", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&found.out).expect("JSON");
    let first = rows.first().expect("a finding");
    assert_eq!(first["file"], file.to_str().expect("text"), "{found:?}");
    assert!(first["offset"].as_u64().is_some_and(|offset| offset <= at), "{found:?}");
    assert_ne!(first["expected"], first["found"]);
    let err = found.fails(9);
    assert!(err.contains("\"exit_code\":9"), "{err}");
    // It changed nothing: the same again.
    assert!(luma(&["verify", "--data-dir", path]).fails(9).contains("findings in"));
}

/// `verify` used to end with code 1 and no place, and `serve` beside a missing identity made up another one.
#[test]
fn a_lost_or_damaged_identity_is_named_and_can_be_put_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let path = data.to_str().expect("text");
    filled(&data);
    let (file, other) = (data.join("node.luma"), data.join("node.luma.new"));
    let whole = std::fs::read_to_string(&file).expect("readable");
    let before = std::fs::read_to_string(&other).expect("readable");
    for damaged in [Some(whole.replace("term 1", "term 8")), Some(String::new()), None] {
        match &damaged {
            Some(text) => std::fs::write(&file, text).expect("writable"),
            None => std::fs::remove_file(&file).expect("there"),
        }
        let found = luma(&["verify", "--data-dir", path, "--format", "json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&found.out).expect("JSON");
        let [row] = &rows[..] else { panic!("{found:?}") };
        assert_eq!((row["file"].as_str(), row["offset"].as_u64()), (file.to_str(), Some(0)));
        let err = found.fails(9);
        assert!(err.contains("checked 1 shards"), "against the one of the start before: {err}");
        let err = finish(serve(&data), b"").fails(1);
        let hint = format!("cp {} {}", other.display(), file.display());
        assert!(err.contains(&hint), "{err}");
        assert_eq!(std::fs::read_to_string(&file).ok(), damaged, "nothing was changed");
        assert_eq!(std::fs::read_to_string(&other).expect("readable"), before);
    }
    std::fs::copy(&other, &file).expect("writable");
    let server = Server::start_in(&data);
    assert_eq!(server.luma(&["consume", "checked", "-O", "99", "-F", "%o"]).ok(), "99");
    assert_eq!(server.end(Signal::TERM), 0);
    luma(&["verify", "--data-dir", path]).ok();
}

#[test]
fn version_completions_and_configuration() {
    assert_eq!(luma(&["version"]).ok(), format!("lumadb {}\n", env!("CARGO_PKG_VERSION")));
    let json = format!("[{{\"name\":\"lumadb\",\"version\":\"{}\"}}]\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(luma(&["version", "--json"]).ok(), json);
    assert_eq!(luma(&["version", "--format", "json"]).ok(), json);
    for shell in ["bash", "zsh", "fish"] {
        assert!(luma(&["completions", shell]).ok().contains("lumadb"), "{shell}");
    }
    let script = luma(&["completions", "bash"]).ok();
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n");
    assert_eq!(finish(bash, script.as_bytes()).code, 0, "bash parses its completions");
    let mut command = binary();
    command.args(["config", "show", "--origin", "--format", "csv", "--set", "node.cores=3"]);
    command.env("LUMADB_KAFKA__NUM_PARTITIONS", "4");
    let out = finish(command, b"").ok();
    assert!(out.contains("node.cores,3,flag --set,0,restart"), "{out}");
    assert!(
        out.contains("kafka.num_partitions,4,env LUMADB_KAFKA__NUM_PARTITIONS,1,restart"),
        "{out}"
    );
    assert!(luma(&["config", "explain", "log.retention"]).ok().contains("retention.ms"));
    assert!(luma(&["config", "explain"]).ok().contains("kafka.addr"));
    let default = luma(&["config", "default"]).ok();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("lumadb.toml");
    std::fs::write(&file, default).expect("writable");
    luma(&["config", "validate", "--config", file.to_str().expect("text")]).ok();
    luma(&["config", "explain", "kafka.nothing"]).fails(5);
    let pg = luma(&["config", "explain", "pg", "--format", "csv"]).ok();
    assert!(pg.contains("\npg.addr,") && !pg.contains("kafka."), "{pg}");
    let meant = luma(&["config", "explain", "segment_bytes"]).fails(5);
    assert!(meant.contains("did you mean log.segment_bytes?"), "{meant}");
    assert!(luma(&["help", "topic"]).ok().contains("Create a topic"));
}

#[test]
fn doctor_reports_and_unknown_commands_are_usage_errors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let done = luma(&["doctor", "--json", "--data-dir", dir.path().to_str().expect("text")]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(rows.len(), 6);
    let ring = rows.iter().find(|row| row["check"] == "io_uring").expect("a row");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    let works = format!("works on Linux {}", release.trim());
    assert_eq!(ring["result"] == "ok", ring["found"] == works.as_str(), "{ring}");
    let failed = rows.iter().any(|row| row["result"] == "fail");
    assert_eq!(done.code, if failed { 9 } else { 0 });
    luma(&["nonsense"]).fails(2);
    luma(&["serve", "--nonsense"]).fails(2);
    assert!(luma(&["--help"]).ok().contains("verify"));
}

#[test]
fn nobody_listening_is_exit_three() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = free.local_addr().expect("bound").to_string();
    drop(free);
    let err = luma(&["topic", "list", "-b", &addr, "--format", "json"]).fails(3);
    let error: serde_json::Value = serde_json::from_str(&err).expect("JSON");
    assert_eq!(error["exit_code"], 3);
    luma(&["sql", &format!("postgres://luma@{addr}/luma"), "-c", "select 1"]).fails(3);
    luma(&["produce", "t", "-b", &addr]).fails(3);
    luma(&["bench", "produce", "-b", &addr]).fails(3);
}
