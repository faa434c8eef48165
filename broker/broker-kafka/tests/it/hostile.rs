//! Bytes that no client sends: for every API and version the handlers answer or refuse, and never panic.

use broker_kafka::SERVED;
use broker_kafka_wire::ApiKey;
use bytes::Bytes;
use proptest::prelude::*;

use crate::client::Client;

/// A request of this API and version with `body`, whatever it is.
fn request(api: ApiKey, version: i16, body: &[u8]) -> Bytes {
    let mut request = Vec::new();
    request.extend_from_slice(&api.key().to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&1_i32.to_be_bytes());
    request.extend_from_slice(&(-1_i16).to_be_bytes());
    if api.flexible(version) {
        request.push(0);
    }
    request.extend_from_slice(body);
    Bytes::from(request)
}

/// Joins and syncs may wait for other members for ever; everything else must be answered.
fn may_wait(api: ApiKey) -> bool {
    matches!(api, ApiKey::JoinGroup | ApiKey::SyncGroup)
}

fn everywhere(body: &[u8]) {
    let client = Client::with_topic();
    for api in SERVED.iter().filter(|api| !may_wait(**api)) {
        let info = api.info();
        for version in info.min..=info.max {
            // Refused or answered, both are fine.
            let _ = client.send(request(*api, version, body));
        }
    }
}

#[test]
fn bodies_of_one_repeated_byte() {
    for byte in [0, 1, 2, 4, 0x7f, 0x80, 0xff] {
        for length in [0, 1, 2, 7, 64, 300] {
            everywhere(&vec![byte; length]);
        }
    }
}

/// Small numbers and letters: arrays with a few elements, strings, topics named `t`.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(0_u8),
        3 => 1_u8..=4,
        2 => Just(b't'),
        1 => Just(0xff_u8),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..160)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plausible_bodies_never_panic(body in plausible()) {
        everywhere(&body);
    }

    #[test]
    fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..120)) {
        everywhere(&body);
    }

    #[test]
    fn random_requests_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let client = Client::with_topic();
        if bytes.get(..2) != Some(&[0, 11]) && bytes.get(..2) != Some(&[0, 14]) {
            let _ = client.send(Bytes::from(bytes));
        }
    }
}
