//! The written frames kept in memory for readers, and the pool of blocks they return to.
//!
//! Invariants:
//! - Frames are in order of (segment, file offset); those not yet written are never evicted.
//! - A block is reused only when nobody else holds it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Block, Disk, block_bytes};
use log_types::{Position, SegmentId};

/// Blocks kept for reuse, in bytes.
const POOL_BYTES_MAX: usize = 16 << 20;
/// Smallest and largest block chosen by itself; a larger entry gets a block for itself.
pub(crate) const CLASS_MIN: usize = 64 << 10;
pub(crate) const CLASS_MAX: usize = HUGE_BYTES;
/// Blocks of more than half of this are multiples of it: back ends put those on huge pages, which a processor pins for
/// direct I/O and finds again faster than thousands of small ones (a third of the time of a produce of 1 MiB).
const HUGE_BYTES: usize = 2 << 20;

pub(crate) struct TailFrame {
    pub(crate) position: Position,
    pub(crate) segment: SegmentId,
    pub(crate) start: u64,
    pub(crate) data: Bytes,
    /// `None` when the frame was copied out of a block much larger than itself.
    block: Option<Block>,
}

#[derive(Default)]
pub(crate) struct Tail {
    frames: VecDeque<TailFrame>,
    pub(crate) bytes: usize,
    pool: Vec<Block>,
    pool_bytes: usize,
}

/// The size of a block that takes `len` bytes.
fn block_len(len: usize) -> usize {
    let unit = if len > HUGE_BYTES / 2 { HUGE_BYTES } else { BLOCK_BYTES };
    len.next_multiple_of(unit)
}

impl Tail {
    /// A block of at least `len` bytes that nobody else holds.
    pub(crate) fn take_block(&mut self, disk: &dyn Disk, len: usize) -> Block {
        let len = block_len(len);
        let fits = |block: &Block| {
            block.bytes().len() >= len && block.bytes().len() <= len.max(CLASS_MIN) * 2
        };
        let found = self.pool.iter().position(|block| Arc::strong_count(block) == 1 && fits(block));
        if let Some(index) = found {
            let mut block = self.pool.swap_remove(index);
            self.pool_bytes -= block.bytes().len();
            if Arc::get_mut(&mut block).is_some() {
                return block;
            }
        }
        Block::from(disk.alloc(len))
    }

    fn give_back(&mut self, block: Block) {
        let len = block.bytes().len();
        if self.pool_bytes + len <= POOL_BYTES_MAX {
            self.pool_bytes += len;
            self.pool.push(block);
        }
    }

    /// Adds the frame whose write starts now; its first `len` bytes are what is written.
    pub(crate) fn push(
        &mut self,
        position: Position,
        segment: SegmentId,
        start: u64,
        block: &Block,
        len: usize,
    ) {
        self.bytes += block.bytes().len();
        let data = block_bytes(block, 0..len);
        self.frames.push_back(TailFrame {
            position,
            segment,
            start,
            data,
            block: Some(Arc::clone(block)),
        });
    }

    /// The frame was written: copy it out of a block that would waste most of its memory.
    pub(crate) fn written(&mut self, position: Position) {
        let index = self.frames.partition_point(|frame| frame.position < position);
        let Some(frame) = self.frames.get_mut(index) else { return };
        let Some(block) = frame.block.as_ref() else { return };
        let capacity = block.bytes().len();
        if frame.data.len() * 4 > capacity {
            return;
        }
        frame.data = Bytes::copy_from_slice(&frame.data);
        self.bytes -= capacity - frame.data.len();
        if let Some(block) = frame.block.take() {
            self.give_back(block);
        }
    }

    /// Drops the oldest written frames above `bytes_max`.
    pub(crate) fn evict(&mut self, bytes_max: usize, written: Position) {
        while self.bytes > bytes_max {
            let Some(front) = self.frames.front() else { return };
            if front.position > written {
                return;
            }
            let Some(frame) = self.frames.pop_front() else { return };
            match frame.block {
                Some(block) => {
                    drop(frame.data);
                    self.bytes -= block.bytes().len();
                    self.give_back(block);
                }
                None => self.bytes -= frame.data.len(),
            }
        }
    }

    /// `len` bytes at `at` of `segment`, without a copy, when the tail still holds them.
    pub(crate) fn get(&self, segment: SegmentId, at: u64, len: usize) -> Option<Bytes> {
        let after =
            self.frames.partition_point(|frame| (frame.segment, frame.start) <= (segment, at));
        let frame = self.frames.get(after.checked_sub(1)?)?;
        if frame.segment != segment {
            return None;
        }
        let start = usize::try_from(at - frame.start).ok()?;
        let end = start.checked_add(len)?;
        (end <= frame.data.len()).then(|| frame.data.slice(start..end))
    }
}
