//! Results larger than memory should be: a topic is read while the server's memory stays flat, by psql with a cursor, by a
//! client that reads a plain result and by one that reads COPY, both slower than the server could send; and LIMIT stops reading.
//!
//! The short form reads 128 MiB, `SLOW=1` 4 GiB; COPY five eighths of it.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use config_testkit::has;

use crate::harness::{Server, finish, luma};

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

/// What the server may have read of a result beyond what its reader has: buffers of both sockets, a page of rows, and pieces of
/// the log that are read ahead. From 4 to some 25 MiB were seen.
const AHEAD_MAX: u64 = 48 * MIB;
/// How much the slow reader takes before it stops for a while.
const TAKEN: u64 = 48 * MIB;

/// Resets the peak of the server's memory, runs `read`, and checks what it added.
fn with_flat_memory(server: &Server, all: u64, read: impl FnOnce()) {
    let resident = memory(server, "VmRSS");
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("resets the peak");
    let before = read_bytes(server);
    read();
    let growth = memory(server, "VmHWM").saturating_sub(resident);
    assert!(growth <= GROWTH_MAX, "{} MiB more for a result of {} MiB", growth / MIB, all / MIB);
    let read = read_bytes(server) - before;
    assert!(read >= all, "{read} of {all} bytes were counted");
}

/// What the server has read when it reads no more: thirty looks found the same, or it is beyond `limit`.
fn read_when_stalled(server: &Server, limit: u64) -> u64 {
    let (mut last, mut same) = (read_bytes(server), 0);
    while same < 30 && last <= limit {
        let now = read_bytes(server);
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

/// Sends `request` and reads its answer with stops, in which the server must not go on: how many messages of kind `row` came.
///
/// The messages are those of PostgreSQL's protocol, version 3.0: a letter, the length with itself in four bytes, the content.
fn rows_read_slowly(server: &Server, request: &[u8], row: u8) -> u64 {
    let mut socket = TcpStream::connect(&server.addrs["pg"]).expect("the server listens");
    let startup = b"\0\x03\0\0user\0luma\0database\0luma\0\0";
    let length = u32::try_from(startup.len() + 4).expect("short").to_be_bytes();
    socket.write_all(&[&length, &startup[..], request].concat()).expect("the server reads");
    let mut from = BufReader::new(socket);
    let (before, mut taken, mut stop_at) = (read_bytes(server), 0, MIB);
    let (mut rows, mut ready, mut content) = (0, 0, Vec::new());
    // The first is the end of the start, the second that of the request.
    while ready < 2 {
        let mut head = [0; 5];
        from.read_exact(&mut head).expect("a message");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        content.resize(usize::try_from(length).expect("fits") - 4, 0);
        from.read_exact(&mut content).expect("a whole message");
        assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&content));
        rows += u64::from(head[0] == row);
        ready += u32::from(head[0] == b'Z');
        taken += u64::from(length) + 1;
        if taken >= stop_at {
            stop_at += TAKEN;
            let limit = before + taken + AHEAD_MAX;
            let read = read_when_stalled(server, limit);
            assert!(
                read <= limit,
                "{} MiB were read for {} MiB",
                (read - before) / MIB,
                taken / MIB
            );
        }
    }
    rows
}

/// One message: its letter, and its content.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).expect("short").to_be_bytes();
    [&[kind], &length[..], content].concat()
}

/// A statement in the extended protocol, all of its rows at once: Parse, Bind, Execute without a limit, Sync.
fn extended(sql: &str) -> Vec<u8> {
    let parse = [b"\0", sql.as_bytes(), b"\0\0\0"].concat();
    [message(b'P', &parse), message(b'B', &[0; 8]), message(b'E', &[0; 5]), message(b'S', b"")]
        .concat()
}

#[test]
fn a_long_result_streams_with_flat_memory() {
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
    let before = read_bytes(&server);
    let limited = luma(&["sql", &server.pg_url(), "-c", "select id from long limit 10"]).ok();
    assert_eq!(limited.lines().count(), 10);
    let read = read_bytes(&server) - before;
    assert!(read > 0 && read < 8 * MIB, "{read} bytes were read for ten rows");

    with_flat_memory(&server, all, || {
        let request = extended("SELECT * FROM long");
        assert_eq!(rows_read_slowly(&server, &request, b'D'), rounds * ROUND);
    });
    // Fewer, since text for COPY costs a debug build four times as much.
    let copied = rounds * ROUND / 8 * 5;
    with_flat_memory(&server, all / 8 * 5, || {
        let sql = format!("COPY (SELECT * FROM long LIMIT {copied}) TO STDOUT\0");
        assert_eq!(rows_read_slowly(&server, &message(b'Q', sql.as_bytes()), b'd'), copied);
    });
    if has("psql", "postgresql-client") {
        with_flat_memory(&server, all, || {
            assert_eq!(rows(&server, "SELECT * FROM long"), rounds * ROUND);
        });
    }
}
