//! Addresses as people write them.

use super::*;

#[test]
fn an_address_without_a_port_has_kafkas() {
    for (written, meant) in [
        ("127.0.0.1:9093", "127.0.0.1:9093"),
        ("127.0.0.1", "127.0.0.1:9092"),
        ("broker.example", "broker.example:9092"),
        ("a:1,b:2", "a:1"),
        ("::1", "[::1]:9092"),
        ("[::1]", "[::1]:9092"),
        ("[::1]:7", "[::1]:7"),
    ] {
        assert_eq!(first_broker(written), Ok(meant.to_owned()));
    }
}

/// They were looked up as host names.
#[test]
fn what_is_no_address_is_refused() {
    for written in
        ["", ":9092", "a:b", "a:99999", "a:b:c", "http://a:1", "[::1", "[x]:1", "me@a:1", "a b:1"]
    {
        let failure = first_broker(written).expect_err(written);
        assert_eq!(failure.exit, Exit::Usage, "{written}");
        assert!(failure.message.contains("is no address"), "{failure}");
    }
}

#[test]
fn pairs_have_a_name() {
    let one = |text: &str| pairs("--header", "NAME=VALUE", &[text.to_owned()]);
    assert_eq!(one("a=b=c"), Ok(vec![("a".to_owned(), "b=c".to_owned())]));
    assert_eq!(one("a="), Ok(vec![("a".to_owned(), String::new())]));
    for wrong in ["a", "=b", "", "="] {
        let failure = one(wrong).expect_err(wrong);
        let said = format!("--header {wrong:?}: expected NAME=VALUE");
        assert_eq!((failure.exit, failure.message), (Exit::Usage, said));
    }
}
