//! The deterministic simulator: the real node, real Kafka bytes, simulated time, disks, network and failures.
//!
//! ```text
//!             Scenario (nemesis, heal, verdict)
//!                  │ steps
//!  clients ──► World: seeded executor · virtual time · Network ◄── SimRuntime: broker_rt::Runtime ◄── real node
//!     │                                                              │                               (broker-node)
//!     └─ what they saw ─► History (rules L1–L6, L8, G1–G3, F5)               Host: SimDisk per directory, survives a crash
//! ```
//!
//! Invariants:
//! - A run is a function of its seed and options: no clock, thread, environment or hash order takes part. Each seed is
//!   run twice and its trace hashes are compared.
//! - The product runs unchanged; seeded bugs are made in the disk, the settings or the clients.
//!
//! Deliberately absent: several nodes, the query side (it runs on tokio and reads immutable snapshots).

mod audit;
mod check;
mod churn;
mod consumer;
mod disk;
mod group;
mod net;
mod node;
mod operator;
mod payload;
mod producer;
mod random;
mod repeat;
mod rot;
mod rpc;
mod runtime;
mod scenario;
mod session;
mod trace;
mod world;

pub use check::{Counts, History};
pub use disk::{DiskFault, FailNth, Host};
pub use node::SimNode;
pub use payload::RecordId;
pub use random::Streams;
pub use repeat::repeat_command;
pub use runtime::{HostClock, SimRuntime};
pub use scenario::{Options, Outcome, SeededBug, run};
pub use trace::Trace;
pub use world::{ProcessId, SCENARIO, Sleep, Step, World};
