//! Query messages: several statements, errors in the middle, what is sent around the rows.

use proto_pg::PgOptions;

use crate::client::{Client, message, query, with_server};

fn check(sql: &str, expect: &[&str]) {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        assert_eq!(client.ask(&query(sql)).await, expect, "{sql}");
        // Whatever happened, the session goes on and the engine keeps nothing.
        assert_eq!(client.ask(&query("")).await[0], "I");
        let known = server.counters.statements.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(known, 0, "{sql}: statements left in the engine");
    });
}

const N: &str = "T ?column?:23:4:-1:0";

#[test]
fn one_statement() {
    check("SELECT 1", &[N, "D 1", "C SELECT 1", "Z I"]);
    check("  SELECT 1 ;;  ", &[N, "D 1", "C SELECT 1", "Z I"]);
}

#[test]
fn an_empty_query_is_answered() {
    check("", &["I", "Z I"]);
    check(" ; ", &["I", "Z I"]);
}

#[test]
fn several_statements_stop_at_the_first_error() {
    check("SELECT 1; SELECT 2", &[N, "D 1", "C SELECT 1", N, "D 2", "C SELECT 1", "Z I"]);
    // The position counts characters from the beginning of the whole text.
    check(
        "SELECT 1; fail; SELECT 2",
        &[
            N,
            "D 1",
            "C SELECT 1",
            "E ERROR 42601 syntax error at or near \"fail\" [H Ask for something else.] [P 11]",
            "Z I",
        ],
    );
}

#[test]
fn an_error_amid_rows_follows_them() {
    check("broken 2", &["T n:20:8:-1:0", "D 1", "D 2", "E ERROR XX001 checksum mismatch", "Z I"]);
}

#[test]
fn notices_and_settings_come_before_the_tag() {
    check(
        "warn",
        &["N WARNING 01000 3 records were skipped", "N NOTICE 00000 plain", "C warn", "Z I"],
    );
    check("SET TimeZone = 'UTC'", &["S TimeZone=UTC", "C SET", "Z I"]);
}

#[test]
fn a_parameter_has_no_place_in_a_simple_query() {
    check("SELECT $1", &["E ERROR 42P02 there is no parameter $1", "Z I"]);
}

#[test]
fn a_transaction_block_shows_and_fails() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        assert_eq!(client.ask(&query("BEGIN")).await, ["C BEGIN", "Z T"]);
        assert_eq!(client.ask(&query("broken 0")).await.last().unwrap(), "Z E");
        let refused = client.ask(&query("SELECT 1")).await;
        assert_eq!(refused, ["E ERROR 25P02 current transaction is aborted", "Z E"]);
        assert_eq!(client.ask(&query("COMMIT")).await, ["C ROLLBACK", "Z I"]);
    });
}

#[test]
fn malformed_bodies_cost_one_message() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let unterminated = client.ask(&message(b'Q', b"SELECT 1")).await;
        assert_eq!(unterminated, ["E ERROR 08P01 invalid string in message", "Z I"]);
        let trailing = client.ask(&message(b'Q', b"SELECT 1\0x")).await;
        assert_eq!(trailing, ["E ERROR 08P01 invalid message format", "Z I"]);
        let bytes = client.ask(&message(b'Q', b"SELECT '\xff'\0")).await;
        let expect = "E ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xff";
        assert_eq!(bytes, [expect, "Z I"]);
        assert_eq!(client.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
    });
}

#[test]
fn function_calls_are_refused_and_copy_messages_dropped() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let refused = client.ask(&message(b'F', b"whatever")).await;
        assert_eq!(refused, ["E ERROR 0A000 function call messages are not supported", "Z I"]);
        let mut bytes = message(b'd', b"data");
        bytes.extend(message(b'c', b""));
        bytes.extend(message(b'f', b"why\0"));
        bytes.extend(query("SELECT 1"));
        assert_eq!(client.ask(&bytes).await, [N, "D 1", "C SELECT 1", "Z I"]);
    });
}
