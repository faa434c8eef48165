//! Headers: golden bytes, refusals that can be answered, truncation.

use super::*;
use crate::api::APIS;
use proptest::prelude::*;

#[test]
fn semantics_34_headers_plain_and_flexible() {
    // Metadata 0 from client "me".
    let plain = Bytes::from_static(&[0, 3, 0, 0, 0, 0, 0, 9, 0, 2, b'm', b'e', 0xaa]);
    let (header, body) = RequestHeader::parse(&plain).unwrap();
    let expect = RequestHeader {
        api: ApiKey::Metadata,
        version: 0,
        correlation_id: 9,
        client_id: Some("me".to_owned()),
    };
    assert_eq!((header, &body[..]), (expect, &[0xaa][..]));
    // Metadata 9: the client id stays non-compact, one unknown tag follows.
    let flexible = Bytes::from_static(&[0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xff, 1, 5, 1, 0xbb, 0xaa]);
    let (header, body) = RequestHeader::parse(&flexible).unwrap();
    assert_eq!((header.version, header.client_id, &body[..]), (9, None, &[0xaa][..]));
}

#[test]
fn refusals_carry_the_correlation_id() {
    let unknown = Bytes::from_static(&[0x7f, 0xff, 0, 1, 0, 0, 0, 5]);
    assert_eq!(
        RequestHeader::parse(&unknown),
        Err(WireError::UnknownApi { key: 32767, version: 1, correlation_id: 5 })
    );
    let version = Bytes::from_static(&[0, 18, 0x27, 0x0f, 0, 0, 0, 6]);
    assert_eq!(
        RequestHeader::parse(&version),
        Err(WireError::UnsupportedVersion {
            api: ApiKey::ApiVersions,
            version: 9999,
            correlation_id: 6
        })
    );
    let negative = Bytes::from_static(&[0, 3, 0xff, 0xff, 0, 0, 0, 7]);
    assert!(matches!(
        RequestHeader::parse(&negative),
        Err(WireError::UnsupportedVersion { version: -1, correlation_id: 7, .. })
    ));
}

#[test]
fn every_row_round_trips_and_every_truncation_fails() {
    for info in APIS {
        for version in info.min..=info.max {
            let frame =
                request_writer(info.api, version, -3, Some("client")).unwrap().finish().unwrap();
            let bytes = frame.to_bytes().slice(4..);
            let (header, body) = RequestHeader::parse(&bytes).unwrap();
            assert_eq!(
                (header.api, header.version, header.correlation_id),
                (info.api, version, -3)
            );
            assert!(body.is_empty());
            for len in 0..bytes.len() {
                assert!(RequestHeader::parse(&bytes.slice(..len)).is_err());
            }
        }
    }
}

#[test]
fn table_is_sorted_and_consistent() {
    assert!(APIS.windows(2).all(|pair| pair[0].api < pair[1].api));
    for info in APIS {
        assert_eq!(ApiKey::from_key(info.api.key()), Some(info.api));
        assert_eq!(info.api.info(), *info);
        assert!(info.min <= info.max && info.advertised_min() <= info.min);
        assert!(info.supports(info.min) && info.supports(info.max) && !info.supports(info.max + 1));
    }
}

#[test]
fn semantics_34_response_header_versions() {
    assert!(!ApiKey::ApiVersions.response_header_flexible(4));
    assert!(
        ApiKey::Fetch.response_header_flexible(12) && !ApiKey::Fetch.response_header_flexible(11)
    );
    assert!(!ApiKey::OffsetDelete.response_header_flexible(0));
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = RequestHeader::parse(&Bytes::from(noise));
    }
}
