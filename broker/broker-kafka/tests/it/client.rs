//! A connection to the handlers: encodes requests, checks the frame of the response, decodes it.

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use broker_kafka::{Begun, Handler, Peer, Response};
use broker_kafka_wire::{
    ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, FetchRequest, FetchResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    ProduceRequest, ProduceResponse, WireError, decode_trusted_response, encode_guarded_request,
};
use bytes::Bytes;
use futures_executor::block_on;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, RequestKind, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::double::Double;

const CORRELATION_ID: i32 = 77;

pub(crate) struct Client {
    pub(crate) double: Rc<Double>,
    handler: Rc<Handler>,
    peer: Rc<Peer>,
}

/// Turns that others of the core could have had: before the request took its place, and before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Polls {
    pub(crate) begin: usize,
    pub(crate) answer: usize,
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(crate) fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

impl Client {
    pub(crate) fn new() -> Self {
        let double = Double::new();
        let handler = Rc::new(Handler::new(Rc::clone(&double) as Rc<_>));
        let peer = Rc::new(Peer::new("127.0.0.1:5000".parse().unwrap()));
        Self { double, handler, peer }
    }

    /// A client whose broker has a topic `t` of two partitions.
    pub(crate) fn with_topic() -> Self {
        let client = Self::new();
        client.create("t", 2, &[]);
        client
    }

    /// Its connection has ended.
    pub(crate) fn leave(&self) {
        self.peer.leave();
    }

    /// Sends a request without its size field; `None` when the connection is closed.
    pub(crate) fn send(&self, request: Bytes) -> Option<Response> {
        let begun = block_on(self.begin(request)).ok()?;
        Some(block_on(begun.answering))
    }

    /// What a connection does first with a request without its size field.
    pub(crate) fn begin(&self, request: Bytes) -> impl Future<Output = Result<Begun, WireError>> {
        Rc::clone(&self.handler).begin(&self.peer, request)
    }

    /// How often a request lets others run, when everything it waits for is there at once.
    pub(crate) fn polls(&self, frame: &broker_kafka_wire::Frame) -> Polls {
        let request = frame.to_bytes().slice(4..);
        let mut begin = pin!(self.begin(request));
        let mut polls = Polls { begin: 0, answer: 0 };
        let mut cx = Context::from_waker(Waker::noop());
        let begun = loop {
            if let Poll::Ready(begun) = begin.as_mut().poll(&mut cx) {
                break begun;
            }
            polls.begin += 1;
        };
        let mut answering = begun.expect("the request parses").answering;
        while answering.as_mut().poll(&mut cx).is_pending() {
            polls.answer += 1;
        }
        polls
    }

    /// The response without its size field.
    fn frame(&self, frame: &broker_kafka_wire::Frame) -> Bytes {
        let response = self.send(frame.to_bytes().slice(4..)).expect("the request parses");
        let Response::Send(segments, _) = response else { panic!("{response:?}") };
        let bytes: Vec<u8> = segments.iter().flatten().copied().collect();
        let size = i32::from_be_bytes(*bytes.first_chunk().unwrap());
        assert_eq!(usize::try_from(size).unwrap(), bytes.len() - 4, "size field");
        Bytes::from(bytes).slice(4..)
    }

    pub(crate) fn ask(&self, api: ApiKey, version: i16, request: &RequestKind) -> ResponseKind {
        let frame = encode_guarded_request(api, version, CORRELATION_ID, Some("it"), request);
        let frame = frame.unwrap_or_else(|error| panic!("{api} {version}: {error}"));
        let bytes = self.frame(&frame);
        let decoded = decode_trusted_response(api, version, &bytes);
        let (id, response) = decoded.unwrap_or_else(|error| panic!("{api} {version}: {error}"));
        assert_eq!(id, CORRELATION_ID);
        response
    }

    pub(crate) fn fetch(&self, version: i16, request: &FetchRequest) -> FetchResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        FetchResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn produce(&self, version: i16, request: &ProduceRequest) -> ProduceResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        ProduceResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn list_offsets(
        &self,
        version: i16,
        request: &ListOffsetsRequest,
    ) -> ListOffsetsResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        ListOffsetsResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn metadata(&self, version: i16, request: &MetadataRequest) -> MetadataResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        MetadataResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn commit(
        &self,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        OffsetCommitResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn committed(
        &self,
        version: i16,
        request: &OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        OffsetFetchResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn log_dirs(
        &self,
        version: i16,
        request: &DescribeLogDirsRequest,
    ) -> DescribeLogDirsResponse {
        let frame = request.encode(version, CORRELATION_ID, None).unwrap();
        DescribeLogDirsResponse::decode(&self.frame(&frame), version).unwrap().1
    }

    pub(crate) fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| {
            let mut config = CreatableTopicConfig::default();
            config.name = text(name);
            config.value = Some(text(value));
            config
        });
        let mut topic = CreatableTopic::default();
        topic.name = topic_name(name);
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        topic.configs = configs.collect();
        let mut request = CreateTopicsRequest::default();
        request.topics = vec![topic];
        let response = self.ask(ApiKey::CreateTopics, 7, &RequestKind::CreateTopics(request));
        let ResponseKind::CreateTopics(response) = response else { panic!("{response:?}") };
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }
}

/// Asks with the request and response of one API.
macro_rules! ask {
    ($client:expr, $api:ident, $version:expr, $request:expr) => {
        match $client.ask(ApiKey::$api, $version, &RequestKind::$api($request.clone())) {
            ResponseKind::$api(response) => response,
            other => panic!("{other:?}"),
        }
    };
}
pub(crate) use ask;
