//! What the handlers ask of the node they run on. `broker-node` implements it per core; tests use a double.
//!
//! Invariants:
//! - A method's synchronous part happens when it is called, the rest when its future is polled: two appends of one
//!   connection that are called in order are appended in order.
//! - `append` completes only when the topic's durability is met. A [`Fatal`] result must never be answered: the
//!   connection is closed instead, because nothing is known about the write.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker_core::catalog::{
    Catalog, CatalogError, CatalogRecord, NewTopicSpec, PartitionPlace, Topic, TopicRef,
};
use broker_core::config::{BrokerConfigs, ConfigChange, TopicConfig};
use broker_core::group::{
    CommitRequest, CommittedOffset, GroupDescription, GroupError, GroupPage, Groups,
    HeartbeatRequest, JoinReply, JoinRequest, LeaveMember, LeaveRequest, PartitionResult,
    SyncReply, SyncRequest, TopicPartition,
};
use broker_core::partition::AppendError;
use bytes::Bytes;
use log_io::LocalFuture;
use log_record::BatchSummary;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

/// The node is failing or stopping: close the connection without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal;

/// Who this node is to clients.
#[derive(Clone, Debug)]
pub struct Identity {
    pub node_id: i32,
    /// Kafka's cluster id string: 22 characters of URL-safe base64.
    pub cluster_id: String,
    pub host: String,
    pub port: u16,
}

/// A batch for one partition.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    pub place: PartitionPlace,
    pub batch: Bytes,
    /// What was seen in the batch, when it was opened ([`Broker::open`]) or looked at before it is appended.
    pub opened: Option<BatchSummary>,
    pub config: Arc<TopicConfig>,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// Milliseconds under `LogAppendTime`, else −1.
    pub log_append_time_ms: i64,
    pub log_start: Offset,
}

/// Why a partition refuses an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionError {
    /// The partition was deleted meanwhile (UNKNOWN_TOPIC_OR_PARTITION).
    Unknown,
    Append(AppendError),
    /// The disk is full; reads go on (KAFKA_STORAGE_ERROR).
    DiskFull,
    /// Stored bytes fail their checksum (CORRUPT_MESSAGE).
    Corrupt(String),
    /// The offset is below the log start or above the log end (OFFSET_OUT_OF_RANGE).
    OutOfRange,
    /// The client knows an older leader epoch (FENCED_LEADER_EPOCH).
    FencedEpoch,
    /// The client knows a leader epoch that this node has not seen (UNKNOWN_LEADER_EPOCH).
    UnknownEpoch,
}

/// What to read of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub place: PartitionPlace,
    pub offset: Offset,
    pub bytes_max: usize,
    /// −1 when the client does not say.
    pub current_epoch: LeaderEpoch,
    /// Epoch of the client's last record, −1 when unknown (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct ReadReply {
    pub visible: Offset,
    pub log_start: Offset,
    /// Whole batches, in order.
    pub batches: Vec<Bytes>,
    /// Set when the client's log has diverged: the epoch and where it ends.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

impl ReadReply {
    /// Bytes of all batches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(Bytes::len).sum()
    }
}

/// What ListOffsets may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    Earliest,
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record whose timestamp is ≥ this many milliseconds.
    Timestamp(i64),
}

/// The answer to an [`OffsetQuery`]; −1 where nothing matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub epoch: LeaderEpoch,
}

/// A change of the catalog, planned where the catalog lives.
#[derive(Clone, Debug)]
pub enum CatalogCommand {
    CreateTopic(NewTopicSpec),
    DeleteTopic(TopicRef),
    AddPartitions {
        name: String,
        count: usize,
    },
    /// New overrides for the topic that has this name and id.
    ConfigureTopic {
        name: String,
        id: TopicId,
        change: ConfigChange,
    },
    /// New overrides for the brokers.
    ConfigureBroker(ConfigChange),
    DeclareTable {
        name: String,
        topic: String,
        payload: Vec<u8>,
    },
    DropTable {
        name: String,
    },
}

/// Why a catalog change did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogFailure {
    Refused(CatalogError),
    DiskFull,
    Fatal,
}

/// A request to the coordinator of one group. `reply_to` and `random` inside are filled in by the coordinator.
#[derive(Clone, Debug)]
pub enum GroupCall {
    Join(JoinRequest),
    Sync(SyncRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveRequest),
    Commit(CommitRequest),
    FetchOffsets(FetchOffsets),
    Describe {
        group_id: String,
        unknown_is_error: bool,
    },
    /// The groups whose state is in `states`, of all states when that is empty, among the first [`CALL_PARTITIONS_MAX`]
    /// after this one by id.
    List {
        states: Vec<String>,
        after: Option<String>,
    },
    Delete {
        group_id: String,
    },
    DeleteOffsets {
        group_id: String,
        partitions: Vec<TopicPartition>,
    },
}

