//! The Kafka wire: request headers, every request body at every version, and the responses of the own codec.
//!
//! An input is `api (index) ┼ version (above the lowest) ┼ body`, both taken modulo what exists, so that every decoder
//! gets its share whatever the mutations do.
//!
//! Promises: what was decoded can be encoded; decoding that gives the same message; encoding is stable. Of requests besides:
//! decoding in slices, as the broker does, gives what decoding at once gives; the walk that weighs a request before lets
//! pass what can be decoded, and names at least the memory that decoding it takes.

use broker_kafka_wire::{
    APIS, ApiInfo, ApiKey, ApiVersionsRequest, ApiVersionsResponse, Cost, DescribeLogDirsRequest,
    DescribeLogDirsResponse, ELEMENTS_MAX, FetchRequest, FetchResponse, Frame,
    GUARDED_ELEMENTS_MAX, Guarded, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, ProduceRequest, ProduceResponse, RequestHeader, WireError, decode_guarded,
    encode_guarded_request,
};
use bytes::Bytes;

use super::now::now;
use crate::target::{Limit, Steps, Verdict};

const CORRELATION_ID: i32 = 0x0102_0304;

/// An empty element of the smallest structs takes 2 bytes on the wire and up to 128 in memory; the number of elements
/// in a message is bounded by `ELEMENTS_MAX` besides.
pub(super) const MEMORY: Limit = Limit { base: 64 << 10, factor: 64 };

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff",
    b"\x7f\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\x07",
    b"\x80\x80\x04",
    b"\x01\0\0",
    b"\x02\0\x01a\x01\x01b",
    b"\0\0\0\x01\0\x01a",
    b"\x02\x02a",
];

fn framed(frame: &Frame) -> Bytes {
    frame.to_bytes().slice(4..)
}

fn select(infos: &[ApiInfo], api: u8, version: u8) -> Option<(ApiKey, i16)> {
    let info = infos.get(usize::from(api) % infos.len().max(1))?;
    let count = info.max - info.min + 1;
    Some((info.api, info.min + i16::from(version) % count))
}

fn own() -> Vec<ApiInfo> {
    APIS.iter().filter(|info| info.api.has_own_codec()).copied().collect()
}

pub(super) fn header(input: &[u8], steps: &Steps) -> Verdict {
    let request = Bytes::copy_from_slice(input);
    let parsed = steps.decoding(|| RequestHeader::parse(&request));
    if let Ok((header, body)) = &parsed {
        assert!(header.api.info().supports(header.version), "{} {}", header.api, header.version);
        assert!(request.ends_with(body), "the body is the end of the request");
    }
    if let Err(
        WireError::UnknownApi { correlation_id, .. }
        | WireError::UnsupportedVersion { correlation_id, .. },
    ) = parsed
    {
        let found = request.get(4..8).expect("the header was read");
        assert_eq!(found, correlation_id.to_be_bytes(), "the answer names the request");
    }
    Verdict::of(&parsed)
}

/// What the runner of a future takes.
const POLLING_BYTES: usize = 64;

/// Holds the walk against decoding: it may let pass what decoding refuses, never the reverse. What a refusal says is not
/// named.
fn check_cost<T>(
    cost: &Result<Cost, WireError>,
    decoded: &Result<T, WireError>,
    elements_max: usize,
    steps: &Steps,
) {
    if decoded.is_err() {
        return;
    }
    let cost = cost.as_ref().expect("the walk lets pass what decodes");
    assert!(cost.elements <= elements_max, "{} elements", cost.elements);
    let peak_bytes = steps.decoded().map_or(0, |usage| usage.peak_bytes);
    let named = cost.bytes + POLLING_BYTES;
    assert!(peak_bytes <= named, "decoding takes {peak_bytes} bytes, {named} were named");
}

/// Decode, encode, decode, encode: the messages and the bytes agree.
macro_rules! request_round_trip {
    ($type:ident, $body:expr, $version:expr, $steps:expr) => {{
        let decoded = $steps.decoding(|| now($type::decode_paced(&$body, $version)));
        assert_eq!(decoded, $type::decode(&$body, $version), "in slices and at once");
        let cost = now($type::cost(&$body, $version));
        check_cost(&cost, &decoded, ELEMENTS_MAX, $steps);
        if let Ok(message) = &decoded {
            let frame =
                message.encode($version, CORRELATION_ID, Some("f")).expect("it was decoded");
            let frame = framed(&frame);
            let (header, body) = RequestHeader::parse(&frame).expect("our own header");
            assert_eq!((header.version, header.correlation_id), ($version, CORRELATION_ID));
            let again = $type::decode(&body, $version).expect("our own encoding");
            assert_eq!(&again, message, "{} {}", stringify!($type), $version);
            let twice = again.encode($version, CORRELATION_ID, Some("f")).expect("it was decoded");
            assert_eq!(framed(&twice), frame, "{} {}", stringify!($type), $version);
        }
        Verdict::of(&decoded)
    }};
}

