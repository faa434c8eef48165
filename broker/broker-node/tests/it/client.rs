//! A blocking client of raw frames, and a node on the epoll back end in a temporary directory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use broker_kafka_wire::{
    ApiKey, ApiVersionsRequest, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    MetadataRequest, MetadataRequestTopic, MetadataResponse, PartitionProduceData, ProduceRequest,
    ProduceResponse, TopicProduceData,
};
use broker_node::{Node, NodeSettings};
use broker_rt::Reactor;
use bytes::Bytes;
use log_record::BatchBuilder;
use log_types::{Offset, PartitionId};
use tempfile::TempDir;

/// A hang guard, far above anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Small segments on epoll. Records are kept whatever their time, which in most tests is 1970: a test that is held up for half a
/// minute would lose them.
pub(crate) fn settings(dir: &TempDir) -> NodeSettings {
    let addr = "127.0.0.1:0".parse().expect("an address");
    let mut settings = NodeSettings::new(dir.path().join("data"), addr);
    settings.reactor = Reactor::Epoll;
    settings.segment_bytes = 32 << 20;
    settings.broker.insert("log.retention.ms".to_owned(), "-1".to_owned());
    settings
}

pub(crate) fn start(settings: NodeSettings) -> Node {
    Node::start(settings).expect("the node starts")
}

/// A connection that sends frames and reads frames.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The node may close while we still write; what it answers is what counts.
        let _ = self.0.write_all(bytes);
    }

    /// The next frame without its size field; `None` when the node closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Bytes> {
        let mut size = [0; 4];
        self.0.read_exact(&mut size).ok()?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a size")];
        self.0.read_exact(&mut body).ok()?;
        Some(Bytes::from(body))
    }

    pub(crate) fn call(&mut self, frame: &broker_kafka_wire::Frame) -> Bytes {
        self.send(&frame.to_bytes());
        self.receive().expect("an answer")
    }

    /// Creates the topic by asking for it and gives its leader epoch.
    pub(crate) fn leader_epoch(&mut self, topic: &str) -> i32 {
        let name = Some(topic.to_owned());
        let topics = Some(vec![MetadataRequestTopic { name, ..MetadataRequestTopic::default() }]);
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        let body = self.call(&request.encode(9, 1, None).expect("encodes"));
        let (_, response) = MetadataResponse::decode(&body, 9).expect("decodes");
        let topic = &response.topics[0];
        assert_eq!(topic.error_code, 0, "{topic:?}");
        topic.partitions[0].leader_epoch.0
    }

    pub(crate) fn produce(&mut self, topic: &str, batch: Bytes) -> (i16, i64) {
        let body =
            self.call(&produce_request(topic, batch, -1).encode(9, 2, None).expect("encodes"));
        let (_, response) = ProduceResponse::decode(&body, 9).expect("decodes");
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.base_offset.0)
    }

    /// Everything from `offset` on: error code and the batches.
    pub(crate) fn fetch(&mut self, topic: &str, offset: i64) -> (i16, Vec<u8>) {
        let partition = FetchPartition {
            partition: PartitionId(0),
            fetch_offset: Offset(offset),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topics = vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![partition],
            ..FetchTopic::default()
        }];
        let request = FetchRequest { topics, max_bytes: 1 << 20, ..FetchRequest::default() };
        let body = self.call(&request.encode(11, 3, None).expect("encodes"));
        let (_, response) = FetchResponse::decode(&body, 11).expect("decodes");
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.records.0.concat())
    }
}

pub(crate) fn produce_request(topic: &str, batch: Bytes, acks: i16) -> ProduceRequest {
    let partitions = vec![PartitionProduceData { partition: PartitionId(0), records: Some(batch) }];
    let topics = vec![TopicProduceData {
        name: topic.to_owned(),
        partitions,
        ..TopicProduceData::default()
    }];
    ProduceRequest { acks, timeout_ms: 10_000, topics, ..ProduceRequest::default() }
}

pub(crate) fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push(1_000, None, Some(value), &[]).expect("a small record");
    builder.build().expect("a small batch")
}

/// An ApiVersions request whose frame body is padded to `len` bytes.
pub(crate) fn api_versions(correlation_id: i32, len: usize) -> Vec<u8> {
    let frame =
        ApiVersionsRequest::default().encode(0, correlation_id, Some("test")).expect("encodes");
    let mut bytes = frame.to_bytes().to_vec();
    assert!(bytes.len() - 4 <= len, "the padding only adds");
    bytes.resize(len + 4, 0);
    let size = i32::try_from(len).expect("a small frame");
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    bytes
}

/// The correlation id of a response.
pub(crate) fn correlation_id(response: &Bytes) -> i32 {
    i32::from_be_bytes(response[..4].try_into().expect("four bytes"))
}

pub(crate) const API_VERSIONS_BYTES_MIN: usize = 64;

pub(crate) fn served(node: &Node) -> bool {
    let mut client = Client::connect(node.kafka_addr());
    client.send(&api_versions(7, API_VERSIONS_BYTES_MIN));
    let answer = client.receive();
    answer.is_some_and(|body| correlation_id(&body) == 7 && ApiKey::from_key(18).is_some())
}