impl GroupCall {
    /// The group that decides which shard answers; empty for `List`, which goes to all.
    #[must_use]
    pub fn group_id(&self) -> &str {
        match self {
            Self::Join(req) => &req.group_id,
            Self::Sync(req) => &req.group_id,
            Self::Heartbeat(req) => &req.group_id,
            Self::Leave(req) => &req.group_id,
            Self::Commit(req) => &req.group_id,
            Self::FetchOffsets(req) => &req.group_id,
            Self::Describe { group_id, .. }
            | Self::Delete { group_id }
            | Self::DeleteOffsets { group_id, .. } => group_id,
            Self::List { .. } => "",
        }
    }

    /// It changes nothing, and may be dropped at any time.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::FetchOffsets(_) | Self::Describe { .. } | Self::List { .. })
    }
}

/// Partitions that one [`GroupCall`] names at most: whoever has more calls several times, so that a shard's groups are never
/// busy for long.
pub const CALL_PARTITIONS_MAX: usize = 256;

/// OffsetFetch for one group.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    pub group_id: String,
    /// Checked when present (KIP-848, version ≥ 9).
    pub member_id: Option<String>,
    pub wanted: WantedOffsets,
}

/// Which committed offsets are asked for.
#[derive(Clone, Debug)]
pub enum WantedOffsets {
    /// These, answered in their order.
    Of(Vec<(String, TopicId, PartitionId)>),
    /// The first [`CALL_PARTITIONS_MAX`] that the group has after this one, by topic and partition.
    After(Option<(String, PartitionId)>),
}

impl FetchOffsets {
    /// The answer from the groups of the shard.
    ///
    /// # Errors
    /// When the request names a member that is not one.
    pub fn answer(&self, groups: &Groups) -> Result<Vec<FetchedOffset>, GroupError> {
        if let Some(member_id) = &self.member_id {
            groups.check_fetch_member(&self.group_id, member_id)?;
        }
        let offset = |topic: &str, partition: PartitionId, committed: Option<&CommittedOffset>| {
            FetchedOffset { topic: topic.to_owned(), partition, committed: committed.cloned() }
        };
        Ok(match &self.wanted {
            WantedOffsets::Of(partitions) => {
                let one = |(topic, id, partition): &(String, TopicId, PartitionId)| {
                    let committed = groups.committed(&self.group_id, topic, *id, *partition);
                    offset(topic, *partition, committed)
                };
                partitions.iter().map(one).collect()
            }
            WantedOffsets::After(after) => {
                let after = after.as_ref().map(|(topic, partition)| (&**topic, *partition));
                let rest = groups.committed_after(&self.group_id, after);
                let page = rest.take(CALL_PARTITIONS_MAX);
                page.map(|(topic, partition, value)| offset(topic, partition, Some(value)))
                    .collect()
            }
        })
    }
}

/// One committed offset; `committed` is `None` when there is none.
#[derive(Clone, Debug)]
pub struct FetchedOffset {
    pub topic: String,
    pub partition: PartitionId,
    pub committed: Option<CommittedOffset>,
}

/// The answer to a [`GroupCall`] of the same name.
#[derive(Clone, Debug)]
pub enum GroupAnswer {
    Join(JoinReply),
    Sync(SyncReply),
    Heartbeat(Option<GroupError>),
    Leave(Vec<(LeaveMember, Option<GroupError>)>),
    Commit(Vec<PartitionResult>),
    Offsets(Result<Vec<FetchedOffset>, GroupError>),
    Described(Result<GroupDescription, GroupError>),
    Listed(GroupPage),
    Deleted(Option<GroupError>),
    OffsetsDeleted(Result<Vec<PartitionResult>, GroupError>),
    /// The coordinator cannot log now, the disk is full (COORDINATOR_NOT_AVAILABLE; for commits
    /// COORDINATOR_LOAD_IN_PROGRESS).
    Unavailable,
}

/// Size of one partition for DescribeLogDirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSize {
    pub place: PartitionPlace,
    pub bytes: u64,
}

/// The file system under the data directory.
#[derive(Clone, Debug)]
pub struct LogDir {
    pub path: String,
    /// −1 when unknown.
    pub total_bytes: i64,
    pub usable_bytes: i64,
}

/// What was read, one reply per request.
pub struct ReadReplies {
    pub replies: Vec<Result<ReadReply, PartitionError>>,
    /// Bytes of all records.
    pub bytes: usize,
    /// Less than was asked for might be read: memory is short.
    pub curtailed: bool,
    /// The memory that the records take, until they are sent.
    pub held: Reserved,
}

/// Memory that is held; given back when dropped.
pub trait Held {
    /// What is held turned out to be so many bytes.
    fn resize(&mut self, bytes: usize);
}

