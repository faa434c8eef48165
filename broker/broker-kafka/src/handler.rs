//! Dispatch: from a request's bytes to the handler of its API.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use broker_core::config::BrokerConfigs;
use broker_core::fetch_session::{FetchSessionConfig, FetchSessions};
use broker_kafka_wire::{
    ApiKey, ApiVersionsResponse, Cost, DescribeLogDirsRequest, FetchRequest, Frame, Guarded,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    RequestHeader, WireError, decode_guarded, encode_guarded,
};
use bytes::Bytes;
use kafka_protocol::messages::RequestKind;
use log_io::LocalFuture;

use crate::api;
use crate::broker::{Broker, Fatal, Reserved};
use crate::context::{Context, Encoded};
use crate::turns::Turns;

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
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::SaslAuthenticate,
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
    gone: Cell<bool>,
}

impl Peer {
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, gone: Cell::new(false) }
    }

    /// The connection has ended: what nobody will learn of need not be begun.
    pub fn leave(&self) {
        self.gone.set(true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
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
    /// The whole frame, size field included, and the memory to give back when it is sent.
    Send(VecDeque<Bytes>, Option<Reserved>),
    /// acks=0: nothing is sent.
    Nothing,
    /// The outcome is unknown, or Kafka's protocol answers by closing.
    Close,
}

impl Response {
    /// The encoded answer, whose sending gives `held` back; one that cannot be encoded closes the connection.
    pub(crate) fn of(encoded: Result<Frame, WireError>, held: Option<Reserved>) -> Self {
        let Ok(frame) = encoded else { return Self::Close };
        let held = held.map(|mut held| {
            held.resize(frame.len());
            held
        });
        Self::Send(frame.into_segments().into(), held)
    }
}

/// Answers the requests of one core's connections with a broker.
pub struct Handler {
    broker: Rc<dyn Broker>,
    /// Whose turn it is to have very many elements decoded in one go.
    dense: Turns,
    /// Whose turn it is to build a large answer.
    building: Turns,
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

/// A request that has begun.
pub struct Begun {
    pub api_key: i16,
    /// Answers it; polled in the order of the requests, the answers may come in any.
    pub answering: Answering,
    /// It leaves nothing undone when it is dropped.
    pub only_reads: bool,
    /// Its answer may be far larger than it is: it begins when those before it of which the same is true were answered.
    pub in_turn: bool,
    /// Memory that its elements take besides the request's bytes.
    pub bytes: usize,
}

/// Up to this size in bytes, its header included, a request is decoded as it comes, without a yield: its elements take a few
/// hundred KiB at most and some 100 µs.
pub const UNWEIGHED_BYTES_MAX: usize = 4 << 10;
/// Elements that the third-party codec decodes, and a handler sorts, in some 100 µs.
const DENSE_ELEMENTS_MIN: usize = 1000;
const DENSE_ELEMENT_PAUSE: Duration = Duration::from_micros(10);

/// Decodes at once, or in slices of work where that may take long.
macro_rules! decoded {
    ($type:ident, $request:expr) => {
        match $request.weighed {
            // In a box: an idle connection does not keep room for it.
            true => Box::pin($type::decode_paced(&$request.body, $request.version)).await?,
            false => $type::decode(&$request.body, $request.version)?,
        }
    };
}

/// A request whose header was read.
struct Arrived {
    api: ApiKey,
    version: i16,
    body: Bytes,
    /// Large enough to be weighed before it is decoded.
    weighed: bool,
    /// What the third-party codec may decode, once it was weighed.
    guarded: Option<Guarded>,
}

impl Arrived {
    async fn cost(&mut self) -> Result<Cost, WireError> {
        let (body, version) = (&self.body, self.version);
        match self.api {
            ApiKey::Produce => ProduceRequest::cost(body, version).await,
            ApiKey::Fetch => FetchRequest::cost(body, version).await,
            ApiKey::ListOffsets => ListOffsetsRequest::cost(body, version).await,
            ApiKey::Metadata => MetadataRequest::cost(body, version).await,
            ApiKey::OffsetCommit => OffsetCommitRequest::cost(body, version).await,
            ApiKey::OffsetFetch => OffsetFetchRequest::cost(body, version).await,
            ApiKey::DescribeLogDirs => DescribeLogDirsRequest::cost(body, version).await,
            // Its body is two strings.
            ApiKey::ApiVersions => Ok(Cost::default()),
            _ => {
                let guarded = Guarded::check(self.api, version, body)?;
                Ok(self.guarded.insert(guarded).cost())
            }
        }
    }
}

impl Handler {
    #[must_use]
    pub fn new(broker: Rc<dyn Broker>) -> Self {
        let sessions = fetch_sessions(&broker.broker_config());
        let sessions = Rc::new(RefCell::new(sessions));
        Self { broker, dense: Turns::new(1), building: Turns::new(1), sessions }
    }

    /// Parses a request (without its size field), and does what must be done in the order of a connection's requests;
    /// waits for memory where it has very many elements, and lets others run meanwhile.
    ///
    /// # Errors
    /// Bytes that are not a served request: the connection is to be closed.
    pub async fn begin(
        self: Rc<Self>,
        peer: &Rc<Peer>,
        request: Bytes,
    ) -> Result<Begun, WireError> {
        let (header, body) = match RequestHeader::parse(&request) {
            Ok(parsed) => parsed,
            Err(WireError::UnsupportedVersion {
                api: ApiKey::ApiVersions, correlation_id, ..
            }) => {
                let response = ApiVersionsResponse::unsupported_version().encode(0, correlation_id);
                let response = Response::of(response, None);
                let answering: Answering = Box::pin(async move { response });
                let api_key = ApiKey::ApiVersions.key();
                let (only_reads, in_turn) = (false, false);
                return Ok(Begun { api_key, answering, only_reads, in_turn, bytes: 0 });
            }
            Err(error) => return Err(error),
        };
        let weighed = request.len() > UNWEIGHED_BYTES_MAX;
        drop(request);
        let (api, version) = (header.api, header.version);
        let mut arrived = Arrived { api, version, body, weighed, guarded: None };
        let cost = match weighed {
            true => Box::pin(arrived.cost()).await?,
            false => Cost::default(),
        };
        let (broker, sessions) = (Rc::clone(&self.broker), Rc::clone(&self.sessions));
        let building = self.building.clone();
        let mut context = Context::new(broker, Rc::clone(peer), sessions, header, building);
        // Before any memory is held: whoever waits for its turn must not keep others from theirs.
        if !api.has_own_codec() && cost.elements > DENSE_ELEMENTS_MIN {
            self.wait_turn(cost.elements).await;
        }
        context.reserve(cost.bytes).await;
        let (answering, only_reads) = decode(context, arrived).await?;
        let in_turn = may_answer_much(api);
        Ok(Begun { api_key: api.key(), answering, only_reads, in_turn, bytes: cost.bytes })
    }

    /// The third-party codec decodes in one go. Requests that keep it busy for long come one at a time on each core, each
    /// after a pause of a hundred times that, so that others meet one rarely however many connections send them.
    async fn wait_turn(&self, elements: usize) {
        let _turn = self.dense.take().await;
        self.broker.sleep(DENSE_ELEMENT_PAUSE * u32::try_from(elements).unwrap_or(u32::MAX)).await;
    }
}

fn only_reads(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::Fetch
            | ApiKey::ListOffsets
            | ApiKey::OffsetFetch
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
    )
}

/// Those that a few bytes ask much of. Whatever holds memory for its answer is one of them, and so is whatever may have to
/// wait for other clients: a later answer would hold its memory for as long.
fn may_answer_much(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::Fetch
            | ApiKey::Metadata
            | ApiKey::OffsetFetch
            | ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::CreateTopics
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
    )
}

