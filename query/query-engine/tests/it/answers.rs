//! Answers that DataFusion gets wrong over several partitions; what one partition shows is in `postgres.txt`.

use expect_test::expect;

use crate::support::Log;

/// `WHERE s = 'x'` made `s` constant and sorted also in the rows of the sets that leave it out: groups that met from several
/// partitions were not merged, and ORDER BY sorted nothing.
#[test]
fn grouping_sets_over_several_partitions_are_merged() {
    let log = Log::new("p", &[&[], &[], &[]]);
    for partition in 0..3 {
        let values = (0..60).map(|at| {
            let (a, s) = (at % 3, if at % 2 == 0 { "x" } else { "y" });
            format!(r#"{{"a":{a},"s":"{s}"}}"#)
        });
        log.memory.push("p", partition, values);
    }
    log.check(
        "SELECT a, s, count(*) FROM p WHERE s = 'x' GROUP BY ROLLUP (a, s) ORDER BY a, s",
        expect![[r#"
            a|s|count
            Int8(0)|x|Int8(30)
            Int8(0)|NULL|Int8(30)
            Int8(1)|x|Int8(30)
            Int8(1)|NULL|Int8(30)
            Int8(2)|x|Int8(30)
            Int8(2)|NULL|Int8(30)
            NULL|NULL|Int8(90)
        "#]],
    );
    log.check(
        "SELECT s, count(*) FROM p WHERE s = 'x' GROUP BY ROLLUP (s) ORDER BY s",
        expect![[r#"
            s|count
            x|Int8(90)
            NULL|Int8(90)
        "#]],
    );
    log.check(
        "SELECT s, a, count(*) FROM p WHERE s = 'x' GROUP BY CUBE (s, a) ORDER BY s, a",
        expect![[r#"
            s|a|count
            x|Int8(0)|Int8(30)
            x|Int8(1)|Int8(30)
            x|Int8(2)|Int8(30)
            x|NULL|Int8(90)
            NULL|Int8(0)|Int8(30)
            NULL|Int8(1)|Int8(30)
            NULL|Int8(2)|Int8(30)
            NULL|NULL|Int8(90)
        "#]],
    );
}
