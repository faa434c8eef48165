//! One shard's journal: the sequence of frames that every write of the shard goes through.
//!
//! ```text
//!  append ─► open frame ─► queue ─► flusher (`run`): ≤ 2 writes in flight ─► durable() ─► waiters, hooks
//!               │                      │  seal: footer, next segment, checkpoint
//!               └── tail cache ◄───────┘
//!  read ──► index (stream → runs / extents) ─► tail cache | chunk cache ─► segment files
//!  open ──► newest checkpoint ─► scan frames after it ─► replay into the owner
//! ```
//!
//! Invariants:
//! - Nothing is reported durable before its frame and every earlier frame are on stable storage (L1).
//! - A failed write or sync fails the journal for good; the owner exits the process (F3).
//! - An invalid frame at or below the durable watermark is corruption and nothing is changed; above it, it is a
//!   torn tail and truncated (F2). The length of a file is never trusted.
//! - Frames of an earlier opening never follow frames of a later one (generation, FORMAT.md "Frame").
//! - No `RefCell` borrow is held across an await or while a hook runs.
//!
//! Everything is `!Send`: a journal belongs to one core. It names no runtime: the owner spawns `run`.
//! The byte layouts are normative in `log/FORMAT.md`.
//!
//! Deliberately absent: stream semantics (offset assignment, high watermark), retention policy, encryption at rest
//! (the format reserves its fields), replication.

mod append;
mod checkpoint;
mod error;
mod flusher;
mod format;
mod frame;
mod index;
mod journal;
mod options;
mod reader;
mod recovery;
mod retention;
mod roll;
mod shared_space;
mod space;
mod state;
mod tail;
mod verify;
mod wait;

pub use error::{AppendError, JournalError, ReadError};
pub use format::{DATA_START, EntryHead, FRAME_HEADER_BYTES, FrameHeader};
pub use journal::Journal;
pub use options::{
    Entry, EntryKind, ExtentInfo, JournalHooks, JournalOptions, JournalStats, ReadBatches,
    Recovery, ReplaySink,
};
pub use shared_space::SharedSpace;
pub use verify::{Finding, StateFold, StateMismatch, VerifyReport};
pub use wait::{Room, WaitDurable};

#[cfg(test)]
mod tests;
