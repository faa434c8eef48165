//! What a statement counts as.

use super::*;

#[test]
fn kinds_are_few() {
    for (sql, expected) in [
        ("select 1", "select"),
        ("  (SELECT 1)", "select"),
        ("-- by Metabase\nWITH a AS (SELECT 1) TABLE a", "select"),
        ("/* who */ insert into t values (1)", "insert"),
        ("create table t (a int)", "ddl"),
        ("selectx", "other"),
        ("-- nothing else", "other"),
        ("/* without an end", "other"),
        ("", "other"),
    ] {
        assert_eq!(kind(sql), expected, "{sql}");
    }
}

#[test]
fn each_statement_is_counted_once() {
    let meter = Arc::<SqlMeter>::default();
    let running = Running::begin(&meter, "select");
    assert_eq!(meter.stats().active, 1);
    running.end(Status::Ok);
    drop(Running::begin(&meter, "select"));
    let cancelled = Error::new(query_api::ErrorKind::Invalid, "x").with_sqlstate("57014");
    Running::begin(&meter, "ddl").end(Status::of(&cancelled));
    let wrong = Error::new(query_api::ErrorKind::Invalid, "x").with_sqlstate("42601");
    Running::begin(&meter, "ddl").end(Status::of(&wrong));
    let stats = meter.stats();
    assert_eq!(stats.active, 0);
    assert_eq!(stats.by_status, [("ok", 1), ("error", 1), ("cancelled", 2)]);
    let counts: Vec<_> =
        stats.durations.iter().map(|(kind, histogram)| (*kind, histogram.count)).collect();
    assert_eq!(counts, [("ddl", 2), ("select", 2)]);
}

#[test]
fn durations_fall_into_their_buckets() {
    let meter = SqlMeter::default();
    for seconds in [0.0005, 0.0006, 0.7, 61.0] {
        meter.observe("select", seconds);
    }
    let stats = meter.stats();
    let (_, histogram) = &stats.durations[0];
    let filled: Vec<_> = histogram.buckets.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [&(0.0005, 1), &(0.001, 1), &(1.0, 1)]);
    assert_eq!(histogram.count, 4);
}
