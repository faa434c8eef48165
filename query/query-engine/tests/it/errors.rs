//! Errors: SQLSTATE, position, PostgreSQL's words, and a hint where something can be done.

use expect_test::{Expect, expect};

use crate::support::{Log, block_on, run, shown};

fn check(sql: &str, expected: Expect) {
    Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]).check(sql, expected);
}

fn result(log: &Log, sql: &str) -> Result<String, query_api::Error> {
    let (_engine, mut session) = log.session();
    block_on(run(session.as_mut(), sql, Vec::new()))
}

#[test]
fn unknown_names() {
    check(
        "SELECT * FROM orderz",
        expect![[r#"
        42P01 at 15: relation "orderz" does not exist
        hint: similar tables: "orders"
    "#]],
    );
    check(
        "SELECT nam FROM orders",
        expect![[r#"
            42703 at 8: column "nam" does not exist
            hint: perhaps you meant to reference the column "name"; columns of "orders" are the JSON fields of records that were looked at, all of them after SELECT * FROM "orders"; CREATE TABLE … WITH (topic = 'orders', format = 'json') declares columns
        "#]],
    );
    check(
        "SELECT o.nam FROM orders o",
        expect![[r#"
            42703 at 8: column o.nam does not exist
            hint: perhaps you meant to reference the column "name"; columns of "orders" are the JSON fields of records that were looked at, all of them after SELECT * FROM "orders"; CREATE TABLE … WITH (topic = 'orders', format = 'json') declares columns
        "#]],
    );
    check(
        "SELECT x.id FROM orders o",
        expect![[r#"
        42P01 at 8: missing FROM-clause entry for table "x"
    "#]],
    );
    check(
        "SELECT nofunc(id) FROM orders",
        expect![[r#"
        42883 at 8: function nofunc does not exist
        hint: no function matches the given name and argument types
    "#]],
    );
    check(
        "SET no_such_setting = 1",
        expect![[r#"
        42704: unrecognized configuration parameter "no_such_setting"
    "#]],
    );
    check(
        "SHOW no_such_setting",
        expect![[r#"
        42704: unrecognized configuration parameter "no_such_setting"
    "#]],
    );
}

#[test]
fn syntax() {
    check(
        "SELEC 1",
        expect![[r#"
        42601 at 1: syntax error at or near "SELEC"
    "#]],
    );
    check(
        "SELECT * FROM order",
        expect![[r#"
            42601 at 15: syntax error at or near "order"
            hint: a table of that name is written "order"
        "#]],
    );
    check(
        "SELECT (1",
        expect![[r#"
        42601 at 10: syntax error at end of input
    "#]],
    );
    check(
        "SELECT 'abc",
        expect![[r#"
        42601 at 8: syntax error: unterminated string literal
    "#]],
    );
}

#[test]
fn values() {
    check(
        "SELECT 1/0",
        expect![[r#"
        22012: division by zero
    "#]],
    );
    check(
        "SELECT 'x'::int",
        expect![[r#"
        22P02 at 8: invalid input syntax for type integer: "x"
    "#]],
    );
    check(
        "SELECT id FROM orders GROUP BY name",
        expect![[r#"
            42803 at 8: column "orders.id" must appear in the GROUP BY clause or be used in an aggregate function
        "#]],
    );
}

/// SQLSTATE and position as PostgreSQL 15 gives them; a position where it has one, as far as it is known here.
#[test]
fn states_and_positions_are_those_of_postgresql() {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#]]);
    for (sql, wanted) in [
        ("SELECT id, nope FROM orders", "42703 at 12"),
        ("SELECT o.nope FROM orders o", "42703 at 8"),
        ("SELECT id FROM orders WHERE nope = 1", "42703 at 29"),
        ("SELECT id FROM orders ORDER BY nope", "42703 at 32"),
        ("SELECT x.id FROM orders o", "42P01 at 8"),
        ("SELECT 1 FROM orders JOIN missing ON true", "42P01 at 27"),
        ("INSERT INTO missing VALUES (1)", "42P01 at 13"),
        ("SELECT nofunc(1)", "42883 at 8"),
        ("SELECT sum(name) FROM orders", "42883 at 8"),
        ("SELECT 1::nosuch", "42704 at 11"),
        ("SELECT CAST(name AS nosuch) FROM orders", "42704 at 21"),
        ("SELECT id FROM orders a, orders b", "42702 at 8"),
        ("SELECT id, count(*) FROM orders", "42803 at 8"),
        ("SELECT 1,, 2", "42601 at 10"),
        ("SELECT * FROM orders WHERE", "42601 at 27"),
        ("SELECT 1/0", "22012"),
        ("SELECT id/0 FROM orders", "22012"),
        ("SELECT id%0 FROM orders", "22012"),
        ("SELECT 1.0/0", "22012"),
        ("SELECT 'x'::int", "22P02 at 8"),
        ("SELECT name::int FROM orders", "22P02"),
        ("SELECT 'x'::bool", "22P02 at 8"),
        ("SELECT 'x'::numeric", "22P02 at 8"),
        ("SELECT 'x'::float8", "22P02 at 8"),
        ("SELECT 'x'::date", "22007 at 8"),
        ("SELECT 'x'::timestamp", "22007 at 8"),
        ("SELECT '99999999999'::int", "22003 at 8"),
        ("SELECT 99999999999::int", "22003"),
        ("SELECT (id + 40000)::int2 FROM orders", "22003"),
        ("SELECT id FROM orders LIMIT -1", "2201W"),
        ("SELECT id FROM orders OFFSET -1", "2201X"),
        ("SELECT id FROM orders ORDER BY 5", "42P10"),
        ("SELECT id FROM orders WHERE count(*) > 1", "42803"),
        ("SELECT id FROM orders WHERE id", "42804"),
        ("SELECT name + 1 FROM orders", "42883 at 13"),
        ("SELECT id FROM orders UNION SELECT id, name FROM orders", "42601"),
        ("SELECT (SELECT id FROM orders)", "21000"),
        ("SELECT (SELECT id, name FROM orders)", "42601"),
        ("WITH a AS (SELECT 1), a AS (SELECT 2) SELECT * FROM a", "42712"),
        ("SELECT substring('abc' from 1 for -1)", "22011"),
        ("SELECT sqrt(-1)", "2201F"),
        ("SELECT 'a' ~ '('", "2201B"),
    ] {
        let shown = match result(&log, sql) {
            Err(error) => {
                let at = error.position.map(|it| format!(" at {it}")).unwrap_or_default();
                format!("{}{at}", error.sqlstate.unwrap_or("?????"))
            }
            Ok(rows) => rows,
        };
        assert_eq!(shown, wanted, "{sql}");
    }
}

#[test]
fn what_is_not_built() {
    check(
        "UPDATE orders SET id = 1",
        expect![[r#"
        0A000: a topic is append-only: UPDATE, DELETE and TRUNCATE are not supported
        hint: produce a newer record, or set the topic's retention
    "#]],
    );
    check(
        "DELETE FROM orders",
        expect![[r#"
        0A000: a topic is append-only: UPDATE, DELETE and TRUNCATE are not supported
        hint: produce a newer record, or set the topic's retention
    "#]],
    );
    check(
        "CREATE INDEX ON orders (id)",
        expect![[r#"
        0A000: CREATE INDEX is not supported
    "#]],
    );
    check(
        "LISTEN x",
        expect![[r#"
        0A000: LISTEN x is not supported
    "#]],
    );
}

#[test]
fn hostile_shapes_are_errors_and_never_abort() {
    let log = Log::new("orders", &[&[]]);
    let sums = format!("SELECT {}1", "1+".repeat(2000));
    assert!(log.show(&sums).starts_with("54001"), "{}", log.show(&sums));
    for (entries, refused) in [(1664, false), (1665, true), (100_000, true)] {
        let list = vec!["1"; entries].join(",");
        let shown = log.show(&format!("SELECT {list}"));
        assert_eq!(shown.starts_with("54011"), refused, "{entries}");
    }
    for (open, close) in [("(", ")"), ("NOT (", ")"), ("ARRAY[", "]"), ("(SELECT ", ")")] {
        let nested = format!("SELECT {}1{}", open.repeat(5000), close.repeat(5000));
        let shown = log.show(&nested);
        assert!(shown.starts_with("54001"), "{open}: {}", &shown[..shown.len().min(200)]);
    }
    let unions = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3000));
    assert!(log.show(&unions).starts_with("54001"));
    let minus = format!("SELECT {}1", "- ".repeat(5000));
    assert!(log.show(&minus).starts_with("54001"));
    let long = format!("SELECT {}1", "1+".repeat(60));
    assert_eq!(log.show(&long), "?column?\nInt4(61)\n");
}

/// The parser goes back over alternatives and the planner spells out calls by an alias: both doubled their work at each
/// level, so twenty nested calls occupied a thread of the engine for minutes.
#[test]
fn nesting_costs_what_it_is_long() {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]);
    for (open, close) in [
        ("abs(", ")"),
        ("length(", ")"),
        ("coalesce(", ", 1)"),
        ("cast(", " as int)"),
        ("case when true then ", " end"),
        ("position(", " in 'a')"),
        ("nullif(", ", 3)"),
        ("(select ", ")"),
        ("array[", "]"),
    ] {
        for inner in ["1", "1 1", ""] {
            let sql = format!("SELECT {}{inner}{}", open.repeat(40), close.repeat(40));
            // An answer or an error: what counts is that there is one.
            assert!(!log.show(&sql).is_empty(), "{sql}");
        }
    }
    let calls = format!("SELECT {}name{} FROM orders", "length(".repeat(40), ")".repeat(40));
    assert_eq!(log.show(&calls), "length\nInt4(1)\n");
    let from = format!("SELECT id FROM {}orders{}", "(".repeat(90), ")".repeat(90));
    // As in PostgreSQL: brackets are for joins and subqueries.
    assert!(log.show(&from).starts_with("42601"), "{}", log.show(&from));
}

/// A WITH query is copied to each place that names it: two names per level were 2^n copies, planned for hours on a thread of
/// the engine that a cancel did not free.
#[test]
fn what_is_named_often_is_weighed_often() {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]);
    let doubled = |levels: usize, start: &str, level: &str| {
        let with: Vec<_> = (1..levels)
            .map(|it| format!("a{it} AS ({})", level.replace('?', &format!("a{}", it - 1))))
            .collect();
        format!("WITH a0 AS ({start}), {} SELECT count(*) FROM a{}", with.join(", "), levels - 1)
    };
    let union = "SELECT id FROM ? UNION ALL SELECT id FROM ?";
    assert_eq!(log.show(&doubled(6, "SELECT id FROM orders", union)), "count\nInt8(32)\n");
    let join = "SELECT l.id FROM ? l JOIN ? r ON l.id = r.id";
    let derived = "SELECT id FROM (SELECT id FROM ?) x UNION SELECT id FROM (SELECT id FROM ?) y";
    let within = "SELECT id FROM ? WHERE id IN (SELECT id FROM ?)";
    let inner = "WITH i AS (SELECT id FROM ?) SELECT id FROM i UNION ALL SELECT id FROM i";
    for level in [union, join, derived, within, inner] {
        for start in ["SELECT id FROM orders", "SELECT 1 AS id", "VALUES (1)"] {
            let shown = log.show(&doubled(40, start, level));
            assert!(shown.starts_with("54001"), "{level}: {shown}");
        }
    }
    let tables: Vec<_> = (0..98).map(|it| format!("pg_class t{it}")).collect();
    let shown = log.show(&format!("SELECT 1 FROM {}", tables.join(" CROSS JOIN ")));
    assert!(shown.starts_with("54001"), "{shown}");
}

#[test]
fn a_heavy_plan_leaves_the_engine_to_others() {
    let mut log = Log::new("orders", &[&[]]);
    log.options.worker_threads = 1;
    let (engine, mut session) = log.session();
    let heavy = format!("SELECT {}1", "1+".repeat(450));
    let planning = std::thread::spawn(move || {
        block_on(session.prepare(&heavy, &[])).unwrap();
    });
    let mut answered = 0;
    let mut other = query_api::Sql::open_session(engine.as_ref(), Default::default());
    while !planning.is_finished() {
        block_on(run(other.as_mut(), "SELECT 1", Vec::new())).unwrap();
        answered += 1;
    }
    planning.join().unwrap();
    assert!(answered >= 5, "{answered} answers while another statement was planned");
}

#[test]
fn long_lists_are_answered_and_long_chains_refused() {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]);
    let many = |part: &dyn Fn(usize) -> String, by: &str, count: usize| {
        (0..count).map(part).collect::<Vec<_>>().join(by)
    };
    let chain = many(&|it| format!("id = {it}"), " OR ", 10_000);
    let shown = log.show(&format!("SELECT id FROM orders WHERE {chain}"));
    assert!(shown.starts_with("54001"), "{}", &shown[..shown.len().min(200)]);
    let list = many(&|it| it.to_string(), ", ", 5_000);
    assert_eq!(log.show(&format!("SELECT id FROM orders WHERE id IN ({list})")), "id\nInt8(1)\n");
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(log.show(&deep).starts_with("54001"));
}

#[test]
fn a_failed_block_ends_with_rollback_or_goes_on_from_a_savepoint() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#]]);
    let (_engine, mut session) = log.session();
    let mut all = String::new();
    for sql in [
        "SAVEPOINT s",
        "BEGIN",
        "SAVEPOINT s",
        "SELECT nope FROM orders",
        "SELECT 1",
        "ROLLBACK TO s",
        "SELECT 1",
        "ROLLBACK TO other",
        "COMMIT",
        "SELECT 1",
    ] {
        all += &shown(block_on(run(session.as_mut(), sql, Vec::new())));
    }
    expect![[r#"
        25P01: SAVEPOINT can only be used in transaction blocks
        BEGIN
        SAVEPOINT
        42703 at 8: column "nope" does not exist
        hint: columns of "orders" are the JSON fields of records that were looked at, all of them after SELECT * FROM "orders"; CREATE TABLE … WITH (topic = 'orders', format = 'json') declares columns
        25P02: current transaction is aborted, commands ignored until end of transaction block
        ROLLBACK
        ?column?
        Int4(1)
        3B001: savepoint "other" does not exist
        ROLLBACK
        ?column?
        Int4(1)
    "#]]
    .assert_eq(&all);
}

/// The parser's own names of things: `SingleQuotedByteStringLiteral("1")`.
#[test]
fn no_value_of_the_parser_is_shown() {
    let log = Log::new("orders", &[&[r#"{"id":1,"name":"a"}"#]]);
    let mut shown = String::new();
    for sql in [
        "SELECT b'1'",
        "SELECT n'a'",
        "SELECT $tag$a$tag$",
        "SELECT id FROM orders WHERE name LIKE ANY ('{a}')",
        "SELECT (SELECT id, name FROM orders)",
        "SELECT id.x.y.z FROM orders",
        "SELECT count(*) FILTER (WHERE id > 1) OVER (w) FROM orders",
        "SELECT * FROM orders TABLESAMPLE SYSTEM (10)",
        "SELECT id FROM orders FOR UPDATE OF orders",
        "SELECT name COLLATE \"de_DE\" FROM orders",
        "SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY AS u(a, b)",
        "SELECT MATCH (name) AGAINST ('a') FROM orders",
        "SELECT PRIOR id FROM orders",
        "SELECT id FROM orders, XMLTABLE('/a' PASSING name COLUMNS b text PATH 'c')",
        "SELECT 1 WHERE (1, 2) IN (VALUES (1, 2))",
        "SELECT ARRAY[1, 2][1:2:1]",
        "SELECT ?",
    ] {
        let answer = match result(&log, sql) {
            Ok(_) => continue,
            Err(error) => format!("{} {:?}", error.message, error.detail),
        };
        for debug in ["(\\\"", "Literal", " { ", "Some(\"", "Ident", "Value(", "Span"] {
            if answer.replace("Some(\"", "").contains(debug) {
                shown += &format!("{sql}: {answer}\n");
            }
        }
    }
    assert_eq!(shown, "");
    check(
        "SELECT b'1'",
        expect![[r#"
        0A000: bit string literals are not supported
    "#]],
    );
}

/// It was parsed and left out: every row came back.
#[test]
fn what_is_parsed_and_not_planned_is_refused() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#]]);
    let mut shown = String::new();
    for sql in [
        "SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (0)",
        "SELECT count(*) FROM orders o TABLESAMPLE SYSTEM (1) REPEATABLE (5)",
        "SELECT count(*) FROM (SELECT id FROM orders) o TABLESAMPLE SYSTEM (1)",
        "SELECT id INTO copied FROM orders",
        "SELECT id FROM orders FOR SYSTEM_TIME AS OF '2026-01-01'",
        "SELECT * FROM generate_series(1, 2) WITH ORDINALITY",
    ] {
        let answer = match result(&log, sql) {
            Ok(_) => "answered".to_owned(),
            Err(error) => format!("{} {}", error.sqlstate.unwrap_or("?"), error.message),
        };
        shown += &format!("{sql}: {answer}\n");
    }
    expect![[r#"
        SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (0): 0A000 TABLESAMPLE is not supported
        SELECT count(*) FROM orders o TABLESAMPLE SYSTEM (1) REPEATABLE (5): 0A000 TABLESAMPLE is not supported
        SELECT count(*) FROM (SELECT id FROM orders) o TABLESAMPLE SYSTEM (1): 0A000 TABLESAMPLE is not supported
        SELECT id INTO copied FROM orders: 0A000 SELECT INTO is not supported
        SELECT id FROM orders FOR SYSTEM_TIME AS OF '2026-01-01': 42601 syntax error at or near "SYSTEM_TIME"
        SELECT * FROM generate_series(1, 2) WITH ORDINALITY: 0A000 WITH ORDINALITY is not supported
    "#]].assert_eq(&shown);
}

/// Each level is read again for those inside it: a value of 100,000 levels took minutes, and more of them the stack.
#[test]
fn json_that_is_taken_apart_has_at_most_256_levels() {
    let log = Log::new("orders", &[&[r#"{"id":1}"#]]);
    let nested = |levels: usize| {
        let (open, close) = (format!("repeat('[', {levels})"), format!("repeat(']', {levels})"));
        format!("({open} || '\"[[\\\"[[\"' || {close})")
    };
    let fails = |sql: String| result(&log, &sql).err().and_then(|error| error.sqlstate);
    for levels in [256, 257, 400_000] {
        let (value, too_deep) = (nested(levels), (levels > 256).then_some("54001"));
        assert_eq!(fails(format!("SELECT length({value}::jsonb::text)")), too_deep, "{levels}");
        assert_eq!(fails(format!("SELECT length({value}::json::text)")), None, "{levels}");
        let taken = fails(format!("SELECT json_array_length({value}::json)"));
        assert_eq!(taken.is_some(), levels > 256, "{levels}: {taken:?}");
    }
}
