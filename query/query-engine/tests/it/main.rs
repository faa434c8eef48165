//! SQL in, rows out, over an in-memory log.

mod support;

use expect_test::expect;
use support::Log;

#[test]
fn select_over_a_topic_hides_system_columns_until_named() {
    let log = Log::new("orders", &[&[r#"{"id":1,"who":"ann"}"#, r#"{"id":2,"who":"bob"}"#]]);
    log.check(
        "SELECT * FROM orders",
        expect![[r#"
        id|who
        Int8(1)|Text("ann")
        Int8(2)|Text("bob")
    "#]],
    );
    log.check(
        "SELECT _offset, who FROM orders WHERE _offset = 1",
        expect![[r#"
        _offset|who
        Int8(1)|Text("bob")
    "#]],
    );
}

#[test]
fn a_bad_record_is_a_row_of_nulls_and_a_notice() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#, "oops"]]);
    log.check("SELECT count(*), count(id) FROM orders", expect![[r#"
        count|count
        Int8(2)|Int8(1)
        notice: 1 record of topic "orders" was not fully decoded (first: partition 0 offset 1: not a JSON object: expected value at line 1 column 1); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
}

#[test]
fn an_unknown_table_has_sqlstate_position_and_hint() {
    let log = Log::new("orders", &[&[]]);
    log.check(
        "SELEC 1",
        expect![[r#"
        42601 at 1: syntax error at or near "SELEC"
    "#]],
    );
    log.check(
        "SELECT * FROM orderz",
        expect![[r#"
        42P01 at 15: relation "orderz" does not exist
    "#]],
    );
}
