//! Limits at, one above and far above; slow readers, vanished clients, cancel requests, panics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto_pg::PgOptions;
use tokio::io::AsyncReadExt as _;

use crate::client::{
    Client, Server, bind, execute, message, parse, query, sync, untagged, with_server,
};

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

async fn cancel(server: &Server, process_id: i32, secret: i32) {
    let mut packet = 80_877_102_i32.to_be_bytes().to_vec();
    packet.extend(process_id.to_be_bytes());
    packet.extend(secret.to_be_bytes());
    let mut client = Client::raw(server).await;
    client.send(&untagged(&packet)).await;
    assert_eq!(client.rest().await, Vec::<String>::new(), "a cancel request is not answered");
}

const CANCELLED: &str = "E ERROR 57014 canceling statement due to user request";

#[test]
fn a_cancel_request_ends_the_statement_only() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let (process_id, secret) = client.key;
        client.send(&query("forever")).await;
        until(|| server.counters.rows.load(Ordering::SeqCst) == 1).await;
        // A wrong secret and an unknown process change nothing.
        cancel(&server, process_id, secret.wrapping_add(1)).await;
        cancel(&server, process_id + 1, secret).await;
        assert_eq!(server.counters.cancels.load(Ordering::SeqCst), 0);
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 1);
        cancel(&server, process_id, secret).await;
        assert_eq!(client.until_ready().await, ["T f:23:4:-1:0", "D 1", CANCELLED, "Z I"]);
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
        assert_eq!(server.counters.statements.load(Ordering::SeqCst), 0);
        // When nothing runs it is forgotten.
        cancel(&server, process_id, secret).await;
        assert_eq!(client.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
    });
}

#[test]
fn a_cancelled_execute_skips_to_sync() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let messages = [
            parse("", "forever", &[]),
            bind("", "", &[], &[], &[]),
            execute("", 0),
            execute("", 0),
            sync(),
        ];
        client.send(&messages.concat()).await;
        until(|| server.counters.rows.load(Ordering::SeqCst) == 1).await;
        cancel(&server, client.key.0, client.key.1).await;
        assert_eq!(client.until_ready().await, ["1", "2", "D 1", CANCELLED, "Z I"]);
    });
}

const TIMED_OUT: &str = "E ERROR 57014 canceling statement due to statement timeout";

/// SET was answered, and the statement ran on for as long as it liked.
#[test]
fn statement_timeout_ends_the_statement_only() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        // It counts from the next statement on, also within one message.
        let answers = client.ask(&query("SET statement_timeout = '1'; forever; SELECT 1")).await;
        assert_eq!(answers[1..], ["C SET", "T f:23:4:-1:0", "D 1", TIMED_OUT, "Z I"]);
        let messages = [
            parse("", "forever", &[]),
            bind("", "", &[], &[], &[]),
            execute("", 0),
            execute("", 0),
            sync(),
        ];
        let answers = client.ask(&messages.concat()).await;
        assert_eq!(answers, ["1", "2", "D 1", TIMED_OUT, "Z I"]);
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
        assert_eq!(client.ask(&query("BEGIN; forever")).await.last().unwrap(), "Z E");
        client.ask(&query("COMMIT")).await;
        // A client that does not read is within a statement, too.
        client.send(&query("wide 10000")).await;
        server.counters.stream_dropped.notified().await;
        until(|| server.counters.streams.load(Ordering::SeqCst) == 0).await;
        let answers = client.until_ready().await;
        assert_eq!(answers[answers.len() - 2..], [TIMED_OUT, "Z I"]);
    });
}

#[test]
fn silence_within_a_transaction_block_has_its_own_limit() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        client.ask(&query("SET idle_in_transaction_session_timeout = '1'")).await;
        assert_eq!(client.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
        assert_eq!(client.ask(&query("BEGIN")).await.last().unwrap(), "Z T");
        let end = "E FATAL 25P03 terminating connection due to idle-in-transaction timeout";
        assert_eq!(client.rest().await, [end]);
    });
}

#[test]
fn a_malformed_cancel_request_is_closed_in_silence() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::raw(&server).await;
        client.send(&untagged(&80_877_102_i32.to_be_bytes())).await;
        assert_eq!(client.rest().await, Vec::<String>::new());
    });
}

#[test]
fn a_client_that_vanishes_stops_its_statement() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        client.send(&query("forever")).await;
        until(|| server.counters.rows.load(Ordering::SeqCst) == 1).await;
        drop(client);
        server.counters.stream_dropped.notified().await;
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_slow_reader_holds_its_own_statement_only() {
    with_server(PgOptions::default(), async |server| {
        let mut slow = Client::start(&server).await;
        slow.send(&query("wide 10000")).await;
        // The rows stop when the socket's buffers are full: the number stays while others are served.
        let mut before = usize::MAX;
        let mut other = Client::start(&server).await;
        loop {
            for _ in 0..100 {
                assert_eq!(other.ask(&query("warn")).await.last().unwrap(), "Z I");
            }
            let rows = server.counters.rows.load(Ordering::SeqCst);
            if rows == before {
                break;
            }
            before = rows;
        }
        assert!(
            before < 10_000,
            "{before} rows of 10 kB were produced for a client that reads none"
        );
        // It can be cancelled, and its stream is whole when it reads on.
        cancel(&server, slow.key.0, slow.key.1).await;
        let answers = slow.until_ready().await;
        assert_eq!(answers[answers.len() - 2..], [CANCELLED, "Z I"]);
    });
}

