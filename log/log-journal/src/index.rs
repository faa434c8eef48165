//! Where each stream's batches lie.
//!
//! ```text
//!  stream ─► extents: one per sealed segment {segment, base, last, max timestamp, bytes}   (in checkpoints)
//!         └► runs: in the segment being planned {file offset, len, base, last, max timestamp}  (→ footer at seal)
//! ```
//!
//! Invariants:
//! - Offsets grow strictly from extent to extent, to the runs, and from run to run.
//! - A run is contiguous in the file and in offsets, lies in one frame, and is at most 64 KiB unless one entry is larger.
//! - `live[segment]` is the number of extents that name the segment.
//!
//! Memory: 40 bytes for each sealed segment that holds data of a stream, for each stream, and up to twice that while the list
//! has room to grow. 10,000 streams that are all written to all the time take 0.4 MB for each segment of 64 MiB.

use std::collections::BTreeMap;

use log_types::{Offset, SegmentId, StreamId, Term};

use crate::format::{
    EntryHead, FOOTER_STREAM_BYTES, Mismatch, RUN_BYTES, get_i64, get_u32, get_u64, offsets_fit,
};
use crate::options::EntryKind;

/// Adjacent entries of one stream are one run up to this size.
const RUN_BYTES_MAX: u32 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) file_offset: u64,
    pub(crate) len: u32,
    /// Leader epoch of every batch in it: low 32 bits of the frame's term.
    pub(crate) epoch: u32,
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) max_timestamp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) segment: SegmentId,
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
}

const _: () = assert!(size_of::<Extent>() == 40, "the figure above");

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamIndex {
    pub(crate) log_start: Offset,
    pub(crate) extents: Vec<Extent>,
    pub(crate) runs: Vec<Run>,
    /// Removed while its runs must still go into a footer.
    pub(crate) removed: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) streams: BTreeMap<StreamId, StreamIndex>,
    /// Streams with runs in the segment being planned, in order of first append.
    active: Vec<StreamId>,
    run_count: usize,
    live: BTreeMap<SegmentId, u32>,
    /// Leader epoch of the runs that are pushed.
    epoch: u32,
}

/// A segment's runs by stream, sorted by stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    /// (stream, first run, number of runs).
    pub(crate) streams: Vec<(StreamId, usize, usize)>,
    pub(crate) runs: Vec<Run>,
}

impl StreamIndex {
    /// The last indexed offset.
    pub(crate) fn last(&self) -> Option<Offset> {
        self.runs
            .last()
            .map(|run| run.last)
            .or_else(|| self.extents.last().map(|extent| extent.last))
    }

    pub(crate) fn bytes(&self) -> u64 {
        let sealed: u64 = self.extents.iter().map(|extent| extent.bytes).sum();
        let active = self.runs.iter().filter(|run| run.last >= self.log_start);
        sealed + active.map(|run| u64::from(run.len)).sum::<u64>()
    }
}

impl Index {
    /// Whether `head` may follow what is indexed of its stream.
    pub(crate) fn accepts(&self, head: &EntryHead) -> bool {
        let last = self.streams.get(&head.stream).and_then(StreamIndex::last);
        offsets_fit(head.base_offset, head.last_offset)
            && last.is_none_or(|last| last < head.base_offset)
    }

    /// The entries pushed from now on lie in frames of this term.
    pub(crate) fn set_term(&mut self, term: Term) {
        self.epoch = epoch_of(term);
    }

    /// Adds an entry of a frame that starts at `frame_at` of the segment being planned.
    pub(crate) fn push(&mut self, frame_at: u64, head: &EntryHead) {
        if head.kind != EntryKind::BATCH {
            return;
        }
        debug_assert!(self.accepts(head), "offsets of {} grow", head.stream);
        let file_offset = frame_at + u64::from(head.frame_offset);
        let stream = self.streams.entry(head.stream).or_default();
        if let Some(run) = stream.runs.last_mut()
            && run.file_offset + u64::from(run.len) == file_offset
            && run.last.plus(1) == head.base_offset
            && run.len.saturating_add(head.len) <= RUN_BYTES_MAX
        {
            run.len += head.len;
            run.last = head.last_offset;
            run.max_timestamp = run.max_timestamp.max(head.max_timestamp);
            return;
        }
        if stream.runs.is_empty() {
            self.active.push(head.stream);
            stream.runs.reserve_exact(1);
        }
        stream.runs.push(Run {
            file_offset,
            len: head.len,
            epoch: self.epoch,
            base: head.base_offset,
            last: head.last_offset,
            max_timestamp: head.max_timestamp,
        });
        self.run_count += 1;
    }

