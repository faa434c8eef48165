//! Checkpoints against the frames: their index, and the owner's state.

use log_io::{BLOCK_BYTES, Disk};
use log_types::{Position, SegmentId, StreamId};

use super::{StateMismatch, Verifier};
use crate::checkpoint::{self, Loaded};
use crate::error::JournalError;
use crate::format::{BLOCK, Mismatch, align_up, checkpoint_name};
use crate::index::{Index, Run};
use crate::recovery::Names;

/// A checkpoint that loads.
pub(super) struct Held {
    pub(super) loaded: Loaded,
    name: String,
    /// Runs by stream that the segment being written had at its position, once the frames have got there.
    runs: Option<Vec<(StreamId, Vec<Run>)>>,
}

impl Verifier<'_> {
    pub(super) async fn load_checkpoints(
        &mut self,
        disk: &dyn Disk,
        names: &Names,
    ) -> Result<(), JournalError> {
        for &number in &names.checkpoints {
            self.report.checkpoints += 1;
            let loaded = checkpoint::load(disk, self.identity, number).await;
            let Some(loaded) = self.report.absorb(loaded)? else { continue };
            let name = checkpoint_name(number);
            self.padding(disk, &name, &loaded).await?;
            self.checkpoints.push(Held { loaded, name, runs: None });
        }
        Ok(())
    }

    /// The bytes between the state's end and the block's are zero.
    async fn padding(
        &mut self,
        disk: &dyn Disk,
        name: &str,
        loaded: &Loaded,
    ) -> Result<(), JournalError> {
        let io = |error| JournalError::io("read", name, error);
        let end = BLOCK + loaded.header.index_bytes + loaded.header.state_bytes;
        let file = disk.open(name).await.map_err(io)?;
        let rest = usize::try_from(align_up(end) - end).unwrap_or(BLOCK_BYTES);
        if rest == 0 {
            return Ok(());
        }
        let padding = file.read_at(end, rest).await.map_err(io)?;
        if let Some(at) = padding.iter().position(|byte| *byte != 0) {
            let found = u64::from(padding[at]);
            let mismatch = Mismatch { what: "padding of the checkpoint", expected: 0, found };
            self.report.add(name, end + at as u64, mismatch);
        }
        Ok(())
    }

    /// The frames have been followed up to `position`, which lies in `segment` or right before it.
    pub(super) fn reached(&mut self, position: Position, segment: SegmentId, index: &Index) {
        for held in &mut self.checkpoints {
            // A checkpoint at a seal is met twice: at the end of one segment and at the start of the next, which it names.
            let header = &held.loaded.header;
            if header.position != position || header.segment != segment {
                continue;
            }
            let runs = index.streams.iter().map(|(id, stream)| (*id, stream.runs.clone()));
            held.runs = Some(runs.collect());
            let state = &held.loaded.state;
            if self.folded != Some(position) {
                self.fold.checkpoint(position, state);
                self.folded = Some(position);
                continue;
            }
            match self.fold.prove(position, state) {
                Ok(()) => self.report.states_proven += 1,
                Err(StateMismatch { what, expected, found }) => {
                    let offset = BLOCK + header.index_bytes;
                    self.report.add(&held.name, offset, Mismatch { what, expected, found });
                }
            }
        }
    }

    /// After all segments: the indexes of the checkpoints against them. `last`: where the frames end.
    pub(super) fn check_checkpoints(&mut self, names: &Names, last: Option<Position>) {
        let checkpoints = std::mem::take(&mut self.checkpoints);
        for held in &checkpoints {
            let header = &held.loaded.header;
            if let Some(last) = last
                && last < header.position
            {
                let (what, expected, found) =
                    ("position of the checkpoint against the frames", last.0, header.position.0);
                self.report.add(&held.name, 40, Mismatch { what, expected, found });
            }
            for segment in held.loaded.index.live_segments().chain([header.segment]) {
                if !names.segments.contains(&segment) {
                    let what = "segment file that the checkpoint names";
                    let mismatch = Mismatch { what, expected: segment.0, found: 0 };
                    self.report.add(&held.name, BLOCK, mismatch);
                }
            }
            self.check_table(held);
            self.check_extents(held);
            self.check_runs(held);
        }
    }

    fn check_table(&mut self, held: &Held) {
        for (id, meta) in &held.loaded.segments {
            let Some(sealed) = self.sound.get(id) else { continue };
            let place = (held.name.as_str(), BLOCK);
            let report = &mut self.report;
            report.same(place, "base position of a sealed segment", sealed.base.0, meta.base.0);
            report.same(place, "last position of a sealed segment", sealed.last.0, meta.last.0);
            let what = "size of a sealed segment";
            report.same(place, what, sealed.segment_bytes, meta.segment_bytes);
            let (made, noted) = (sealed.created_ms, meta.created_ms);
            let what = "time at which a sealed segment was made";
            report.same(place, what, made.cast_unsigned(), noted.cast_unsigned());
        }
    }

    /// Every extent is what the frames say, and none that is wanted is missing.
    fn check_extents(&mut self, held: &Held) {
        let (name, index) = (held.name.as_str(), &held.loaded.index);
        let end = held.loaded.header.segment;
        let what = "extent against the segment's frames";
        for (id, stream) in &index.streams {
            for extent in &stream.extents {
                // A segment that itself has findings says nothing.
                let Some(sealed) = self.sound.get(&extent.segment) else { continue };
                let found = sealed.extents.get(id);
                if found != Some(extent) {
                    let expected = found.map_or(0, |found| found.bytes);
                    let mismatch = Mismatch { what, expected, found: extent.bytes };
                    self.report.add(name, BLOCK, mismatch);
                }
            }
        }
        for (segment, sealed) in self.sound.range(..end) {
            for (id, extent) in &sealed.extents {
                let wanted = index.stream(*id).filter(|stream| extent.last >= stream.log_start);
                let missing = wanted.is_some_and(|stream| {
                    !stream.extents.iter().any(|found| found.segment == *segment)
                });
                if missing {
                    let mismatch = Mismatch { what, expected: extent.bytes, found: 0 };
                    self.report.add(name, BLOCK, mismatch);
                }
            }
        }
    }

    fn check_runs(&mut self, held: &Held) {
        let Some(rebuilt) = &held.runs else { return };
        let streams = &held.loaded.index.streams;
        let what = "runs of the open segment against its frames";
        for (id, runs) in rebuilt {
            let found = streams.get(id).map(|stream| &stream.runs);
            if found != Some(runs) {
                let found = found.map_or(0, |runs| runs.len() as u64);
                let mismatch = Mismatch { what, expected: runs.len() as u64, found };
                self.report.add(&held.name, BLOCK, mismatch);
            }
        }
        let known = |id: &StreamId| rebuilt.iter().any(|(rebuilt, _)| rebuilt == id);
        for (id, stream) in streams {
            if !stream.runs.is_empty() && !known(id) {
                let mismatch = Mismatch { what, expected: 0, found: stream.runs.len() as u64 };
                self.report.add(&held.name, BLOCK, mismatch);
            }
        }
    }
}