/// It held its statement, and the statement its memory, for as long as the socket stayed open.
#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let options = PgOptions { stalled_max: Duration::ZERO, ..PgOptions::default() };
    with_server(options, async |server| {
        let mut stalled = Client::start(&server).await;
        stalled.send(&query("wide 10000")).await;
        server.counters.stream_dropped.notified().await;
        // What was sent before is there, and then, perhaps within a row, the socket's end.
        let mut sent = Vec::new();
        stalled.stream.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent.first(), Some(&b'T'));
        until(|| server.counters.statements.load(Ordering::SeqCst) == 0).await;
        let mut other = Client::start(&server).await;
        assert_eq!(other.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
    });
}

#[test]
fn message_lengths_at_the_limit_and_above() {
    let options = PgOptions { message_bytes_max: 20_000, ..PgOptions::default() };
    with_server(options, async |server| {
        let mut client = Client::start(&server).await;
        // Length word, text, terminator.
        let fits = format!("SELECT 1{}", " ".repeat(20_000 - 4 - 8 - 1));
        let packet = query(&fits);
        assert_eq!(packet.len(), 20_001);
        assert_eq!(client.ask(&packet).await.last().unwrap(), "Z I");
        for length in [20_001_u32, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 3, 0] {
            let mut client = Client::start(&server).await;
            client.send(b"Q").await;
            client.send(&length.to_be_bytes()).await;
            assert_eq!(client.rest().await, ["E FATAL 08P01 invalid message length"], "{length}");
        }
    });
}

#[test]
fn small_messages_have_a_small_limit_and_unknown_ones_end_the_connection() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let mut fits = message(b'S', &vec![0; 10_000 - 4]);
        fits.extend(sync());
        assert_eq!(client.ask(&fits).await, ["E ERROR 08P01 invalid message format", "Z I"]);
        client.send(b"S").await;
        client.send(&10_001_u32.to_be_bytes()).await;
        assert_eq!(client.until_ready().await, ["Z I"]);
        assert_eq!(client.rest().await, ["E FATAL 08P01 invalid message length"]);
        let mut client = Client::start(&server).await;
        client.send(b"p").await;
        assert_eq!(client.rest().await, ["E FATAL 08P01 invalid frontend message type 112"]);
    });
}

#[test]
fn a_connection_may_be_cut_at_every_byte() {
    with_server(PgOptions::default(), async |server| {
        let conversation = [
            parse("s", "SELECT $1", &[23]),
            bind("", "s", &[], &[Some(b"1")], &[]),
            execute("", 0),
            sync(),
            query("SELECT 1"),
        ]
        .concat();
        for len in 0..conversation.len() {
            let mut client = Client::start(&server).await;
            client.send(&conversation[..len]).await;
            tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
            client.rest().await;
        }
        until(|| server.counters.statements.load(Ordering::SeqCst) == 0).await;
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn statements_portals_and_their_bytes_are_bounded() {
    let options = PgOptions {
        statements_max: 2,
        portals_max: 2,
        statement_bytes_max: 100,
        retained_bytes_max: 200,
        ..PgOptions::default()
    };
    with_server(options, async |server| {
        let mut client = Client::start(&server).await;
        let statements: Vec<u8> =
            ["a", "b", "c"].iter().flat_map(|name| parse(name, "SELECT $1", &[25])).collect();
        let answers = client.ask(&[statements, sync()].concat()).await;
        let most = "E ERROR 54000 a session has at most 2 prepared statements";
        assert_eq!(answers, ["1", "1", most, "Z I"]);
        let portals: Vec<u8> =
            ["p", "q", "r"].iter().flat_map(|name| bind(name, "a", &[], &[None], &[])).collect();
        let answers = client.ask(&[portals, sync()].concat()).await;
        assert_eq!(answers, ["2", "2", "E ERROR 54000 a session has at most 2 portals", "Z I"]);
        let large = bind("p", "a", &[], &[Some(&[b'x'; 200])], &[]);
        let answers = client.ask(&[large, sync()].concat()).await;
        assert_eq!(
            answers[0],
            "E ERROR 54000 prepared statements and portals hold too much \
             [D The limit is 200 bytes.] [H Close statements and portals that are no longer needed.]"
        );
        let fits = format!("SELECT 1{}", " ".repeat(92));
        assert_eq!(client.ask(&query(&fits)).await.last().unwrap(), "Z I");
        let answers = client.ask(&query(&(fits + " "))).await;
        let long = "E ERROR 54000 a statement of 101 bytes is too long [D The limit is 100 bytes.]";
        assert_eq!(answers, [long, "Z I"]);
    });
}

#[test]
fn a_panic_ends_one_connection() {
    with_server(PgOptions { connections_max: 2, ..PgOptions::default() }, async |server| {
        let mut other = Client::start(&server).await;
        for _ in 0..3 {
            let mut client = Client::start(&server).await;
            client.send(&query("panic")).await;
            assert_eq!(client.rest().await, Vec::<String>::new());
        }
        assert_eq!(other.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
    });
}

/// 256 silent sockets of one address used to make everybody's connection end without a word for a minute.
#[test]
fn silent_sockets_lock_nobody_out() {
    let options =
        PgOptions { startups_max: 8, startups_per_address_max: 4, ..PgOptions::default() };
    let refused = std::sync::Arc::clone(&options.counters);
    with_server(options, async |server| {
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(Client::raw(&server).await);
            // The one more is served, although those before it stay silent.
            let mut client = Client::start(&server).await;
            assert_eq!(client.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
        }
        let evicted =
            "E FATAL 53300 too many connections that have not logged in: the oldest is closed";
        for client in silent.drain(..17) {
            assert_eq!({ client }.rest().await, [evicted]);
        }
        assert!(refused.refused.load(Ordering::SeqCst) >= 17);
        // The newest are still waited for: one of the four places was taken to log in.
        for client in silent {
            assert_eq!({ client }.log_in().await.last().unwrap(), "Z I");
        }
    });
}
