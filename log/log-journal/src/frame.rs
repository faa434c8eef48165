//! A frame while it is being filled, and how it becomes bytes on disk.
//!
//! ```text
//!  block: ├ header (written last) ┼ entries, as they are appended ──► ┼ directory ┼ zero padding ┤
//! ```

use std::sync::Arc;

use log_io::{Block, Durability};
use log_record::{crc32c, crc32c_combine, crc32c_extend};
use log_types::{Position, SegmentId};

use crate::format::{ENTRY_BYTES, EntryHead, FRAME_HEADER_BYTES, FrameHeader, Identity, align_up};
use crate::options::Entry;
use crate::state::Plan;

/// Putting checksums together costs about as much as going over this many bytes.
const KNOWN_CRC_BYTES_MIN: usize = 16 << 10;

/// A frame that still accepts entries, or waits to be written.
pub(crate) struct OpenFrame {
    /// Not shared with anyone until the write starts.
    pub(crate) block: Block,
    /// Header and entry bytes so far.
    pub(crate) used: usize,
    pub(crate) entries: Vec<EntryHead>,
    /// CRC-32C of the block from the end of the header to `crc_end`.
    pub(crate) crc: u32,
    pub(crate) crc_end: usize,
    pub(crate) durability: Durability,
    pub(crate) position: Position,
    pub(crate) segment: SegmentId,
    pub(crate) file_offset: u64,
}

/// What goes into the header besides what the frame knows itself.
pub(crate) struct Stamp {
    pub(crate) identity: Identity,
    pub(crate) term: log_types::Term,
    pub(crate) durable: Position,
    pub(crate) wall_ms: i64,
    pub(crate) generation: u32,
}

/// Bytes of a whole frame with `data` entry bytes in `entries` entries.
pub(crate) fn frame_len(data: usize, entries: usize) -> u64 {
    align_up((FRAME_HEADER_BYTES + data + entries * ENTRY_BYTES) as u64)
}

impl OpenFrame {
    /// Without entries yet, at the place that is planned for the next frame. `entries` is memory to use.
    pub(crate) fn new(block: Block, mut entries: Vec<EntryHead>, plan: &Plan) -> Self {
        entries.clear();
        Self {
            block,
            used: FRAME_HEADER_BYTES,
            entries,
            crc: 0,
            crc_end: FRAME_HEADER_BYTES,
            durability: Durability::Volatile,
            position: plan.position,
            segment: plan.segment,
            file_offset: plan.offset,
        }
    }

    /// Bytes on disk if nothing more is added.
    pub(crate) fn len(&self) -> u64 {
        frame_len(self.used - FRAME_HEADER_BYTES, self.entries.len())
    }

    /// Bytes on disk with one more entry of `bytes`.
    pub(crate) fn len_with(&self, bytes: usize) -> u64 {
        frame_len(self.used - FRAME_HEADER_BYTES + bytes, self.entries.len() + 1)
    }

