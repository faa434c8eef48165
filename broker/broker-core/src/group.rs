//! Classic consumer groups: membership, rebalances and committed offsets of one shard, as a sans-IO coordinator.
//!
//! ```text
//!            join                 all joined, or time is up            leader syncs
//!   Empty ─────────► Preparing ───────────────────────────► Completing ────────────► Stable
//!     ▲                │  ▲ ▲                                    │                      │
//!     └─ nobody left ──┘  │ └──── join, leave, expiry, no sync ──┘                      │
//!                         └──────────────── join, leave, session expiry ────────────────┘
//! ```
//!
//! [`Groups`] is the owner's handle. Its methods come in kinds: getters (`fetch_offsets`, `describe`, `list`), `handle_*`
//! (requests), [`Groups::tick`] (time), and the fold ([`Groups::apply`], [`Groups::export`]).
//!
//! Invariants:
//! - State is a fold of [`GroupRecord`]s. Memory changes at once and the records describing the change leave in the same
//!   [`Outputs`] as the replies. **Replies of an [`Outputs`] are sent only after its records and those of every earlier
//!   [`Outputs`] are durable**; answers of getters follow the same rule, or they would show an offset that a crash takes back.
//! - When an append fails, memory is ahead of the log: answer the held replies with COORDINATOR_NOT_AVAILABLE and rebuild
//!   [`Groups`] from the log.
//! - Every `reply_to` given to `handle_*` is answered exactly once, then or later; a join or sync that the same member
//!   repeats answers the earlier one with REBALANCE_IN_PROGRESS.
//! - A member that is waiting for a join or sync reply never expires, except when it is new and its client is gone
//!   ([`GroupConfig::new_member_join_timeout_ms`]).
//!
//! Semantics are those of Apache Kafka 4.x (`GroupMetadataManager`, `ClassicGroup`), KIP-62, 134, 211, 345, 394, 496, 814.
//!
//! Deliberately absent: the consumer protocol of KIP-848, transactional offset commits, authorization, whether a
//! topic exists (the caller knows).

mod backlog;
mod error;
mod groups;
mod join;
mod machine;
mod member;
mod offsets;
mod record;
mod subscription;
mod sync;
mod types;

#[cfg(test)]
mod tests;

pub use backlog::{Backlog, Place};
pub use error::GroupError;
pub use groups::Groups;
pub use record::{GroupMetadata, GroupRecord, MemberMetadata, OffsetCommitted};
pub use types::{
    CommitPartition, CommitRequest, CommittedOffset, GroupConfig, GroupDescription, GroupListing,
    GroupPage, GroupState, HeartbeatRequest, JoinMember, JoinReply, JoinRequest, LeaveMember,
    LeaveRequest, MemberDescription, Outputs, PartitionResult, Protocol, Reply, ReplyBody, ReplyTo,
    SyncReply, SyncRequest, TopicPartition,
};
