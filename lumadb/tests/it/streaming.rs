//! Results larger than memory should be: a topic is read through psql while the server's memory stays flat, and LIMIT
//! stops reading.
//!
//! The short form reads 128 MiB; `SLOW=1` reads 4 GiB.

use std::process::Command;

use crate::harness::{Server, finish, luma};
use config_testkit::has;

const MIB: u64 = 1024 * 1024;
/// Records of a round, of about a KiB each.
const ROUND: u64 = 128 * 1024;
/// What a result may add to the server's memory, whatever its length.
const GROWTH_MAX: u64 = 64 * MIB;

/// A field of `/proc/pid/status` in bytes.
fn memory(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")).expect("a size in kB");
    kib.trim().parse::<u64>().expect("a number") * 1024
}

fn read_bytes(server: &Server) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&server.http("/stats")).expect("JSON");
    stats["sql"]["read_bytes"].as_u64().expect("a number")
}

/// psql with a cursor of its own, as `FETCH_COUNT` makes it; the rows that it printed.
fn rows(server: &Server, sql: &str) -> u64 {
    let (host, port) = server.addrs["pg"].rsplit_once(':').expect("an address");
    let mut psql = Command::new("sh");
    let words = "psql -X -h $1 -p $2 -U luma -d luma -At -v ON_ERROR_STOP=1 -v FETCH_COUNT=500 -c \"$3\" | wc -l";
    psql.args(["-c", words, "sh", host, port, sql]);
    finish(psql, b"").ok().trim().parse().expect("a number")
}

#[test]
fn a_long_result_streams_with_flat_memory() {
    if !has("psql", "postgresql-client") {
        return;
    }
    let slow = std::env::var_os("SLOW").is_some_and(|value| value == "1");
    let rounds = if slow { 32 } else { 1 };
    let server = Server::start();
    let pad = "x".repeat(1000);
    let lines: String =
        (0..ROUND).map(|id| format!("{{\"id\":{id},\"pad\":\"{pad}\"}}\n")).collect();
    for _ in 0..rounds {
        server.luma_with(&["produce", "long"], lines.as_bytes()).ok();
    }
    let all = rounds * lines.len() as u64;
    // What the first statement leaves behind, such as threads and their heaps, is no result's memory.
    assert_eq!(rows(&server, "SELECT * FROM long LIMIT 3"), 3);
    let before = read_bytes(&server);
    assert!(before < 8 * MIB, "{before} bytes were read for three rows");

    let resident = memory(&server, "VmRSS");
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("resets the peak");
    assert_eq!(rows(&server, "SELECT * FROM long"), rounds * ROUND);
    let growth = memory(&server, "VmHWM").saturating_sub(resident);
    assert!(growth <= GROWTH_MAX, "{} MiB more for a result of {} MiB", growth / MIB, all / MIB);
    let read = read_bytes(&server) - before;
    assert!(read >= all, "{read} of {all} bytes were counted");

    // Neither LIMIT nor a reader that stops reads what nobody asked for.
    let before = read_bytes(&server);
    let limited = luma(&["sql", &server.pg_url(), "-c", "select id from long limit 10"]).ok();
    assert_eq!(limited.lines().count(), 10);
    let read = read_bytes(&server) - before;
    assert!(read > 0 && read < 8 * MIB, "{read} bytes were read for ten rows");
}
