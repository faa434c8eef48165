//! Accepting entries: the synchronous half of the write path.
//!
//! The place of every frame is planned here, so that the index is complete at once. An entry that does not fit into
//! the rest of the segment asks the flusher to end it: only the flusher calls hooks.
//!
//! On a full disk nothing is accepted but what may use the reserve (`space.rs`), until that is used up.

use log_io::Disk;
use log_types::Position;

use crate::error::AppendError;
use crate::format::{ENTRY_BYTES, FRAME_HEADER_BYTES};
use crate::frame::{OpenFrame, frame_len};
use crate::options::{Entry, EntryKind};
use crate::state::State;

/// How far into a segment an entry may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Not into the reserve.
    Common,
    /// Into the first half of the reserve while the disk is full.
    HalfReserve,
    /// Into all of the reserve while the disk is full.
    Reserve,
}

impl State {
    pub(crate) fn append(
        &mut self,
        disk: &dyn Disk,
        entry: &Entry<'_>,
        room: Room,
    ) -> Result<Position, AppendError> {
        let bytes: usize = entry.parts.iter().map(|part| part.len()).sum();
        let room = if self.reserve_open() { room } else { Room::Common };
        self.append_check(entry, bytes, room)?;
        let fits = self.open.as_ref().is_some_and(|open| {
            let len = open.len_with(bytes);
            len <= open.block.bytes().len() as u64
                && self.segment_fits(len, open.entries.len() + 1, room)
        });
        if !fits {
            self.append_open_frame(disk, bytes, room)?;
        }
        let open = self.open.as_mut().expect("a frame that fits was just opened");
        let head = open.push(entry, bytes);
        let (position, frame_at) = (open.position, open.file_offset);
        self.index.push(frame_at, &head);
        self.pending_bytes += bytes;
        self.stats.entries += 1;
        self.stats.entry_bytes += bytes as u64;
        self.wake_flusher();
        Ok(position)
    }

    fn append_check(
        &mut self,
        entry: &Entry<'_>,
        bytes: usize,
        room: Room,
    ) -> Result<(), AppendError> {
        if self.failed || self.closing {
            return Err(AppendError::Failed);
        }
        if bytes > self.options.frame_bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max: self.options.frame_bytes_max });
        }
        if self.disk_full && room == Room::Common {
            return Err(AppendError::DiskFull);
        }
        if self.pending_bytes > 0 && self.pending_bytes + bytes > self.options.pending_bytes_max {
            self.refused = true;
            self.wake_flusher();
            return Err(AppendError::Full);
        }
        if self.on_bridge() && room == Room::Common {
            self.seal_requested = true;
            self.wake_flusher();
        }
        if self.seal_requested {
            self.refused = true;
            return Err(AppendError::Full);
        }
        if entry.kind == EntryKind::BATCH {
            let last =
                self.index.streams.get(&entry.stream).and_then(crate::index::StreamIndex::last);
            assert!(
                entry.base_offset <= entry.last_offset,
                "entry {}..={}",
                entry.base_offset,
                entry.last_offset
            );
            assert!(
                last.is_none_or(|last| last < entry.base_offset),
                "stream {}: offset {} follows {last:?}",
                entry.stream,
                entry.base_offset
            );
        }
        Ok(())
    }

    /// Opens the frame that takes an entry of `bytes`, or asks for the segment to end. The reserve is the last resort.
    fn append_open_frame(
        &mut self,
        disk: &dyn Disk,
        bytes: usize,
        room: Room,
    ) -> Result<(), AppendError> {
        self.close_open();
        let len = frame_len(bytes, 1);
        if !self.segment_fits(len, 1, room) {
            if room != Room::Common {
                return Err(AppendError::DiskFull);
            }
            self.seal_requested = true;
            self.refused = true;
            self.wake_flusher();
            return Err(AppendError::Full);
        }
        let need = usize::try_from(len).expect("an entry is at most frame_bytes_max");
        let block = self.tail.take_block(disk, need.max(self.block_class));
        let entries = self.entry_pool.pop().unwrap_or_default();
        self.open = Some(OpenFrame::new(block, entries, &self.plan));
        const { assert!(ENTRY_BYTES < FRAME_HEADER_BYTES) };
        Ok(())
    }
}
