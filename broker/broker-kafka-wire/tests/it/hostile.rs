//! Hostile bytes into every decoder: refusals, never panics.

use crate::allocation::largest_allocation;
use crate::samples;
use broker_kafka_wire::*;
use bytes::Bytes;
use proptest::prelude::*;

/// Decodes a body as every request of every version it could be.
pub(crate) fn decode_request(api: ApiKey, version: i16, body: &Bytes) -> bool {
    match api {
        ApiKey::Produce => ProduceRequest::decode(body, version).is_ok(),
        ApiKey::Fetch => FetchRequest::decode(body, version).is_ok(),
        ApiKey::ListOffsets => ListOffsetsRequest::decode(body, version).is_ok(),
        ApiKey::Metadata => MetadataRequest::decode(body, version).is_ok(),
        ApiKey::ApiVersions => ApiVersionsRequest::decode(body, version).is_ok(),
        ApiKey::OffsetCommit => OffsetCommitRequest::decode(body, version).is_ok(),
        ApiKey::OffsetFetch => OffsetFetchRequest::decode(body, version).is_ok(),
        ApiKey::DescribeLogDirs => DescribeLogDirsRequest::decode(body, version).is_ok(),
        _ => decode_guarded(api, version, body).is_ok(),
    }
}

fn all_requests() -> impl Iterator<Item = (ApiKey, i16)> {
    APIS.iter().flat_map(|info| (info.min..=info.max).map(|version| (info.api, version)))
}

fn decode_responses(response: &Bytes) {
    for info in APIS {
        for version in info.min..=info.max {
            match info.api {
                ApiKey::Produce => drop(ProduceResponse::decode(response, version)),
                ApiKey::Fetch => drop(FetchResponse::decode(response, version)),
                ApiKey::ListOffsets => drop(ListOffsetsResponse::decode(response, version)),
                ApiKey::Metadata => drop(MetadataResponse::decode(response, version)),
                ApiKey::ApiVersions => drop(ApiVersionsResponse::decode(response, version)),
                ApiKey::OffsetCommit => drop(OffsetCommitResponse::decode(response, version)),
                ApiKey::OffsetFetch => drop(OffsetFetchResponse::decode(response, version)),
                ApiKey::DescribeLogDirs => drop(DescribeLogDirsResponse::decode(response, version)),
                _ => {}
            }
        }
    }
}

#[test]
fn the_known_metadata_bomb() {
    // Five bytes that made a decoder ask for 3.9 GB: an array of 54 million topics.
    let request = Bytes::from_static(&[
        0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0xff, 0x03, 0x3c, 0x0c, 0x00, 0xb6,
    ]);
    let (header, body) = RequestHeader::parse(&request).unwrap();
    let (largest, result) = largest_allocation(|| MetadataRequest::decode(&body, header.version));
    assert_eq!(result, Err(WireError::BadCount { count: 0x033c_0c00, available: 1 }));
    assert!(largest <= 1024, "{largest} bytes");
}

#[test]
fn bombs_allocate_in_proportion() {
    let plain: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x03, 0x3c, 0x0c, 0x00],
        &[0x00, 0x00, 0xff, 0xff],
        &[0x7f, 0xff],
    ];
    let compact: [&[u8]; 3] =
        [&[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff, 0xff, 0xff, 0xff, 0x07], &[0x80, 0x80, 0x04]];
    for (api, version) in all_requests() {
        for bomb in plain.iter().chain(&compact) {
            for lead in 0..40 {
                for fill in [0x00, 0x01, 0x7f] {
                    let mut body = vec![0; lead];
                    body.extend_from_slice(bomb);
                    body.extend_from_slice(&[fill; 64]);
                    let body = Bytes::from(body);
                    let (largest, _) = largest_allocation(|| decode_request(api, version, &body));
                    let allowed = 1024 + 256 * body.len();
                    assert!(largest <= allowed, "{api} {version}: {largest} bytes for {body:02x?}");
                }
            }
        }
    }
}

#[test]
fn bombs_inside_filled_requests() {
    for version in 4..=18 {
        let frame = samples::fetch_request().encode(version, 5, Some("c")).unwrap().to_bytes();
        let (_, body) = RequestHeader::parse(&frame.slice(4..)).unwrap();
        for at in 0..body.len() {
            for bomb in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
                let mut forged = body.to_vec();
                let end = (at + bomb.len()).min(forged.len());
                forged.splice(at..end, bomb.iter().copied());
                let forged = Bytes::from(forged);
                let (largest, _) =
                    largest_allocation(|| FetchRequest::decode(&forged, version).is_ok());
                assert!(
                    largest <= 1024 + 256 * forged.len(),
                    "Fetch {version} at {at}: {largest} bytes"
                );
            }
        }
    }
}

#[test]
fn duplicate_known_tags_are_refused() {
    // ApiVersions 3 response: error, no keys, throttle, then the epoch twice.
    let tag = [1, 8, 0, 0, 0, 0, 0, 0, 0, 7];
    let head = [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0];
    let once = [&head[..], &[1], &tag].concat();
    assert!(ApiVersionsResponse::decode(&Bytes::from(once), 3).is_ok());
    let twice = [&head[..], &[2], &tag, &tag].concat();
    assert_eq!(
        ApiVersionsResponse::decode(&Bytes::from(twice), 3),
        Err(WireError::BadTag { tag: 1 })
    );
    let long = [&head[..], &[1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0]].concat();
    assert_eq!(
        ApiVersionsResponse::decode(&Bytes::from(long), 3),
        Err(WireError::BadTag { tag: 1 })
    );
}

#[test]
fn many_small_elements_stop_at_the_limit() {
    // Empty names: two bytes each, all of them really there.
    let count = ELEMENTS_MAX + 1;
    let mut body = i32::try_from(count).unwrap().to_be_bytes().to_vec();
    body.resize(4 + 2 * count, 0);
    let body = Bytes::from(body);
    let (largest, result) = largest_allocation(|| MetadataRequest::decode(&body, 0));
    assert_eq!(result, Err(WireError::TooManyElements));
    assert!(largest <= 1024);
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let body = Bytes::from(noise);
        let _ = RequestHeader::parse(&body);
        for (api, version) in all_requests() {
            let (largest, _) = largest_allocation(|| decode_request(api, version, &body));
            prop_assert!(largest <= 1024 + 256 * body.len(), "{} {}: {}", api, version, largest);
        }
        decode_responses(&body);
    }

    #[test]
    fn small_noise_never_panics(noise in proptest::collection::vec(0u8..4, 0..200)) {
        let body = Bytes::from(noise);
        for (api, version) in all_requests() {
            let _ = decode_request(api, version, &body);
        }
        decode_responses(&body);
    }

    #[test]
    fn flipped_bits_never_panic(at in any::<proptest::sample::Index>(), bit in 0u32..8, version in 4i16..=18) {
        let frame = samples::fetch_response().encode(version, 5).unwrap().to_bytes();
        let mut bytes = frame.slice(4..).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = FetchResponse::decode(&Bytes::from(bytes), version);
    }
}
