//! The records that every client sends, as `e2e/clients/python/common.py` has them, and their comparison.

use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders, OwnedMessage},
};
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

pub const COUNT: i64 = 300;

/// Milliseconds; an hour ago, so that retention by time would show.
static BASE_MS: LazyLock<i64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_secs()).expect("seconds fit") * 1000 - 3_600_000
});

pub fn key(i: i64) -> Option<Vec<u8>> {
    (i % 7 != 0).then(|| format!("key-{}", i % 13).into_bytes())
}

pub fn value(i: i64) -> Vec<u8> {
    if i % 11 == 0 {
        return Vec::new();
    }
    if i % 17 == 0 {
        return (0..2000).map(|j| u8::try_from((i * 31 + j * 7) % 256).expect("a byte")).collect();
    }
    let price = f64::from(i32::try_from(i).expect("a small number")) / 4.0;
    format!(r#"{{"id": {i}, "name": "n{i}", "price": {price}, "even": {}}}"#, i % 2 == 0)
        .into_bytes()
}

/// Duplicate names, an empty value and bytes that are no UTF-8: all of them must survive.
pub fn headers(i: i64) -> Vec<(String, Vec<u8>)> {
    if i % 3 != 0 {
        return Vec::new();
    }
    let named = |name: &str, value: Vec<u8>| (name.to_owned(), value);
    let binary = [b"\xff\x00".as_slice(), i.to_string().as_bytes()].concat();
    vec![
        named("trace", format!("t{i}").into_bytes()),
        named("trace", binary),
        named("empty", Vec::new()),
    ]
}

pub fn owned_headers(i: i64) -> OwnedHeaders {
    headers(i).iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

pub fn timestamp_ms(i: i64) -> i64 {
    *BASE_MS + i * 10
}

/// What is compared of a record that came back.
pub fn owned(message: &BorrowedMessage<'_>) -> OwnedMessage {
    message.detach()
}

/// All records of the set, once and in order, from offset 0.
pub fn check(got: &[OwnedMessage]) {
    assert_eq!(got.len() as i64, COUNT, "records came back");
    for (message, i) in got.iter().zip(0..) {
        assert_eq!(message.offset(), i, "offset of record {i}");
        assert_eq!(message.key().map(<[u8]>::to_vec), key(i), "key of record {i}");
        assert_eq!(message.payload().unwrap_or_default(), value(i), "value of record {i}");
        assert_eq!(
            message.timestamp().to_millis(),
            Some(timestamp_ms(i)),
            "timestamp of record {i}"
        );
        let pair = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        let found: Vec<_> =
            message.headers().map(|all| all.iter().map(pair).collect()).unwrap_or_default();
        assert_eq!(found, headers(i), "headers of record {i}");
    }
}
