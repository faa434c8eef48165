//! Decoding and encoding in slices gives what doing it at once gives, yields, and says beforehand what it costs.

use crate::allocation::largest_allocation;
use crate::samples;
use broker_kafka_wire::*;
use bytes::Bytes;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    CreateTopicsResponse, DescribeConfigsResponse, DescribeGroupsResponse, ListGroupsResponse,
    ResponseKind,
};
use log_types::PartitionId;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The result, and how often others could run before.
fn run<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for yields in 0.. {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return (result, yields);
        }
    }
    unreachable!("it ends");
}

macro_rules! same_request {
    ($type:ident, $sample:ident, $api:ident) => {
        for version in ApiKey::$api.info().min..=ApiKey::$api.info().max {
            let frame = samples::$sample().encode(version, 5, None).expect("sample fits");
            let (_, body) = RequestHeader::parse(&frame.to_bytes().slice(4..)).expect("own frame");
            let paced = run($type::decode_paced(&body, version));
            assert_eq!(paced, ($type::decode(&body, version), 0), "{version}");
            for end in 0..=body.len() {
                let cut = body.slice(..end);
                let once = $type::decode(&cut, version);
                assert_eq!(run($type::decode_paced(&cut, version)).0, once, "{version} {end}");
                // The walk does not look into texts: it may let pass what decoding refuses, never the reverse.
                let weighed = run($type::cost(&cut, version)).0;
                assert!(weighed.is_ok() || once.is_err(), "{version} {end}: {weighed:?}");
            }
        }
    };
}

#[test]
fn requests_of_every_version() {
    same_request!(ProduceRequest, produce_request, Produce);
    same_request!(FetchRequest, fetch_request, Fetch);
    same_request!(ListOffsetsRequest, list_offsets_request, ListOffsets);
    same_request!(MetadataRequest, metadata_request, Metadata);
    same_request!(OffsetCommitRequest, offset_commit_request, OffsetCommit);
    same_request!(OffsetFetchRequest, offset_fetch_request, OffsetFetch);
    same_request!(DescribeLogDirsRequest, describe_log_dirs_request, DescribeLogDirs);
    same_request!(ApiVersionsRequest, api_versions_request, ApiVersions);
}

macro_rules! same_response {
    ($sample:ident, $api:ident) => {
        for version in ApiKey::$api.info().min..=ApiKey::$api.info().max {
            let sample = samples::$sample();
            let (paced, _) = run(sample.clone().encode_paced(version, 5));
            assert_eq!(paced, sample.encode(version, 5), "{version}");
        }
    };
}

#[test]
fn responses_of_every_version() {
    same_response!(produce_response, Produce);
    same_response!(fetch_response, Fetch);
    same_response!(list_offsets_response, ListOffsets);
    same_response!(metadata_response, Metadata);
    same_response!(offset_commit_response, OffsetCommit);
    same_response!(offset_fetch_response, OffsetFetch);
    same_response!(describe_log_dirs_response, DescribeLogDirs);
    same_response!(api_versions_response, ApiVersions);
}

/// OffsetFetch 7 of one topic with `count` partitions.
fn partitions(count: usize) -> Bytes {
    let partitions = vec![PartitionId(1); count];
    let topic = OffsetFetchTopic { name: "t".into(), partitions, ..OffsetFetchTopic::default() };
    let request = OffsetFetchRequest { topics: Some(vec![topic]), ..OffsetFetchRequest::default() };
    let frame = request.encode(7, 1, None).expect("fits");
    RequestHeader::parse(&frame.to_bytes().slice(4..)).expect("own frame").1
}

#[test]
fn elements_at_the_limit_and_one_above() {
    // The topic is an element, too.
    let (most, above) = (partitions(ELEMENTS_MAX - 1), partitions(ELEMENTS_MAX));
    let (cost, yields) = run(OffsetFetchRequest::cost(&most, 7));
    assert_eq!(cost.expect("at the limit").elements, ELEMENTS_MAX);
    assert!(yields > 100, "{yields} turns for others");
    let (decoded, yields) = run(OffsetFetchRequest::decode_paced(&most, 7));
    assert!(decoded.is_ok() && yields > 100, "{yields} turns for others");
    let (largest, (refused, yields)) =
        largest_allocation(|| run(OffsetFetchRequest::cost(&above, 7)));
    assert_eq!((refused, yields), (Err(WireError::TooManyElements), 0));
    assert!(largest <= 1024, "{largest} bytes to refuse");
}

