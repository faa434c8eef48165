//! Durations and styles, as PostgreSQL 15 answers `SET` and `SHOW`.

use expect_test::{Expect, expect};

use super::canonical;

fn check(name: &str, values: &[&str], expected: Expect) {
    let shown = values.iter().map(|value| match canonical(name, (*value).to_owned()) {
        Ok(kept) => format!("{value:?} {kept}\n"),
        Err(error) => format!("{value:?} {}: {}\n", error.sqlstate.unwrap_or("?"), error.message),
    });
    expected.assert_eq(&shown.collect::<String>());
}

#[test]
fn durations_are_kept_in_their_largest_unit() {
    check(
        "statement_timeout",
        &["0", "1", "1500", "1s", " 60 s ", "90min", "24h", "1.5s", "400us", "600us", "2147483647"],
        expect![[r#"
            "0" 0
            "1" 1ms
            "1500" 1500ms
            "1s" 1s
            " 60 s " 1min
            "90min" 90min
            "24h" 1d
            "1.5s" 1500ms
            "400us" 0
            "600us" 1ms
            "2147483647" 2147483647ms
        "#]],
    );
    check(
        "statement_timeout",
        &["", "soon", "1 parsec", "1S", "-1", "25d", "1e30", "nan"],
        expect![[r#"
            "" 22023: invalid value for parameter "statement_timeout": ""
            "soon" 22023: invalid value for parameter "statement_timeout": "soon"
            "1 parsec" 22023: invalid value for parameter "statement_timeout": "1 parsec"
            "1S" 22023: invalid value for parameter "statement_timeout": "1S"
            "-1" 22023: -1 ms is outside the valid range for parameter "statement_timeout" (0 ms .. 2147483647 ms)
            "25d" 22023: 2160000000 ms is outside the valid range for parameter "statement_timeout" (0 ms .. 2147483647 ms)
            "1e30" 22023: invalid value for parameter "statement_timeout": "1e30"
            "nan" 22023: invalid value for parameter "statement_timeout": "nan"
        "#]],
    );
}

#[test]
fn styles_that_are_not_built_are_refused() {
    check(
        "bytea_output",
        &["hex", "escape"],
        expect![[r#"
        "hex" hex
        "escape" 22023: invalid value for parameter "bytea_output": "escape"
    "#]],
    );
    check(
        "datestyle",
        &["ISO", "iso, dmy", "German", "SQL, DMY"],
        expect![[r#"
        "ISO" ISO
        "iso, dmy" iso, dmy
        "German" 22023: invalid value for parameter "datestyle": "German"
        "SQL, DMY" 22023: invalid value for parameter "datestyle": "SQL, DMY"
    "#]],
    );
    check(
        "standard_conforming_strings",
        &["true", "off", "maybe"],
        expect![[r#"
        "true" on
        "off" 22023: invalid value for parameter "standard_conforming_strings": "off"
        "maybe" 22023: parameter "standard_conforming_strings" requires a Boolean value
    "#]],
    );
}
