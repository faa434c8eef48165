//! The own codec against `kafka-protocol`, for every version both know: the same bytes, the same field values.

use crate::samples;
use broker_kafka_wire::*;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};

/// Where the crate names a field otherwise. Ids of 16 bytes print differently; byte equality covers them.
const RENAMED: [(&str, &str); 12] = [
    ("index", "partition"),
    ("partition_index", "partition"),
    ("batch_index_error_message", "message"),
    ("partition_indexes", "partitions"),
    ("committed_offset", "offset"),
    ("committed_leader_epoch", "leader_epoch"),
    ("committed_metadata", "metadata"),
    ("partition_size", "size"),
    // Not in the crate yet.
    ("is_cordoned", ""),
    ("topic_id", ""),
    ("replica_directory_id", ""),
    ("unknown_tagged_fields", ""),
];

/// The (field, value) pairs of a `Debug` print, sorted: types and nesting are dropped.
fn leaves(debug: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut field = String::new();
    let mut rest = debug;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let (token, tail) = if rest.starts_with("b\"") || first == '"' {
            let quotes: Vec<_> = rest.match_indices('"').take(2).map(|(at, _)| at).collect();
            rest.split_at(quotes.last().map_or(rest.len(), |close| close + 1))
        } else if is_word(first) {
            rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()))
        } else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = tail;
        if tail.starts_with(": ") {
            field = RENAMED
                .iter()
                .find(|(from, _)| *from == token)
                .map_or(token, |(_, to)| *to)
                .to_owned();
            continue;
        }
        let value = token.parse::<i64>().is_ok()
            || ["true", "false", "None"].contains(&token)
            || token.ends_with('"');
        // "Nothing to read" is null to the crate and no slices to us.
        let empty_records = field == "records" && ["None", "b\"\""].contains(&token);
        if value && !field.is_empty() && !empty_records {
            found.push((field.clone(), token.to_owned()));
        }
    }
    found.sort();
    found
}

/// Checks one body against the crate's type.
fn check_body<T>(body: &Bytes, version: i16, ours: &str, at: &str)
where
    T: Decodable + Encodable + std::fmt::Debug,
{
    let mut rest = body.clone();
    let decoded = T::decode(&mut rest, version).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(rest.is_empty(), "{at}: {} bytes left", rest.len());
    let mut again = BytesMut::new();
    decoded.encode(&mut again, version).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(again, body, "{at}: {decoded:?}");
    let theirs = format!("{decoded:?}");
    assert_eq!(leaves(ours), leaves(&theirs), "{at}:\n{ours}\n{theirs}");
}

/// What was read in one version and written in another: where the crate can write it, we write the same. Finds
/// fields whose version range is wrong, which a round trip within one version cannot.
fn check_across<T>(
    bodies: &[(i16, Bytes)],
    ours_across: impl Fn(&Bytes, i16, i16) -> Bytes,
    written_min: usize,
) where
    T: Decodable + Encodable + Message,
{
    let mut written = 0;
    for (from, body) in bodies.iter().filter(|(from, _)| *from <= T::VERSIONS.max) {
        let theirs =
            T::decode(&mut body.clone(), *from).unwrap_or_else(|error| panic!("{from}: {error}"));
        for (to, _) in bodies.iter().filter(|(to, _)| *to <= T::VERSIONS.max) {
            let mut expect = BytesMut::new();
            // The crate refuses to drop fields that are not marked ignorable.
            if theirs.encode(&mut expect, *to).is_ok() {
                assert_eq!(ours_across(body, *from, *to), expect, "from {from} to {to}");
                written += 1;
            }
        }
    }
    assert!(written >= written_min, "{written} pairs compared");
}