impl fmt::Debug for dyn Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// Nothing is held, whatever is said.
impl Held for () {
    fn resize(&mut self, _: usize) {}
}

/// Memory that was reserved.
pub type Reserved = Box<dyn Held>;

/// The node, as seen from one core.
pub trait Broker {
    fn identity(&self) -> Arc<Identity>;
    fn now_ms(&self) -> i64;
    fn random(&self) -> u64;
    fn catalog(&self) -> Arc<Catalog>;
    /// Static settings and dynamic overrides together.
    fn broker_config(&self) -> Arc<BrokerConfigs>;
    fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig>;
    /// The leader epoch of every partition of the place's shard.
    fn leader_epoch(&self) -> LeaderEpoch;
    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()>;

    /// Waits until this core has memory for what the elements of a request become. Whoever holds some asks for no more:
    /// two that did could wait for each other.
    fn reserve(&self, bytes: usize) -> LocalFuture<'static, Reserved>;

    /// Takes memory of the same kind without waiting, also when none is left: those who reserve some wait the longer.
    fn hold(&self, bytes: usize) -> Reserved;

    /// Waits until answers that are built and not sent leave room on this core for another. What that takes is said with
    /// [`Held::resize`] as it becomes known, and is granted.
    fn room_for_answer(&self) -> LocalFuture<'static, Reserved>;

    /// Checks a batch that [`must_open`](broker_core::partition::must_open) and compresses it as its topic asks, with yields
    /// between slices of work; gives the request to append. It waits until this core has memory for that, unless some is
    /// `held` for those before it that are not appended yet, with their bytes; the memory returned is for all of them.
    /// All batches of the produce request take `request_bytes`, which wait with it.
    fn open(
        &self,
        request: AppendRequest,
        request_bytes: usize,
        held: Option<(Reserved, usize)>,
    ) -> LocalFuture<'static, (Result<AppendRequest, AppendError>, Reserved)>;

    /// Appends in order; one result per request. Completes when every appended batch is as durable as its topic asks.
    fn append(
        &self,
        requests: Vec<AppendRequest>,
    ) -> LocalFuture<'static, Result<Vec<Result<Appended, PartitionError>>, Fatal>>;

    /// Reads up to `bytes_max` in total, or less where memory is short; the first partition with data gives at least one
    /// batch (KIP-74).
    fn read(
        &self,
        requests: Rc<Vec<ReadRequest>>,
        bytes_max: usize,
    ) -> LocalFuture<'static, Result<ReadReplies, Fatal>>;

    /// Completes when any of the partitions has its high watermark beyond its offset, or was deleted.
    fn watch(&self, partitions: Vec<(PartitionPlace, Offset)>) -> LocalFuture<'static, ()>;

    fn find_offset(
        &self,
        place: PartitionPlace,
        query: OffsetQuery,
        current_epoch: LeaderEpoch,
    ) -> LocalFuture<'static, Result<Result<FoundOffset, PartitionError>, Fatal>>;

    /// End offset of a leader epoch; `None` when unknown.
    #[expect(clippy::type_complexity, reason = "two layers of failure, each with its own meaning")]
    fn epoch_end(
        &self,
        place: PartitionPlace,
        epoch: LeaderEpoch,
        current_epoch: LeaderEpoch,
    ) -> LocalFuture<'static, Result<Result<Option<(LeaderEpoch, Offset)>, PartitionError>, Fatal>>;

    /// Moves the log start durably; `None` means to the high watermark. Gives the new log start.
    fn delete_records(
        &self,
        place: PartitionPlace,
        before: Option<Offset>,
    ) -> LocalFuture<'static, Result<Result<Offset, PartitionError>, Fatal>>;

    fn partition_sizes(
        &self,
        places: Vec<PartitionPlace>,
    ) -> LocalFuture<'static, Result<Vec<PartitionSize>, Fatal>>;

    fn log_dir(&self) -> LogDir;

    /// Changes the catalog; completes when the change is durable and every core sees it.
    fn change_catalog(
        &self,
        command: CatalogCommand,
    ) -> LocalFuture<'static, Result<CatalogRecord, CatalogFailure>>;

    /// A producer id that was never given out before; ids are reserved in the catalog.
    fn new_producer_id(&self) -> LocalFuture<'static, Result<i64, CatalogFailure>>;

    /// Runs a request in the shard that owns the group; completes when the reply may be sent.
    fn group(&self, call: GroupCall) -> LocalFuture<'static, Result<GroupAnswer, Fatal>>;

    /// Runs a request in every shard (such as ListGroups).
    fn group_everywhere(
        &self,
        call: GroupCall,
    ) -> LocalFuture<'static, Result<Vec<GroupAnswer>, Fatal>>;
}
