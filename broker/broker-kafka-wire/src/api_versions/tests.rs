//! Golden bytes of ApiVersions, and its fallback for unknown versions.

use super::*;
use bytes::Bytes;

#[test]
fn golden_version_3() {
    let mut response = ApiVersionsResponse::of(&[ApiKey::Produce, ApiKey::Heartbeat]);
    response.finalized_features_epoch = 7;
    response.finalized_features = vec![FinalizedFeature {
        name: "tv".to_owned(),
        max_version_level: 2,
        min_version_level: 1,
    }];
    let frame = response.encode(3, 5).unwrap().to_bytes();
    let expect: &[u8] = &[
        0, 0, 0, 47, 0, 0, 0, 5, // size, correlation id; no header tags
        0, 0, 3, // error, two APIs
        0, 0, 0, 0, 0, 13, 0, // Produce advertised from 0
        0, 12, 0, 0, 0, 4, 0, // Heartbeat
        0, 0, 0, 0, // throttle
        2, 1, 8, 0, 0, 0, 0, 0, 0, 0, 7, // tag 1: epoch
        2, 9, 2, 3, b't', b'v', 0, 2, 0, 1, 0, // tag 2: features
    ];
    assert_eq!(frame, expect);
    assert_eq!(ApiVersionsResponse::decode(&frame.slice(4..), 3).unwrap(), (5, response));
}

#[test]
fn golden_unsupported_version() {
    let frame = ApiVersionsResponse::unsupported_version().encode(0, 1).unwrap().to_bytes();
    let expect: &[u8] = &[0, 0, 0, 16, 0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    assert_eq!(frame, expect);
}

#[test]
fn golden_requests() {
    let body = Bytes::from_static(&[3, b'r', b'd', 2, b'1', 0]);
    let request = ApiVersionsRequest::decode(&body, 3).unwrap();
    assert_eq!(
        (request.client_software_name.as_str(), request.client_software_version.as_str()),
        ("rd", "1")
    );
    assert_eq!(ApiVersionsRequest::decode(&Bytes::new(), 0), Ok(ApiVersionsRequest::default()));
}
