//! The handle that owner and readers hold.

use std::cell::RefCell;
use std::rc::Rc;

use log_io::{Clock, Disk, LocalFuture};
use log_types::{Offset, Position, StreamId};

use crate::append;
use crate::error::{AppendError, JournalError};
use crate::flusher;
use crate::options::{
    Entry, EntryKind, ExtentInfo, JournalHooks, JournalOptions, JournalStats, Recovery, ReplaySink,
};
use crate::recovery;
use crate::state::State;
use crate::wait::{Room, WaitDurable};

pub(crate) struct Inner {
    pub(crate) disk: Rc<dyn Disk>,
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) state: RefCell<State>,
}

/// One shard's journal. Clones share it; it stays on the core that opened it.
#[derive(Clone)]
pub struct Journal {
    pub(crate) inner: Rc<Inner>,
}

impl Journal {
    /// Opens the journal in `disk`, or makes a new one, and replays into `replay` what the newest checkpoint does not cover.
    ///
    /// # Errors
    /// `Corrupt` for damage at or below the durable watermark (nothing was changed), `Foreign` for another
    /// cluster's or shard's files, `Io`, `Options`.
    pub async fn open(
        disk: Rc<dyn Disk>,
        clock: Rc<dyn Clock>,
        options: JournalOptions,
        replay: &mut dyn ReplaySink,
    ) -> Result<(Self, Recovery), JournalError> {
        let (state, recovery) = recovery::open(&disk, options, clock.wall_ms(), replay).await?;
        let inner = Inner { disk, clock, state: RefCell::new(state) };
        Ok((Self { inner: Rc::new(inner) }, recovery))
    }

    /// Copies an entry into the frame being filled. The position is that of the frame; several entries share it.
    /// Nothing is durable before [`Journal::durable`] reaches the position.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was accepted then.
    ///
    /// # Panics
    /// When a batch's offsets do not follow those of its stream: offsets are assigned by the owner.
    pub fn append(&self, entry: &Entry<'_>) -> Result<Position, AppendError> {
        self.append_into(entry, append::Room::Common)
    }

    /// Like [`Journal::append`], and on a full disk into a reserve of the segment being written: for small entries that
    /// free space or let someone do so, such as deletions. The reserve is there again after space returned.
    ///
    /// # Errors
    /// As for `append`; `DiskFull` when the reserve is used up.
    ///
    /// # Panics
    /// For batches of records: they would use up what their deletion needs.
    pub fn append_reserved(&self, entry: &Entry<'_>) -> Result<Position, AppendError> {
        self.append_into(entry, append::Room::Reserve)
    }

    /// Like [`Journal::append_reserved`], and into the first half of that reserve only: for small entries that should work
    /// on a full disk and free no space themselves, so that they leave room for those that do.
    ///
    /// # Errors
    /// As for `append`; `DiskFull` when that half is used up.
    ///
    /// # Panics
    /// As for `append_reserved`.
    pub fn append_half_reserved(&self, entry: &Entry<'_>) -> Result<Position, AppendError> {
        self.append_into(entry, append::Room::HalfReserve)
    }

    fn append_into(&self, entry: &Entry<'_>, room: append::Room) -> Result<Position, AppendError> {
        let records = entry.kind == EntryKind::BATCH;
        assert!(!records || room == append::Room::Common, "the reserve is not for records");
        self.inner.state.borrow_mut().append(self.inner.disk.as_ref(), entry, room)
    }

    /// Waits until `append` is worth trying again after `Full` or `DiskFull`.
    pub fn room(&self) -> Room {
        Room { inner: Rc::clone(&self.inner), seen: None }
    }

    /// The position of the last accepted entry; readable, not necessarily written.
    #[must_use]
    pub fn appended(&self) -> Position {
        self.inner.state.borrow().appended()
    }

    /// Every frame up to here was handed to the device.
    #[must_use]
    pub fn written(&self) -> Position {
        self.inner.state.borrow().written
    }