/// What answers the request, and whether it only reads.
async fn decode(context: Context, arrived: Arrived) -> Result<(Answering, bool), WireError> {
    let mut only_reads = only_reads(arrived.api);
    let answering: Answering = match arrived.api {
        ApiKey::Produce => api::produce::begin(context, decoded!(ProduceRequest, arrived)).await,
        ApiKey::Fetch => Box::pin(api::fetch::handle(context, decoded!(FetchRequest, arrived))),
        ApiKey::ListOffsets => {
            let request = decoded!(ListOffsetsRequest, arrived);
            Box::pin(api::list_offsets::handle(context, request))
        }
        ApiKey::Metadata => {
            let request = decoded!(MetadataRequest, arrived);
            // It creates only topics that it names.
            only_reads = !request.allow_auto_topic_creation || request.all_topics(arrived.version);
            Box::pin(api::metadata::handle(context, request))
        }
        ApiKey::OffsetCommit => {
            api::offset_commit::begin(context, decoded!(OffsetCommitRequest, arrived)).await
        }
        ApiKey::OffsetFetch => {
            let request = decoded!(OffsetFetchRequest, arrived);
            Box::pin(api::offset_fetch::handle(context, request))
        }
        ApiKey::DescribeLogDirs => {
            let request = decoded!(DescribeLogDirsRequest, arrived);
            Box::pin(api::describe_log_dirs::handle(context, request))
        }
        ApiKey::ApiVersions => Box::pin(api::api_versions::handle(context, arrived.body)),
        api => {
            let request = match arrived.guarded {
                Some(guarded) => guarded.decode()?,
                None => decode_guarded(api, arrived.version, &arrived.body)?,
            };
            Box::pin(guarded(context, request))
        }
    };
    Ok((answering, only_reads))
}

