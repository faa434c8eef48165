//! `lumadb demo`: history, live data, the commands it prints, and nothing left behind.

use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::harness::{Server, binary, finish, luma, with_sighup};
use config_testkit::has;

/// A demo whose temporary directory is below the returned one.
fn demo(args: &[&str]) -> (Server, tempfile::TempDir) {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let mut command = binary();
    command.args([
        "demo",
        "--kafka",
        "127.0.0.1:0",
        "--pg",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    command.args(["--cores", "1"]).args(args).env("TMPDIR", temporary.path());
    let command = with_sighup("default", &command);
    let server = Server::spawn(command, tempfile::tempdir().expect("a temporary directory"));
    (server, temporary)
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("readable").next().is_none()
}

#[test]
fn the_printed_commands_work_and_sigint_leaves_nothing() {
    let (mut server, temporary) = demo(&["--rate", "50"]);
    server.read_until("lumadb consume");
    let count = |sql: &str| -> u64 {
        let row = luma(&["sql", &server.pg_url(), "-c", sql]).ok();
        let row: serde_json::Value = serde_json::from_str(&row).expect("one row");
        row["n"].as_u64().expect("a count")
    };
    assert_eq!(count("select count(*) as n from users"), 200);
    assert!(count("select count(*) as n from orders") >= 4320);
    let old = "select count(*) as n from clicks where _timestamp < now() - interval '23 hours'";
    assert!(count(old) >= 1000);
    let hours = "select count(distinct date_trunc('hour', _timestamp)) as n from clicks";
    assert!(count(hours) >= 24);
    // Live: it follows until more than the history is there.
    let follow = ["consume", "orders", "-O", "end", "-f", "-n", "3", "-F", "%o\\n"];
    assert_eq!(server.luma(&follow).ok().lines().count(), 3);

    let binaries = PathBuf::from(env!("CARGO_BIN_EXE_lumadb"));
    let mut path = vec![binaries.parent().expect("has one").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).expect("paths");
    let mut ran = 0;
    for line in server.said.iter().filter_map(|line| line.strip_prefix("  ")) {
        let package = match line.split(' ').next() {
            Some("psql") => "postgresql-client",
            Some("kcat") => "kcat",
            _ => "",
        };
        if !package.is_empty() && !has(line.split(' ').next().unwrap_or_default(), package) {
            continue;
        }
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).env("PATH", &path);
        let done = finish(shell, b"");
        assert!(done.code == 0 && done.out.lines().count() >= 3, "{line}: {done:?}");
        ran += 1;
    }
    assert!(ran >= 2, "{:?}", server.said);
    assert!(!is_empty(temporary.path()));
    assert_eq!(server.end(Signal::INT), 0);
    assert!(is_empty(temporary.path()));
}

#[test]
fn the_same_seed_gives_the_same_records_and_sigterm_leaves_nothing() {
    let history = |seed: &str| {
        let (server, temporary) = demo(&["--seed", seed, "--rate", "0"]);
        let read =
            |topic: &str| server.luma(&["consume", topic, "-F", "%o %k %v\\n", "-n", "4000"]).ok();
        let all = [read("users"), read("products"), read("orders"), read("clicks")].concat();
        assert_eq!(server.end(Signal::TERM), 0);
        assert!(is_empty(temporary.path()));
        all
    };
    let first = history("7");
    assert!(first == history("7"), "two demos of one seed differ");
    assert!(first != history("8"), "seeds make no difference");
}

/// Closing the terminal's window used to leave the directory behind.
#[test]
fn a_terminal_that_goes_away_leaves_nothing() {
    let (server, temporary) = demo(&["--rate", "0"]);
    assert!(!is_empty(temporary.path()));
    assert_eq!(server.hang_up(), 0);
    assert!(is_empty(temporary.path()));
}

#[test]
fn what_a_killed_demo_left_goes_with_the_next() {
    let (killed, temporary) = demo(&["--rate", "0"]);
    assert_eq!(killed.end(Signal::KILL), 128 + 9);
    assert!(!is_empty(temporary.path()));
    let mut command = binary();
    command.args(["demo", "--kafka", "no address"]).env("TMPDIR", temporary.path());
    assert!(finish(command, b"").fails(2).contains("which a killed demo left"));
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_data_directory_is_refused() {
    let mut command = binary();
    command.args(["demo", "--data-dir", "keep"]);
    assert!(finish(command, b"").fails(2).contains("--data-dir"));
}
