//! Columns of topics whose first and last records do not show all of them: where inference looks, and what scans add.

use expect_test::{Expect, expect};
use query_api::SqlSession;

use crate::support::{Log, block_on, run, shown};

fn check(session: &mut dyn SqlSession, sql: &str, expected: Expect) {
    expected.assert_eq(&shown(block_on(run(session, sql, Vec::new()))));
}

/// A batch of `count` records of each value.
fn of(topic: &str, runs: &[(usize, &str)]) -> Log {
    let log = Log::new(topic, &[&[]]);
    for (count, value) in runs {
        log.memory.push(topic, 0, std::iter::repeat_n((*value).to_owned(), *count));
    }
    log
}

#[test]
fn a_topic_of_some_hundred_records_is_seen_whole() {
    let log = of("t", &[(100, r#"{"a":1}"#), (1, r#"{"a":1.5,"late":7}"#), (100, r#"{"a":1}"#)]);
    log.check(
        "SELECT max(a), max(late), count(*) FROM t WHERE a = 1.5",
        expect![[r#"
        max|max|count
        Float8(1.5)|Int8(7)|Int8(1)
    "#]],
    );
}

#[test]
fn inference_looks_at_the_ends_at_places_between_and_then_at_what_is_new() {
    let log = Log::long("t", 100, 100, 10);
    let (_engine, mut session) = log.session();
    let described = |session: &mut dyn SqlSession| {
        log.reads();
        block_on(session.prepare("SELECT * FROM t", &[])).unwrap();
        log.reads()
    };
    expect![[r#"
        t/0 [0, 64)
        t/0 [9936, 10000)
        t/0 [64, 120)
        t/0 [681, 737)
        t/0 [1298, 1354)
        t/0 [1915, 1971)
        t/0 [2532, 2588)
        t/0 [3149, 3205)
        t/0 [3766, 3822)
        t/0 [4383, 4439)
        t/0 [5000, 5056)
        t/0 [5617, 5673)
        t/0 [6234, 6290)
        t/0 [6851, 6907)
        t/0 [7468, 7524)
        t/0 [8085, 8141)
        t/0 [8702, 8758)
        t/0 [9319, 9375)"#]]
    .assert_eq(&described(session.as_mut()));
    expect![[r#""#]].assert_eq(&described(session.as_mut()));
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"new":1}"#.to_owned(), 100));
    expect!["t/0 [10036, 10100)"].assert_eq(&described(session.as_mut()));
    check(
        session.as_mut(),
        "SELECT max(new) FROM t",
        expect![[r#"
        max
        Int8(1)
    "#]],
    );
}

#[test]
fn inference_looks_again_when_a_topic_has_doubled() {
    let log = of("t", &[(10, r#"{"a":1}"#)]);
    let (_engine, mut session) = log.session();
    check(
        session.as_mut(),
        "SELECT count(a) FROM t",
        expect![[r#"
        count
        Int8(10)
    "#]],
    );
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"b":1}"#.to_owned(), 10));
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"c":1}"#.to_owned(), 190));
    log.reads();
    check(
        session.as_mut(),
        "SELECT count(a), count(b), count(c) FROM t",
        expect![[r#"
        count|count|count
        Int8(10)|Int8(10)|Int8(190)
    "#]],
    );
}

#[test]
fn what_a_scan_has_seen_is_a_column_of_the_next_statement() {
    let rare = [r#"{"zeta":1,"_offset":3,"":0}"#, r#"{"alpha":null}"#, r#"{"a":1.5,"z":[1]}"#];
    let log = of("t", &[(4200, r#"{"a":1}"#)]);
    rare.iter().for_each(|it| log.memory.push("t", 0, std::iter::once((*it).to_owned())));
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"a":2}"#.to_owned(), 5800));
    let (_engine, mut session) = log.session();
    let session = session.as_mut();
    check(
        session,
        "SELECT count(alpha) FROM t",
        expect![[r#"
        42703 at 14: column "alpha" does not exist
        hint: columns of "t" are the JSON fields of records that were looked at, all of them after SELECT * FROM "t"; CREATE TABLE … WITH (topic = 't', format = 'json') declares columns
    "#]],
    );
    check(
        session,
        "SELECT max(a) FROM t",
        expect![[r#"
        max
        Int8(2)
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 4202: field "a" does not fit its type: 1.5 (statements after this one have a wider type)); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]],
    );
    check(
        session,
        "SELECT * FROM t WHERE a = 1.5 OR zeta > 0",
        expect![[r#"
        a|alpha|z|zeta
        NULL|NULL|NULL|Int8(1)
        Float8(1.5)|NULL|[1]|NULL
    "#]],
    );
    check(
        session,
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'",
        expect![[r#"
            column_name|data_type
            a|double precision
            alpha|text
            z|json
            zeta|bigint
        "#]],
    );
}

#[test]
fn columns_widen_until_they_hold_what_was_seen() {
    let log = of("t", &[(4200, r#"{"a":1,"b":true,"c":1,"d":1.5}"#)]);
    let rare = r#"{"a":0.5,"b":"x","c":18446744073709551615,"d":9007199254740993}"#;
    log.memory.push("t", 0, std::iter::once(rare.to_owned()));
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"a":2}"#.to_owned(), 5800));
    let (_engine, mut session) = log.session();
    let session = session.as_mut();
    let sql = "SELECT a, b, c, d FROM t WHERE _offset = 4200";
    check(
        session,
        sql,
        expect![[r#"
        a|b|c|d
        NULL|NULL|NULL|NULL
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 4200: field "a" does not fit its type: 0.5 (statements after this one have a wider type)); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]],
    );
    check(
        session,
        sql,
        expect![[r#"
        a|b|c|d
        Float8(0.5)|"x"|Numeric(18446744073709551615, 0)|Numeric(9007199254740993, 0)
    "#]],
    );
    check(
        session,
        "SELECT sum(a), sum(c) FROM t",
        expect![[r#"
        sum|sum
        Float8(15800.5)|Numeric(18446744073709555815, 0)
    "#]],
    );
}

#[test]
fn a_value_that_no_type_of_its_column_holds_does_not_widen_it() {
    let log = of("t", &[(4200, r#"{"a":1.5,"b":"x"}"#), (1, r#"{"a":1e400,"b":"\ud800"}"#)]);
    log.memory.push("t", 0, std::iter::repeat_n(r#"{"a":2}"#.to_owned(), 5800));
    let (_engine, mut session) = log.session();
    let session = session.as_mut();
    check(
        session,
        "SELECT max(a), max(b) FROM t",
        expect![[r#"
        max|max
        Float8(2.0)|x
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 4200: field "a" does not fit its type: 1e400); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]],
    );
    check(
        session,
        "SELECT max(a), max(b) FROM t",
        expect![[r#"
        max|max
        Float8(2.0)|x
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 4200: field "a" does not fit its type: 1e400); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]],
    );
}

#[test]
fn fields_beyond_the_most_columns_are_announced() {
    let fields: Vec<String> = (0..1001).map(|it| format!("\"f{it}\":{it}")).collect();
    let log = Log::new("t", &[&[&format!("{{{}}}", fields.join(","))]]);
    log.check("SELECT f0, f999 FROM t", expect![[r#"
        f0|f999
        Int8(0)|Int8(999)
        notice: records of topic "t" have more than 1000 different fields, of which the first 1000 are columns; CREATE TABLE … WITH (topic = 't', format = 'json') declares others
    "#]]);
    log.check("SELECT f1000 FROM t", expect![[r#"
        42703 at 8: column "f1000" does not exist
        hint: perhaps you meant to reference the column "f100"; columns of "t" are the JSON fields of records that were looked at, all of them after SELECT * FROM "t"; CREATE TABLE … WITH (topic = 't', format = 'json') declares columns
    "#]]);
}

#[test]
fn what_was_learned_goes_with_the_last_record_of_then() {
    let log = of("t", &[(10, r#"{"a":1}"#)]);
    let (_engine, mut session) = log.session();
    check(
        session.as_mut(),
        "SELECT * FROM t LIMIT 1",
        expect![[r#"
        a
        Int8(1)
    "#]],
    );
    log.memory.push("t", 0, std::iter::once(r#"{"b":1}"#.to_owned()));
    log.memory.delete_records("t", 0, 10);
    check(
        session.as_mut(),
        "SELECT * FROM t",
        expect![[r#"
        b
        Int8(1)
    "#]],
    );
}
