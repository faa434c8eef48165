//! Backslash commands, cell types and the caret.

use serde_json::Value;

use super::execute::{footer, value};
use super::meta::TABLES;
use super::report::{caret, failure};
use super::*;
use crate::pg::ServerError;

#[test]
fn backslash_commands_change_settings_or_become_queries() {
    let mut settings = Settings {
        format: Format::Auto,
        timing: false,
        expanded: false,
        on_error: OnError::Stop,
        connected: "somewhere".to_owned(),
    };
    assert_eq!(meta("x", &mut settings), Ok(Meta::Done("expanded display is on".to_owned())));
    assert_eq!(meta("timing off", &mut settings), Ok(Meta::Done("timing is off".to_owned())));
    assert_eq!(meta("dt", &mut settings), Ok(Meta::Query(TABLES.to_owned())));
    assert_eq!(meta("q", &mut settings), Ok(Meta::Quit));
    let quoted = meta("d o'x", &mut settings);
    assert!(matches!(quoted, Ok(Meta::Relation { sql, .. }) if sql.contains("= 'o''x'")));
    let folded = meta("d Public.Orders", &mut settings);
    let both = "= 'public' and table_name = 'orders'";
    assert!(matches!(folded, Ok(Meta::Relation { sql, .. }) if sql.contains(both)));
    assert_eq!(meta("zz", &mut settings).expect_err("unknown").exit, Exit::Usage);
}

#[test]
fn habits_of_other_databases_are_answered() {
    let hint = |sql: &str, sqlstate: &str, position| {
        let sqlstate = sqlstate.to_owned();
        failure(sql, &ServerError { sqlstate, position, ..ServerError::default() }, None).hint
    };
    let begins = |hint: Option<String>, text: &str| hint.is_some_and(|hint| hint.starts_with(text));
    assert!(begins(hint("SHOW TABLES;", "0A000", None), "\\dt"));
    assert!(begins(hint("desc people", "0A000", None), "\\d people"));
    assert!(begins(hint("use luma", "0A000", None), "the database"));
    assert!(begins(hint("select a = \"b\"", "42703", Some(12)), "text stands in single quotes"));
    assert_eq!(hint("select b", "42703", Some(8)), None);
    assert_eq!(hint("show server_version", "0A000", None), None);
    assert_eq!(hint("", "0A000", Some(0)), None);
}

#[test]
fn a_table_ends_with_the_number_of_its_rows() {
    assert_eq!(footer("SELECT 0"), "(0 rows)");
    assert_eq!(footer("FETCH 1"), "(1 row)");
    assert_eq!(footer("SHOW"), "SHOW");
}

#[test]
fn cells_keep_their_type() {
    let cell = |text: &str, oid| value(Some(text.to_owned()), oid).to_string();
    assert_eq!(cell("007", 25), "\"007\"");
    assert_eq!(cell("7", 23), "7");
    assert_eq!(cell("NaN", 701), "\"NaN\"");
    assert_eq!(cell("t", 16), "true");
    assert_eq!(cell("{\"a\":1}", 114), "{\"a\":1}");
    assert_eq!(value(None, 23), Value::Null);
}

#[test]
fn an_error_points_at_its_place() {
    assert_eq!(caret("select 1\nfrom nope", 15), "\n  from nope\n       ^");
    assert_eq!(caret("", 5), "\n  \n  ^");
    let error = ServerError {
        sqlstate: "42P01".to_owned(),
        message: "no".to_owned(),
        ..ServerError::default()
    };
    assert_eq!(failure("x", &error, None).exit, Exit::NotFound);
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let sql = format!("select\t{} nope {}", "a,".repeat(100), ",b".repeat(100));
    let at = sql.find("nope").expect("there") + 1;
    let shown = caret(&sql, at);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1].chars().count(), 2 + 1 + 60 + 60 + 1);
    let column = lines[2].chars().count() - 1;
    assert_eq!(lines[1].chars().skip(column).take(4).collect::<String>(), "nope");
    // A tab takes as much room as the space that the caret's line has for it.
    assert_eq!(caret("a\tb", 3), "\n  a b\n    ^");
}

#[test]
fn a_failure_in_a_script_names_the_line() {
    let place = Some(Place { name: "q.sql", line: 10 });
    let said = |position| {
        let message = "no".to_owned();
        let error =
            ServerError { message, position, sqlstate: "1".to_owned(), ..ServerError::default() };
        failure("select 1,\n  nope", &error, place).message
    };
    assert_eq!(said(Some(13)), "q.sql:11: no (SQLSTATE 1)\n    nope\n    ^");
    assert_eq!(said(None), "q.sql:10: no (SQLSTATE 1)\n  select 1,");
}

/// Everybody on the machine could read it.
#[test]
fn the_history_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("state/lumadb/history");
    let mode = || std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
    shell::make_private(&path).expect("made");
    assert_eq!(mode(), 0o600);
    std::fs::write(&path, "select 1;\n").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("its owner");
    shell::make_private(&path).expect("taken");
    assert_eq!(mode(), 0o600);
    assert_eq!(std::fs::read_to_string(&path).expect("readable"), "select 1;\n");
}