    /// Upper bound of the footer's body when `more` entries join.
    pub(crate) fn footer_bytes_max(&self, more: usize) -> u64 {
        ((self.run_count + more) * (RUN_BYTES + FOOTER_STREAM_BYTES)) as u64
    }

    /// Turns the runs into extents of `segment` and returns them as its footer.
    pub(crate) fn seal(&mut self, segment: SegmentId) -> Footer {
        let mut footer = Footer { streams: Vec::new(), runs: Vec::with_capacity(self.run_count) };
        let mut active = std::mem::take(&mut self.active);
        active.sort_unstable();
        for id in active {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let runs = std::mem::take(&mut stream.runs);
            footer.streams.push((id, footer.runs.len(), runs.len()));
            footer.runs.extend_from_slice(&runs);
            if stream.removed {
                self.streams.remove(&id);
            } else if let Some(extent) = extent_of(segment, &runs)
                && extent.last >= stream.log_start
            {
                stream.extents.reserve_exact(1);
                stream.extents.push(extent);
                *self.live.entry(segment).or_insert(0) += 1;
            }
        }
        self.run_count = 0;
        footer
    }

    /// Forgets whole extents below `offset`. Whether a segment lost its last extent.
    pub(crate) fn set_log_start(&mut self, id: StreamId, offset: Offset) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        stream.log_start = stream.log_start.max(offset);
        let dead = stream.extents.partition_point(|extent| extent.last < offset);
        let dropped: Vec<Extent> = stream.extents.drain(..dead).collect();
        self.release(&dropped)
    }

    /// Forgets a stream. Whether a segment lost its last extent.
    pub(crate) fn remove_stream(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let dropped = std::mem::take(&mut stream.extents);
        if stream.runs.is_empty() {
            self.streams.remove(&id);
        } else {
            stream.removed = true;
        }
        self.release(&dropped)
    }

    fn release(&mut self, dropped: &[Extent]) -> bool {
        let mut emptied = false;
        for extent in dropped {
            if let Some(count) = self.live.get_mut(&extent.segment) {
                *count -= 1;
                if *count == 0 {
                    self.live.remove(&extent.segment);
                    emptied = true;
                }
            }
        }
        emptied
    }

    /// Whether nothing in the segment being planned is wanted: sealed, it would be dead.
    pub(crate) fn planned_is_dead(&self) -> bool {
        let live = |stream: &StreamIndex| {
            !stream.removed && stream.runs.last().is_some_and(|run| run.last >= stream.log_start)
        };
        !self.active.iter().filter_map(|id| self.streams.get(id)).any(live)
    }

    pub(crate) fn live(&self, segment: SegmentId) -> u32 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    pub(crate) fn live_segments(&self) -> impl Iterator<Item = SegmentId> {
        self.live.keys().copied()
    }

    /// The stream unless it was removed.
    pub(crate) fn stream(&self, id: StreamId) -> Option<&StreamIndex> {
        self.streams.get(&id).filter(|stream| !stream.removed)
    }

    /// FORMAT.md "Checkpoint", streams.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.streams.len() as u64).to_le_bytes());
        for (id, stream) in &self.streams {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&stream.log_start.0.to_le_bytes());
            out.extend_from_slice(&count(stream.extents.len()).to_le_bytes());
            out.extend_from_slice(
                &(count(stream.runs.len()) | (u32::from(stream.removed) << 31)).to_le_bytes(),
            );
            for extent in &stream.extents {
                out.extend_from_slice(&extent.segment.0.to_le_bytes());
                out.extend_from_slice(&extent.base.0.to_le_bytes());
                out.extend_from_slice(&extent.last.0.to_le_bytes());
                out.extend_from_slice(&extent.max_timestamp.to_le_bytes());
                out.extend_from_slice(&extent.bytes.to_le_bytes());
            }
            for run in &stream.runs {
                encode_run(run, out);
            }
        }
    }

    /// `None` when `bytes` end early or something is left over.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut index = Self::default();
        for _ in 0..get_u64(take(&mut rest, 8)?, 0) {
            let head = take(&mut rest, 24)?;
            let id = StreamId(get_u64(head, 0));
            let extent_count = get_u32(head, 16) as usize;
            let flags = get_u32(head, 20);
            let run_count = (flags & !(1 << 31)) as usize;
            let mut stream = StreamIndex {
                log_start: Offset(get_i64(head, 8)),
                removed: flags >> 31 == 1,
                ..StreamIndex::default()
            };
            for extent in take(&mut rest, extent_count.checked_mul(40)?)?.chunks_exact(40) {
                let segment = SegmentId(get_u64(extent, 0));
                let (base, last) = (Offset(get_i64(extent, 8)), Offset(get_i64(extent, 16)));
                if !offsets_fit(base, last) || get_u64(extent, 32) > u64::from(u32::MAX) {
                    return None;
                }
                *index.live.entry(segment).or_insert(0) += 1;
                stream.extents.push(Extent {
                    segment,
                    base,
                    last,
                    max_timestamp: get_i64(extent, 24),
                    bytes: get_u64(extent, 32),
                });
            }
            let runs = take(&mut rest, run_count.checked_mul(RUN_BYTES)?)?;
            for run in runs.chunks_exact(RUN_BYTES) {
                stream.runs.push(decode_run(run)?);
            }
            if run_count > 0 {
                index.active.push(id);
                index.run_count += run_count;
            }
            index.streams.insert(id, stream);
        }
        rest.is_empty().then_some(index)
    }
}

