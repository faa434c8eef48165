//! Dispatch: from a request's bytes to the handler of its API.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use broker_core::config::BrokerConfigs;
use broker_core::fetch_session::{FetchSessionConfig, FetchSessions};
use broker_kafka_wire::{
    ApiKey, ApiVersionsResponse, DescribeLogDirsRequest, FetchRequest, Frame, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, RequestHeader,
    WireError, decode_guarded,
};
use bytes::Bytes;
use kafka_protocol::messages::RequestKind;
use log_io::LocalFuture;

use crate::api;
use crate::broker::{Broker, Fatal};

/// The APIs that are served.
pub const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
];

/// `num.partitions`: how many a topic gets that does not say.
#[must_use]
pub fn num_partitions(config: &BrokerConfigs) -> usize {
    let value = config.value("num.partitions").and_then(|value| value.parse().ok());
    value.filter(|count| *count > 0).unwrap_or(1)
}

/// Who sends the requests of a connection.
#[derive(Debug)]
pub struct Peer {
    addr: SocketAddr,
}

impl Peer {
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr }
    }

    /// The host as group descriptions show it, in Kafka's form: a slash and the address.
    #[must_use]
    pub fn host(&self) -> String {
        format!("/{}", self.addr.ip())
    }
}

/// What the connection does with an answered request.
#[derive(Debug)]
pub enum Response {
    /// The whole frame, size field included.
    Send(VecDeque<Bytes>),
    /// acks=0: nothing is sent.
    Nothing,
    /// The outcome is unknown, or Kafka's protocol answers by closing.
    Close,
}

/// What a handler knows besides its request.
pub(crate) struct Context {
    pub(crate) broker: Rc<dyn Broker>,
    pub(crate) peer: Rc<Peer>,
    pub(crate) sessions: Rc<RefCell<FetchSessions>>,
    pub(crate) header: RequestHeader,
}

impl Context {
    /// The response bytes; a response that cannot be encoded closes the connection.
    pub(crate) fn send(encoded: Result<Frame, WireError>) -> Response {
        match encoded {
            Ok(frame) => Response::Send(frame.into_segments().into()),
            Err(_) => Response::Close,
        }
    }
}

/// Answers the requests of one core's connections with a broker.
pub struct Handler {
    broker: Rc<dyn Broker>,
    sessions: Rc<RefCell<FetchSessions>>,
}

/// Partitions in the fetch sessions of one core: about 120 bytes each, so 24 MB at most.
const SESSION_PARTITIONS_MAX: usize = 200_000;

/// The fetch session cache of one core, as large as `max.incremental.fetch.session.cache.slots` says.
fn fetch_sessions(config: &BrokerConfigs) -> FetchSessions {
    let default = FetchSessionConfig::default();
    let slots = config.value("max.incremental.fetch.session.cache.slots");
    FetchSessions::new(FetchSessionConfig {
        slots_max: slots.and_then(|value| value.parse().ok()).unwrap_or(default.slots_max),
        partitions_max: SESSION_PARTITIONS_MAX,
        ..default
    })
}

type Answering = LocalFuture<'static, Response>;

impl Handler {
    #[must_use]
    pub fn new(broker: Rc<dyn Broker>) -> Self {
        let sessions = fetch_sessions(&broker.broker_config());
        Self { broker, sessions: Rc::new(RefCell::new(sessions)) }
    }

