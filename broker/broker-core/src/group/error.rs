//! Why a group request is refused, and the Kafka error code that says so.

use std::fmt;

/// A refused group request. [`GroupError::code`] is its wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// 12: the commit's metadata string is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge,
    /// 14: the members of all groups of the shard take what they may (`member_bytes_max`); clients join again after a pause.
    CoordinatorLoadInProgress,
    /// 15: the coordinator is shutting down or lost its log.
    CoordinatorNotAvailable,
    /// 22: the generation is not the group's current one.
    IllegalGeneration,
    /// 23: protocol type or protocols do not fit the group's other members.
    InconsistentGroupProtocol,
    /// 24: the group id is empty.
    InvalidGroupId,
    /// 25: the group does not know this member: reset and join again.
    UnknownMemberId,
    /// 26: the session timeout lies outside `group.min/max.session.timeout.ms`.
    InvalidSessionTimeout,
    /// 27: join again.
    RebalanceInProgress,
    /// 44: the shard has `luma.groups.per.shard.max` groups; no other code tells a client that retrying is no use.
    TooManyGroups,
    /// 68: the group has members.
    NonEmptyGroup,
    /// 69: no such group.
    GroupIdNotFound,
    /// 79: join again with the member id in the reply (KIP-394).
    MemberIdRequired,
    /// 81: the group is full.
    GroupMaxSizeReached,
    /// 82: a newer member took over this instance id (KIP-345).
    FencedInstanceId,
    /// 86: the group is subscribed to the topic (KIP-496).
    GroupSubscribedToTopic,
}

impl GroupError {
    /// The Kafka error code (<https://kafka.apache.org/protocol#protocol_error_codes>).
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::OffsetMetadataTooLarge => 12,
            Self::CoordinatorLoadInProgress => 14,
            Self::CoordinatorNotAvailable => 15,
            Self::IllegalGeneration => 22,
            Self::InconsistentGroupProtocol => 23,
            Self::InvalidGroupId => 24,
            Self::UnknownMemberId => 25,
            Self::InvalidSessionTimeout => 26,
            Self::RebalanceInProgress => 27,
            Self::TooManyGroups => 44,
            Self::NonEmptyGroup => 68,
            Self::GroupIdNotFound => 69,
            Self::MemberIdRequired => 79,
            Self::GroupMaxSizeReached => 81,
            Self::FencedInstanceId => 82,
            Self::GroupSubscribedToTopic => 86,
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OffsetMetadataTooLarge => "the offset's metadata is too large",
            Self::CoordinatorLoadInProgress => "the shard's groups take all the memory they may",
            Self::CoordinatorNotAvailable => "the coordinator is not available",
            Self::IllegalGeneration => "the generation is not the group's current one",
            Self::InconsistentGroupProtocol => "the member's protocols do not fit the group",
            Self::InvalidGroupId => "the group id is empty",
            Self::UnknownMemberId => "the member is not part of the group",
            Self::InvalidSessionTimeout => "the session timeout is outside the allowed range",
            Self::RebalanceInProgress => "the group is rebalancing",
            Self::TooManyGroups => "the shard has as many groups as it may keep",
            Self::NonEmptyGroup => "the group has members",
            Self::GroupIdNotFound => "the group does not exist",
            Self::MemberIdRequired => "the member must join again with the given member id",
            Self::GroupMaxSizeReached => "the group is full",
            Self::FencedInstanceId => "another member took over the group instance id",
            Self::GroupSubscribedToTopic => "the group is subscribed to the topic",
        })
    }
}

impl std::error::Error for GroupError {}
