//! The grammar, its edges, and what is refused.

use super::*;

const NOW: i64 = 1_700_000_000_000;

#[test]
fn every_form_is_read() {
    let check = |text, expected| assert_eq!(parse(text, NOW), Ok(expected), "{text}");
    check("start", Position::Start);
    check("end", Position::End);
    check("0", Position::At(0));
    check("-10", Position::BeforeEnd(10));
    check("+10", Position::AfterStart(10));
    check("5-9", Position::Range(5, 9));
    check("5:9", Position::Range(5, 9));
    check("@2h", Position::Time(NOW - 7_200_000));
    check("@-2h", Position::Time(NOW - 7_200_000));
    check("@1700000000000", Position::Time(NOW));
    check("@1700000000", Position::Time(NOW));
    check("@1970-01-01T00:00:01Z", Position::Time(1000));
    check("@2024-02-29", Position::Time(1_709_164_800_000));
    check("@2026-01-02T03:04:05.678+01:00", Position::Time(1_767_319_445_678));
    check("@1969-12-31T23:59:59.9-00:00", Position::Time(-100));
    check("9223372036854775807", Position::At(i64::MAX));
}

#[test]
fn what_is_not_an_offset_is_refused() {
    for text in [
        "",
        "x",
        "-",
        "+",
        "1-",
        "-1-2",
        "1.5",
        "9223372036854775808",
        "@",
        "@x",
        "@2023-02-29",
        "@2026-13-01",
        "@2026-01-02T24:00:00Z",
        "@2026-01-02T03:04:05",
        "@2026-01-02T03:04:05.Z",
        "@2026-01-02T03:04:05+1:00",
        "@5y",
        "@--2h",
        "@-1700000000000",
    ] {
        assert!(parse(text, NOW).is_err(), "{text:?}");
    }
    assert_eq!(parse("9-5", NOW), Err("offset range \"9-5\" ends before it begins".to_owned()));
}
