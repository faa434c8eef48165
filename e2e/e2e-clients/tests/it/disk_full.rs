//! The real binary on a disk that is full: reads go on, writes are refused with an error that says so, a restart succeeds
//! although not one block is free, a topic can be deleted there and its space is written to again, and writes go on when
//! more space returns.
//!
//! Two shards on a disk that holds three segments of the default size: both full, everything deleted, both written again.
//!
//! The clients' halves are `e2e/clients/faults/disk_full.py` and `full_shards.py`.

use e2e_clients::{process, server::Server, small_disk::SmallDisk, tools};
use std::{
    env,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

/// Two shards with two segments each, what the ballast takes, and room for a few segments.
const DISK_MEBIBYTES: u64 = 160;
const SETTINGS: [&str; 2] = ["node.cores=2", "log.segment_bytes=24MiB"];

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let say = |text: &str| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    let _alone = crate::alone();
    let python = tools::installed().join("python/bin/python");
    let disk = match SmallDisk::mount("full", DISK_MEBIBYTES) {
        Ok(disk) if python.exists() => disk,
        refused => {
            let why = refused.err().unwrap_or_else(|| "the Python clients are missing".to_owned());
            assert!(!tools::all_required(), "{why}");
            return say(&format!("\nfull disk | skipped because {why}\n"));
        }
    };
    let mut server = Server::start_on(&disk.path(), "disk-full", &SETTINGS).unwrap();
    if !server.is_luma() {
        return;
    }
    assert_eq!(full_shards(&server), 0);
    let acknowledged = clients(&server, &disk, &["fill"]);
    assert_eq!(full_shards(&server), 1, "the shard of the only partition");
    assert!(
        page(&server, "/ready").contains("\"degraded\":[\"the disk of the data directory is full")
    );
    server.crash().unwrap();
    disk.take_the_rest().unwrap();
    server.restart().unwrap();
    clients(&server, &disk, &["look", acknowledged.trim()]);
    delete_topic(&server);
    server.crash().unwrap();
    server.restart().unwrap();
    let again = clients(&server, &disk, &["refill"]);
    clients(&server, &disk, &["recover", again.trim()]);
    assert_eq!(full_shards(&server), 0);
    assert!(page(&server, "/health").contains("\"degraded\":[]"));
    let (kind, first, again) = (disk.kind, acknowledged.trim(), again.trim());
    say(&format!(
        "\nfull disk | {kind} | {first} records, then refused | {again} after a deletion\n"
    ));
}

/// Room for three segments of 64 MiB and the checkpoints of two shards.
const THREE_SEGMENTS_MEBIBYTES: u64 = 200;

#[test]
fn two_full_shards_are_both_written_again_after_deletions() {
    let say = |text: &str| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    let _alone = crate::alone();
    let python = tools::installed().join("python/bin/python");
    let disk = match SmallDisk::mount_in_memory("full-shards", THREE_SEGMENTS_MEBIBYTES) {
        Ok(disk) if python.exists() => disk,
        refused => {
            let why = refused.err().unwrap_or_else(|| "the Python clients are missing".to_owned());
            assert!(!tools::all_required(), "{why}");
            return say(&format!("\nfull shards | skipped because {why}\n"));
        }
    };
    let mut server = Server::start_on(&disk.path(), "full-shards", &["node.cores=2"]).unwrap();
    if !server.is_luma() {
        return;
    }
    let rounds = if env::var("SLOW").is_ok_and(|v| v == "1") { "8" } else { "2" };
    let taken = full_shards_script(&server, rounds);
    assert_eq!(full_shards(&server), 0);
    server.crash().unwrap();
    server.restart().unwrap();
    let again = full_shards_script(&server, "1");
    say(&format!("\nfull shards | records of each round {taken:?}, after a crash {again:?}\n"));
}

fn full_shards_script(server: &Server, rounds: &str) -> String {
    let mut command = Command::new(tools::installed().join("python/bin/python"));
    command.arg(tools::repository().join("e2e/clients/faults/full_shards.py"));
    command.args([&server.addresses.kafka, rounds]);
    let deadline = Duration::from_secs(180);
    let (status, out, err) =
        process::run(&mut command, server.dir(), "full-shards", deadline).unwrap();
    assert!(status.success(), "{out}\n{err}\n{}", server.log_tail());
    out
}

/// What monitoring sees: a page that is answered with 200, since readers are served on.
fn page(server: &Server, path: &str) -> String {
    let mut socket = TcpStream::connect(&server.addresses.http).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    response
}

fn full_shards(server: &Server) -> u64 {
    let page = page(server, "/metrics");
    let sample = page.lines().find_map(|line| line.strip_prefix("lumadb_log_disk_full_shards "));
    sample.unwrap_or_else(|| panic!("{page}")).trim_end_matches(".0").parse().unwrap()
}

/// With the command line, as an operator does.
fn delete_topic(server: &Server) {
    let mut command = Command::new(tools::lumadb().unwrap());
    command.args(["topic", "delete", "disk-full", "--yes", "--brokers", &server.addresses.kafka]);
    let deadline = Duration::from_secs(60);
    let (status, _, err) = process::run(&mut command, server.dir(), "delete", deadline).unwrap();
    assert!(status.success(), "{err}\n{}", server.log_tail());
}

/// Runs a phase of the script; what it printed.
fn clients(server: &Server, disk: &SmallDisk, phase: &[&str]) -> String {
    let mut command = Command::new(tools::installed().join("python/bin/python"));
    command.arg(tools::repository().join("e2e/clients/faults/disk_full.py")).arg(phase[0]);
    command.args([&server.addresses.kafka, &server.addresses.pg]).arg(disk.path());
    command.args(&phase[1..]);
    let (status, out, err) =
        process::run(&mut command, server.dir(), phase[0], Duration::from_secs(180)).unwrap();
    assert!(status.success(), "{}: {err}\n{}", phase[0], server.log_tail());
    out
}