/// The APIs whose messages come from the `kafka-protocol` crate.
async fn guarded(mut context: Context, request: RequestKind) -> Response {
    let encoded = match request {
        RequestKind::CreateTopics(request) => {
            api::create_topics::handle(&mut context, request).await
        }
        RequestKind::DescribeConfigs(request) => {
            api::describe_configs::handle(&mut context, request).await
        }
        RequestKind::DescribeGroups(request) => {
            api::describe_groups::handle(&mut context, request).await
        }
        RequestKind::ListGroups(request) => api::list_groups::handle(&mut context, request).await,
        request => encoded_whole(&mut context, request).await,
    };
    encoded.map_or(Response::Close, |encoded| context.send(encoded))
}

/// Those whose answers are as large as their requests.
async fn encoded_whole(context: &mut Context, request: RequestKind) -> Result<Encoded, Fatal> {
    let response = match request {
        RequestKind::FindCoordinator(request) => {
            api::find_coordinator::handle(context, request).await
        }
        RequestKind::JoinGroup(request) => api::join_group::handle(context, request).await,
        RequestKind::SyncGroup(request) => api::sync_group::handle(context, request).await,
        RequestKind::Heartbeat(request) => api::heartbeat::handle(context, request).await,
        RequestKind::LeaveGroup(request) => api::leave_group::handle(context, request).await,
        RequestKind::InitProducerId(request) => {
            api::init_producer_id::handle(context, request).await
        }
        RequestKind::DeleteTopics(request) => api::delete_topics::handle(context, request).await,
        RequestKind::CreatePartitions(request) => {
            api::create_partitions::handle(context, request).await
        }
        RequestKind::DeleteRecords(request) => api::delete_records::handle(context, request).await,
        RequestKind::AlterConfigs(request) => api::alter_configs::handle(context, request).await,
        RequestKind::IncrementalAlterConfigs(request) => {
            api::incremental_alter_configs::handle(context, request).await
        }
        RequestKind::DeleteGroups(request) => api::delete_groups::handle(context, request).await,
        RequestKind::OffsetDelete(request) => api::offset_delete::handle(context, request).await,
        RequestKind::OffsetForLeaderEpoch(request) => {
            api::offset_for_leader_epoch::handle(context, request).await
        }
        RequestKind::DescribeCluster(request) => {
            api::describe_cluster::handle(context, request).await
        }
        RequestKind::SaslHandshake(_) => Ok(api::sasl::handshake()),
        RequestKind::SaslAuthenticate(_) => Ok(api::sasl::authenticate()),
        _ => Err(Fatal),
    }?;
    let RequestHeader { api, version, correlation_id, .. } = context.header;
    Ok(encode_guarded(api, version, correlation_id, &response))
}
