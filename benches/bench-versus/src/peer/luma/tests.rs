//! Both forms of the ready file.

use super::parse_ready;

#[test]
fn plain_and_json() {
    let addr = "127.0.0.1:41001".parse().unwrap();
    assert_eq!(parse_ready("127.0.0.1:41001\n"), Some(addr));
    let json = r#"{"kafka":"127.0.0.1:41001","pg":"127.0.0.1:1","http":"127.0.0.1:2"}"#;
    assert_eq!(parse_ready(json), Some(addr));
    assert_eq!(parse_ready(r#"{ "pg": "127.0.0.1:1", "kafka" : "127.0.0.1:41001" }"#), Some(addr));
}

#[test]
fn anything_else_is_not_ready() {
    for text in ["", "{}", "\"kafka\"", "\"kafka\":7"] {
        assert_eq!(parse_ready(text), None, "{text}");
    }
}