/// The leader epoch that batches in frames of this term carry.
pub(crate) fn epoch_of(term: Term) -> u32 {
    u32::try_from(term.0 & u64::from(u32::MAX)).expect("32 bits")
}

pub(crate) fn extent_of(segment: SegmentId, runs: &[Run]) -> Option<Extent> {
    let (first, last) = (runs.first()?, runs.last()?);
    Some(Extent {
        segment,
        base: first.base,
        last: last.last,
        max_timestamp: runs.iter().map(|run| run.max_timestamp).max()?,
        bytes: runs.iter().map(|run| u64::from(run.len)).sum(),
    })
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("a segment holds fewer than 2^31 runs and a stream fewer extents")
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn encode_run(run: &Run, out: &mut Vec<u8>) {
    out.extend_from_slice(&run.file_offset.to_le_bytes());
    out.extend_from_slice(&run.len.to_le_bytes());
    out.extend_from_slice(&run.epoch.to_le_bytes());
    out.extend_from_slice(&run.base.0.to_le_bytes());
    out.extend_from_slice(&run.last.0.to_le_bytes());
    out.extend_from_slice(&run.max_timestamp.to_le_bytes());
}

/// `None` for a run that no segment could hold.
fn decode_run(bytes: &[u8]) -> Option<Run> {
    let run = Run {
        file_offset: get_u64(bytes, 0),
        len: get_u32(bytes, 8),
        epoch: get_u32(bytes, 12),
        base: Offset(get_i64(bytes, 16)),
        last: Offset(get_i64(bytes, 24)),
        max_timestamp: get_i64(bytes, 32),
    };
    let inside = run.len > 0 && run.file_offset <= u64::from(u32::MAX);
    (inside && offsets_fit(run.base, run.last)).then_some(run)
}

impl Footer {
    /// FORMAT.md "Footer", body.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (id, first, runs) in &self.streams {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&count(*runs).to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            for run in &self.runs[*first..first + runs] {
                encode_run(run, out);
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8], stream_count: u32) -> Result<Self, Mismatch> {
        let mut rest = bytes;
        let mut footer = Self::default();
        let short = Mismatch {
            what: "footer length",
            expected: u64::from(stream_count),
            found: bytes.len() as u64,
        };
        for _ in 0..stream_count {
            let head = take(&mut rest, FOOTER_STREAM_BYTES).ok_or(short)?;
            let runs = get_u32(head, 8) as usize;
            let body =
                runs.checked_mul(RUN_BYTES).and_then(|len| take(&mut rest, len)).ok_or(short)?;
            footer.streams.push((StreamId(get_u64(head, 0)), footer.runs.len(), runs));
            for run in body.chunks_exact(RUN_BYTES) {
                footer.runs.push(decode_run(run).ok_or(short)?);
            }
        }
        if rest.is_empty() { Ok(footer) } else { Err(short) }
    }

    /// The runs of `stream`, in offset order.
    pub(crate) fn runs_of(&self, stream: StreamId) -> &[Run] {
        match self.streams.binary_search_by_key(&stream, |(id, _, _)| *id) {
            Ok(found) => {
                let (_, first, runs) = self.streams[found];
                &self.runs[first..first + runs]
            }
            Err(_) => &[],
        }
    }
}
