//! What a query reads of the log, and how much of it it holds at once.

use std::sync::atomic::Ordering;

use expect_test::{Expect, expect};
use futures_util::StreamExt as _;

use crate::support::{BASE_MS, Log, block_on, run, shown, start};

/// The ranges a statement asked for; inferring the shape reads too and is left out by running it twice.
fn reads(log: &Log, sql: &str, expected: Expect) {
    let (_engine, mut session) = log.session();
    let asked = block_on(async {
        let (id, _) = session.prepare(sql, &[]).await.unwrap();
        log.reads();
        let mut rows = session.execute(id, Vec::new()).await.unwrap().rows.unwrap();
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().len();
        }
        format!("{}\n{count} rows\n", log.reads())
    });
    expected.assert_eq(&asked);
}

#[test]
fn the_least_and_the_greatest_offset_are_read_at_the_edges() {
    let log = Log::long("t", 90, 10, 10_000);
    log.memory.leave_out("t", 0, 0);
    reads(
        &log,
        "SELECT min(_offset), max(_offset) FROM t",
        expect![[r#"
        t/0 [0, 900)
        t/0 [899, 900)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT max(_offset) FROM t WHERE _partition = 0 AND _offset < 805",
        expect![[r#"
        t/0 [804, 805)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT min(_offset) FROM t WHERE _offset > 15",
        expect![[r#"
        t/0 [16, 900)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT _partition, max(_offset) FROM t GROUP BY _partition",
        expect![[r#"
        t/0 [899, 900)
        1 rows
    "#]],
    );
    log.check(
        "SELECT min(_offset), max(_offset) FROM t",
        expect![[r#"
        min|max
        Int8(0)|Int8(899)
    "#]],
    );
    log.check(
        "SELECT min(_offset), max(_offset) FROM t WHERE _offset > 15 AND _offset < 805",
        expect![[r#"
            min|max
            Int8(16)|Int8(804)
        "#]],
    );
    // What looks at the records reads them.
    reads(
        &log,
        "SELECT max(_offset) FROM t WHERE id < 5 AND _offset < 30",
        expect![[r#"
        t/0 [0, 30)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT max(_offset), count(*) FROM t WHERE _offset < 30",
        expect![[r#"
        t/0 [0, 30)
        1 rows
    "#]],
    );
}

#[test]
fn records_are_counted_by_their_offsets_where_each_is_one() {
    let log = Log::long("t", 90, 10, 10_000);
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT count(*), min(_offset), max(_offset) FROM t",
        "SELECT count(*) FROM t WHERE _partition = 0 AND _offset >= 5 AND _offset < 805",
        "SELECT _partition, count(*), max(_offset) FROM t GROUP BY _partition",
        "SELECT count(*) FROM (SELECT id FROM t LIMIT 17) l",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM t)",
    ] {
        reads(
            &log,
            sql,
            expect![[r#"

                1 rows
            "#]],
        );
    }
    reads(
        &log,
        "SELECT _offset, _partition FROM t",
        expect![[r#"

        900 rows
    "#]],
    );
    reads(
        &log,
        "SELECT 1 FROM t WHERE _offset % 2 = 0 LIMIT 7",
        expect![[r#"

        7 rows
    "#]],
    );
    // Left out by compaction, say.
    log.memory.leave_out("t", 0, 3);
    reads(
        &log,
        "SELECT count(*) FROM t WHERE _offset >= 895",
        expect![[r#"
            t/0 [895, 903)
            t/0 [900, 903)
            1 rows
        "#]],
    );
    log.check(
        "SELECT count(*), max(_offset) FROM t WHERE _offset >= 895",
        expect![[r#"
            count|max
            Int8(5)|Int8(899)
        "#]],
    );
}

#[test]
fn a_count_is_the_number_of_rows_that_are_given() {
    let log = Log::new("t", &[&[r#"{"id":7}"#, "oops"], &[]]);
    log.memory.push_unreadable("t", 0, 5);
    log.memory.push("t", 0, [r#"{"id":8}"#.to_owned()].into_iter());
    let rows = expect![[r#"
        _offset|id
        Int8(0)|Int8(7)
        Int8(1)|NULL
        Int8(2)|Int8(1)
        Int8(3)|NULL
        Int8(4)|NULL
        Int8(5)|NULL
        Int8(6)|NULL
        Int8(7)|Int8(8)
        notice: 5 records of topic "t" were not fully decoded (first: partition 0 offset 1: not a JSON object: expected value at line 1 column 1); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]];
    let some = expect![[r#"
        _offset|_key
        Int8(4)|NULL
        Int8(5)|NULL
        notice: 2 records of topic "t" were not fully decoded (first: partition 0 offset 4: unreadable batch: record has impossible length -1); what could not be decoded is NULL, set luma.on_bad_record = 'fail' to fail instead
    "#]];
    for _dense in [true, false] {
        rows.assert_eq(&log.show("SELECT _offset, id FROM t"));
        some.assert_eq(&log.show("SELECT _offset, _key FROM t WHERE _offset IN (4, 5)"));
        for (predicate, count) in [("true", 8), ("_offset > 2", 5), ("_offset IN (4, 5)", 2)] {
            let counted = log.show(&format!("SELECT count(*) FROM t WHERE {predicate}"));
            let first = counted.lines().nth(1).unwrap();
            assert_eq!(first, format!("Int8({count})"), "{predicate}");
        }
        log.memory.leave_out("t", 0, 0);
    }
}

#[test]
fn the_greatest_offset_is_that_of_a_record() {
    let log = Log::new("t", &[&[r#"{"id":1}"#, r#"{"id":2}"#], &[]]);
    log.check(
        "SELECT min(_offset), max(_offset), max(_partition) FROM t",
        expect![[r#"
        min|max|max
        Int8(0)|Int8(1)|Int4(0)
    "#]],
    );
    // As control batches and compaction leave it.
    log.memory.leave_out("t", 0, 3);
    log.memory.leave_out("t", 1, 2);
    log.check(
        "SELECT min(_offset), max(_offset), max(_partition) FROM t",
        expect![[r#"
        min|max|max
        Int8(0)|Int8(1)|Int4(0)
    "#]],
    );
    reads(
        &log,
        "SELECT max(_offset) FROM t WHERE _partition = 0",
        expect![[r#"
        t/0 [4, 5)
        t/0 [0, 5)
        t/0 [2, 5)
        1 rows
    "#]],
    );
    log.memory.push("t", 1, [r#"{"id":3}"#.to_owned()].into_iter());
    log.check(
        "SELECT _partition, min(_offset), max(_offset) FROM t GROUP BY 1 ORDER BY 1",
        expect![[r#"
            _partition|min|max
            Int4(0)|Int8(0)|Int8(1)
            Int4(1)|Int8(2)|Int8(2)
        "#]],
    );
    log.check(
        "SELECT min(_offset) FROM t WHERE _partition = 1",
        expect![[r#"
        min
        Int8(2)
    "#]],
    );
}

#[test]
fn offsets_and_partitions_are_pushed_down() {
    let log = Log::long("t", 4, 10, 1);
    reads(
        &log,
        "SELECT id FROM t WHERE _offset >= 12 AND _offset < 15",
        expect![[r#"
        t/0 [12, 15)
        3 rows
    "#]],
    );
    // Arithmetic on what is written out is done before the log is asked.
    reads(
        &log,
        "SELECT id FROM t WHERE _offset >= 10 + 2 AND _offset < 3 * 5 AND id + 1 > 0",
        expect![[r#"
        t/0 [12, 15)
        3 rows
    "#]],
    );
    reads(
        &log,
        "SELECT id FROM t WHERE _offset = 39",
        expect![[r#"
        t/0 [39, 40)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT id FROM t WHERE _offset > 39",
        expect![[r#"

        0 rows
    "#]],
    );
    let log = Log::new("p", &[&[r#"{"id":1}"#], &[r#"{"id":2}"#]]);
    reads(
        &log,
        "SELECT id FROM p WHERE _partition = 1",
        expect![[r#"
        p/1 [0, 1)
        1 rows
    "#]],
    );
    reads(
        &log,
        "SELECT id FROM p WHERE _partition = 7",
        expect![[r#"

        0 rows
    "#]],
    );
}

#[test]
fn timestamps_are_pushed_down_through_the_time_index() {
    let log = Log::long("t", 4, 10, 1);
    let at = |ms: i64| format!("to_timestamp_millis({})", BASE_MS + ms);
    let from = format!("SELECT id FROM t WHERE _timestamp >= {}", at(25));
    reads(
        &log,
        &from,
        expect![[r#"
        t/0 [25, 40)
        15 rows
    "#]],
    );
    // A producer's timestamps need not be in order: an upper bound may not end the read.
    let until = format!("SELECT id FROM t WHERE _timestamp < {}", at(5));
    reads(
        &log,
        &until,
        expect![[r#"
        t/0 [0, 40)
        5 rows
    "#]],
    );
    log.memory.set_ordered();
    reads(
        &log,
        &until,
        expect![[r#"
        t/0 [0, 5)
        5 rows
    "#]],
    );
}

#[test]
fn limit_stops_reading() {
    let log = Log::long("t", 100, 10, 10_000);
    reads(
        &log,
        "SELECT id FROM t LIMIT 3",
        expect![[r#"
        t/0 [0, 1000)
        3 rows
    "#]],
    );
}

/// Predicates joined with OR read the whole topic.
#[test]
fn disjunctions_read_what_they_ask_for() {
    let log = Log::long("t", 100, 100, 1);
    let all = |predicate: &str| format!("SELECT id FROM t WHERE {predicate}");
    reads(
        &log,
        &all("_offset < 10 OR _offset > 9990"),
        expect![[r#"
        t/0 [0, 10)
        t/0 [9991, 10000)
        19 rows
    "#]],
    );
    reads(
        &log,
        &all("_offset IN (3, 5, 5000) OR _offset BETWEEN 7000 AND 7001"),
        expect![[r#"
        t/0 [3, 6)
        t/0 [5000, 5001)
        t/0 [7000, 7002)
        5 rows
    "#]],
    );
    reads(
        &log,
        &all("(_offset < 10 AND id < 5) OR (_offset > 9990 AND id > 9995)"),
        expect![[r#"
            t/0 [0, 10)
            t/0 [9991, 10000)
            9 rows
        "#]],
    );
    reads(
        &log,
        &all("_offset < 10 OR id = 50"),
        expect![[r#"
        t/0 [0, 10000)
        11 rows
    "#]],
    );
}

#[test]
fn disjunctions_with_other_columns_of_the_log() {
    let log = Log::long("t", 100, 100, 1);
    let all = |predicate: &str| format!("SELECT id FROM t WHERE {predicate}");
    reads(
        &log,
        &all("(_offset < 10 OR _offset > 9990) AND _offset > 5"),
        expect![[r#"
        t/0 [6, 10)
        t/0 [9991, 10000)
        13 rows
    "#]],
    );
    reads(
        &log,
        &all("_partition = 1 OR _offset = 7"),
        expect![[r#"
        t/0 [7, 8)
        1 rows
    "#]],
    );
    reads(
        &log,
        &all("_offset < 10 OR _timestamp >= '2023-11-14 22:13:29.995+00'"),
        expect![[r#"
            t/0 [0, 10)
            t/0 [9995, 10000)
            15 rows
        "#]],
    );
    // Many are read with what lies between them.
    let many: Vec<String> =
        (0..200).map(|it| format!("_offset = {}", it * 7 + 3000 * (it % 2))).collect();
    reads(
        &log,
        &all(&many.join(" OR ")),
        expect![[r#"
        t/0 [0, 1387)
        t/0 [3007, 4394)
        200 rows
    "#]],
    );
    reads(
        &log,
        "SELECT id FROM t WHERE _offset < 10 OR _offset > 9990 LIMIT 12",
        expect![[r#"
        t/0 [0, 10)
        t/0 [9991, 10000)
        12 rows
    "#]],
    );
}

#[test]
fn a_streamed_result_holds_a_few_reads_at_most() {
    // 64 MiB of log, of which a slow consumer's query may hold about a read and a batch.
    let log = Log::long("t", 64, 100, 10_000);
    let (_engine, mut session) = log.session();
    let rows = block_on(async {
        let (_, execution) = start(session.as_mut(), "SELECT * FROM t", Vec::new()).await.unwrap();
        let mut rows = execution.rows.unwrap();
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().len();
        }
        count
    });
    assert_eq!(rows, 6400);
    let held = log.memory.outstanding_max.load(Ordering::Relaxed);
    assert!(held <= 4 * 1024 * 1024, "{held} bytes of the log were held at once");
}

#[test]
fn an_unread_result_reads_no_further() {
    let log = Log::long("t", 64, 100, 10_000);
    let (_engine, mut session) = log.session();
    block_on(async {
        let (id, _) = session.prepare("SELECT * FROM t", &[]).await.unwrap();
        // Those that found the columns.
        log.reads();
        let execution = session.execute(id, Vec::new()).await.unwrap();
        let mut rows = execution.rows.unwrap();
        rows.next().await.unwrap().unwrap();
        drop(rows);
    });
    let asked = log.reads().lines().count();
    assert!(asked < 20, "{asked} reads for one batch of rows");
}

#[test]
fn cancel_ends_a_running_statement() {
    let log = Log::long("t", 64, 100, 10_000);
    let (_engine, mut session) = log.session();
    let error = block_on(async {
        let (_, execution) = start(session.as_mut(), "SELECT * FROM t", Vec::new()).await.unwrap();
        let mut rows = execution.rows.unwrap();
        rows.next().await.unwrap().unwrap();
        session.canceller().cancel();
        loop {
            match rows.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the statement ended without noticing the cancel"),
            }
        }
    });
    assert_eq!(error.sqlstate, Some("57014"));
}

#[test]
fn a_transaction_block_reads_one_snapshot() {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    let (_engine, mut session) = log.session();
    let counts = block_on(async {
        let mut counts = Vec::new();
        for (sql, append) in [
            ("BEGIN", false),
            ("SELECT count(*) FROM t", true),
            ("SELECT count(*) FROM t", false),
            ("COMMIT", false),
            ("SELECT count(*) FROM t", false),
        ] {
            counts.push(shown(run(session.as_mut(), sql, Vec::new()).await));
            if append {
                log.memory.push("t", 0, [r#"{"id":2}"#.to_owned()].into_iter());
            }
        }
        counts.concat()
    });
    expect![[r#"
        BEGIN
        count
        Int8(1)
        count
        Int8(1)
        COMMIT
        count
        Int8(2)
    "#]]
    .assert_eq(&counts);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_read_is_named() {
    let log = Log::long("t", 90, 10, 10_000);
    let (_engine, mut session) = log.session();
    let failure = block_on(async {
        let (_, execution) = start(session.as_mut(), "SELECT pad FROM t", vec![]).await.unwrap();
        let mut rows = execution.rows.unwrap();
        rows.next().await.unwrap().unwrap();
        log.memory.remove_topic("t");
        loop {
            if let Err(error) = rows.next().await.unwrap() {
                break error;
            }
        }
    });
    expect![[r#"
        ?????: cannot read topic "t": partition 0 of the topic does not exist any more
    "#]]
    .assert_eq(&shown(Err(failure)));
}
