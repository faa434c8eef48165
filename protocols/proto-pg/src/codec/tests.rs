//! Golden bytes, truncation at every length, and arbitrary bytes: a decoder answers, it never panics.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{
    Frame, Message, Report, Startup, decode_frame, decode_message, decode_startup, error_response,
    ready_for_query,
};

#[test]
fn golden_bytes() {
    let mut input = BytesMut::from(&b"Q\0\0\0\x0dSELECT 1\0S\0\0\0\x04"[..]);
    let frame = decode_frame(&mut input, 100).unwrap().unwrap();
    assert_eq!(decode_message(frame).unwrap(), Message::Query { sql: "SELECT 1".to_owned() });
    let frame = decode_frame(&mut input, 100).unwrap().unwrap();
    assert_eq!(decode_message(frame).unwrap(), Message::Sync);
    assert_eq!(decode_frame(&mut input, 100).unwrap(), None);

    let mut out = BytesMut::new();
    ready_for_query(&mut out, b'T');
    assert_eq!(out, b"Z\0\0\0\x05T"[..]);
    out.clear();
    error_response(&mut out, &Report::error("42601", "a\0b"));
    assert_eq!(out, b"E\0\0\0\x1eSERROR\0VERROR\0C42601\0Mab\0\0"[..]);
}

#[test]
fn truncation_at_every_length_waits() {
    let startup = b"\0\0\0\x12\0\x03\0\0user\0ada\0\0";
    for len in 0..startup.len() {
        let mut input = BytesMut::from(&startup[..len]);
        assert_eq!(decode_startup(&mut input, 10_000).unwrap(), None, "{len}");
    }
    let mut input = BytesMut::from(&startup[..]);
    let expect = Startup::Start { minor: 0, parameters: vec![("user".into(), "ada".into())] };
    assert_eq!(decode_startup(&mut input, 10_000).unwrap(), Some(expect));
    let bind = b"B\0\0\0\x12\0\0\0\0\0\x01\xff\xff\xff\xff\0\0";
    for len in 0..bind.len() {
        let mut input = BytesMut::from(&bind[..len]);
        assert_eq!(decode_frame(&mut input, 100).unwrap(), None, "{len}");
        // A body cut anywhere is an error, not a shorter message.
        if let Some(body) = bind.get(5..len) {
            let frame = Frame { tag: b'B', body: Bytes::copy_from_slice(body) };
            decode_message(frame).unwrap_err();
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_startup_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut input = BytesMut::from(&bytes[..]);
        let _ = decode_startup(&mut input, 10_000);
    }

    #[test]
    fn arbitrary_bodies(tag in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode_message(Frame { tag, body: body.into() });
    }
}
