//! DECLARE, FETCH, MOVE, CLOSE: what they read, how long they live, and that they hold no more than a batch.

use std::sync::atomic::Ordering;

use expect_test::expect;
use futures_util::StreamExt as _;
use query_api::Value;

use crate::support::{Log, block_on, run, shown, start};

/// Runs statements in one session; rows on one line each.
fn script(log: &Log, statements: &[&str]) -> String {
    let (_engine, mut session) = log.session();
    let mut all = String::new();
    for sql in statements {
        let shown = shown(block_on(run(session.as_mut(), sql, Vec::new())));
        all += &format!("{sql}: {}\n", shown.trim_end().replace('\n', " "));
    }
    all
}

fn numbers() -> Log {
    Log::long("t", 5, 2, 1)
}

#[test]
fn rows_come_as_they_are_asked_for() {
    let all = script(
        &numbers(),
        &[
            "BEGIN",
            "DECLARE c NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY id",
            "FETCH c",
            "FETCH 2 FROM c",
            "MOVE 2 IN c",
            "FETCH ABSOLUTE 7 IN c",
            "FETCH RELATIVE 2 FROM c",
            "FETCH FORWARD ALL FROM c",
            "FETCH NEXT FROM c",
            "MOVE ALL IN c",
            "CLOSE c",
            "FETCH c",
        ],
    );
    expect![[r#"
        BEGIN: BEGIN
        DECLARE c NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY id: DECLARE CURSOR
        FETCH c: id Int8(0)
        FETCH 2 FROM c: id Int8(1) Int8(2)
        MOVE 2 IN c: MOVE 2
        FETCH ABSOLUTE 7 IN c: id Int8(6)
        FETCH RELATIVE 2 FROM c: id Int8(8)
        FETCH FORWARD ALL FROM c: id Int8(9)
        FETCH NEXT FROM c: id
        MOVE ALL IN c: MOVE 0
        CLOSE c: CLOSE CURSOR
        FETCH c: 34000: cursor "c" does not exist
    "#]]
    .assert_eq(&all);
}

#[test]
fn what_a_cursor_refuses() {
    let all = script(
        &numbers(),
        &[
            "DECLARE c CURSOR FOR SELECT 1",
            "BEGIN",
            "DECLARE c SCROLL CURSOR FOR SELECT 1",
            "ROLLBACK",
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT id FROM t",
            "FETCH PRIOR FROM c",
            "ROLLBACK",
            "BEGIN",
            "DECLARE \"C d\" CURSOR FOR SELECT id FROM t",
            "DECLARE \"C d\" CURSOR FOR SELECT id FROM t",
            "ROLLBACK",
            "FETCH FROM",
            "FETCH 1 2 FROM c",
            "MOVE nowhere FROM c",
            "CLOSE nothing",
        ],
    );
    expect![[r#"
        DECLARE c CURSOR FOR SELECT 1: 25P01: DECLARE CURSOR can only be used in transaction blocks hint: BEGIN first, or declare the cursor WITH HOLD
        BEGIN: BEGIN
        DECLARE c SCROLL CURSOR FOR SELECT 1: 0A000: scrollable cursors are not supported hint: a cursor reads forward; declare it with NO SCROLL
        ROLLBACK: ROLLBACK
        BEGIN: BEGIN
        DECLARE c CURSOR FOR SELECT id FROM t: DECLARE CURSOR
        FETCH PRIOR FROM c: 55000: cursor can only scan forward hint: declare another cursor over the rows that are wanted again
        ROLLBACK: ROLLBACK
        BEGIN: BEGIN
        DECLARE "C d" CURSOR FOR SELECT id FROM t: DECLARE CURSOR
        DECLARE "C d" CURSOR FOR SELECT id FROM t: 42P03: cursor "C d" already exists
        ROLLBACK: ROLLBACK
        FETCH FROM: 34000: cursor "from" does not exist
        FETCH 1 2 FROM c: 42601 at 9: syntax error at or near "2"
        MOVE nowhere FROM c: 42601 at 14: syntax error at or near "FROM"
        CLOSE nothing: 34000: cursor "nothing" does not exist
    "#]]
    .assert_eq(&all);
}

#[test]
fn a_cursor_ends_with_its_block_unless_it_is_held() {
    let all = script(
        &numbers(),
        &[
            "BEGIN",
            "DECLARE a CURSOR FOR SELECT id FROM t ORDER BY id",
            "DECLARE b CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id",
            "SAVEPOINT s",
            "DECLARE c CURSOR FOR SELECT id FROM t",
            "SELECT name, is_holdable FROM pg_cursors ORDER BY name",
            "SELECT nope FROM t",
            "FETCH a",
            "ROLLBACK TO s",
            "FETCH a",
            "SELECT name FROM pg_cursors ORDER BY name",
            "COMMIT",
            "FETCH b",
            "BEGIN",
            "DECLARE d CURSOR WITH HOLD FOR SELECT 1",
            "ROLLBACK",
            "SELECT name FROM pg_cursors ORDER BY name",
            "CLOSE ALL",
            "SELECT name FROM pg_cursors",
        ],
    );
    expect![[r#"
        BEGIN: BEGIN
        DECLARE a CURSOR FOR SELECT id FROM t ORDER BY id: DECLARE CURSOR
        DECLARE b CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id: DECLARE CURSOR
        SAVEPOINT s: SAVEPOINT
        DECLARE c CURSOR FOR SELECT id FROM t: DECLARE CURSOR
        SELECT name, is_holdable FROM pg_cursors ORDER BY name: name|is_holdable a|Bool(false) b|Bool(true) c|Bool(false)
        SELECT nope FROM t: 42703 at 8: column "nope" does not exist hint: columns of "t" are the JSON fields of records that were looked at, all of them after SELECT * FROM "t"; CREATE TABLE … WITH (topic = 't', format = 'json') declares columns
        FETCH a: 25P02: current transaction is aborted, commands ignored until end of transaction block
        ROLLBACK TO s: ROLLBACK
        FETCH a: id Int8(0)
        SELECT name FROM pg_cursors ORDER BY name: name a b
        COMMIT: COMMIT
        FETCH b: id Int8(0)
        BEGIN: BEGIN
        DECLARE d CURSOR WITH HOLD FOR SELECT 1: DECLARE CURSOR
        ROLLBACK: ROLLBACK
        SELECT name FROM pg_cursors ORDER BY name: name b
        CLOSE ALL: CLOSE CURSOR ALL
        SELECT name FROM pg_cursors: name
    "#]]
    .assert_eq(&all);
}

#[test]
fn a_cursor_takes_parameters_and_describes_its_rows() {
    let log = numbers();
    let (_engine, mut session) = log.session();
    block_on(async {
        run(session.as_mut(), "BEGIN", Vec::new()).await.unwrap();
        let sql =
            "DECLARE c CURSOR FOR SELECT id, $1::text AS who FROM t WHERE id > $2 ORDER BY id";
        let values = vec![Value::Text("ann".to_owned()), Value::Int8(7)];
        let (described, _) = start(session.as_mut(), sql, values).await.unwrap();
        assert_eq!(described.columns.len(), 0, "DECLARE itself has no rows");
        let names = |columns: Vec<query_api::Column>| {
            columns.into_iter().map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(names(session.cursor_columns("c").unwrap()), ["id", "who"]);
        assert!(session.cursor_columns("d").is_none());
        let (_, described) = session.prepare("FETCH ALL FROM c", &[]).await.unwrap();
        assert_eq!(names(described.columns), ["id", "who"]);
        let rows = run(session.as_mut(), "FETCH ALL FROM c", Vec::new()).await.unwrap();
        expect![[r#"
            id|who
            Int8(8)|ann
            Int8(9)|ann
        "#]]
        .assert_eq(&rows);
    });
}

#[test]
fn a_cursor_reads_no_further_than_it_is_fetched() {
    // 64 MiB of log.
    let log = Log::long("t", 64, 100, 10_000);
    let (_engine, mut session) = log.session();
    block_on(async {
        run(session.as_mut(), "BEGIN", Vec::new()).await.unwrap();
        run(session.as_mut(), "DECLARE c CURSOR FOR SELECT * FROM t", Vec::new()).await.unwrap();
        // Those that found the columns.
        log.reads();
        let mut count = 0;
        for _ in 0..10 {
            let (_, execution) =
                start(session.as_mut(), "FETCH 10 FROM c", Vec::new()).await.unwrap();
            let mut rows = execution.rows.unwrap();
            while let Some(batch) = rows.next().await {
                count += batch.unwrap().len();
            }
        }
        assert_eq!(count, 100);
        let asked = log.reads().lines().count();
        assert!(asked < 20, "{asked} reads for 100 rows");
        let moved = run(session.as_mut(), "MOVE ALL FROM c", Vec::new()).await.unwrap();
        assert_eq!(moved, "MOVE 6300\n");
    });
    let held = log.memory.outstanding_max.load(Ordering::Relaxed);
    assert!(held <= 4 * 1024 * 1024, "{held} bytes of the log were held at once");
}

#[test]
fn cancelling_a_fetch_spares_other_cursors() {
    let log = Log::long("t", 64, 100, 10_000);
    let (_engine, mut session) = log.session();
    block_on(async {
        for sql in [
            "DECLARE a CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id",
            "DECLARE b CURSOR WITH HOLD FOR SELECT * FROM t",
        ] {
            run(session.as_mut(), sql, Vec::new()).await.unwrap();
        }
        let (_, execution) = start(session.as_mut(), "FETCH ALL FROM b", Vec::new()).await.unwrap();
        let mut rows = execution.rows.unwrap();
        rows.next().await.unwrap().unwrap();
        session.canceller().cancel();
        let error = rows.next().await.unwrap().unwrap_err();
        assert_eq!(error.sqlstate, Some("57014"));
        drop(rows);
        let fetched = run(session.as_mut(), "FETCH 1 FROM a", Vec::new()).await.unwrap();
        assert_eq!(fetched, "id\nInt8(0)\n");
    });
}

#[test]
fn copy_is_described_without_rows_and_executed_with_them() {
    let log = Log::new("t", &[&[r#"{"id":1,"name":"a"}"#]]);
    let (_engine, mut session) = log.session();
    let mut run = |sql: &str| {
        block_on(async {
            let (described, execution) = start(session.as_mut(), sql, Vec::new()).await?;
            assert!(described.columns.is_empty(), "{sql}");
            let copy = execution.copy.expect("a copy");
            let names: Vec<_> = execution.columns.into_iter().map(|it| it.name).collect();
            let rows = execution.rows.unwrap().next().await.unwrap()?.len();
            Ok(format!("{} {names:?} {rows} {copy:?}\n", execution.tag))
        })
    };
    let mut all = String::new();
    for sql in [
        "COPY t TO STDOUT",
        "COPY t (name) TO STDOUT WITH CSV HEADER",
        "COPY (SELECT id FROM t) TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'x', FORCE_QUOTE (id))",
        "COPY t FROM STDIN",
        "COPY t TO '/tmp/x'",
        "COPY t TO STDOUT (FORMAT binary)",
        "COPY t TO STDOUT (DELIMITER 'a')",
        "COPY t TO STDOUT (QUOTE '!')",
        "COPY nope TO STDOUT",
    ] {
        all += &shown(run(sql));
    }
    expect![[r#"
        COPY ["id", "name"] 1 CopyOut { format: Text, delimiter: 9, null: "\\N", header: false }
        COPY ["name"] 1 CopyOut { format: Csv { quote: 34, escape: 34, force_quote: [] }, delimiter: 44, null: "", header: true }
        COPY ["id"] 1 CopyOut { format: Csv { quote: 34, escape: 34, force_quote: ["id"] }, delimiter: 59, null: "x", header: false }
        0A000: COPY FROM is not supported
        hint: produce the records with a Kafka client or `lumadb produce`, or INSERT them
        0A000: COPY to a file or a program on the server is not supported
        hint: COPY … TO STDOUT, or psql's \copy, which writes on the client
        0A000: COPY in binary format is not supported
        22023: COPY delimiter cannot be "a"
        0A000: COPY quote, escape and force quote are available only in CSV mode
        42P01 at 6: relation "nope" does not exist
        hint: every topic is a table; \dt lists them
    "#]]
    .assert_eq(&all);
}
