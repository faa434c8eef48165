//! A device that fails under the real binary while three kinds of clients produce: it acknowledges nothing more, says what
//! failed and ends with code 1; everything it had acknowledged is there after a restart on a device that works again.
//!
//! The device's half is `e2e/faults/failing_device.py`. Which clients promise what: see `crash.rs`.

use crate::crash::{check, dump, producing, stop};
use e2e_clients::{
    process,
    server::{self, Server},
    tools,
};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// Small enough for a few seconds of load to fill one.
const SMALL_SEGMENTS: &str = "log.segment_bytes=4MiB";

#[test]
fn a_failed_write_ends_the_server_and_loses_nothing_acknowledged() {
    fails("io_uring", "writes", "File too large (os error 27)");
}

#[test]
fn a_failed_synced_write_ends_the_server_and_loses_nothing_acknowledged() {
    fails("epoll", "pwritev2", "Input/output error (os error 5)");
}

/// What is synced by a call of its own: the end of a segment, its name, a checkpoint.
#[test]
fn a_failed_fdatasync_ends_the_server_and_loses_nothing_acknowledged() {
    fails("epoll", "fdatasync", "Input/output error (os error 5)");
}

fn fails(reactor: &str, fault: &str, expected: &str) {
    let _alone = crate::alone();
    let say = |text: &str| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    if let Some(why) = impossible(reactor, fault) {
        assert!(!tools::all_required(), "{why}");
        return say(&format!("\nfailing device | {fault} | skipped because {why}\n"));
    }
    let wrapper = |dir: &Path| wrapper(&dir.join("trigger"), fault);
    let settings = [&format!("node.reactor={reactor}"), "node.cores=2", SMALL_SEGMENTS];
    let mut server = Server::start_under(&wrapper, &format!("fails-{fault}"), &settings).unwrap();
    if !server.is_luma() {
        return;
    }
    let mut producers = producing(&server);
    fs::write(server.dir().join("trigger"), "").unwrap();
    assert_eq!(server.ended(DEADLINE).unwrap(), 1, "{}", server.log_tail());
    let log = server.log_tail();
    let last = process::last_lines(&log, 1);
    assert!(last.starts_with("error: shard ") && last.ends_with(expected), "{log}");
    assert!(log.contains("journal failed: this node stops"), "{log}");

    let before: Vec<u64> = producers.iter().map(|producer| producer.written()).collect();
    server.restart().unwrap();
    process::until("another acknowledgement for each", DEADLINE, || {
        let mut grown = producers.iter().zip(&before);
        Ok(grown.all(|(producer, before)| producer.written() > *before).then_some(()))
    })
    .unwrap();
    stop(&mut producers);
    for producer in &producers {
        let acknowledged = producer.acknowledged();
        let log = dump(&server, &producer.topic());
        let (kind, count, stored) = (producer.kind, acknowledged.len(), log.len());
        say(&format!(
            "\nfailing device | {fault} | {kind} | {count} acknowledged, {stored} in the log"
        ));
        check(kind, &acknowledged, &log);
    }
}

fn python() -> std::path::PathBuf {
    tools::installed().join("python/bin/python")
}

/// Why this cannot be tried here.
fn impossible(reactor: &str, fault: &str) -> Option<String> {
    if !python().exists() {
        return Some("the Python clients are missing: run e2e/tools.sh".to_owned());
    }
    let dir = env::temp_dir();
    if reactor == "io_uring"
        && let Some(why) = server::io_uring_refusal(&[], &dir).unwrap()
    {
        return Some(why);
    }
    let words = wrapper(Path::new("/nowhere"), fault);
    let nothing = Command::new(&words[0]).args(&words[1..]).arg("true").output().unwrap();
    let said = String::from_utf8_lossy(&nothing.stderr);
    let refused = format!("the kernel refuses it: {}", process::last_lines(&said, 1));
    (!nothing.status.success()).then_some(refused)
}

/// The beginning of a command line whose device fails once `trigger` is there.
fn wrapper(trigger: &Path, fault: &str) -> Vec<OsString> {
    let script = tools::repository().join("e2e/faults/failing_device.py");
    vec![python().into(), script.into(), fault.into(), trigger.into()]
}
