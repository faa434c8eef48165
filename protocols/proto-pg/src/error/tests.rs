//! Every kind has a code; the engine's own code and position win.

use query_api::{Error, ErrorKind};

use super::report;

#[test]
fn kinds_have_codes() {
    let check = |kind, expect: &str| {
        assert_eq!(report(Error::new(kind, "m"), "").sqlstate, expect);
    };
    check(ErrorKind::Retry, "40001");
    check(ErrorKind::Invalid, "42000");
    check(ErrorKind::NotFound, "42704");
    check(ErrorKind::Conflict, "42710");
    check(ErrorKind::Unsupported, "0A000");
    check(ErrorKind::LimitExceeded, "54000");
    check(ErrorKind::Cancelled, "57014");
    check(ErrorKind::Corrupt, "XX001");
    check(ErrorKind::Unavailable, "57P03");
    check(ErrorKind::Internal, "XX000");
}

#[test]
fn the_engines_code_wins_when_it_is_one() {
    let error = Error::new(ErrorKind::NotFound, "relation \"t\" does not exist");
    assert_eq!(report(error.clone().with_sqlstate("42P01"), "").sqlstate, "42P01");
    assert_eq!(report(error.with_sqlstate("nonsense"), "").sqlstate, "42704");
}

#[test]
fn positions_count_characters_from_the_beginning_of_the_clients_text() {
    let error = Error::new(ErrorKind::Invalid, "m").with_position(3);
    assert_eq!(report(error.clone(), "").position, Some(3));
    assert_eq!(report(error, "sélect 1; ").position, Some(13));
}
