//! Parse, Bind, Describe, Execute, Close, Flush, Sync: order, errors, row limits, formats.

use std::sync::atomic::Ordering;

use proto_pg::PgOptions;

use crate::client::{
    Client, bind, close, describe, execute, message, parse, query, sync, with_server,
};

/// Sends the messages in one write and expects these answers up to ReadyForQuery.
fn check(messages: &[Vec<u8>], expect: &[&str]) {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        assert_eq!(client.ask(&messages.concat()).await, expect);
        // The same conversation, one byte at a time.
        let mut client = Client::start(&server).await;
        for byte in messages.concat() {
            client.send(&[byte]).await;
        }
        assert_eq!(client.until_ready().await, expect);
    });
}

const N: &str = "T ?column?:23:4:-1:0";

#[test]
fn the_whole_conversation() {
    check(
        &[
            parse("", "SELECT $1", &[23]),
            describe(b'S', ""),
            bind("", "", &[], &[Some(b"42")], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ],
        &["1", "t 23", N, "2", N, "D 42", "C SELECT 1", "Z I"],
    );
}

#[test]
fn binary_both_ways() {
    check(
        &[
            parse("s", "SELECT $1", &[23]),
            bind("p", "s", &[1], &[Some(&[0, 0, 0, 7])], &[1]),
            describe(b'P', "p"),
            execute("p", 0),
            sync(),
        ],
        &["1", "2", "T ?column?:23:4:-1:1", "D 00000007", "C SELECT 1", "Z I"],
    );
}

#[test]
fn an_untyped_parameter_is_text_and_null_is_null() {
    check(
        &[
            parse("", "SELECT $1", &[]),
            describe(b'S', ""),
            bind("", "", &[], &[None], &[]),
            execute("", 0),
            sync(),
        ],
        &["1", "t 25", "T ?column?:25:-1:-1:0", "2", "D NULL", "C SELECT 1", "Z I"],
    );
}

#[test]
fn an_empty_statement() {
    check(
        &[
            parse("", " ; ", &[]),
            describe(b'S', ""),
            bind("", "", &[], &[], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ],
        &["1", "t ", "n", "2", "n", "I", "Z I"],
    );
}

#[test]
fn a_statement_without_rows_runs_once() {
    check(
        &[
            parse("", "SET a = '1'", &[]),
            bind("", "", &[], &[], &[]),
            execute("", 0),
            execute("", 0),
            sync(),
        ],
        &["1", "2", "S a=1", "C SET", "E ERROR 55000 portal \"\" cannot be run", "Z I"],
    );
}

#[test]
fn row_limits_suspend_and_resume() {
    let series = [parse("", "series 5", &[]), bind("c", "", &[], &[], &[])];
    let steps = [execute("c", 2), execute("c", 3), execute("c", 3), execute("c", 0), sync()];
    check(
        &[series.as_slice(), steps.as_slice()].concat(),
        // A result that ends exactly at the limit is suspended; the next Execute finds nothing more.
        &["1", "2", "D 1", "D 2", "s", "D 3", "D 4", "D 5", "s", "C SELECT 0", "C SELECT 0", "Z I"],
    );
    // A negative limit is no limit.
    check(
        &[series.as_slice(), &[execute("c", -1), sync()]].concat(),
        &["1", "2", "D 1", "D 2", "D 3", "D 4", "D 5", "C SELECT 5", "Z I"],
    );
}

#[test]
fn portals_end_with_sync_outside_a_transaction_and_live_on_inside() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let begin = [parse("s", "series 300", &[]), bind("c", "s", &[], &[], &[]), execute("c", 1)];
        let first = [begin.concat(), sync()].concat();
        assert_eq!(client.ask(&first).await, ["1", "2", "D 1", "s", "Z I"]);
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
        let gone = client.ask(&[execute("c", 1), sync()].concat()).await;
        assert_eq!(gone, ["E ERROR 34000 portal \"c\" does not exist", "Z I"]);

        client.ask(&query("BEGIN")).await;
        let again = [bind("c", "s", &[], &[], &[]), execute("c", 1), sync()].concat();
        assert_eq!(client.ask(&again).await, ["2", "D 1", "s", "Z T"]);
        let more = client.ask(&[execute("c", 2), sync()].concat()).await;
        assert_eq!(more, ["D 2", "D 3", "s", "Z T"]);
        assert_eq!(client.ask(&query("COMMIT")).await, ["C COMMIT", "Z I"]);
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn an_error_skips_to_sync_queries_included() {
    check(
        &[
            parse("", "SELECT 1", &[]),
            parse("", "fail", &[]),
            bind("", "", &[], &[], &[]),
            query("SELECT 2"),
            message(b'E', b"malformed"),
            execute("", 0),
            sync(),
        ],
        &[
            "1",
            "E ERROR 42601 syntax error at or near \"fail\" [H Ask for something else.] [P 1]",
            "Z I",
        ],
    );
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let batches = [execute("x", 0), sync(), query("SELECT 3"), sync()].concat();
        client.send(&batches).await;
        let expect = ["E ERROR 34000 portal \"x\" does not exist", "Z I"];
        assert_eq!(client.until_ready().await, expect);
        assert_eq!(client.until_ready().await, [N, "D 3", "C SELECT 1", "Z I"]);
        assert_eq!(client.until_ready().await, ["Z I"]);
    });
}

