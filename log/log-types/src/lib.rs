//! The vocabulary of the log: newtyped ids, offsets and positions, and the error kinds every crate border uses.
//!
//! Client-visible offsets (one counter per stream) and internal positions (one counter per shard) are different
//! types on purpose: mixing them up is the classic bug of log-structured brokers.
//!
//! Deliberately absent: I/O, serialization frameworks, any third-party crate.

mod error;
mod ids;

pub use error::ErrorKind;
pub use ids::{
    ClusterId, LeaderEpoch, NodeId, Offset, PartitionId, Position, ProducerEpoch, ProducerId,
    SegmentId, ShardId, StreamId, Term, Token, TopicId,
};