    /// Parses a request (without its size field) and gives its API key and the future that answers it.
    ///
    /// # Errors
    /// Bytes that are not a served request: the connection is to be closed.
    pub fn handle(
        self: Rc<Self>,
        peer: &Rc<Peer>,
        request: Bytes,
    ) -> Result<(i16, Answering), WireError> {
        let (header, body) = match RequestHeader::parse(&request) {
            Ok(parsed) => parsed,
            Err(WireError::UnsupportedVersion {
                api: ApiKey::ApiVersions, correlation_id, ..
            }) => {
                let response = ApiVersionsResponse::unsupported_version().encode(0, correlation_id);
                let response = Context::send(response);
                return Ok((ApiKey::ApiVersions.key(), Box::pin(async move { response })));
            }
            Err(error) => return Err(error),
        };
        drop(request);
        let (api, version) = (header.api, header.version);
        let context = Context {
            broker: Rc::clone(&self.broker),
            peer: Rc::clone(peer),
            sessions: Rc::clone(&self.sessions),
            header,
        };
        let answering: Answering = match api {
            ApiKey::Produce => {
                Box::pin(api::produce::handle(context, ProduceRequest::decode(&body, version)?))
            }
            ApiKey::Fetch => {
                Box::pin(api::fetch::handle(context, FetchRequest::decode(&body, version)?))
            }
            ApiKey::ListOffsets => Box::pin(api::list_offsets::handle(
                context,
                ListOffsetsRequest::decode(&body, version)?,
            )),
            ApiKey::Metadata => {
                Box::pin(api::metadata::handle(context, MetadataRequest::decode(&body, version)?))
            }
            ApiKey::OffsetCommit => Box::pin(api::offset_commit::handle(
                context,
                OffsetCommitRequest::decode(&body, version)?,
            )),
            ApiKey::OffsetFetch => Box::pin(api::offset_fetch::handle(
                context,
                OffsetFetchRequest::decode(&body, version)?,
            )),
            ApiKey::DescribeLogDirs => Box::pin(api::describe_log_dirs::handle(
                context,
                DescribeLogDirsRequest::decode(&body, version)?,
            )),
            ApiKey::ApiVersions => Box::pin(api::api_versions::handle(context, body)),
            _ => Box::pin(guarded(context, decode_guarded(api, version, &body)?)),
        };
        Ok((api.key(), answering))
    }
}

/// The APIs whose messages come from the `kafka-protocol` crate.
async fn guarded(context: Context, request: RequestKind) -> Response {
    let answered = match request {
        RequestKind::FindCoordinator(request) => {
            api::find_coordinator::handle(&context, request).await
        }
        RequestKind::JoinGroup(request) => api::join_group::handle(&context, request).await,
        RequestKind::SyncGroup(request) => api::sync_group::handle(&context, request).await,
        RequestKind::Heartbeat(request) => api::heartbeat::handle(&context, request).await,
        RequestKind::LeaveGroup(request) => api::leave_group::handle(&context, request).await,
        RequestKind::InitProducerId(request) => {
            api::init_producer_id::handle(&context, request).await
        }
        RequestKind::CreateTopics(request) => api::create_topics::handle(&context, request).await,
        RequestKind::DeleteTopics(request) => api::delete_topics::handle(&context, request).await,
        RequestKind::CreatePartitions(request) => {
            api::create_partitions::handle(&context, request).await
        }
        RequestKind::DeleteRecords(request) => api::delete_records::handle(&context, request).await,
        RequestKind::DescribeConfigs(request) => {
            api::describe_configs::handle(&context, request).await
        }
        RequestKind::AlterConfigs(request) => api::alter_configs::handle(&context, request).await,
        RequestKind::IncrementalAlterConfigs(request) => {
            api::incremental_alter_configs::handle(&context, request).await
        }
        RequestKind::DescribeGroups(request) => {
            api::describe_groups::handle(&context, request).await
        }
        RequestKind::ListGroups(request) => api::list_groups::handle(&context, request).await,
        RequestKind::DeleteGroups(request) => api::delete_groups::handle(&context, request).await,
        RequestKind::OffsetDelete(request) => api::offset_delete::handle(&context, request).await,
        RequestKind::OffsetForLeaderEpoch(request) => {
            api::offset_for_leader_epoch::handle(&context, request).await
        }
        RequestKind::DescribeCluster(request) => {
            api::describe_cluster::handle(&context, request).await
        }
        _ => Err(Fatal),
    };
    let header = &context.header;
    match answered {
        Ok(response) => Context::send(broker_kafka_wire::encode_guarded(
            header.api,
            header.version,
            header.correlation_id,
            &response,
        )),
        Err(Fatal) => Response::Close,
    }
}
