//! SQL in, rows out, over an in-memory log.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail where it stands; helpers of tests are tests"
)]

mod answers;
mod corpus;
mod cursors;
mod errors;
mod inferred;
mod learned;
mod memory;
mod named;
mod parameters;
mod postgres;
mod reading;
mod settings;
mod support;
mod writing;

use expect_test::expect;
use futures_util::StreamExt as _;
use query_api::{DataType, Value};
use support::{Log, block_on, run, shown};

#[test]
fn select_over_a_topic_hides_system_columns_until_named() {
    let log = Log::new("orders", &[&[r#"{"id":1,"who":"ann"}"#, r#"{"id":2,"who":"bob"}"#]]);
    log.check(
        "SELECT * FROM orders",
        expect![[r#"
        id|who
        Int8(1)|ann
        Int8(2)|bob
    "#]],
    );
    log.check(
        "SELECT _offset, who FROM orders WHERE _offset = 1",
        expect![[r#"
        _offset|who
        Int8(1)|bob
    "#]],
    );
}

#[test]
fn a_bad_record_is_a_row_of_nulls_and_a_notice() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#, "oops", r#"{"id":2}"#, r#"{"id":3}"#, "[1]"]]);
    log.check("SELECT count(*), count(id) FROM orders", expect![[r#"
        count|count
        Int8(5)|Int8(3)
        notice: 2 records of topic "orders" were not fully decoded (first: partition 0 offset 1: not a JSON object: expected value at line 1 column 1); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]]);
    log.check(
        "SET luma.on_bad_record = 'fail'",
        expect![[r#"
        SET
    "#]],
    );
}

#[test]
fn bad_records_are_counted_over_all_statements() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#, "oops", r#"{"id":2}"#, r#"{"id":3}"#, "[1]"]]);
    let (engine, mut session) = log.session();
    let mut show = |sql: &str| shown(block_on(run(session.as_mut(), sql, Vec::new())));
    let counted = "SELECT relname, bad_records, last_partition, last_offset, last_reason FROM luma_bad_records";
    expect![[r#"
        relname|bad_records|last_partition|last_offset|last_reason
    "#]]
    .assert_eq(&show(counted));
    assert_eq!(engine.bad_records(), 0);
    show("SELECT count(id) FROM orders");
    show("SELECT count(id) FROM orders WHERE _offset < 3");
    expect![[r#"
        relname|bad_records|last_partition|last_offset|last_reason
        orders|Int8(3)|Int4(0)|Int8(1)|not a JSON object: expected value at line 1 column 1
    "#]]
    .assert_eq(&show(counted));
    show("SET luma.on_bad_record = 'fail'");
    assert!(show("SELECT id FROM orders").starts_with("22P02"));
    assert_eq!(engine.bad_records(), 4);
    // The view joins with the other relations by OID.
    let joined = "SELECT b.bad_records FROM luma_bad_records b JOIN pg_class c ON c.oid = b.relid WHERE c.relname = 'orders'";
    expect![[r#"
        bad_records
        Int8(4)
    "#]]
    .assert_eq(&show(joined));
}

#[test]
fn correlated_subqueries_give_one_value_null_or_an_error() {
    let log = Log::new("t", &[&[r#"{"id":1,"up":2}"#, r#"{"id":2,"up":3}"#, r#"{"id":2,"up":1}"#]]);
    log.check(
        "SELECT id, up, (SELECT o.up FROM t o WHERE o.id = a.up AND a.up < 2) AS x FROM t a ORDER BY up",
        expect![[r#"
            id|up|x
            Int8(2)|Int8(1)|Int8(2)
            Int8(1)|Int8(2)|NULL
            Int8(2)|Int8(3)|NULL
        "#]],
    );
    log.check(
        "SELECT (SELECT o.up FROM t o WHERE o.id = a.up) FROM t a",
        expect![[r#"
        21000: more than one row returned by a subquery used as an expression
    "#]],
    );
    log.check(
        "SELECT ARRAY(SELECT o.up FROM t o WHERE o.id = a.id ORDER BY 1 DESC) FROM t a ORDER BY up",
        expect![[r#"
            array
            Array([Int8(3), Int8(1)])
            Array([Int8(2)])
            Array([Int8(3), Int8(1)])
        "#]],
    );
}

#[test]
fn object_identifiers_print_names_and_compare_as_numbers() {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    log.check(
        "SELECT 't'::regclass::oid, 't'::regclass, 'pg_class'::regclass::oid",
        expect![[r#"
        oid|regclass|oid
        Oid(16386)|t|Oid(1259)
    "#]],
    );
    log.check(
        "SELECT 'int4'::regtype, 25::regtype::text, 'bigint[]'::regtype::oid",
        expect![[r#"
        regtype|text|oid
        integer|text|Oid(1016)
    "#]],
    );
    log.check(
        "SELECT relname FROM pg_class WHERE oid = 't'::regclass",
        expect![[r#"
        relname
        t
    "#]],
    );
    log.check(
        "SELECT 'nope'::regclass",
        expect![[r#"
        42P01: relation "nope" does not exist
    "#]],
    );
}

#[test]
fn a_parameter_among_alternatives_has_their_type() {
    let log = Log::new("t", &[&[r#"{"id":1,"x":0.5}"#, r#"{"id":2,"x":1.5}"#]]);
    let (_engine, mut session) = log.session();
    for sql in [
        "SELECT CASE WHEN id = 1 THEN $1 ELSE x END FROM t",
        "SELECT CASE WHEN id = 1 THEN x ELSE $1 END FROM t",
        "SELECT coalesce($1, x) FROM t",
    ] {
        let (id, described) = block_on(session.prepare(sql, &[])).unwrap();
        assert_eq!(described.parameters, [DataType::Float8], "{sql}");
        assert_eq!(described.columns[0].data_type, DataType::Float8, "{sql}");
        let execution = block_on(session.execute(id, vec![Value::Float8(2.5)])).unwrap();
        let rows: Vec<_> = block_on(execution.rows.unwrap().collect());
        let first = rows[0].as_ref().unwrap()[0][0].clone();
        assert!(matches!(first, Value::Float8(_)), "{sql}: {first:?}");
    }
}

#[test]
fn parameters_have_the_types_that_the_statement_gives_them() {
    let log = Log::new("t", &[&[r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]]);
    let (_engine, mut session) = log.session();
    let integers = |it: &[i64]| Value::Array(it.iter().copied().map(Value::Int8).collect());
    for (sql, types, values, rows) in [
        (
            "SELECT id FROM t ORDER BY id LIMIT $1 OFFSET $2",
            vec![DataType::Int8, DataType::Int8],
            vec![Value::Int8(1), Value::Int8(1)],
            vec![Value::Int8(2)],
        ),
        (
            "SELECT id FROM t WHERE id = ANY ($1) ORDER BY id",
            vec![DataType::Array(Box::new(DataType::Int8))],
            vec![integers(&[1, 3])],
            vec![Value::Int8(1), Value::Int8(3)],
        ),
        (
            "SELECT id FROM t WHERE id = ANY ($1::bigint[]) ORDER BY id",
            vec![DataType::Array(Box::new(DataType::Int8))],
            vec![integers(&[2])],
            vec![Value::Int8(2)],
        ),
        ("SELECT $1::int", vec![DataType::Int4], vec![Value::Int4(5)], vec![Value::Int4(5)]),
        ("SELECT $1 + 1", vec![DataType::Int4], vec![Value::Int4(5)], vec![Value::Int4(6)]),
        (
            "SELECT $1::date + $2::interval > $3",
            vec![DataType::Date, DataType::Interval, DataType::Timestamp],
            vec![
                Value::Date(1),
                Value::Interval { months: 0, days: 1, micros: 0 },
                Value::Timestamp(0),
            ],
            vec![Value::Bool(true)],
        ),
    ] {
        let (id, described) = block_on(session.prepare(sql, &[])).unwrap();
        assert_eq!(described.parameters, types, "{sql}");
        let shown = block_on(async {
            let mut stream = session.execute(id, values).await.unwrap().rows.unwrap();
            let mut shown = Vec::new();
            while let Some(batch) = stream.next().await {
                shown.extend(batch.unwrap().into_iter().flatten());
            }
            shown
        });
        assert_eq!(shown, rows, "{sql}");
    }
}

#[test]
fn object_identifiers_are_typed_wherever_they_come_from() {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    let (_engine, mut session) = log.session();
    let sql =
        "SELECT x, x::oid, x::text, 'a' || x FROM (SELECT oid::regclass AS x FROM pg_class) s";
    let (_, described) = block_on(session.prepare(sql, &[])).unwrap();
    let types: Vec<_> = described.columns.into_iter().map(|it| it.data_type).collect();
    let regclass = DataType::Reg(query_api::RegKind::Class);
    assert_eq!(types[..2], [regclass, DataType::Oid]);
    log.check(
        "SELECT to_regtype('int'), to_regtype('numeric(10,2)[]'), to_regtype('hstore'), to_regclass('no'), \
         'public'::regnamespace, 'array_in'::regproc, 10::regrole, 0::regclass, 424242::regclass",
        expect![[r#"
            to_regtype|to_regtype|to_regtype|to_regclass|regnamespace|regproc|regrole|regclass|regclass
            integer|numeric[]|NULL|NULL|public|array_in|luma|-|424242
        "#]],
    );
    log.check(
        "SELECT typname, typinput FROM pg_type WHERE oid IN ('int4'::regtype, 'int4[]'::regtype) ORDER BY oid",
        expect![[r#"
            typname|typinput
            int4|int4in
            _int4|array_in
        "#]],
    );
    log.check(
        "SELECT c.oid::regclass FROM pg_class c ORDER BY c.oid::regclass::text",
        expect![[r#"
            oid
            t
        "#]],
    );
    for (sql, state) in [
        ("SELECT 'nope'::regtype", "42704"),
        ("SELECT 'nope'::regproc", "42883"),
        ("SELECT 'nope'::regnamespace", "3F000"),
        ("SELECT 'nope'::regrole", "42704"),
    ] {
        assert!(log.show(sql).starts_with(state), "{sql}: {}", log.show(sql));
    }
}

#[test]
fn catalog_functions_answer_as_postgresql_does() {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    log.check(
        "SELECT format('%I=%L %s%%', 'a b', 'it''s', 1), quote_ident('A')",
        expect![[r#"
        format|quote_ident
        "a b"='it''s' 1%|"A"
    "#]],
    );
    log.check(
        "SELECT json_build_object('a', 1, 'b', 'x')",
        expect![[r#"
        json_build_object
        {"a" : 1, "b" : "x"}
    "#]],
    );
    log.check(
        "SELECT 'a_b' LIKE 'a/_b' ESCAPE '/', 'axb' LIKE 'a/_b' ESCAPE '/'",
        expect![[r#"
        ?column?|?column?
        Bool(true)|Bool(false)
    "#]],
    );
    log.check(
        "SELECT pg_get_userbyid(10), pg_encoding_to_char(6), pg_size_pretty(10240)",
        expect![[r#"
            pg_get_userbyid|pg_encoding_to_char|pg_size_pretty
            luma|UTF8|10 kB
        "#]],
    );
    log.check(
        "SELECT s FROM generate_series(1, array_upper(current_schemas(false), 1)) s",
        expect![[r#"
            s
            Int8(1)
            Int8(2)
        "#]],
    );
}

#[test]
fn a_bound_numeric_keeps_its_digits() {
    let log = Log::new("t", &[&[]]);
    let (_engine, mut session) = log.session();
    let numeric = Value::Numeric(123_456_789_012, 12);
    let ask = |session: &mut dyn query_api::SqlSession, sql: &str| {
        block_on(async {
            let (id, _) = session.prepare(sql, &[DataType::Numeric(38, 10)]).await.unwrap();
            let mut rows = session.execute(id, vec![numeric.clone()]).await.unwrap().rows.unwrap();
            rows.next().await.unwrap().unwrap().remove(0)
        })
    };
    assert_eq!(ask(session.as_mut(), "SELECT $1").remove(0), numeric);
    let sql = "SELECT '0.123456789012'::numeric(20,12) = $1, $1::decimal > 0.1234567890";
    assert_eq!(ask(session.as_mut(), sql), [Value::Bool(true), Value::Bool(true)]);
}

#[test]
fn the_databases_that_can_be_connected_to_are_listed() {
    let log = Log::new("orders", &[&[]]);
    log.check(
        "SELECT datname, datname = current_database() AS current, count(*) OVER (PARTITION BY oid) AS same
         FROM pg_database ORDER BY datname",
        expect![[r#"
            datname|current|same
            luma|Bool(true)|Int8(1)
            postgres|Bool(false)|Int8(1)
        "#]],
    );
}

/// Columns of a topic that are never NULL beside arithmetic, whose results might be: the planner's two schemas differed
/// and the statement failed with XX000.
#[test]
fn system_columns_stand_in_set_operations() {
    let log = Log::new("t", &[&[r#"{"id":1}"#, r#"{"id":2}"#]]);
    for (sql, rows) in [
        ("SELECT _offset * _offset FROM t UNION SELECT _partition FROM t ORDER BY 1", "0 1"),
        ("SELECT -_offset FROM t UNION SELECT _partition + 1 FROM t ORDER BY 1", "-1 0 1"),
        ("SELECT count(*) FROM t UNION SELECT _offset * 2 FROM t ORDER BY 1", "0 2"),
        ("SELECT _offset + 1 FROM t EXCEPT SELECT _partition FROM t ORDER BY 1", "1 2"),
        ("SELECT _offset * 2 FROM t INTERSECT SELECT _partition FROM t ORDER BY 1", "0"),
        ("SELECT _offset FROM t UNION ALL SELECT NULL ORDER BY 1", "0 1 NULL"),
        (
            "SELECT o FROM (SELECT _offset * 2 AS o FROM t UNION ALL SELECT _partition FROM t) q GROUP BY o ORDER BY o",
            "0 2",
        ),
        (
            "SELECT o FROM (SELECT _offset * 2 AS o FROM t UNION SELECT 1) a JOIN (SELECT _offset * 1 AS o FROM t UNION SELECT 3) b USING (o) ORDER BY 1",
            "0 1",
        ),
        ("SELECT (SELECT _offset * 2 FROM t LIMIT 1) UNION SELECT 5 ORDER BY 1", "0 5"),
    ] {
        let shown = log.show(sql);
        let values: Vec<&str> = shown
            .lines()
            .skip(1)
            .map(|it| it.trim_start_matches("Int8(").trim_end_matches(')'))
            .collect();
        assert_eq!(values.join(" "), rows, "{sql}: {shown}");
    }
    let refused = log.show("SELECT _offset FROM t UNION SELECT 'x'");
    assert!(refused.starts_with("22P02"), "{refused}");
}

/// Conditions over subqueries see the hidden columns of topics, too, and those of several partitions.
#[test]
fn system_columns_stand_in_conditions_over_subqueries() {
    let log = Log::new("t", &[&[r#"{"id":1}"#, r#"{"id":2}"#], &[r#"{"id":3}"#]]);
    log.check(
        "SELECT id, EXISTS (SELECT 1 FROM t o WHERE o._offset = t.id), _offset IN (SELECT _partition FROM t) AS among
         FROM t ORDER BY id",
        expect![[r#"
            id|exists|among
            Int8(1)|Bool(true)|Bool(true)
            Int8(2)|Bool(false)|Bool(true)
            Int8(3)|Bool(false)|Bool(true)
        "#]],
    );
}

#[test]
fn a_table_takes_names_for_its_first_columns_and_keeps_hidden_ones() {
    let log = Log::new("t", &[&[r#"{"id":1,"g":"x","h":true}"#]]);
    log.check(
        "SELECT a, b, h, _offset FROM t AS q (a, b)",
        expect![[r#"
            a|b|h|_offset
            Int8(1)|x|Bool(true)|Int8(0)
        "#]],
    );
    log.check(
        "SELECT * FROM t AS q (a, b)",
        expect![[r#"
            a|b|h
            Int8(1)|x|Bool(true)
        "#]],
    );
    log.check(
        "SELECT 1 FROM t AS q (a, b, c, d)",
        expect![[r#"
            42P10: table "q" has 3 columns available but 4 columns specified
        "#]],
    );
}
