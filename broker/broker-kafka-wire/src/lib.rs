//! The Kafka protocol as bytes and messages: no I/O, no async, no broker logic.
//!
//! Place: `broker-kafka` cuts a connection's bytes into requests, asks this crate what they mean, and gives it the
//! answers to encode. The command line's client uses the other half of the same messages.
//!
//! ```text
//! request bytes ─ RequestHeader::parse ─┬─ ProduceRequest::decode and the others of the own codec
//!                                       └─ decode_guarded (all others: length guard, then the kafka-protocol crate)
//! response ──── encode ──── Frame (scatter list: record batches stay the slices they are)
//! ```
//!
//! Invariants:
//! - No length or count of the input is used before it is proven against the remaining bytes.
//! - Record batches are never copied, inspected or changed here, in either direction.
//! - Every (API, version) of [`APIS`] can be decoded and answered.
//!
//! Deliberately absent: message formats 0 and 1, everything `APIS` does not list.

// What strangers send is decoded here: an index or a certainty that they could break would end the process.
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod api;
mod api_versions;
mod cost;
mod describe_log_dirs;
mod error;
mod fetch;
mod guard;
mod header;
mod list_offsets;
mod message;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod pace;
mod produce;
mod reader;
mod writer;

pub use api::{APIS, ApiInfo, ApiKey};
pub use api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeature, SupportedFeature,
};
pub use cost::Cost;
pub use describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
pub use error::WireError;
pub use fetch::{
    AbortedTransaction, EpochEndOffset, FetchPartition, FetchPartitionResponse, FetchRequest,
    FetchResponse, FetchTopic, FetchTopicResponse, ForgottenTopic, LeaderIdAndEpoch, NodeEndpoint,
    ReplicaState, SnapshotId,
};
pub use guard::{
    Guarded, GuardedElements, decode_guarded, decode_trusted_response, encode_guarded,
    encode_guarded_request,
};
pub use header::RequestHeader;
pub use list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};
pub use message::BatchSlices;
pub use metadata::{
    AUTHORIZED_OPERATIONS_OMITTED, MetadataBroker, MetadataPartition, MetadataRequest,
    MetadataRequestTopic, MetadataResponse, MetadataTopic,
};
pub use offset_commit::{
    OffsetCommitPartition, OffsetCommitPartitionResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetCommitTopic, OffsetCommitTopicResponse,
};
pub use offset_fetch::{
    OffsetFetchGroup, OffsetFetchGroupResponse, OffsetFetchPartitionResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetFetchTopic, OffsetFetchTopicResponse,
};
pub use pace::Pace;
pub use produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceData, TopicProduceResponse,
};
pub use reader::{ELEMENTS_MAX, GUARDED_ELEMENTS_MAX};
pub use writer::Frame;
