//! A process with few descriptors: clients that take all they get, and a log that grows beside them.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Server, binary, finish, luma, serve, wait};

/// The command under a hard limit of `files` open files.
fn limited(files: u32, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn flood(addr: &str) -> Vec<TcpStream> {
    (0..300).map(|_| TcpStream::connect(addr).expect("the kernel accepts")).collect()
}

/// 300 silent connections to one port, then a few segments of log: the process could not sync a directory, and ended.
#[test]
fn silent_connections_and_a_growing_log_leave_descriptors_for_the_node() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = serve(&dir.path().join("data"));
    command.args(["--set", "log.segment_bytes=2MiB", "--set", "log.message_bytes_max=512KiB"]);
    let server = Server::spawn(limited(256, &command), dir);
    let note = "this process may open 256 files: kafka.connections_max is 64 instead of 10000";
    assert!(server.said.iter().any(|line| line.contains(note)), "{:#?}", server.said);

    server.luma(&["topic", "create", "t"]).ok();
    let mut producer = binary();
    producer.args(["produce", "t", "-b", server.kafka()]);
    let mut producer =
        producer.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut lines = producer.stdin.take().expect("piped");
    // A line is not kept back because a part of the next one has come.
    lines.write_all(b"first\nsec").expect("it reads");
    let first = server.luma(&["consume", "t", "-n", "1", "-f", "-F", "%v"]).ok();
    assert_eq!(first, "first");

    let floods: Vec<_> = server.addrs.values().map(|addr| flood(addr)).collect();
    lines.write_all(b"ond\n").expect("it reads");
    let line = [&[b'x'; 64 << 10][..], b"\n"].concat();
    for _ in 0..640 {
        lines.write_all(&line).expect("it reads");
    }
    drop(lines);
    assert_eq!(wait(producer), 0);
    drop(floods);
    let sql = ["sql", &server.pg_url(), "-c", "select count(*) as n from t"];
    // Those of the connections that were closed may still be counted for a moment.
    let rows = (0..1000).map(|_| luma(&sql)).find(|rows| rows.code == 0);
    let rows = rows.unwrap_or_else(|| luma(&sql)).ok();
    assert_eq!(rows, "{\"n\":642}\n");
    assert_eq!(server.end(Signal::TERM), 0);
}

#[test]
fn a_limit_that_serves_nobody_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let err = finish(limited(100, &serve(&data)), b"").fails(2);
    assert!(err.contains("may open 100 files, and 140 are needed"), "{err}");
    assert!(err.contains("ulimit -n 65536"), "{err}");
    assert!(!data.join("node.luma").exists());
}
