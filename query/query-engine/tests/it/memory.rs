//! Memory of statements: which limit was met, by what, and that what failed has given everything back.

use std::sync::Arc;

use expect_test::{Expect, expect};
use futures_util::StreamExt as _;
use query_api::{Error, Sql as _, SqlSession, SqlSessionOptions};
use query_engine::{Engine, EngineOptions};

use crate::support::{Log, block_on, run, start};

const MIB: usize = 1024 * 1024;

/// 40,000 records of about 100 bytes, four MiB of text.
fn log(query_memory_bytes_max: usize, memory_bytes_max: usize) -> Log {
    let mut log = Log::long("t", 40, 1000, 100);
    // One thread: else an exchange between threads may meet the limit before the operator under test.
    log.options = EngineOptions {
        memory_bytes_max,
        query_memory_bytes_max,
        worker_threads: 1,
        ..EngineOptions::default()
    };
    log
}

fn open(engine: &Arc<Engine>) -> Box<dyn SqlSession> {
    engine.open_session(SqlSessionOptions::default())
}

/// Waits until statements hold `bytes` at most: operators end on the engine's threads.
fn given_back(engine: &Engine, bytes: usize) {
    while engine.memory_bytes() > bytes {
        std::thread::yield_now();
    }
}

/// Runs to the end and forgets the rows.
fn outcome(session: &mut dyn SqlSession, sql: &str) -> Result<usize, Error> {
    block_on(async {
        let (_, execution) = start(session, sql, Vec::new()).await?;
        let mut count = 0;
        let mut rows = execution.rows.expect("a query");
        while let Some(batch) = rows.next().await {
            count += batch?.len();
        }
        Ok(count)
    })
}

fn refused(sql: &str, limit: usize, total: usize, expected: Expect) {
    let log = log(limit, total);
    let (engine, mut session) = log.session();
    let error = outcome(session.as_mut(), sql).unwrap_err();
    // How many bytes were asked for and by which instance is DataFusion's business.
    let detail = error.detail.unwrap_or_default();
    let what = detail.split(" (").next().unwrap_or_default();
    assert!(detail.contains("asked for"), "{detail}");
    let (state, message) = (error.sqlstate.unwrap_or_default(), error.message);
    let hint = error.hint.unwrap_or_default();
    let hint = hint.split(", or make").next().unwrap_or_default();
    expected.assert_eq(&format!("{state}: {message}\ndetail: {what} …\nhint: {hint} …\n"));
    given_back(&engine, 0);
    // The session and the engine go on.
    assert_eq!(outcome(session.as_mut(), "SELECT count(*) FROM t").unwrap(), 1);
}

