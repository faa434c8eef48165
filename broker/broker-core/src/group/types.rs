//! Plain inputs and outputs of the group coordinator. Times are milliseconds since the Unix epoch.

use crate::group::error::GroupError;
use crate::group::record::GroupRecord;
use bytes::Bytes;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

/// Settings of the coordinator; names follow Kafka's broker configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms` (KIP-134); default 3000.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`; default 6000.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`; default 1,800,000.
    pub session_timeout_ms_max: i32,
    /// `luma.groups.per.shard.max`; default 100,000: some 100 MB of groups with a member or a few offsets each.
    pub groups_max: usize,
    /// `group.max.size`, members of one group; default unlimited.
    pub group_size_max: usize,
    /// What the members of one group may take: their subscriptions, their assignments, their names. Default 32 MiB: half of the
    /// journal's largest entry, of which a group's members are one.
    pub group_bytes_max: usize,
    /// The same for all groups of a shard; default 128 MiB, half of `kafka.request_memory_bytes_max`. Beyond it joins are
    /// answered with COORDINATOR_LOAD_IN_PROGRESS, and assignments with COORDINATOR_NOT_AVAILABLE: clients repeat both. Once
    /// more as much may be held by what was logged last.
    pub member_bytes_max: usize,
    /// Member ids handed out and not yet used, per group: each is a promise that costs memory until it expires.
    pub pending_members_max: usize,
    /// How long a new member may wait for its first join reply before its client is taken for gone; Kafka: 5 minutes.
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`; default 4096.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds; default 7 days.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`; default 10 minutes.
    pub offsets_retention_check_ms: i64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 3000,
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 1_800_000,
            groups_max: 100_000,
            group_size_max: usize::MAX,
            group_bytes_max: 32 << 20,
            member_bytes_max: 128 << 20,
            pending_members_max: 10_000,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_bytes_max: 4096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_retention_check_ms: 600_000,
        }
    }
}

/// The caller's address for a reply; opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTo(pub u64);

/// Life cycle of a group; `Display` is Kafka's name of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// Only in descriptions: a group that does not exist.
    Dead,
}

impl GroupState {
    pub const ALL: [Self; 5] = [
        Self::Empty,
        Self::PreparingRebalance,
        Self::CompletingRebalance,
        Self::Stable,
        Self::Dead,
    ];
}

impl std::fmt::Display for GroupState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        })
    }
}

/// One assignment protocol a member can speak, with its subscription bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

impl Protocol {
    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        64 + self.name.len() + self.metadata.len()
    }
}

/// JoinGroup. The reply comes when the rebalance completes.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub reply_to: ReplyTo,
    pub group_id: String,
    /// Empty for a new member.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    pub session_timeout_ms: i32,
    /// Version 0 of the request has none: pass the session timeout.
    pub rebalance_timeout_ms: i32,
    /// JoinGroup version ≥ 4 (KIP-394).
    pub require_known_member_id: bool,
    /// JoinGroup version ≥ 9 (KIP-814).
    pub skip_assignment_supported: bool,
    /// Randomness for a new member id.
    pub random: u128,
}

/// One member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

/// Answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: Option<GroupError>,
    /// −1 with an error.
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// Member id of the leader, empty with an error.
    pub leader: String,
    /// The leader must not compute an assignment (KIP-814).
    pub skip_assignment: bool,
    pub member_id: String,
    /// Filled for the leader only.
    pub members: Vec<JoinMember>,
}

/// SyncGroup. The reply comes when the leader has synced.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub reply_to: ReplyTo,
    pub group_id: String,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// Versions ≥ 5; `None` is not checked.
    pub protocol_type: Option<String>,
    /// Versions ≥ 5; `None` is not checked.
    pub protocol_name: Option<String>,
    /// Member id and assignment, from the leader only.
    pub assignments: Vec<(String, Bytes)>,
}

/// Answer to a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: Option<GroupError>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// Heartbeat of a member.
#[derive(Clone, Debug)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
}

/// One member that leaves: by member id, or by instance id with an empty member id (an administrator's removal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveMember {
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// LeaveGroup; versions < 3 hold one member.
#[derive(Clone, Debug)]
pub struct LeaveRequest {
    pub reply_to: ReplyTo,
    pub group_id: String,
    pub members: Vec<LeaveMember>,
}

/// A partition by topic name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: PartitionId,
}

/// One offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    pub topic: String,
    /// All zero when the caller does not know it.
    pub topic_id: TopicId,
    pub partition: PartitionId,
    pub offset: Offset,
    /// −1 when unknown.
    pub leader_epoch: LeaderEpoch,
    /// Null on the wire is passed as an empty string, as Kafka stores it.
    pub metadata: String,
}

/// OffsetCommit.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub reply_to: ReplyTo,
    pub group_id: String,
    /// Empty for a consumer without group management.
    pub member_id: String,
    pub instance_id: Option<String>,
    /// Negative for a consumer without group management.
    pub generation: i32,
    /// Retention asked for by versions 2 to 4, in milliseconds.
    pub retention_ms: Option<i64>,
    pub partitions: Vec<CommitPartition>,
}

/// Outcome for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResult {
    pub topic: String,
    pub partition: PartitionId,
    pub error: Option<GroupError>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub topic_id: TopicId,
    pub offset: Offset,
    /// −1 when unknown.
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
    pub committed_at_ms: i64,
    /// Set by commits that asked for their own retention (versions 2 to 4).
    pub expires_at_ms: Option<i64>,
}

/// What to send, once the records beside it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub to: ReplyTo,
    pub body: ReplyBody,
}

/// Answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    Join(JoinReply),
    Sync(SyncReply),
    /// One result per member of the request, in its order.
    Leave(Vec<(LeaveMember, Option<GroupError>)>),
    /// One result per partition of the request, in its order.
    Commit(Vec<PartitionResult>),
    /// One result per group of the request, in its order.
    DeleteGroups(Vec<(String, Option<GroupError>)>),
    /// OffsetDelete: an error of the group, or one result per partition.
    DeleteOffsets(Result<Vec<PartitionResult>, GroupError>),
}

/// What the owner must do: append `records` in order, then send `replies` when they are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Outputs {
    pub records: Vec<GroupRecord>,
    /// For each record of a commit or of a deletion of offsets that a client asks for, and for no others, what it replaced:
    /// for who cannot log it.
    pub before: Vec<Option<CommittedOffset>>,
    pub replies: Vec<Reply>,
}

/// A member in a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Empty unless the group is stable.
    pub metadata: Bytes,
    /// Empty unless the group is stable.
    pub assignment: Bytes,
}

/// DescribeGroups, one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group_id: String,
    pub state: GroupState,
    pub protocol_type: String,
    /// Empty unless the group is stable.
    pub protocol_name: String,
    pub generation: i32,
    pub members: Vec<MemberDescription>,
}

/// ListGroups, some of the groups by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPage {
    pub groups: Vec<GroupListing>,
    /// The last group that was looked at, where there are more behind it.
    pub upto: Option<String>,
}

/// ListGroups, one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group_id: String,
    pub protocol_type: String,
    pub state: GroupState,
}
