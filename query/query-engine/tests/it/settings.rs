//! Settings: how long they last, what they change, what is refused.

use std::time::Duration;

use expect_test::{Expect, expect};
use query_api::{SqlSession, Timeouts};

use crate::support::{Log, block_on, run, shown};

fn script(session: &mut dyn SqlSession, statements: &[&str], expected: Expect) {
    let answers = statements.iter().map(|sql| shown(block_on(run(session, sql, Vec::new()))));
    expected.assert_eq(&answers.collect::<String>());
}

fn with_session(test: impl FnOnce(&mut dyn SqlSession)) {
    let log = Log::new("t", &[&[r#"{"id":1}"#]]);
    let (_engine, mut session) = log.session();
    test(session.as_mut());
}

#[test]
fn timeouts_are_what_was_set_last() {
    with_session(|session| {
        assert_eq!(session.timeouts(), Timeouts::default());
        script(
            session,
            &[
                "SET statement_timeout = 90000",
                "SHOW statement_timeout",
                "SET idle_in_transaction_session_timeout TO '1min'",
                "SELECT current_setting('statement_timeout') AS it",
                "SET statement_timeout = 'soon'",
                "SET statement_timeout = -1",
                "SHOW statement_timeout",
            ],
            expect![[r#"
                SET
                statement_timeout
                90s
                SET
                it
                90s
                22023: invalid value for parameter "statement_timeout": "soon"
                hint: Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".
                22023: -1 ms is outside the valid range for parameter "statement_timeout" (0 ms .. 2147483647 ms)
                statement_timeout
                90s
            "#]],
        );
        let minute = Some(Duration::from_secs(60));
        let statement = Some(Duration::from_secs(90));
        assert_eq!(session.timeouts(), Timeouts { statement, idle_in_transaction: minute });
        script(
            session,
            &["RESET statement_timeout", "SHOW statement_timeout"],
            expect![[r#"
            RESET
            statement_timeout
            0
        "#]],
        );
        assert_eq!(session.timeouts(), Timeouts { statement: None, idle_in_transaction: minute });
        script(
            session,
            &["SET statement_timeout = 1", "RESET ALL"],
            expect![[r#"
            SET
            RESET
        "#]],
        );
        assert_eq!(session.timeouts(), Timeouts::default());
    });
}

#[test]
fn settings_end_with_their_transaction_block() {
    with_session(|session| {
        script(
            session,
            &[
                "SET LOCAL statement_timeout = '1s'",
                "SHOW statement_timeout",
                "SET statement_timeout = '5s'",
                "BEGIN",
                "SET LOCAL statement_timeout = '1s'",
                "SHOW statement_timeout",
                "COMMIT",
                "SHOW statement_timeout",
                "BEGIN",
                "SET statement_timeout = '7s'",
                "SAVEPOINT a",
                "SET statement_timeout = '8s'",
                "ROLLBACK TO a",
                "SHOW statement_timeout",
                "ROLLBACK",
                "SHOW statement_timeout",
                "BEGIN",
                "SET LOCAL statement_timeout = '1s'",
                "SET statement_timeout = '9s'",
                "COMMIT",
                "SHOW statement_timeout",
                "BEGIN",
                "SELECT nope",
                "COMMIT",
                "SHOW statement_timeout",
            ],
            expect![[r#"
                SET
                notice: WARNING: SET LOCAL can only be used in transaction blocks
                statement_timeout
                0
                SET
                BEGIN
                SET
                statement_timeout
                1s
                COMMIT
                statement_timeout
                5s
                BEGIN
                SET
                SAVEPOINT
                SET
                ROLLBACK
                statement_timeout
                7s
                ROLLBACK
                statement_timeout
                5s
                BEGIN
                SET
                SET
                COMMIT
                statement_timeout
                9s
                BEGIN
                42703 at 8: column "nope" does not exist
                ROLLBACK
                statement_timeout
                9s
            "#]],
        );
    });
}

#[test]
fn a_read_only_session_does_not_write() {
    with_session(|session| {
        script(
            session,
            &[
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                "SHOW default_transaction_read_only",
                "INSERT INTO t VALUES (2)",
                "DROP TABLE t",
                "SELECT count(*) FROM t",
                "SET default_transaction_read_only = no",
                "INSERT INTO t VALUES (2)",
            ],
            expect![[r#"
                SET
                default_transaction_read_only
                on
                25006: cannot execute INSERT in a read-only transaction
                hint: SET default_transaction_read_only = off
                25006: cannot execute CREATE or DROP TABLE in a read-only transaction
                hint: SET default_transaction_read_only = off
                count
                Int8(1)
                SET
                INSERT 0 1
            "#]],
        );
    });
}

#[test]
fn what_makes_no_difference_is_warned_of() {
    with_session(|session| {
        script(
            session,
            &[
                "SET timezone = 'Europe/Berlin'",
                "SET TIME ZONE 'UTC'",
                "SET search_path = mine, public",
                "SET search_path = \"$user\", public",
                "SET bytea_output = 'escape'",
                "SET standard_conforming_strings = off",
            ],
            expect![[r#"
                SET
                notice: WARNING: time zone "Europe/Berlin" is not applied: times are computed and shown in UTC
                SET
                SET
                notice: WARNING: search_path "mine, public" is not applied: tables are in schema public
                SET
                22023: invalid value for parameter "bytea_output": "escape"
                hint: the only supported value is hex
                22023: invalid value for parameter "standard_conforming_strings": "off"
                hint: the only supported value is on
            "#]],
        );
    });
}