macro_rules! request_differential {
    ($test:ident, $ours:ident, $sample:expr, $api:expr, $missing:expr) => {
        #[test]
        fn $test() {
            let mut compared = 0;
            let mut bodies = Vec::new();
            for version in $api.info().min..=$api.info().max {
                let at = format!("{} {version}", $api);
                let frame = $sample.encode(version, 5, Some("c")).unwrap().to_bytes();
                let (header, body) = RequestHeader::parse(&frame.slice(4..)).unwrap();
                assert_eq!((header.version, header.correlation_id), (version, 5));
                let decoded = $ours::decode(&body, version).unwrap();
                assert_eq!(
                    decoded.encode(version, 5, Some("c")).unwrap().to_bytes(),
                    frame,
                    "{at}"
                );
                for len in 0..body.len() {
                    assert!(
                        $ours::decode(&body.slice(..len), version).is_err(),
                        "{at} cut to {len}"
                    );
                }
                if <theirs::$ours as Message>::VERSIONS.max >= version {
                    check_body::<theirs::$ours>(&body, version, &format!("{decoded:?}"), &at);
                    compared += 1;
                }
                bodies.push((version, body));
            }
            let across = |body: &Bytes, from, to| {
                let frame =
                    $ours::decode(body, from).unwrap().encode(to, 5, None).unwrap().to_bytes();
                RequestHeader::parse(&frame.slice(4..)).unwrap().1
            };
            check_across::<theirs::$ours>(&bodies, across, bodies.len());
            assert_eq!(compared, $api.info().max - $api.info().min + 1 - $missing);
        }
    };
}

macro_rules! response_differential {
    ($test:ident, $ours:ident, $sample:expr, $api:expr, $missing:expr) => {
        #[test]
        fn $test() {
            let mut compared = 0;
            let mut bodies = Vec::new();
            for version in $api.info().min..=$api.info().max {
                let at = format!("{} {version}", $api);
                let frame = $sample.encode(version, 5).unwrap().to_bytes();
                let response = frame.slice(4..);
                let (correlation_id, decoded) = $ours::decode(&response, version).unwrap();
                assert_eq!(correlation_id, 5);
                assert_eq!(decoded.encode(version, 5).unwrap().to_bytes(), frame, "{at}");
                for len in 0..response.len() {
                    assert!(
                        $ours::decode(&response.slice(..len), version).is_err(),
                        "{at} cut to {len}"
                    );
                }
                let body =
                    response.slice(4 + usize::from($api.response_header_flexible(version))..);
                if <theirs::$ours as Message>::VERSIONS.max >= version {
                    check_body::<theirs::$ours>(&body, version, &format!("{decoded:?}"), &at);
                    compared += 1;
                }
                bodies.push((version, body));
            }
            let across = |body: &Bytes, from, to| {
                // The decoder wants a header: a correlation id, and no tags where the version has them.
                let mut response = vec![0; 4 + usize::from($api.response_header_flexible(from))];
                response.extend_from_slice(body);
                let (_, message) = $ours::decode(&Bytes::from(response), from).unwrap();
                let skip = 8 + usize::from($api.response_header_flexible(to));
                message.encode(to, 5).unwrap().to_bytes().slice(skip..)
            };
            check_across::<theirs::$ours>(&bodies, across, bodies.len());
            assert_eq!(compared, $api.info().max - $api.info().min + 1 - $missing);
        }
    };
}

request_differential!(
    produce_request,
    ProduceRequest,
    samples::produce_request(),
    ApiKey::Produce,
    0
);
response_differential!(
    produce_response,
    ProduceResponse,
    samples::produce_response(),
    ApiKey::Produce,
    0
);
request_differential!(fetch_request, FetchRequest, samples::fetch_request(), ApiKey::Fetch, 0);
response_differential!(fetch_response, FetchResponse, samples::fetch_response(), ApiKey::Fetch, 0);
request_differential!(
    metadata_request,
    MetadataRequest,
    samples::metadata_request(),
    ApiKey::Metadata,
    0
);
response_differential!(
    metadata_response,
    MetadataResponse,
    samples::metadata_response(),
    ApiKey::Metadata,
    0
);
// The crate ends at ListOffsets 10; version 11 only adds a timestamp value.
request_differential!(
    list_offsets_request,
    ListOffsetsRequest,
    samples::list_offsets_request(),
    ApiKey::ListOffsets,
    1
);
response_differential!(
    list_offsets_response,
    ListOffsetsResponse,
    samples::list_offsets_response(),
    ApiKey::ListOffsets,
    1
);
request_differential!(
    api_versions_request,
    ApiVersionsRequest,
    samples::api_versions_request(),
    ApiKey::ApiVersions,
    0
);
response_differential!(
    api_versions_response,
    ApiVersionsResponse,
    samples::api_versions_response(),
    ApiKey::ApiVersions,
    0
);

