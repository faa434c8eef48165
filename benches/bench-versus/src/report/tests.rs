//! The forms of the output.

use super::{Section, Series, json_line, markdown, record};
use crate::scenario::{down, up};

#[test]
fn a_json_line_holds_every_figure() {
    let line = json_line("tail", "a\"b", 3, 1.0, &[up("MB/s", 2.5), down("p50", f64::NAN)]);
    assert_eq!(
        line,
        r#"{"scenario":"tail","subject":"a\"b","round":3,"calibration_ms":1.0000,"MB/s":2.5000,"p50":null}"#
    );
}

#[test]
fn the_table_compares_by_round_and_shows_what_only_one_side_has() {
    let series = |figures: &[[f64; 2]]| {
        let mut series = Series::new();
        for [speed, delay] in figures {
            record(&mut series, &[up("MB/s", *speed), down("p50", *delay)]);
        }
        series
    };
    let ours = series(&[[20.0, 1.0], [22.0, 1.0], [18.0, 1.0]]);
    let mut theirs = series(&[[10.0, 2.0], [11.0, 2.0], [9.0, 2.0]]);
    theirs.insert("extra", (true, vec![7.0]));
    let subjects = vec![("ours".to_owned(), ours), ("kafka".to_owned(), theirs)];
    let section =
        Section { scenario: "s".to_owned(), what: "w".to_owned(), subjects, failure: None };
    let table = markdown(&section);
    assert!(
        table.contains("| MB/s | 20.0 | kafka | 10.0 | 2.00 (2.00–2.00) | better | 3 |"),
        "{table}"
    );
    assert!(
        table.contains("| p50 | 1.00 | kafka | 2.00 | 0.50 (0.50–0.50) | better | 3 |"),
        "{table}"
    );
    assert!(table.contains("| extra | – | kafka | 7.00 | – | – | 1 |"), "{table}");
}
