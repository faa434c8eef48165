//! A node: shards on cores, the Kafka listener, and the door for the query side.
//!
//! ```text
//!  Node::start ─► core threads (broker-rt) ─► Core { Shard… } ◄─jobs─ other cores, NodeHandle (tokio threads)
//!                                               ▲
//!                    Kafka connections ─► broker-kafka handlers ─► CoreBroker
//! ```
//!
//! Invariants:
//! - A shard, its files and its state belong to one core; everyone else sends that core a job.
//! - Everything that is acknowledged is in the journal and as durable as its topic asks.
//!
//! Deliberately absent: replication (the seam is the journal's durable position), authentication.

mod core;
mod disk_space;
mod fair;
mod handle;
mod housekeeping;
mod identity;
mod limits;
mod node;
mod opening;
mod pipeline;
mod router;
mod server;
mod settings;
mod shard;
mod spawned;
mod stats;
mod verify;

pub use disk_space::DiskSpace;
pub use handle::{GroupLag, NodeHandle, PartitionRange};
pub use identity::{IdentityError, shards_in};
pub use node::{HostedIdentity, HostedNode, Node, NodeError};
pub use settings::NodeSettings;
pub use shard::ShardError;
pub use stats::{DURATION_BOUNDS_US, DurationCounter, JournalTotals, NodeStats};
pub use verify::{ShardVerification, Verification, VerifyError, holds_data, verify, verify_disks};
