//! Deterministic stand-ins for the outside world, for the tests of `log-*` and for the simulator.
//!
//! ```text
//!  SimDisk  : log_io::Disk in memory. Un-synced writes, lengths and names are pending until synced;
//!             `crash_image(policy)` is the disk a power cut at this instant may leave behind.
//!  SimClock : log_io::Clock that moves only when told.
//!  SimRng   : log_io::Random from a seed (splitmix64).
//!  Executor : single-threaded, picks the next ready task by seed, says when nothing can make progress.
//! ```
//!
//! Invariants:
//! - The same seed and the same calls give the same trace; nothing here reads a clock or the environment.
//! - A completed `Synced` write, `sync_data` or `sync_dir` survives every crash policy.
//! - The original disk is untouched by `crash_image`, so many policies can be tried on one crash state.
//!
//! Deliberately absent: network, virtual-time scheduling (those are `jepsen-sim`'s).

mod clock;
mod disk;
mod executor;

pub use clock::{SimClock, SimRng};
pub use disk::{CrashPolicy, Fault, OpKind, SimDisk, SimDiskOptions};
pub use executor::Executor;