    /// Every frame up to here is on stable storage. Never goes back.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.inner.state.borrow().durable
    }

    /// Waits until `position` is durable. Fails when the journal failed or was closed before.
    pub fn wait_durable(&self, position: Position) -> WaitDurable {
        WaitDurable { inner: Rc::clone(&self.inner), position, ticket: None }
    }

    /// The flusher: the owner spawns it once. Ends with `Ok` after [`Journal::close`] when everything is durable, and
    /// with an error when a write or sync failed; the owner then exits the process (F3).
    pub fn run(
        &self,
        hooks: Rc<dyn JournalHooks>,
    ) -> LocalFuture<'static, Result<(), JournalError>> {
        flusher::run(Rc::clone(&self.inner), hooks)
    }

    /// No more appends; `run` ends once all is durable and the journal is marked as closed.
    pub fn close(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.closing = true;
        state.wake_room();
        state.wake_flusher();
    }

    /// Makes everything appended so far durable, volatile entries included, without waiting for a synced one.
    pub fn sync_volatile(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.sync_target = state.sync_target.max(state.appended());
        state.wake_flusher();
    }

    /// Tries again to get space for segments, after `DiskFull`.
    pub fn retry_space(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.space_freed();
        state.wake_flusher();
    }

    /// Periodic work; the owner calls it every 50 to 1000 ms: syncs volatile leftovers, records the watermark, looks for
    /// space (less and less often, every 10 s in the end, and when another journal has given some back), frees segments.
    pub fn tick(&self) {
        self.sync_volatile();
        let mut state = self.inner.state.borrow_mut();
        state.probe_space(self.inner.clock.mono_ns());
        state.notice_given_back();
        state.look_at_bridge();
        state.watermark_wanted = true;
        state.free_check = true;
        state.want_checkpoint_for_frees();
        state.wake_flusher();
    }

    /// Takes a checkpoint as soon as what is appended now is durable.
    pub fn request_checkpoint(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.checkpoint_wanted = state.checkpoint_wanted.max(1);
        state.wake_flusher();
    }

    /// Everything of `stream` below `offset` is no longer wanted: whole shares of sealed segments are forgotten, and
    /// segments without any live share are recycled once durable checkpoints do not need them.
    pub fn set_log_start(&self, stream: StreamId, offset: Offset) {
        let mut state = self.inner.state.borrow_mut();
        if state.index.set_log_start(stream, offset) {
            state.free_check = true;
            state.wake_flusher();
        }
    }

    /// Forgets a stream for ever; its number is never used again.
    pub fn remove_stream(&self, stream: StreamId) {
        let mut state = self.inner.state.borrow_mut();
        if state.index.remove_stream(stream) {
            state.free_check = true;
            state.wake_flusher();
        }
    }

    /// Bytes of the stream's batches that are still indexed.
    #[must_use]
    pub fn stream_bytes(&self, stream: StreamId) -> u64 {
        self.inner.state.borrow().index.stream(stream).map_or(0, crate::index::StreamIndex::bytes)
    }

    /// The stream's shares, oldest first; the last one may lie in the segment still being written.
    #[must_use]
    pub fn extents(&self, stream: StreamId) -> Vec<ExtentInfo> {
        self.inner.state.borrow().extents(stream)
    }

    /// The last of [`Journal::extents`] in its parts, of at most 64 KiB unless one entry is larger, when it lies in the segment
    /// still being written; else nothing.
    #[must_use]
    pub fn open_extents(&self, stream: StreamId) -> Vec<ExtentInfo> {
        self.inner.state.borrow().open_extents(stream)
    }

    #[must_use]
    pub fn stats(&self) -> JournalStats {
        let state = self.inner.state.borrow();
        JournalStats {
            segments: state.segments.len() as u64,
            spare_segments: state.spares.len() as u64,
            tail_bytes: state.tail.bytes as u64,
            pending_bytes: state.pending_bytes as u64,
            chunk_bytes: state.caches.chunk_bytes() as u64,
            streams: state.index.streams.len() as u64,
            disk_full: state.disk_full,
            ..state.stats
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