// The crate ends at 9 for the two requests, though its responses have 10, and at DescribeLogDirs 4; golden bytes cover
// the last versions.
request_differential!(
    offset_commit_request,
    OffsetCommitRequest,
    samples::offset_commit_request(),
    ApiKey::OffsetCommit,
    1
);
response_differential!(
    offset_commit_response,
    OffsetCommitResponse,
    samples::offset_commit_response(),
    ApiKey::OffsetCommit,
    0
);
request_differential!(
    offset_fetch_request,
    OffsetFetchRequest,
    samples::offset_fetch_request(),
    ApiKey::OffsetFetch,
    1
);
response_differential!(
    offset_fetch_response,
    OffsetFetchResponse,
    samples::offset_fetch_response(),
    ApiKey::OffsetFetch,
    0
);
request_differential!(
    describe_log_dirs_request,
    DescribeLogDirsRequest,
    samples::describe_log_dirs_request(),
    ApiKey::DescribeLogDirs,
    1
);
response_differential!(
    describe_log_dirs_response,
    DescribeLogDirsResponse,
    samples::describe_log_dirs_response(),
    ApiKey::DescribeLogDirs,
    1
);

#[test]
fn list_offsets_11_is_10() {
    let body = |version| {
        samples::list_offsets_request().encode(version, 5, None).unwrap().to_bytes().slice(8..)
    };
    assert_eq!(body(10), body(11));
}

#[test]
fn defaults_agree_too() {
    for version in 4..=18 {
        let frame = FetchResponse::default().encode(version, 1).unwrap().to_bytes();
        let from = 8 + usize::from(ApiKey::Fetch.response_header_flexible(version));
        let mut body = BytesMut::new();
        theirs::FetchResponse::default().encode(&mut body, version).unwrap();
        assert_eq!(frame.slice(from..), body);
    }
}

#[test]
fn leaves_sees_a_swap() {
    assert_ne!(leaves("A { x: Offset(1), y: 2 }"), leaves("B { x: 2, y: 1 }"));
    assert_eq!(leaves("A { x: Offset(1), s: Some(\"q, r\") }"), leaves("B { s: \"q, r\", x: 1 }"));
}

#[test]
fn produce_records_are_slices_of_the_request() {
    for version in [3, 9, 13] {
        let frame = samples::produce_request().encode(version, 5, None).unwrap().to_bytes();
        let (_, body) = RequestHeader::parse(&frame.slice(4..)).unwrap();
        let request = ProduceRequest::decode(&body, version).unwrap();
        let records = request.topics[0].partitions[0].records.clone().unwrap();
        assert!(frame.as_ptr_range().contains(&records.as_ptr()));
    }
}

#[test]
fn metadata_all_topics_by_version() {
    // KIP-4: an empty list means "all" in version 0 and "none" later; null is refused in version 0.
    let decode = |bytes: &'static [u8], version| {
        MetadataRequest::decode(&Bytes::from_static(bytes), version)
    };
    assert!(decode(&[0, 0, 0, 0], 0).unwrap().all_topics(0));
    assert!(!decode(&[0, 0, 0, 0], 1).unwrap().all_topics(1));
    assert!(decode(&[0xff; 4], 1).unwrap().all_topics(1));
    assert_eq!(decode(&[0xff; 4], 0), Err(WireError::UnexpectedNull));
    assert!(!decode(&[1, 1, 0, 0, 0], 9).unwrap().all_topics(9));
}
