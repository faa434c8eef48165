//! Incremental fetch sessions (KIP-227): the partitions a consumer reads are remembered, so that its requests name only
//! changes and responses hold only partitions with news.
//!
//! ```text
//! request (id, epoch)   −1 → sessionless, closes id          0 → full fetch, closes id, may open a new session
//!                       n → incremental: must be the session's epoch, which then advances (1 follows i32::MAX)
//! ```
//! Order of calls: [`FetchSessions::begin`], fetch the partitions it returns, [`FetchSessions::finish`]. A long poll may
//! lie between them; `finish` refuses when the session moved on or was evicted meanwhile.
//!
//! Invariants:
//! - At most `slots_max` sessions and `partitions_max` partitions over all sessions. A session is evicted for a new one when
//!   it has been silent for `eviction_ms`, or when the new one is worth more: a replica before a consumer, then more
//!   partitions, and then only once the old one has lived for `eviction_ms`.
//! - Partitions that returned records go to the end of the order: none starves behind busy ones when a response is full.
//!
//! Rules: Kafka 4.x `FetchSession`, `FetchSessionCacheShard`.
//!
//! Deliberately absent: reading anything; resolving topic ids (an unknown id stays a partition whose fetch fails).

mod cache;
mod session;

#[cfg(test)]
mod tests;

pub use cache::{Begun, FetchSessions};
pub use session::{
    FetchKey, FetchPartition, FetchResult, FetchSessionConfig, FetchSessionError, FetchTopic,
};
