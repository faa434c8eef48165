//! A request over very many partitions lets other tasks of its core run in between.

use broker_kafka_wire::{
    ApiKey, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, MetadataRequest,
    MetadataRequestTopic, encode_guarded_request,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, RequestKind};
use log_types::PartitionId;

use crate::client::{Client, text};

/// Each poll is a turn on the core's thread, so at least so many other turns were possible.
const TURNS_MIN: usize = 10;

#[test]
fn list_offsets_of_many_partitions_yields() {
    let client = Client::with_topic();
    let polls = |count: i32| {
        let partitions = (0..count).map(|index| ListOffsetsPartition {
            partition: PartitionId(index % 3),
            timestamp: -1,
            ..ListOffsetsPartition::default()
        });
        let topic = ListOffsetsTopic { name: "t".to_owned(), partitions: partitions.collect() };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        client.polls(&request.encode(7, 1, None).expect("encodes"))
    };
    assert_eq!(polls(10), 1, "a small request is answered at once");
    assert!(polls(10_000) > TURNS_MIN);
}

#[test]
fn metadata_of_many_topics_yields() {
    let client = Client::with_topic();
    let polls = |count: usize| {
        let topic =
            MetadataRequestTopic { name: Some("t".to_owned()), ..MetadataRequestTopic::default() };
        let topics = Some(vec![topic; count]);
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        client.polls(&request.encode(9, 1, None).expect("encodes"))
    };
    assert_eq!(polls(10), 1);
    assert!(polls(10_000) > TURNS_MIN);
}

#[test]
fn describe_configs_of_many_resources_yields() {
    let client = Client::with_topic();
    let polls = |count: usize| {
        let mut resource = DescribeConfigsResource::default();
        resource.resource_type = 2;
        resource.resource_name = text("t");
        let mut request = DescribeConfigsRequest::default();
        request.resources = vec![resource; count];
        let request = RequestKind::DescribeConfigs(request);
        let frame = encode_guarded_request(ApiKey::DescribeConfigs, 4, 1, None, &request);
        client.polls(&frame.expect("encodes"))
    };
    assert_eq!(polls(10), 1);
    assert!(polls(500) > TURNS_MIN);
}
