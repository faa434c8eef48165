//! Offline check of everything a journal has on disk: every checksum, every batch, every footer and checkpoint against
//! the frames, and the owner's states against the fold of the frames.
//!
//! ```text
//!  checkpoints ─loaded─┐
//!  segment … segment ──┼─► frames, in order ─► batches, directory, footer, ring
//!                      └─► the owner's fold ─► is what the checkpoint at this position says (M1)
//! ```
//!
//! Nothing is changed. What is not looked at, because it says nothing: spare files, `checkpoint.tmp`, what lies behind
//! the last frame of the newest segment and between footer and trailer, a torn tail above the durable watermark (the
//! next open truncates it), and the one slot of a ring that the next record would overwrite.

mod checkpoints;
mod frames;

use std::collections::BTreeMap;

use log_io::Disk;
use log_types::{ClusterId, Position, SegmentId, ShardId};

use crate::error::JournalError;
use crate::format::{Identity, Mismatch};
use crate::journal::Journal;
use crate::options::ReplaySink;
use crate::recovery;

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

impl From<Finding> for JournalError {
    fn from(finding: Finding) -> Self {
        let Finding { file, offset, what, expected, found } = finding;
        Self::Corrupt { file, offset, what, expected, found }
    }
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
    /// Checkpoints whose state the owner's fold of the frames gave too. The oldest one of a journal whose first frames
    /// are gone is where the fold starts, and is not counted.
    pub states_proven: u64,
    /// Empty when all is well.
    pub findings: Vec<Finding>,
}

/// The owner's state is not the fold of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMismatch {
    /// Which part differs.
    pub what: &'static str,
    /// A number that names the place: a stream, a count, a length.
    pub expected: u64,
    pub found: u64,
}

/// The owner's fold, for the proof that a checkpoint at position P is the fold of all frames up to P.
///
/// `checkpoint` begins anew from a state; without it the fold begins from nothing.
pub trait StateFold: ReplaySink {
    /// Holds a checkpoint's state against the fold of everything replayed so far.
    ///
    /// # Errors
    /// What differs.
    fn prove(&mut self, position: Position, state: &[u8]) -> Result<(), StateMismatch>;
}

impl VerifyReport {
    pub(crate) fn add(&mut self, file: &str, offset: u64, mismatch: Mismatch) {
        let Mismatch { what, expected, found } = mismatch;
        self.findings.push(Finding { file: file.to_owned(), offset, what, expected, found });
    }

    /// Notes a finding when the two sides differ. Whether they are the same.
    fn same(
        &mut self,
        (file, offset): (&str, u64),
        what: &'static str,
        expected: u64,
        found: u64,
    ) -> bool {
        if expected != found {
            self.add(file, offset, Mismatch { what, expected, found });
        }
        expected == found
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
    /// Checks every file of the journal in `disk`, which no process has open, and replays it into the owner's `fold`.
    ///
    /// # Errors
    /// `Io`, and `Foreign` when the files belong to another cluster or shard. Corruption is a finding, not an error.
    pub async fn verify(
        disk: &dyn Disk,
        cluster: ClusterId,
        shard: ShardId,
        fold: &mut dyn StateFold,
    ) -> Result<VerifyReport, JournalError> {
        let names = recovery::list(disk).await?;
        let mut verifier = Verifier {
            identity: Identity { cluster, shard },
            report: VerifyReport::default(),
            fold,
            // Only a journal that still has its first segment can be folded from nothing.
            folded: names.segments.contains(&SegmentId(1)).then_some(Position(0)),
            checkpoints: Vec::new(),
            sound: BTreeMap::new(),
        };
        verifier.load_checkpoints(disk, &names).await?;
        let newest = names.segments.last().copied();
        let mut previous: Option<(SegmentId, Position)> = None;
        for &segment in &names.segments {
            let last = verifier.segment(disk, segment, previous, Some(segment) == newest).await?;
            previous = last.map(|last| (segment, last));
        }
        verifier.check_checkpoints(&names, previous.map(|(_, last)| last));
        Ok(verifier.report)
    }
}

struct Verifier<'a> {
    identity: Identity,
    report: VerifyReport,
    fold: &'a mut dyn StateFold,
    /// How far the fold has got; `None` before it has a place to start from.
    folded: Option<Position>,
    /// In order of number, hence of position.
    checkpoints: Vec<checkpoints::Held>,
    /// What the frames of sealed segments without findings say.
    sound: BTreeMap<SegmentId, frames::Sealed>,
}
