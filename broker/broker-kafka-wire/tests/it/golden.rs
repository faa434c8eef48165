//! Golden bodies of every version of the own codec, written by an independent implementation that reads Kafka's
//! message definitions at 4.3: kafka-python 3.0.12. One line: message, version, body in hex.

use crate::samples;
use broker_kafka_wire::*;
use bytes::Bytes;

fn unhex(text: &str) -> Bytes {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| pair.iter().filter_map(digit).fold(0, |byte, digit| byte << 4 | digit))
        .collect()
}

fn request_body(frame: Frame) -> Bytes {
    RequestHeader::parse(&frame.to_bytes().slice(4..)).expect("own frame").1
}

fn response_body(frame: Frame, api: ApiKey, version: i16) -> Bytes {
    frame.to_bytes().slice(8 + usize::from(api.response_header_flexible(version))..)
}

/// The samples without the second, default-valued partition, which the other implementation does not write.
fn produce_response() -> ProduceResponse {
    let mut response = samples::produce_response();
    response.topics[0].partitions.truncate(1);
    response
}

fn fetch_request() -> FetchRequest {
    let mut request = samples::fetch_request();
    request.topics[0].partitions.truncate(1);
    request
}

fn fetch_response() -> FetchResponse {
    let mut response = samples::fetch_response();
    response.topics[0].partitions.truncate(1);
    response
}

fn encoded(message: &str, version: i16) -> Bytes {
    let request = |frame: Result<Frame, WireError>| request_body(frame.expect("sample fits"));
    let response = |frame: Result<Frame, WireError>, api| {
        response_body(frame.expect("sample fits"), api, version)
    };
    match message {
        "ProduceRequest" => request(samples::produce_request().encode(version, 5, None)),
        "FetchRequest" => request(fetch_request().encode(version, 5, None)),
        "MetadataRequest" => request(samples::metadata_request().encode(version, 5, None)),
        "ListOffsetsRequest" => request(samples::list_offsets_request().encode(version, 5, None)),
        "ApiVersionsRequest" => request(samples::api_versions_request().encode(version, 5, None)),
        "ProduceResponse" => response(produce_response().encode(version, 5), ApiKey::Produce),
        "FetchResponse" => response(fetch_response().encode(version, 5), ApiKey::Fetch),
        "MetadataResponse" => {
            response(samples::metadata_response().encode(version, 5), ApiKey::Metadata)
        }
        "ListOffsetsResponse" => {
            response(samples::list_offsets_response().encode(version, 5), ApiKey::ListOffsets)
        }
        "ApiVersionsResponse" => {
            response(samples::api_versions_response().encode(version, 5), ApiKey::ApiVersions)
        }
        "OffsetCommitRequest" => request(samples::offset_commit_request().encode(version, 5, None)),
        "OffsetCommitResponse" => {
            response(samples::offset_commit_response().encode(version, 5), ApiKey::OffsetCommit)
        }
        "OffsetFetchRequest" => request(samples::offset_fetch_request().encode(version, 5, None)),
        "OffsetFetchResponse" => {
            response(samples::offset_fetch_response().encode(version, 5), ApiKey::OffsetFetch)
        }
        "DescribeLogDirsRequest" => {
            request(samples::describe_log_dirs_request().encode(version, 5, None))
        }
        "DescribeLogDirsResponse" => response(
            samples::describe_log_dirs_response().encode(version, 5),
            ApiKey::DescribeLogDirs,
        ),
        _ => panic!("unknown message {message}"),
    }
}

#[test]
fn semantics_34_bodies_of_every_version() {
    let mut differ = Vec::new();
    let lines: Vec<_> = include_str!("golden.txt").lines().collect();
    for line in &lines {
        let mut words = line.split(' ');
        let (message, version) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let expect = unhex(words.next().unwrap_or_default());
        let found = encoded(message, version.parse().unwrap());
        if found != expect {
            differ.push(format!(
                "{message} {version}\n  expect {expect:02x?}\n  found  {found:02x?}"
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    // Both directions of every API of the own codec in all its versions.
    let own = APIS.iter().filter(|info| info.api.has_own_codec());
    let versions = own.map(|info| usize::try_from(info.max - info.min + 1).unwrap());
    assert_eq!(lines.len(), 2 * versions.sum::<usize>());
}
