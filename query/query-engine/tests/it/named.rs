//! Statements by name, SQL's and those of a client's Parse; rows of topics as JSON.

use expect_test::expect;
use query_api::{DataType, SqlSession};

use crate::support::{Log, block_on, run, shown};

fn ask(session: &mut dyn SqlSession, sql: &str) -> String {
    shown(block_on(run(session, sql, Vec::new())))
}

#[test]
fn sql_finds_what_a_client_named() {
    let log = Log::new("t", &[&[r#"{"id":1}"#, r#"{"id":2}"#]]);
    let (_engine, mut session) = log.session();
    let prepared = session.prepare("SELECT id FROM t WHERE id = $1", &[DataType::Int8]);
    let (id, _) = block_on(prepared).unwrap();
    session.name_statement(id, "s1").unwrap();
    expect![[r#"
        id
        Int8(2)
    "#]]
    .assert_eq(&ask(session.as_mut(), "EXECUTE s1(1 + 1)"));
    expect![[r#"
        42P05: prepared statement "s1" already exists
    "#]]
    .assert_eq(&ask(session.as_mut(), "PREPARE s1 AS SELECT 1"));
    assert!(session.is_prepared(id));
    ask(session.as_mut(), "DEALLOCATE s1");
    assert!(!session.is_prepared(id));
    assert_eq!(ask(session.as_mut(), "PREPARE s1 AS SELECT 1"), "PREPARE\n");
    let (id, _) = block_on(session.prepare("SELECT 2", &[])).unwrap();
    let taken = session.name_statement(id, "s1").unwrap_err();
    assert_eq!(taken.sqlstate, Some("42P05"));
    session.name_statement(id, "s2").unwrap();
    session.close(id);
    session.name_statement(id, "s2").unwrap();
}

#[test]
fn an_executed_insert_is_a_write() {
    let log = Log::new("t", &[&[r#"{"id":1,"who":"ann"}"#]]);
    let (_engine, mut session) = log.session();
    let said = [
        "PREPARE i (int, text) AS INSERT INTO t (id, who) VALUES ($1, $2)",
        "EXECUTE i(2, 'bob')",
        "SELECT id, who FROM t ORDER BY id",
        "BEGIN",
        "EXECUTE i(3, 'eve')",
        "DEALLOCATE i",
        "ROLLBACK",
        "DISCARD ALL",
        "EXECUTE i(3, 'eve')",
    ]
    .map(|sql| ask(session.as_mut(), sql));
    expect![[r#"
        PREPARE
        INSERT 0 1
        id|who
        Int8(1)|ann
        Int8(2)|bob
        BEGIN
        25001: INSERT cannot run inside a transaction block
        hint: use autocommit: a topic's records cannot be rolled back
        25P02: current transaction is aborted, commands ignored until end of transaction block
        ROLLBACK
        DISCARD ALL
        26000: prepared statement "i" does not exist
    "#]]
    .assert_eq(&said.concat());
}

#[test]
fn a_row_of_a_topic_is_what_a_star_shows() {
    let log = Log::new("t", &[&[r#"{"id":1,"o":{"b":[1],"a":2}}"#]]);
    log.check(
        "SELECT row_to_json(t), to_jsonb(x) FROM t, (SELECT _offset, id FROM t) x",
        expect![[r#"
            row_to_json|to_jsonb
            {"id":1,"o":{"b":[1],"a":2}}|{"id": 1, "_offset": 0}
        "#]],
    );
    log.check(
        "SELECT json_agg(t), jsonb_agg(o -> 'b') FROM public.t",
        expect![[r#"
            json_agg|jsonb_agg
            [{"id":1,"o":{"b":[1],"a":2}}]|[[1]]
        "#]],
    );
}
