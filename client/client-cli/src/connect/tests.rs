//! Addresses as people write them.

use super::with_port;

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
        assert_eq!(with_port(written), meant);
    }
}