    /// Copies an entry in. The caller checked that it fits.
    pub(crate) fn push(&mut self, entry: &Entry<'_>, bytes: usize) -> EntryHead {
        let head = EntryHead {
            stream: entry.stream,
            kind: entry.kind,
            base_offset: entry.base_offset,
            last_offset: entry.last_offset,
            max_timestamp: entry.max_timestamp,
            frame_offset: u32::try_from(self.used).expect("a frame is smaller than 4 GiB"),
            len: u32::try_from(bytes).expect("an entry is smaller than a frame"),
        };
        let memory =
            Arc::get_mut(&mut self.block).expect("an open frame's block has one owner").bytes_mut();
        let mut at = self.used;
        let mut last = at;
        for part in entry.parts {
            last = at;
            memory[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        if let Some(crc) = entry.last_part_crc
            && at - last >= KNOWN_CRC_BYTES_MIN
        {
            debug_assert!(crc == crc32c(&memory[last..at]), "the caller has checked the checksum");
            self.crc = crc32c_extend(self.crc, &memory[self.crc_end..last]);
            self.crc = crc32c_combine(self.crc, crc, (at - last) as u64);
            self.crc_end = at;
        }
        self.used = at;
        self.entries.push(head);
        if entry.durability == Durability::Synced {
            self.durability = Durability::Synced;
        }
        head
    }

    /// Writes directory, padding and header. Returns the frame's length on disk.
    pub(crate) fn finish(&mut self, stamp: &Stamp) -> usize {
        let len = usize::try_from(self.len()).expect("a frame is smaller than its block");
        let memory = Arc::get_mut(&mut self.block)
            .expect("a frame's block is shared only after finish")
            .bytes_mut();
        let mut at = self.used;
        for head in &self.entries {
            head.encode(&mut memory[at..]);
            at += ENTRY_BYTES;
        }
        memory[at..len].fill(0);
        let header = FrameHeader {
            segment: self.segment,
            file_offset: self.file_offset,
            position: self.position,
            term: stamp.term,
            durable: stamp.durable,
            wall_ms: stamp.wall_ms,
            generation: stamp.generation,
            entry_count: u32::try_from(self.entries.len())
                .expect("entries take 48 bytes each in 4 GiB"),
            data_bytes: u32::try_from(self.used - FRAME_HEADER_BYTES)
                .expect("a frame is smaller than 4 GiB"),
            frame_bytes: u32::try_from(len).expect("a frame is smaller than 4 GiB"),
            payload_crc: crc32c_extend(self.crc, &memory[self.crc_end..len]),
        };
        header.encode(stamp.identity.cluster, stamp.identity.shard, memory);
        len
    }
}

#[cfg(test)]
mod tests {
    use log_io::{BLOCK_BYTES, Disk};
    use log_record::crc32c;
    use log_testkit::{SimDisk, SimDiskOptions};
    use log_types::{ClusterId, Offset, ShardId, StreamId, Term};

    use super::*;
    use crate::options::EntryKind;

    /// The checksum in the header is that of the bytes, whichever parts of it were known before.
    #[test]
    fn a_checksum_put_together_is_that_of_the_whole() {
        let identity = Identity { cluster: ClusterId([7; 16]), shard: ShardId(0) };
        let stamp =
            Stamp { identity, term: Term(1), durable: Position(0), wall_ms: 0, generation: 1 };
        let disk = SimDisk::new(SimDiskOptions::default());
        for known in 0..8_u32 {
            let mut frame = OpenFrame {
                block: Arc::from(disk.alloc(64 * BLOCK_BYTES)),
                used: FRAME_HEADER_BYTES,
                entries: Vec::new(),
                crc: 0,
                crc_end: FRAME_HEADER_BYTES,
                durability: Durability::Synced,
                position: Position(1),
                segment: SegmentId(1),
                file_offset: 0,
            };
            for (index, bytes) in [100, KNOWN_CRC_BYTES_MIN, 50_000].into_iter().enumerate() {
                let tail = vec![u8::try_from(index + 1).unwrap(); bytes];
                let parts: &[&[u8]] = &[b"head", &tail];
                let entry = Entry {
                    stream: StreamId(1),
                    kind: EntryKind::BATCH,
                    base_offset: Offset(0),
                    last_offset: Offset(0),
                    max_timestamp: 0,
                    durability: Durability::Synced,
                    parts,
                    last_part_crc: (known >> index & 1 == 1).then(|| crc32c(&tail)),
                };
                frame.push(&entry, 4 + bytes);
            }
            let len = frame.finish(&stamp);
            let bytes = &frame.block.bytes()[..len];
            let header = FrameHeader::decode(bytes, identity, SegmentId(1), 0).unwrap();
            assert_eq!(header.payload_crc, crc32c(&bytes[FRAME_HEADER_BYTES..]), "known {known:b}");
        }
    }
}