#[test]
fn a_sort_over_the_limit_of_one_query() {
    refused(
        "SELECT pad, id FROM t ORDER BY id DESC",
        MIB,
        64 * MIB,
        expect![[r#"
            53200: the query needs more memory than the 1 MiB one query may hold
            detail: a sort …
            hint: raise pg.query_memory_bytes_max in the server's configuration …
        "#]],
    );
}

#[test]
fn an_aggregate_over_the_limit_of_one_query() {
    refused(
        "SELECT id, pad, count(*) FROM t GROUP BY id, pad",
        MIB,
        64 * MIB,
        expect![[r#"
            53200: the query needs more memory than the 1 MiB one query may hold
            detail: an aggregate …
            hint: raise pg.query_memory_bytes_max in the server's configuration …
        "#]],
    );
}

#[test]
fn a_join_over_the_limit_of_one_query() {
    refused(
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id AND a.pad = b.pad",
        MIB,
        64 * MIB,
        expect![[r#"
            53200: the query needs more memory than the 1 MiB one query may hold
            detail: a join …
            hint: raise pg.query_memory_bytes_max in the server's configuration …
        "#]],
    );
}

#[test]
fn a_window_over_the_limit_of_one_query() {
    refused(
        "SELECT id, pad, count(*) OVER () FROM t",
        MIB,
        64 * MIB,
        expect![[r#"
            53200: the query needs more memory than the 1 MiB one query may hold
            detail: a window function …
            hint: raise pg.query_memory_bytes_max in the server's configuration …
        "#]],
    );
}

#[test]
fn the_total_is_met_before_the_limit_of_one_query() {
    refused(
        "SELECT pad, id FROM t ORDER BY id DESC",
        64 * MIB,
        MIB,
        expect![[r#"
            53200: the query needs more memory than is left of the 1 MiB that all queries share
            detail: a sort …
            hint: try again when other queries have ended, raise pg.memory_bytes_max in the server's configuration …
        "#]],
    );
}

#[test]
fn a_query_that_fails_leaves_others_unharmed() {
    let log = log(2 * MIB, 64 * MIB);
    let (engine, mut session) = log.session();
    let mut held = open(&engine);
    block_on(async {
        // A sort that fits and whose rows wait for their reader.
        let sql = "SELECT id FROM t WHERE id < 20000 ORDER BY id DESC";
        let (_, execution) = start(held.as_mut(), sql, Vec::new()).await.unwrap();
        let mut rows = execution.rows.unwrap();
        let mut count = rows.next().await.unwrap().unwrap().len();
        // More rows may become ready meanwhile.
        let before = engine.memory_bytes() + MIB;
        assert!(before > MIB, "the sort holds its rows");
        for _ in 0..3 {
            let sql = "SELECT pad, id FROM t ORDER BY id DESC";
            let error = run(session.as_mut(), sql, Vec::new()).await.unwrap_err();
            assert_eq!(error.sqlstate, Some("53200"));
        }
        given_back(&engine, before);
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().len();
        }
        assert_eq!(count, 20_000);
    });
    // Rows that nobody will read are given back too.
    let dropped = block_on(start(
        held.as_mut(),
        "SELECT id FROM t WHERE id < 20000 ORDER BY id DESC",
        Vec::new(),
    ));
    drop(dropped);
    given_back(&engine, 0);
}

/// Rows that waited for a client, and what their scans had read ahead, were nobody's memory: with 200 of them the
/// process held 2.5 GB.
#[test]
fn results_that_nobody_reads_share_the_total() {
    let log = log(2 * MIB, 4 * MIB);
    let (engine, mut session) = log.session();
    block_on(async {
        let mut waiting = Vec::new();
        let refused = loop {
            let mut session = open(&engine);
            let (_, execution) =
                start(session.as_mut(), "SELECT * FROM t", Vec::new()).await.unwrap();
            let mut rows = execution.rows.unwrap();
            let first = rows.next().await.unwrap();
            assert!(engine.memory_bytes() <= 4 * MIB + 256 * 1024 * (waiting.len() + 1));
            match first {
                Ok(batch) => waiting.push((session, rows, batch.len())),
                Err(error) => break error,
            }
            assert!(
                waiting.len() < 100,
                "a hundred results wait in {} bytes",
                engine.memory_bytes()
            );
        };
        assert_eq!(refused.sqlstate, Some("53200"));
        assert!(refused.message.contains("that all queries share"), "{refused:?}");
        // What is small goes on, and so does every result when it is read after all.
        assert_eq!(
            run(session.as_mut(), "SELECT 1 AS one", Vec::new()).await.unwrap(),
            "one\nInt4(1)\n"
        );
        let (_session, mut rows, mut count) = waiting.remove(0);
        drop(waiting);
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().len();
        }
        assert_eq!(count, 40_000);
    });
    given_back(&engine, 0);
}

/// Resident bytes of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The most bytes that this process has had resident.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Results as long as an argument says were no operator's memory: one statement took what the machine had.
#[test]
fn functions_take_their_results_from_the_memory_of_the_statement() {
    let log = log(4 * MIB, 64 * MIB);
    let (engine, mut session) = log.session();
    outcome(session.as_mut(), "SELECT 1").unwrap();
    let before = resident();
    for (sql, state) in [
        ("SELECT repeat('x', 2000000000)", "54000"),
        ("SELECT length(repeat(pad, 1000000000)) FROM t", "54000"),
        ("SELECT length(repeat(pad, 1000000)) FROM t", "53200"),
        ("SELECT repeat('x', 500000000)", "53200"),
        ("SELECT length(lpad(pad, 500000000)) FROM t", "53200"),
        ("SELECT length(rpad('x', 500000000, 'ä'))", "54000"),
        ("SELECT length(replace(pad, 'x', pad || pad)) FROM t", "53200"),
        ("SELECT length(replace(pad, '', repeat(pad, 1000))) FROM t", "53200"),
        ("SELECT count(*) FROM (SELECT generate_series(1, id * 100) FROM t) s", "53200"),
        ("SELECT count(*) FROM generate_series(1, (SELECT 100000000))", "53200"),
        (
            "SELECT generate_series(timestamp '2000-01-01', timestamp '2030-01-01', interval '1 second')",
            "54000",
        ),
        ("SELECT array_length(range(0, id * 100)) FROM t", "53200"),
        ("SELECT array_length(array_repeat(pad, 1000000)) FROM t", "53200"),
        ("SELECT array_length(array_resize([1], 100000000))", "53200"),
        ("SELECT length(pad || repeat('x', 1000000)) FROM t", "53200"),
        ("SELECT length(concat(pad, repeat('x', 1000000))) FROM t", "53200"),
        ("SELECT length(concat_ws(repeat(',', 1000000), pad, pad)) FROM t", "53200"),
        ("SELECT length(regexp_replace(pad, 'x', repeat('y', 100000), 'g')) FROM t", "53200"),
        ("SELECT length(string_agg(pad || pad, ',')) FROM t", "53200"),
        ("SELECT id % 2, length(string_agg(pad || pad, ',')) FROM t GROUP BY 1", "53200"),
        ("SELECT length(string_agg(pad || pad, ',' ORDER BY id)) FROM t", "53200"),
        ("SELECT array_length(array_agg(pad || pad)) FROM t", "53200"),
        ("SELECT array_length(array_agg(pad || pad ORDER BY id)) FROM t", "53200"),
    ] {
        let error = outcome(session.as_mut(), sql).unwrap_err();
        assert_eq!(error.sqlstate, Some(state), "{sql}: {error:?}");
        given_back(&engine, 0);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 256 * MIB, "{grown} bytes more");
}

/// A list that is one value was copied for each row first: three gigabytes of three megabytes, and then refused.
#[test]
fn a_list_is_counted_before_it_is_repeated() {
    let log = log(4 * MIB, 64 * MIB);
    let (engine, mut session) = log.session();
    outcome(session.as_mut(), "SELECT 1").unwrap();
    let before = resident();
    for list in ["array_append(range(0, 400000), id)", "array_to_string(range(0, 400000), pad)"] {
        let error = outcome(session.as_mut(), &format!("SELECT {list} FROM t")).unwrap_err();
        assert_eq!(error.sqlstate, Some("53200"), "{list}: {error:?}");
        given_back(&engine, 0);
    }
    let grown = peak().saturating_sub(before);
    assert!(grown < 1024 * MIB, "{grown} bytes more at the most");
}

/// Each level doubles: thirty made a terabyte of a hundred bytes.
#[test]
fn what_doubles_at_each_level_is_refused() {
    let log = log(4 * MIB, 64 * MIB);
    let (engine, mut session) = log.session();
    outcome(session.as_mut(), "SELECT 1").unwrap();
    let before = resident();
    for double in ["x || x", "concat(x, x)", "concat_ws(x, x, x)", "array_to_string([x, x], x)"] {
        let start = "SELECT pad AS x FROM t LIMIT 1".to_owned();
        let nested = (0..30).fold(start, |sql, _| format!("SELECT {double} AS x FROM ({sql}) s"));
        let error = outcome(session.as_mut(), &format!("SELECT length(x) FROM ({nested}) s"));
        assert_eq!(error.unwrap_err().sqlstate, Some("53200"), "{double}");
        given_back(&engine, 0);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 256 * MIB, "{grown} bytes more");
}

#[test]
fn what_functions_made_is_given_back_row_by_row() {
    // 80 MiB in all, of which a few batches are there at once.
    let log = log(16 * MIB, 64 * MIB);
    let (engine, mut session) = log.session();
    for (sql, rows) in [
        ("SELECT length(repeat(pad, 20)) FROM t", 40_000),
        ("SELECT repeat(pad, 20) FROM t", 40_000),
        ("SELECT rpad(pad, 2000, 'ä') FROM t", 40_000),
        ("SELECT replace(pad, 'x', 'yy') FROM t", 40_000),
        ("SELECT generate_series(1, 1 + id % 2) FROM t", 60_000),
        ("SELECT array_repeat(id, 10) FROM t", 40_000),
        ("SELECT pad || pad || id::text || 'x' FROM t", 40_000),
        ("SELECT concat_ws('-', pad, id, pad) FROM t", 40_000),
    ] {
        assert_eq!(outcome(session.as_mut(), sql).unwrap(), rows, "{sql}");
        given_back(&engine, 0);
    }
    let shown = log.show("SELECT repeat('ab', 3), lpad('x', 3, 'é'), replace('aXa', 'X', 'YZ'), array_resize([1], 2), range(0, 6, 2)");
    expect![[r#"
        repeat|lpad|replace|array_resize|range
        ababab|ééx|aYZa|Array([Int4(1), Null])|Array([Int8(0), Int8(2), Int8(4)])
    "#]]
    .assert_eq(&shown);
}
