//! Offline check of everything a journal has on disk: every checksum, every footer and checkpoint against the frames.
//!
//! Nothing is changed. A torn tail above the durable watermark is not a finding: the next open truncates it.

use std::collections::BTreeMap;

use log_io::Disk;
use log_record::{Batches, verify_crc};
use log_types::{ClusterId, Position, SegmentId, ShardId, StreamId};

use crate::checkpoint;
use crate::error::JournalError;
use crate::format::{DATA_START, Identity, Mismatch, checkpoint_name, segment_name};
use crate::index::{Extent, Index, extent_of};
use crate::journal::Journal;
use crate::options::EntryKind;
use crate::reader::read_footer;
use crate::recovery::{self, Frame, Scanner};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    /// Byte offset in the file.
    pub offset: u64,
    /// What was compared.
    pub what: &'static str,
    pub expected: u64,
    pub found: u64,
}

/// What a verification saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub segments: u64,
    pub frames: u64,
    pub entries: u64,
    pub batches: u64,
    /// Bytes of frames.
    pub bytes: u64,
    pub footers: u64,
    pub checkpoints: u64,
    /// Empty when all is well.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    fn add(&mut self, file: &str, offset: u64, mismatch: Mismatch) {
        let Mismatch { what, expected, found } = mismatch;
        self.findings.push(Finding { file: file.to_owned(), offset, what, expected, found });
    }

    /// Keeps corruption as a finding; other errors end the verification.
    fn absorb<T>(&mut self, result: Result<T, JournalError>) -> Result<Option<T>, JournalError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(JournalError::Corrupt { file, offset, what, expected, found }) => {
                self.findings.push(Finding { file, offset, what, expected, found });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Journal {
    /// Checks every file of the journal in `disk`, which no process has open.
    ///
    /// # Errors
    /// `Io`, and `Foreign` when the files belong to another cluster or shard. Corruption is a finding, not an error.
    pub async fn verify(
        disk: &dyn Disk,
        cluster: ClusterId,
        shard: ShardId,
    ) -> Result<VerifyReport, JournalError> {
        let identity = Identity { cluster, shard };
        let names = recovery::list(disk).await?;
        let mut verifier =
            Verifier { identity, report: VerifyReport::default(), extents: BTreeMap::new() };
        let newest = names.segments.last().copied();
        let mut previous: Option<(SegmentId, Position)> = None;
        for &segment in &names.segments {
            let last = verifier.segment(disk, segment, previous, Some(segment) == newest).await?;
            previous = last.map(|last| (segment, last));
        }
        for &number in &names.checkpoints {
            verifier.checkpoint(disk, number).await?;
        }
        Ok(verifier.report)
    }
}

struct Verifier {
    identity: Identity,
    report: VerifyReport,
    /// Rebuilt from the frames of sealed segments.
    extents: BTreeMap<(SegmentId, StreamId), Extent>,
}

impl Verifier {
    /// Last position of the segment, when its frames could be followed.
    async fn segment(
        &mut self,
        disk: &dyn Disk,
        segment: SegmentId,
        previous: Option<(SegmentId, Position)>,
        newest: bool,
    ) -> Result<Option<Position>, JournalError> {
        self.report.segments += 1;
        let opened = Scanner::open(disk, self.identity, segment).await;
        let Some(mut scanner) = self.report.absorb(opened)? else { return Ok(None) };
        let name = segment_name(segment);
        let base = scanner.header.base;
        if let Some((before, last)) = previous
            && before.0 + 1 == segment.0
            && last.next() != base
        {
            let what = "base position of the segment";
            self.report.add(&name, 40, Mismatch { what, expected: last.0 + 1, found: base.0 });
        }
        let mut index = Index::default();
        let mut position = Position(base.0.saturating_sub(1));
        let mut watermark =
            scanner.ring.iter().map(|record| record.durable).max().unwrap_or(position);
        let (mut generation, mut at) = (0, DATA_START);
        let invalid = loop {
            match scanner.frame(at, position.next(), generation).await? {
                Ok(frame) => {
                    self.frame(&name, at, &frame, &mut index);
                    position = frame.header.position;
                    generation = frame.header.generation;
                    watermark = watermark.max(frame.header.durable);
                    at += u64::from(frame.header.frame_bytes);
                }
                Err(invalid) => break invalid.mismatch(),
            }
        };
        let trailer = scanner.trailer().await?;
        if newest && trailer.is_err() {
            let proven =
                watermark > position || scanner.later_proof(at, position.next()).await?.is_some();
            if proven {
                self.report.add(&name, at, invalid);
            }
            return Ok(Some(position));
        }
        let bytes = scanner.header.segment_bytes;
        let footer = read_footer(&scanner.file, self.identity, segment, bytes).await;
        let Some((trailer, footer)) = self.report.absorb(footer)? else {
            return Ok(Some(position));
        };
        self.report.footers += 1;
        if trailer.last != position || trailer.frames_end != at {
            self.report.add(&name, at, invalid);
            return Ok(Some(trailer.last));
        }
        let rebuilt = index.seal(segment);
        if rebuilt != footer {
            let (expected, found) = (rebuilt.runs.len() as u64, footer.runs.len() as u64);
            let what = "runs of the footer against the frames";
            self.report.add(&name, trailer.frames_end, Mismatch { what, expected, found });
        }
        for (stream, first, count) in &rebuilt.streams {
            if let Some(extent) = extent_of(segment, &rebuilt.runs[*first..first + count]) {
                self.extents.insert((segment, *stream), extent);
            }
        }
        Ok(Some(position))
    }

    fn frame(&mut self, name: &str, at: u64, frame: &Frame, index: &mut Index) {
        self.report.frames += 1;
        self.report.bytes += u64::from(frame.header.frame_bytes);
        for head in recovery::entries(&frame.header, &frame.bytes) {
            self.report.entries += 1;
            if head.kind != EntryKind::BATCH {
                continue;
            }
            let offset = at + u64::from(head.frame_offset);
            if !index.accepts(&head) {
                let found = head.base_offset.0.cast_unsigned();
                self.report.add(
                    name,
                    offset,
                    Mismatch { what: "base offset of an entry", expected: 0, found },
                );
                continue;
            }
            index.push(at, &head);
            let mut start = offset;
            for batch in Batches::strict(frame.payload(&head)) {
                let checked = batch
                    .and_then(|(header, bytes)| verify_crc(bytes).map(|()| (header, bytes.len())));
                match checked {
                    Ok((header, len)) => {
                        self.report.batches += 1;
                        let inside = header.base_offset >= head.base_offset
                            && header.last_offset() <= head.last_offset;
                        if !inside {
                            let expected = head.base_offset.0.cast_unsigned();
                            let found = header.base_offset.0.cast_unsigned();
                            let what = "batch base offset against the directory";
                            self.report.add(name, start, Mismatch { what, expected, found });
                        }
                        start += len as u64;
                    }
                    Err(_) => {
                        let what = "batch checks (length, magic, checksum)";
                        self.report.add(name, start, Mismatch { what, expected: 1, found: 0 });
                    }
                }
            }
        }
    }

    async fn checkpoint(&mut self, disk: &dyn Disk, number: u64) -> Result<(), JournalError> {
        self.report.checkpoints += 1;
        let loaded = checkpoint::load(disk, self.identity, number).await;
        let Some(loaded) = self.report.absorb(loaded)? else { return Ok(()) };
        let name = checkpoint_name(number);
        for (id, stream) in &loaded.index.streams {
            for extent in &stream.extents {
                // A segment that itself has findings has no extents to compare with.
                let found = self.extents.get(&(extent.segment, *id));
                if found.is_some_and(|found| found != extent) {
                    let (expected, found) = (found.map_or(0, |found| found.bytes), extent.bytes);
                    let what = "extent against the segment's frames";
                    self.report.add(&name, 4096, Mismatch { what, expected, found });
                }
            }
        }
        Ok(())
    }
}
