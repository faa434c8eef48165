//! `CREATE TABLE`, `DROP TABLE` and `INSERT` over topics.

use expect_test::expect;
use query_api::Value;

use crate::support::{Log, block_on, run, shown};

fn script(log: &Log, statements: &[&str]) -> String {
    let (_engine, mut session) = log.session();
    let mut all = String::new();
    for sql in statements {
        all += &shown(block_on(run(session.as_mut(), sql, Vec::new())));
    }
    all
}

#[test]
fn insert_appends_json_records() {
    let log = Log::new("t", &[&[r#"{"id":1,"name":"a"}"#]]);
    let all = script(
        &log,
        &[
            "INSERT INTO t VALUES (2, 'b'), (3, NULL)",
            "INSERT INTO t (id, extra) SELECT id + 10, true FROM t WHERE id > 1",
            "SELECT _offset, * FROM t ORDER BY _offset",
            "INSERT INTO t (id, id) VALUES (1, 2)",
            "INSERT INTO t (id) VALUES (1, 2)",
            "INSERT INTO t (_offset) VALUES (1)",
            "INSERT INTO nope VALUES (1)",
            "INSERT INTO t (id) VALUES ('x')",
        ],
    );
    expect![[r#"
        INSERT 0 2
        INSERT 0 2
        _offset|id|name|extra
        Int8(0)|Int8(1)|a|NULL
        Int8(1)|Int8(2)|b|NULL
        Int8(2)|Int8(3)|NULL|NULL
        Int8(3)|Int8(12)|NULL|Bool(true)
        Int8(4)|Int8(13)|NULL|Bool(true)
        42701: column "id" specified more than once
        42601: INSERT has more expressions than target columns
        428C9: cannot insert into column "_offset"
        42P01 at 13: relation "nope" does not exist
        hint: every topic is a table; \dt lists them
        22P02: invalid input syntax for type bigint: "x"
    "#]]
    .assert_eq(&all);
}

#[test]
fn insert_takes_parameters_of_the_column_types() {
    let log = Log::new("t", &[&[r#"{"id":1,"score":0.5}"#]]);
    let (_engine, mut session) = log.session();
    let values = vec![Value::Int8(7), Value::Float8(1.25), Value::Text("x\"y".into())];
    let sql = "INSERT INTO t (id, score, name) VALUES ($1, $2, $3)";
    let done = shown(block_on(run(session.as_mut(), sql, values)));
    let rows = shown(block_on(run(session.as_mut(), "SELECT * FROM t WHERE id = 7", Vec::new())));
    expect![[r#"
        INSERT 0 1
        id|score|name
        Int8(7)|Float8(1.25)|x"y
    "#]]
    .assert_eq(&(done + &rows));
}

#[test]
fn declared_tables_are_strict() {
    let log = Log::new("raw", &[&[r#"{"a":1,"b":"2.50"}"#, r#"{"a":"no"}"#]]);
    let all = script(
        &log,
        &[
            "CREATE TABLE t (a int NOT NULL, b numeric(10,2), at timestamptz, d date, j json) WITH (topic = 'raw', format = 'json')",
            "SELECT a, b FROM t",
            "INSERT INTO t VALUES (5, 1.5, '2024-01-02 03:04:05+00', '2024-01-02', '{\"x\": [1]}')",
            "SELECT * FROM t WHERE a = 5",
            "INSERT INTO t (b) VALUES (1)",
            "INSERT INTO t (a) VALUES (NULL)",
            "INSERT INTO t (zz) VALUES (1)",
            "CREATE TABLE t (a int)",
            "CREATE TABLE IF NOT EXISTS t (a int)",
            "CREATE TABLE u (a int) WITH (topic = 'missing')",
            "CREATE TABLE u (a int) WITH (colour = 'red')",
            "DROP TABLE t",
            "DROP TABLE t",
            "DROP TABLE raw",
        ],
    );
    expect![[r#"
        CREATE TABLE
        a|b
        Int4(1)|Numeric(250, 2)
        NULL|NULL
        notice: 1 record of topic "raw" was not fully decoded (first: partition 0 offset 1: field "a" does not fit its type: "no"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
        INSERT 0 1
        a|b|at|d|j
        Int4(5)|Numeric(150, 2)|Timestamp(1704164645000000)|Date(19724)|{"x": [1]}
        notice: 1 record of topic "raw" was not fully decoded (first: partition 0 offset 1: field "a" does not fit its type: "no"); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
        23502: null value in column "a" of relation "t" violates not-null constraint
        23502: null value in column "a" of relation "t" violates not-null constraint
        42703: column "zz" of relation "t" does not exist
        42P07: relation "t" already exists
        CREATE TABLE
        42704: topic "missing" does not exist
        hint: create the topic first, or leave out the option topic to create one
        22023: unrecognized option "colour"
        hint: available options: topic, format, partitions
        DROP TABLE
        notice: NOTICE: topic "raw" and its records stay; `lumadb topic delete raw` deletes them
        42P01: table "t" does not exist
        42809: "raw" is a topic, not a declared table
        hint: topics are deleted with the Kafka API or `lumadb topic delete`
    "#]].assert_eq(&all);
}

/// `DROP TABLE` was answered, and the rows were still there.
#[test]
fn what_drop_table_leaves_is_told() {
    let log = Log::new("old", &[&[r#"{"a":1}"#]]);
    let all = script(
        &log,
        &[
            "CREATE TABLE made (a int)",
            "CREATE TABLE old (a int)",
            "CREATE TABLE seen (a int) WITH (topic = 'old')",
            "DROP TABLE made, seen",
            "DROP TABLE made",
            "DROP TABLE IF EXISTS nope",
        ],
    );
    expect![[r#"
        CREATE TABLE
        42P07: relation "old" already exists
        hint: WITH (topic = 'old') declares columns over the topic.
        CREATE TABLE
        DROP TABLE
        notice: NOTICE: topic "made" and its records stay, and are still a table of that name, with the columns that they show; `lumadb topic delete made` deletes them
        notice: NOTICE: topic "old" and its records stay; `lumadb topic delete old` deletes them
        42809: "made" is a topic, not a declared table
        hint: topics are deleted with the Kafka API or `lumadb topic delete`
        DROP TABLE
        notice: NOTICE: table "nope" does not exist, skipping
    "#]].assert_eq(&all);
}

/// A producer may create a topic under a declared table's name: each was shown as the other by turns.
#[test]
fn a_name_of_two_tables_is_refused() {
    let log = Log::new("mixed", &[&[r#"{"a":1}"#]]);
    let mut all = script(&log, &["CREATE TABLE mx (a int) WITH (topic = 'mixed')"]);
    log.memory.add_topic("mx", 1);
    let statements = [
        "SELECT * FROM mx",
        "SELECT count(*) FROM mixed, public.mx",
        "INSERT INTO mx VALUES (1)",
        "SELECT relname FROM pg_class WHERE relname IN ('mx', 'mixed') ORDER BY 1",
        "DROP TABLE mx",
        "SELECT count(*) FROM mx",
    ];
    all += &script(&log, &statements);
    expect![[r#"
        CREATE TABLE
        42P09: relation "mx" is ambiguous: a table declared over topic "mixed", and a topic of that name
        hint: DROP TABLE "mx" drops the declaration, `lumadb topic delete mx` the topic and its records
        42P09: relation "mx" is ambiguous: a table declared over topic "mixed", and a topic of that name
        hint: DROP TABLE "mx" drops the declaration, `lumadb topic delete mx` the topic and its records
        42P09: relation "mx" is ambiguous: a table declared over topic "mixed", and a topic of that name
        hint: DROP TABLE "mx" drops the declaration, `lumadb topic delete mx` the topic and its records
        relname
        mixed
        mx
        DROP TABLE
        notice: NOTICE: topic "mixed" and its records stay; `lumadb topic delete mixed` deletes them
        count
        Int8(0)
    "#]].assert_eq(&all);
}

/// A topic of such a name hid the relation that shows bad records.
#[test]
fn system_relations_come_before_topics_of_their_names() {
    let log = Log::new("luma_bad_records", &[&[r#"{"a":1}"#]]);
    log.memory.add_topic("pg_class", 1);
    let all = script(
        &log,
        &[
            "CREATE TABLE luma_anything (a int)",
            "CREATE TABLE pg_class (a int)",
            "SELECT * FROM luma_bad_records LIMIT 0",
            "SELECT count(*) > 0 AS filled FROM pg_class",
            "SELECT * FROM public.luma_bad_records",
            "INSERT INTO luma_bad_records VALUES (1)",
            "INSERT INTO public.luma_bad_records VALUES (2)",
        ],
    );
    expect![[r#"
        42939: unacceptable table name "luma_anything"
        42939: unacceptable table name "pg_class"
        relid|relname|bad_records|last_partition|last_offset|last_reason
        filled
        Bool(true)
        a
        Int8(1)
        42501: permission denied: "luma_bad_records" is a system relation
        INSERT 0 1
    "#]]
    .assert_eq(&all);
}

#[test]
fn keys_choose_the_partition_as_kafka_does() {
    // kafka-python's murmur2 gives partitions 1, 1 and 3 of 4.
    let log = Log::new("t", &[&[], &[], &[], &[]]);
    let all = script(
        &log,
        &[
            "INSERT INTO t (_key, id) VALUES ('k1', 1), ('k2', 2), ('key-7', 3)",
            "SELECT _partition, _key, id FROM t ORDER BY id",
        ],
    );
    expect![[r#"
        INSERT 0 3
        _partition|_key|id
        Int4(1)|Bytea(b"k1")|Int8(1)
        Int4(1)|Bytea(b"k2")|Int8(2)
        Int4(3)|Bytea(b"key-7")|Int8(3)
    "#]]
    .assert_eq(&all);
}

#[test]
fn writes_inside_a_transaction_block_are_refused() {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    let all =
        script(&log, &["BEGIN", "INSERT INTO t VALUES (2)", "ROLLBACK", "SELECT count(*) FROM t"]);
    expect![[r#"
        BEGIN
        25001: INSERT cannot run inside a transaction block
        hint: use autocommit: a topic's records cannot be rolled back
        ROLLBACK
        count
        Int8(1)
    "#]]
    .assert_eq(&all);
}
