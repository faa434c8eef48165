//! Array literals: PostgreSQL's own examples.

use expect_test::{Expect, expect};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&format!("{:?}", super::items(text)));
}

#[test]
fn items_are_split_unquoted_and_null() {
    check("{}", expect![[r#"Some([])"#]]);
    check("{0}", expect![[r#"Some([Some("0")])"#]]);
    check(
        "{ a , \"b,c\" ,NULL,\"NULL\"}",
        expect![[r#"Some([Some("a"), Some("b,c"), None, Some("NULL")])"#]],
    );
    check(r#"{"a\"b",c\,d}"#, expect![[r#"Some([Some("a\"b"), Some("c,d")])"#]]);
}

#[test]
fn malformed_literals_are_refused() {
    check("0", expect!["None"]);
    check("{1", expect!["None"]);
    check("{1,}", expect!["None"]);
    check("{\"a}", expect!["None"]);
    check("{{1},{2}}", expect!["None"]);
    check("{a\\", expect!["None"]);
}
