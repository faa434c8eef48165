//! One segment: header, ring, frames and their batches, footer.

use std::collections::BTreeMap;

use log_io::Disk;
use log_record::{BatchHeader, Batches, verify_crc};
use log_types::{Offset, Position, SegmentId, StreamId};

use super::Verifier;
use crate::error::JournalError;
use crate::format::{BLOCK, DATA_START, EntryHead, Mismatch, RING_SLOTS, Trailer, segment_name};
use crate::index::{Extent, Index, epoch_of, extent_of};
use crate::options::EntryKind;
use crate::reader::read_footer;
use crate::recovery::{self, Frame, Scanner};

/// A sealed segment as its frames have it.
pub(super) struct Sealed {
    pub(super) base: Position,
    pub(super) last: Position,
    pub(super) segment_bytes: u64,
    pub(super) created_ms: i64,
    pub(super) extents: BTreeMap<StreamId, Extent>,
}

/// A segment while its frames are followed.
struct Walk {
    scanner: Scanner,
    name: String,
    index: Index,
    position: Position,
    /// Highest position that something says was durable.
    watermark: Position,
    /// Start of the next frame.
    at: u64,
}

impl Verifier<'_> {
    /// Last position of the segment, when its frames could be followed.
    pub(super) async fn segment(
        &mut self,
        disk: &dyn Disk,
        segment: SegmentId,
        previous: Option<(SegmentId, Position)>,
        newest: bool,
    ) -> Result<Option<Position>, JournalError> {
        self.report.segments += 1;
        let opened = Scanner::open(disk, self.identity, segment).await;
        let Some(scanner) = self.report.absorb(opened)? else { return Ok(None) };
        let base = scanner.header.base;
        let name = segment_name(segment);
        if let Some((before, last)) = previous
            && before.0 + 1 == segment.0
        {
            self.report.same((&name, 40), "base position of the segment", last.0 + 1, base.0);
        }
        let before = Position(base.0.saturating_sub(1));
        let watermark = scanner.ring.iter().map(|record| record.durable).max().unwrap_or(before);
        let mut walk = Walk {
            scanner,
            name,
            index: Index::default(),
            position: before,
            watermark,
            at: DATA_START,
        };
        self.ring(&mut walk).await?;
        self.reached(before, segment, &walk.index);
        let findings = self.report.findings.len();
        let invalid = self.frames(&mut walk, segment).await?;
        let trailer = walk.scanner.trailer().await?;
        if newest && trailer.is_err() {
            self.tail(&mut walk, invalid).await?;
            return Ok(Some(walk.position));
        }
        self.footer(walk, segment, invalid, findings).await
    }

    /// Every slot holds a record or was never written, except the one that the next record goes to: a crash may have torn
    /// a record there.
    async fn ring(&mut self, walk: &mut Walk) -> Result<(), JournalError> {
        let newest = walk.scanner.ring.iter().map(|record| record.sequence).max();
        let next = newest.map_or(0, |newest| newest + 1) % RING_SLOTS;
        for slot in 0..RING_SLOTS {
            let at = BLOCK * (1 + slot);
            let Err(mismatch) = walk.scanner.ring_slot(slot).await? else { continue };
            if slot != next && mismatch.found != 0 {
                self.report.add(&walk.name, at, mismatch);
            }
        }
        if newest.is_none() {
            let mismatch = Mismatch { what: "records of the ring", expected: 1, found: 0 };
            self.report.add(&walk.name, BLOCK, mismatch);
        }
        Ok(())
    }

    /// Follows the frames to the first that is none, and says why it is none.
    async fn frames(
        &mut self,
        walk: &mut Walk,
        segment: SegmentId,
    ) -> Result<Mismatch, JournalError> {
        let mut generation = 0;
        loop {
            let next = walk.position.next();
            let frame = match walk.scanner.frame(walk.at, next, generation).await? {
                Ok(frame) => frame,
                Err(invalid) => return Ok(invalid.mismatch()),
            };
            self.frame(walk, &frame);
            walk.position = frame.header.position;
            generation = frame.header.generation;
            walk.watermark = walk.watermark.max(frame.header.durable);
            walk.at += u64::from(frame.header.frame_bytes);
            self.reached(walk.position, segment, &walk.index);
        }
    }

    fn frame(&mut self, walk: &mut Walk, frame: &Frame) {
        self.report.frames += 1;
        self.report.bytes += u64::from(frame.header.frame_bytes);
        let folds = self.folded == Some(walk.position);
        walk.index.set_term(frame.header.term);
        let epoch = epoch_of(frame.header.term);
        for head in recovery::entries(&frame.header, &frame.bytes) {
            self.report.entries += 1;
            if folds {
                self.fold.entry(frame.header.position, &head, frame.payload(&head));
            }
            if head.kind != EntryKind::BATCH {
                continue;
            }
            let place = (walk.name.as_str(), walk.at + u64::from(head.frame_offset));
            if !walk.index.accepts(&head) {
                let found = head.base_offset.0.cast_unsigned();
                let mismatch = Mismatch { what: "base offset of an entry", expected: 0, found };
                self.report.add(place.0, place.1, mismatch);
                continue;
            }
            walk.index.push(walk.at, &head);
            self.batches(place, &head, frame.payload(&head), epoch);
        }
        if folds {
            self.folded = Some(frame.header.position);
        }
    }

    /// The batches of an entry against its line in the directory.
    fn batches(&mut self, place: (&str, u64), head: &EntryHead, payload: &[u8], epoch: u32) {
        let (name, mut at) = place;
        let number = |offset: Offset| offset.0.cast_unsigned();
        let (mut base, mut max_timestamp) = (head.base_offset, i64::MIN);
        for batch in Batches::strict(payload) {
            let checked =
                batch.and_then(|(header, bytes)| verify_crc(bytes).map(|()| (header, bytes.len())));
            let Ok((header, len)) = checked else {
                let what = "batch checks (length, magic, checksum)";
                self.report.add(name, at, Mismatch { what, expected: 1, found: 0 });
                return;
            };
            self.report.batches += 1;
            let place = (name, at);
            let what = "batch base offset against the directory";
            self.report.same(place, what, number(base), number(header.base_offset));
            let found = header.partition_leader_epoch.0.cast_unsigned();
            let what = "batch leader epoch against the frame's term";
            self.report.same(place, what, epoch.into(), found.into());
            base = BatchHeader::next_offset(&header);
            max_timestamp = max_timestamp.max(header.max_timestamp);
            at += len as u64;
        }
        let what = "last offset of the batches against the directory";
        self.report.same(place, what, number(head.last_offset.plus(1)), number(base));
        let (expected, found) = (head.max_timestamp, max_timestamp);
        let what = "maximum timestamp of the batches against the directory";
        self.report.same(place, what, expected.cast_unsigned(), found.cast_unsigned());
    }

    /// Tells a torn tail from corruption, as an open does.
    async fn tail(&mut self, walk: &mut Walk, invalid: Mismatch) -> Result<(), JournalError> {
        let checkpoint = self.checkpoints.iter().map(|held| held.loaded.header.position).max();
        let watermark = walk.watermark.max(checkpoint.unwrap_or_default());
        let next = walk.position.next();
        let proven = watermark >= next || walk.scanner.later_proof(walk.at, next).await?.is_some();
        if proven {
            self.report.add(&walk.name, walk.at, invalid);
        }
        Ok(())
    }

    /// Trailer and footer against the frames. `before`: how many findings there were before the frames.
    async fn footer(
        &mut self,
        mut walk: Walk,
        segment: SegmentId,
        invalid: Mismatch,
        before: usize,
    ) -> Result<Option<Position>, JournalError> {
        let header = walk.scanner.header;
        let bytes = header.segment_bytes;
        let footer = read_footer(&walk.scanner.file, self.identity, segment, bytes).await;
        let Some((trailer, footer)) = self.report.absorb(footer)? else {
            return Ok(Some(walk.position));
        };
        self.report.footers += 1;
        let Trailer { base, last, frames_end, .. } = trailer;
        let what = "base position in the trailer";
        self.report.same((&walk.name, bytes - BLOCK), what, header.base.0, base.0);
        if last != walk.position || frames_end != walk.at {
            self.report.add(&walk.name, walk.at, invalid);
            return Ok(Some(last));
        }
        let rebuilt = walk.index.seal(segment);
        if rebuilt != footer {
            let (expected, found) = (rebuilt.runs.len() as u64, footer.runs.len() as u64);
            let what = "runs of the footer against the frames";
            self.report.add(&walk.name, frames_end, Mismatch { what, expected, found });
        }
        if self.report.findings.len() == before {
            let streams = rebuilt.streams.iter().filter_map(|(stream, first, count)| {
                let runs = &rebuilt.runs[*first..first + count];
                Some((*stream, extent_of(segment, runs)?))
            });
            let sealed = Sealed {
                base: header.base,
                last,
                segment_bytes: bytes,
                created_ms: header.created_ms,
                extents: streams.collect(),
            };
            self.sound.insert(segment, sealed);
        }
        Ok(Some(walk.position))
    }
}
