//! What a StartupMessage's parameters mean.

use super::{Start, quote_name};

fn read(parameters: &[(&str, &str)]) -> Result<Start, String> {
    let owned = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Start::read(owned).map_err(|report| format!("{} {}", report.sqlstate, report.message))
}

#[test]
fn the_database_defaults_to_the_user() {
    let start = read(&[("user", "ada")]).unwrap();
    assert_eq!((start.user.as_str(), start.database.as_str()), ("ada", "ada"));
    let start = read(&[("database", "luma"), ("user", "ada")]).unwrap();
    assert_eq!(start.database, "luma");
}

#[test]
fn only_the_names_of_the_database_exist() {
    let database = |name| read(&[("database", name), ("user", "ada")]).map(|it| it.database);
    for name in ["luma", "postgres", "ada"] {
        assert_eq!(database(name), Ok(name.to_owned()));
    }
    for name in ["nope", "LUMA", "template1", "luma "] {
        assert_eq!(database(name), Err(format!("3D000 database \"{name}\" does not exist")));
    }
}

#[test]
fn a_user_is_required() {
    assert_eq!(
        read(&[("database", "luma")]).unwrap_err(),
        "28000 no PostgreSQL user name specified in startup packet"
    );
    assert!(read(&[("user", "")]).is_err());
}

#[test]
fn options_are_command_line_switches() {
    let check = |options: &str, expect: &[(&str, &str)]| {
        let start = read(&[("user", "u"), ("options", options)]).unwrap();
        let got: Vec<(&str, &str)> =
            start.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(got, expect, "{options}");
    };
    check("", &[]);
    check("-c a=1", &[("a", "1")]);
    check("-ca=1 --b-c=2", &[("a", "1"), ("b_c", "2")]);
    check(r"-c search_path=a,\ b", &[("search_path", "a, b")]);
    for bad in ["-c", "x", "-c a", "-d 3"] {
        let error = read(&[("user", "u"), ("options", bad)]).unwrap_err();
        assert!(error.starts_with("42601 "), "{bad}: {error}");
    }
}

#[test]
fn encodings_other_than_utf8_are_refused() {
    for good in ["UTF8", "utf-8", "'utf-8'", "UNICODE", "SQL_ASCII"] {
        read(&[("user", "u"), ("client_encoding", good)]).unwrap();
    }
    let error = read(&[("user", "u"), ("client_encoding", "LATIN1")]).unwrap_err();
    assert_eq!(error, "22023 invalid value for parameter \"client_encoding\": \"LATIN1\"");
}

#[test]
fn replication_is_refused() {
    read(&[("user", "u"), ("replication", "false")]).unwrap();
    let error = read(&[("user", "u"), ("replication", "database")]).unwrap_err();
    assert_eq!(error, "0A000 replication connections are not supported");
}

#[test]
fn protocol_options_are_collected_and_settings_keep_their_order() {
    let start = read(&[
        ("user", "u"),
        ("TimeZone", "UTC"),
        ("_pq_.x", "1"),
        ("options", "-c a=1"),
        ("application_name", "app"),
    ])
    .unwrap();
    assert_eq!(start.protocol_options, ["_pq_.x"]);
    assert_eq!(start.application_name, "app");
    let names: Vec<&str> = start.settings.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "TimeZone"]);
}

#[test]
fn hostile_names_are_quoted() {
    assert_eq!(quote_name("DateStyle"), "DateStyle");
    assert_eq!(quote_name("my.setting"), "my.setting");
    assert_eq!(quote_name("a = 1; drop"), "\"a = 1; drop\"");
    assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
    assert_eq!(quote_name(""), "\"\"");
}