pub(super) fn request(input: &[u8], steps: &Steps) -> Verdict {
    let [api, version, body @ ..] = input else { return Verdict::Refused };
    let Some((api, version)) = select(APIS, *api, *version) else { return Verdict::Refused };
    let body = Bytes::copy_from_slice(body);
    match api {
        ApiKey::Produce => request_round_trip!(ProduceRequest, body, version, steps),
        ApiKey::Fetch => request_round_trip!(FetchRequest, body, version, steps),
        ApiKey::ListOffsets => request_round_trip!(ListOffsetsRequest, body, version, steps),
        ApiKey::Metadata => request_round_trip!(MetadataRequest, body, version, steps),
        ApiKey::ApiVersions => request_round_trip!(ApiVersionsRequest, body, version, steps),
        ApiKey::OffsetCommit => request_round_trip!(OffsetCommitRequest, body, version, steps),
        ApiKey::OffsetFetch => request_round_trip!(OffsetFetchRequest, body, version, steps),
        ApiKey::DescribeLogDirs => {
            request_round_trip!(DescribeLogDirsRequest, body, version, steps)
        }
        _ => guarded(api, version, &body, steps),
    }
}

/// The same for the third-party codec behind the guard, which must also agree with what it passes on.
fn guarded(api: ApiKey, version: i16, body: &Bytes, steps: &Steps) -> Verdict {
    let decoded = steps.decoding(|| decode_guarded(api, version, body));
    check_cost(
        &Guarded::check(api, version, body).map(|one| one.cost()),
        &decoded,
        GUARDED_ELEMENTS_MAX,
        steps,
    );
    if let Ok(message) = &decoded
        && let Ok(frame) = encode_guarded_request(api, version, CORRELATION_ID, None, message)
    {
        let (_, body) = RequestHeader::parse(&framed(&frame)).expect("our own header");
        match decode_guarded(api, version, &body) {
            Ok(again) => assert_eq!(&again, message, "{api} {version}"),
            Err(error) => {
                panic!("{api} {version}: the guard refuses the codec's own bytes: {error}")
            }
        }
    }
    Verdict::of(&decoded)
}

macro_rules! response_round_trip {
    ($type:ident, $bytes:expr, $version:expr, $steps:expr) => {{
        let decoded = $steps.decoding(|| $type::decode(&$bytes, $version));
        if let Ok((correlation_id, message)) = &decoded {
            let frame = framed(&message.encode($version, *correlation_id).expect("it was decoded"));
            let again = $type::decode(&frame, $version).expect("our own encoding");
            assert_eq!(again, (*correlation_id, message.clone()), "{}", $version);
        }
        Verdict::of(&decoded)
    }};
}

pub(super) fn response(input: &[u8], steps: &Steps) -> Verdict {
    let [api, version, bytes @ ..] = input else { return Verdict::Refused };
    let Some((api, version)) = select(&own(), *api, *version) else { return Verdict::Refused };
    let bytes = Bytes::copy_from_slice(bytes);
    match api {
        ApiKey::Produce => response_round_trip!(ProduceResponse, bytes, version, steps),
        ApiKey::Fetch => response_round_trip!(FetchResponse, bytes, version, steps),
        ApiKey::ListOffsets => response_round_trip!(ListOffsetsResponse, bytes, version, steps),
        ApiKey::Metadata => response_round_trip!(MetadataResponse, bytes, version, steps),
        ApiKey::OffsetCommit => response_round_trip!(OffsetCommitResponse, bytes, version, steps),
        ApiKey::OffsetFetch => response_round_trip!(OffsetFetchResponse, bytes, version, steps),
        ApiKey::DescribeLogDirs => {
            response_round_trip!(DescribeLogDirsResponse, bytes, version, steps)
        }
        _ => response_round_trip!(ApiVersionsResponse, bytes, version, steps),
    }
}

fn each(infos: &[ApiInfo], mut body: impl FnMut(ApiKey, i16) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, info) in (0u8..).zip(infos) {
        for (above, version) in (0u8..).zip(info.min..=info.max) {
            for body in body(info.api, version) {
                seeds.push([&[index, above], body.as_slice()].concat());
            }
        }
    }
    seeds
}

/// Empty and repetitive bodies, which are valid more often than one would think; the corpus holds filled ones.
pub(super) fn request_seeds() -> Vec<Vec<u8>> {
    each(APIS, |_, _| vec![vec![0; 40], vec![1; 40]])
}

/// The defaults of every response of the own codec.
pub(super) fn response_seeds() -> Vec<Vec<u8>> {
    each(&own(), |api, version| {
        let frame = match api {
            ApiKey::Produce => ProduceResponse::default().encode(version, 1),
            ApiKey::Fetch => FetchResponse::default().encode(version, 1),
            ApiKey::ListOffsets => ListOffsetsResponse::default().encode(version, 1),
            ApiKey::Metadata => MetadataResponse::default().encode(version, 1),
            ApiKey::OffsetCommit => OffsetCommitResponse::default().encode(version, 1),
            ApiKey::OffsetFetch => OffsetFetchResponse::default().encode(version, 1),
            ApiKey::DescribeLogDirs => DescribeLogDirsResponse::default().encode(version, 1),
            _ => ApiVersionsResponse::of(&[api]).encode(version, 1),
        };
        vec![framed(&frame.expect("defaults encode")).to_vec()]
    })
}