#[test]
fn a_count_of_2_to_the_31_minus_1_is_refused_by_the_walk() {
    // Metadata 1: a count, and one name.
    let body = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 1, b't']);
    let (largest, (refused, _)) = largest_allocation(|| run(MetadataRequest::cost(&body, 1)));
    assert_eq!(refused, Err(WireError::BadCount { count: 0x7fff_ffff, available: 3 }));
    assert!(largest <= 1024, "{largest} bytes to refuse");
}

#[test]
fn the_walk_allocates_nothing_and_names_more_than_decoding_takes() {
    let body = partitions(10_000);
    let (largest, (cost, _)) = largest_allocation(|| run(OffsetFetchRequest::cost(&body, 7)));
    assert!(largest <= 1024, "{largest} bytes to weigh");
    let (largest, _) = largest_allocation(|| run(OffsetFetchRequest::decode_paced(&body, 7)));
    assert!(largest < cost.expect("weighs").bytes);
}

#[test]
fn long_texts_yield_more_often() {
    let named = |bytes: usize| {
        let name = Some("n".repeat(bytes));
        let topic = MetadataRequestTopic { name, ..MetadataRequestTopic::default() };
        let topics = Some(vec![topic; 400]);
        let frame = MetadataRequest { topics, ..MetadataRequest::default() }.encode(9, 1, None);
        let frame = frame.expect("fits");
        RequestHeader::parse(&frame.to_bytes().slice(4..)).expect("own frame").1
    };
    assert_eq!(run(MetadataRequest::decode_paced(&named(10), 9)).1, 0);
    assert!(run(MetadataRequest::decode_paced(&named(30_000), 9)).1 > 20);
}

macro_rules! same_elements {
    ($api:ident, $response:ident, $array:ident, $element:ident) => {
        for version in ApiKey::$api.info().min..=ApiKey::$api.info().max {
            let mut response = $response::default();
            response.throttle_time_ms = 7;
            let empty = ResponseKind::$api(response.clone());
            for count in [0, 1, 126, 127, 20_000] {
                response.$array = vec![$element::default(); count];
                let whole = ResponseKind::$api(response.clone());
                let whole = encode_guarded(ApiKey::$api, version, 5, &whole).expect("encodes");
                let (pieces, yields) = run(async {
                    let mut pieces = GuardedElements::new(ApiKey::$api, version, 5, &empty)?;
                    for element in &response.$array {
                        pieces.push(element).await?;
                    }
                    pieces.finish()
                });
                let pieces = pieces.expect("encodes").to_bytes();
                assert_eq!(pieces, whole.to_bytes(), "{version} {count}");
                assert_eq!(yields > 100, count == 20_000, "{version} {count}: {yields}");
            }
        }
    };
}

#[test]
fn element_by_element_gives_what_the_whole_does() {
    same_elements!(CreateTopics, CreateTopicsResponse, topics, CreatableTopicResult);
    same_elements!(DescribeConfigs, DescribeConfigsResponse, results, DescribeConfigsResult);
    same_elements!(DescribeGroups, DescribeGroupsResponse, groups, DescribedGroup);
}

/// ListGroups has a throttle time from version 1 on.
#[test]
fn element_by_element_refuses_what_is_not_empty_or_of_another_api() {
    let mut response = ListGroupsResponse::default();
    let new = |response: &ListGroupsResponse, api| {
        let response = ResponseKind::ListGroups(response.clone());
        GuardedElements::new(api, 5, 1, &response).map(|pieces| pieces.is_empty())
    };
    assert_eq!(new(&response, ApiKey::ListGroups), Ok(true));
    assert!(matches!(new(&response, ApiKey::DescribeGroups), Err(WireError::Refused { .. })));
    response.groups = vec![ListedGroup::default()];
    assert!(matches!(new(&response, ApiKey::ListGroups), Err(WireError::Refused { .. })));
}

/// They are put together of pieces: a buffer that grows would be copied in one go.
#[test]
fn long_responses_of_many_elements() {
    let mut metadata = samples::metadata_response();
    let partition = metadata.topics[0].partitions[0].clone();
    metadata.topics[0].partitions = vec![partition; 10_000];
    let (paced, _) = run(metadata.clone().encode_paced(12, 5));
    let paced = paced.expect("fits");
    assert!(paced.segments().len() > 2, "several pieces");
    assert_eq!(paced.to_bytes(), metadata.encode(12, 5).expect("fits").to_bytes());
    let mut fetch = samples::fetch_response();
    let partition = fetch.topics[0].partitions[0].clone();
    fetch.topics[0].partitions = vec![partition; 10_000];
    let (paced, _) = run(fetch.clone().encode_paced(12, 5));
    assert_eq!(paced.expect("fits").to_bytes(), fetch.encode(12, 5).expect("fits").to_bytes());
}
