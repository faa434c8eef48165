//! Which columns the records of a JSON topic make, and which values these hold.

use expect_test::expect;

use crate::support::Log;

#[test]
fn large_numbers_keep_their_digits() {
    let ids = [r#"{"id":9007199254740993}"#, r#"{"id":9007199254740992}"#, r#"{"id":0.5}"#];
    let log = Log::new("t", &[&ids]);
    log.check(
        "SELECT count(distinct id), max(id), min(id) FROM t",
        expect![[r#"
            count|max|min
            Int8(3)|Numeric(9007199254740993, 0)|Numeric(5, 1)
        "#]],
    );
    log.check(
        "SELECT _offset, id FROM t WHERE id = 9007199254740992 OR id < 1 ORDER BY id",
        expect![[r#"
            _offset|id
            Int8(2)|Numeric(5, 1)
            Int8(1)|Numeric(9007199254740992, 0)
        "#]],
    );
    log.check("SELECT sum(id), avg(id), sum(id * 2) FROM t", expect![[r#"
        sum|avg|sum
        Numeric(180143985094819855, 1)|Numeric(60047995031606618333, 4)|Numeric(36028797018963971, 0)
    "#]]);
    let log =
        Log::new("u", &[&[r#"{"id":18446744073709551615}"#, r#"{"id":18446744073709551614}"#]]);
    log.check(
        "SELECT id, count(*) FROM u GROUP BY id ORDER BY id",
        expect![[r#"
        id|count
        Numeric(18446744073709551614, 0)|Int8(1)
        Numeric(18446744073709551615, 0)|Int8(1)
    "#]],
    );
    log.check(
        "SELECT _offset FROM u WHERE id = 18446744073709551614",
        expect![[r#"
        _offset
        Int8(1)
    "#]],
    );
    let digits = "9".repeat(39);
    let log =
        Log::new("v", &[&[&format!(r#"{{"id":{digits},"n":-1}}"#), r#"{"id":1.5,"n":-2.5}"#]]);
    log.check(
        "SELECT id, n FROM v",
        expect![[r#"
        id|n
        999999999999999999999999999999999999999|Float8(-1.0)
        1.5|Float8(-2.5)
    "#]],
    );
}

#[test]
fn whole_numbers_that_a_double_holds_stay_doubles_beside_fractions() {
    let values = [
        r#"{"n":9007199254740992}"#,
        r#"{"n":-4611686018427387904}"#,
        r#"{"n":-0.0}"#,
        r#"{"n":1e3}"#,
    ];
    Log::new("t", &[&values]).check(
        "SELECT n FROM t",
        expect![[r#"
        n
        Float8(9007199254740992.0)
        Float8(-4.611686018427388e18)
        Float8(-0.0)
        Float8(1000.0)
    "#]],
    );
}

#[test]
fn numbers_out_of_range_are_bad_records() {
    let values = [
        r#"{"n":1E400}"#,
        r#"{"n":-1E400}"#,
        r#"{"n":1e-400}"#,
        r#"{"n":0e-400}"#,
        r#"{"n":0.25}"#,
    ];
    let log = Log::new("t", &[&values]);
    log.check("SELECT max(n), min(n), count(n) FROM t", expect![[r#"
        max|min|count
        Float8(0.25)|Float8(0.0)|Int8(2)
        notice: 3 records of topic "t" were not fully decoded (first: partition 0 offset 0: field "n" does not fit its type: 1E400); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    log.check(
        "CREATE TABLE d (n float4) WITH (topic = 't')",
        expect![[r#"
        CREATE TABLE
    "#]],
    );
    log.check("SELECT max(n), min(n), count(n) FROM d", expect![[r#"
        max|min|count
        Float4(0.25)|Float4(0.0)|Int8(2)
        notice: 3 records of topic "t" were not fully decoded (first: partition 0 offset 0: field "n" does not fit its type: 1E400); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
}

#[test]
fn strings_that_text_cannot_hold_are_bad_records() {
    let values = [
        r#"{"a":"\ud800 \u00e9"}"#,
        r#"{"a":"h \u0000 nul"}"#,
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"a":["\u0000"]}"#,
    ];
    let log = Log::new("t", &[&values[..2]]);
    log.check("SELECT a FROM t", expect![[r#"
        a
        NULL
        NULL
        notice: 2 records of topic "t" were not fully decoded (first: partition 0 offset 0: field "a" has half of a surrogate pair, which is no character: "\ud800 \u00e9"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    let log = Log::new("t", &[&values[..3]]);
    log.check("SELECT a FROM t WHERE _offset > 0", expect![[r#"
        a
        NULL
        😀
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 1: field "a" has a \u0000, which text cannot hold: "h \u0000 nul"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    log.check(
        "CREATE TABLE d (a bytea) WITH (topic = 't')",
        expect![[r#"
        CREATE TABLE
    "#]],
    );
    log.check("SELECT a FROM d", expect![[r#"
        a
        NULL
        Bytea(b"h \0 nul")
        Bytea(b"\xf0\x9f\x98\x80")
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 0: field "a" has half of a surrogate pair, which is no character: "\ud800 \u00e9"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    // JSON is what was written.
    Log::new("t", &[&values]).check(
        "SELECT a FROM t",
        expect![[r#"
        a
        "\ud800 \u00e9"
        "h \u0000 nul"
        "\ud83d\ude00"
        ["\u0000"]
    "#]],
    );
}

#[test]
fn names_that_postgresql_has_none_like_are_not_columns() {
    let long = "n".repeat(64);
    let value = format!(r#"{{"":1,"a\u0000b":2,"Id":3,"id":4,"_offset":5,"{long}":6,"a b":7}}"#);
    let log = Log::new("t", &[&[&value]]);
    log.check(
        "SELECT * FROM t",
        expect![[r#"
        Id|id|nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn|a b
        Int8(3)|Int8(4)|Int8(6)|Int8(7)
    "#]],
    );
    log.check(
        &format!("SELECT \"Id\", ID, {long}, _offset FROM t"),
        expect![[r#"
        Id|id|nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn|_offset
        Int8(3)|Int8(4)|Int8(6)|Int8(0)
    "#]],
    );
    log.check(
        "CREATE TABLE z (\"\" int)",
        expect![[r#"
        42601 at 17: zero-length delimited identifier at or near """"
    "#]],
    );
    log.check(
        "CREATE TABLE \"\" (a int)",
        expect![[r#"
        42601 at 14: zero-length delimited identifier at or near """"
    "#]],
    );
    log.check(
        "SELECT \"\" FROM t",
        expect![[r#"
        42601 at 8: zero-length delimited identifier at or near """"
    "#]],
    );
    log.check(
        "CREATE TABLE z () WITH (topic = 't', format = 'raw')",
        expect![[r#"
        CREATE TABLE
    "#]],
    );
    // What has no column is in the record's bytes.
    log.check(
        "SELECT length(value) FROM z",
        expect![[r#"
            length
            Int4(122)
        "#]],
    );
}

/// A column that was declared `jsonb` was `json`, of which there is no `@>`.
#[test]
fn a_declared_jsonb_column_is_jsonb() {
    let records: &[&str] =
        &[r#"{"j":{"b":1,"a":2.50}}"#, r#"{"j":{"a":2.5,"b":1}}"#, r#"{"j":"\u0000"}"#, r#"{}"#];
    let log = Log::new("t", &[records]);
    log.check(
        "CREATE TABLE d (j jsonb) WITH (topic = 't')",
        expect![[r#"
        CREATE TABLE
    "#]],
    );
    log.check("SELECT j FROM d", expect![[r#"
        j
        {"a": 2.50, "b": 1}
        {"a": 2.5, "b": 1}
        NULL
        NULL
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 2: field "j" has a \u0000, which text cannot hold: "\u0000"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    log.check("SELECT count(*) FROM d WHERE j @> '{\"b\": 1}'", expect![[r#"
        count
        Int8(2)
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 2: field "j" has a \u0000, which text cannot hold: "\u0000"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    log.check("SELECT count(DISTINCT j) FROM d", expect![[r#"
        count
        Int8(1)
        notice: 1 record of topic "t" was not fully decoded (first: partition 0 offset 2: field "j" has a \u0000, which text cannot hold: "\u0000"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
}