#[test]
fn pipelined_batches_with_an_error_in_the_middle() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let run = |sql: &str| {
            [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat()
        };
        client.send(&[run("SELECT 1"), run("broken 1"), run("SELECT 3")].concat()).await;
        assert_eq!(client.until_ready().await, ["1", "2", "D 1", "C SELECT 1", "Z I"]);
        let broken = client.until_ready().await;
        assert_eq!(broken, ["1", "2", "D 1", "E ERROR XX001 checksum mismatch", "Z I"]);
        assert_eq!(client.until_ready().await, ["1", "2", "D 3", "C SELECT 1", "Z I"]);
    });
}

#[test]
fn flush_answers_without_ready_for_query() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        client.send(&[parse("", "SELECT 1", &[]), message(b'H', b"")].concat()).await;
        assert_eq!(client.next().await.unwrap(), "1");
        assert_eq!(client.ask(&sync()).await, ["Z I"]);
    });
}

#[test]
fn names_that_exist_and_names_that_do_not() {
    let one = |message: Vec<u8>, expect: &str| check(&[message, sync()], &[expect, "Z I"]);
    let unknown = "E ERROR 26000 prepared statement \"s\" does not exist";
    one(bind("", "s", &[], &[], &[]), unknown);
    one(describe(b'S', "s"), unknown);
    one(describe(b'S', ""), "E ERROR 26000 unnamed prepared statement does not exist");
    one(describe(b'P', "p"), "E ERROR 34000 portal \"p\" does not exist");
    one(execute("p", 0), "E ERROR 34000 portal \"p\" does not exist");
    // Closing what is not there is no error.
    one(close(b'S', "s"), "3");
    one(close(b'P', "p"), "3");
    // SQL's PREPARE has names in the same space.
    let sql = "E ERROR 42P05 prepared statement \"taken\" already exists";
    one(parse("taken", "SELECT 1", &[]), sql);
    let s = parse("s", "SELECT 1", &[]);
    check(
        &[s.clone(), s.clone(), sync()],
        &["1", "E ERROR 42P05 prepared statement \"s\" already exists", "Z I"],
    );
    let p = bind("p", "s", &[], &[], &[]);
    check(
        &[s.clone(), p.clone(), p, sync()],
        &["1", "2", "E ERROR 42P03 cursor \"p\" already exists", "Z I"],
    );
    check(&[s.clone(), close(b'S', "s"), s, sync()], &["1", "3", "1", "Z I"]);
}

#[test]
fn a_portal_outlives_its_statements_name() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let messages = [
            parse("", "SELECT 1", &[]),
            bind("p", "", &[], &[], &[]),
            parse("", "SELECT 2", &[]),
            execute("p", 0),
            sync(),
        ];
        let answers = client.ask(&messages.concat()).await;
        assert_eq!(answers, ["1", "2", "1", "D 1", "C SELECT 1", "Z I"]);
        assert_eq!(server.counters.statements.load(Ordering::SeqCst), 1);
        client.ask(&query("")).await;
        assert_eq!(server.counters.statements.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn bind_checks_counts_and_formats() {
    let with = |bind: Vec<u8>, expect: &str| {
        check(&[parse("s", "SELECT $1", &[23]), bind, sync()], &["1", expect, "Z I"]);
    };
    with(
        bind("", "s", &[], &[], &[]),
        "E ERROR 08P01 bind message supplies 0 parameters, but prepared statement \"s\" requires 1",
    );
    with(
        bind("", "s", &[0, 0], &[Some(b"1")], &[]),
        "E ERROR 08P01 bind message has 2 parameter formats but 1 parameters",
    );
    with(
        bind("", "s", &[], &[Some(b"1")], &[0, 0]),
        "E ERROR 08P01 bind message has 2 result formats but query has 1 columns",
    );
    with(bind("", "s", &[2], &[Some(b"1")], &[]), "E ERROR 22023 unsupported format code: 2");
    with(bind("", "s", &[], &[Some(b"1")], &[-1]), "E ERROR 22023 unsupported format code: -1");
    with(
        bind("", "s", &[], &[Some(b"x")], &[]),
        "E ERROR 22P02 invalid input syntax for type integer: \"x\" [D Parameter $1.]",
    );
    with(
        bind("", "s", &[1], &[Some(b"x")], &[]),
        "E ERROR 22P03 incorrect binary data format [D Parameter $1.]",
    );
    check(
        &[parse("", "SELECT 1; SELECT 2", &[]), sync()],
        &["E ERROR 42601 cannot insert multiple commands into a prepared statement", "Z I"],
    );
}

#[test]
fn malformed_bodies_skip_to_sync() {
    let check = |tag: u8, body: &[u8], expect: &str| {
        check(&[message(tag, body), sync()], &[&format!("E ERROR 08P01 {expect}"), "Z I"]);
    };
    check(b'P', b"", "invalid string in message");
    check(b'P', b"\0SELECT 1\0", "insufficient data left in message");
    check(b'P', b"\0SELECT 1\0\xff\xff\0\0\0\x17", "insufficient data left in message");
    check(b'P', b"\0SELECT 1\0\0\0x", "invalid message format");
    check(b'B', b"\0\0\0\0\xff\xff", "insufficient data left in message");
    check(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff", "insufficient data left in message");
    check(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe", "insufficient data left in message");
    check(b'D', b"X\0", "invalid message subtype 88");
    check(b'E', b"\0\0\0", "insufficient data left in message");
}
