//! Checkpoints: the owner's state and the journal's index at one position, so that opening reads little.
//!
//! ```text
//!  staged at a seal (or on request) ─► durable up to its position ─► checkpoint.tmp ─► sync ─► rename ─► sync_dir
//!                              ▲                                           │
//!                              └──── the third oldest is renamed to this ◄─┘
//! ```
//!
//! Invariants:
//! - A checkpoint is written only after everything up to its position is durable and the segment it continues in exists.
//! - Two are kept; a segment is freed only when neither needs it, so falling back to the older one always works.
//! - The file for the next one is there, allocated, before it is needed: on a full disk a checkpoint is what lets go of
//!   dead segments. Where it could not be made, the older of two gives its blocks to the next one.

use std::collections::BTreeMap;
use std::rc::Rc;

use log_io::{BLOCK_BYTES, Block, Disk, Durability, File, LocalFuture};
use log_types::{Position, SegmentId};

use crate::error::JournalError;
use crate::format::{
    BLOCK, CheckpointHeader, Identity, Mismatch, align_up, checkpoint_name, get_i64, get_u64,
    segment_size,
};
use crate::index::Index;
use crate::journal::Inner;
use crate::space::{CheckpointReserve, checkpoint_reserve_bytes};
use crate::state::{SegmentMeta, State};

pub(crate) const TEMPORARY: &str = "checkpoint.tmp";
pub(crate) const SPARE: &str = "checkpoint.spare";
const KEPT_MAX: usize = 2;
const WRITE_BYTES: usize = 1 << 20;
const SEGMENT_ENTRY_BYTES: usize = 40;

/// A checkpoint in memory, waiting for its position to be durable.
pub(crate) struct PendingCheckpoint {
    pub(crate) position: Position,
    pub(crate) segment: SegmentId,
    pub(crate) file_offset: u64,
    index_bytes: usize,
    /// Index, then the owner's state.
    body: Vec<u8>,
    referenced: Vec<SegmentId>,
}

/// A checkpoint on disk and what it keeps alive.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) position: Position,
    /// Where it continues: needed although it may hold no frame after `position`.
    pub(crate) segment: SegmentId,
    /// Segments with live extents, sorted. `None`: not known, so all of them.
    pub(crate) referenced: Option<Vec<SegmentId>>,
}

/// A checkpoint read back.
pub(crate) struct Loaded {
    pub(crate) header: CheckpointHeader,
    pub(crate) index: Index,
    pub(crate) segments: BTreeMap<SegmentId, SegmentMeta>,
    pub(crate) state: Vec<u8>,
}

impl Kept {
    /// Whether recovery from this checkpoint can do without a segment that ends at `last`.
    pub(crate) fn releases(&self, segment: SegmentId, last: Position) -> bool {
        let referenced = self.referenced.as_ref();
        last <= self.position
            && segment < self.segment
            && referenced.is_some_and(|list| list.binary_search(&segment).is_err())
    }
}

impl State {
    /// Whether the seal being planned should take a checkpoint.
    pub(crate) fn checkpoint_due(&self) -> bool {
        let threshold = self.options.checkpoint_bytes.max(self.checkpoint_bytes_last * 16);
        !self.checkpoint_busy()
            && (self.checkpoint_wanted > 0 || self.bytes_since_checkpoint >= threshold)
    }

    pub(crate) fn checkpoint_busy(&self) -> bool {
        self.checkpoint_pending.is_some() || self.checkpoint_writing
    }

    /// Captures the index beside the owner's state. Nothing may have been appended since that was made.
    pub(crate) fn stage_checkpoint(&mut self, owner_state: Vec<u8>) {
        assert!(self.open.is_none(), "the frame that a checkpoint ends with is closed");
        let mut body = Vec::new();
        let sealed: Vec<(&SegmentId, &SegmentMeta)> =
            self.segments.iter().filter(|(_, meta)| meta.sealed).collect();
        body.extend_from_slice(&(sealed.len() as u64).to_le_bytes());
        for (id, meta) in sealed {
            for field in [id.0, meta.base.0, meta.last.0, meta.segment_bytes] {
                body.extend_from_slice(&field.to_le_bytes());
            }
            body.extend_from_slice(&meta.created_ms.to_le_bytes());
        }
        self.index.encode(&mut body);
        let index_bytes = body.len();
        body.extend_from_slice(&owner_state);
        let position = Position(self.plan.position.0 - 1);
        self.bytes_since_checkpoint = 0;
        self.position_at_checkpoint = position;
        self.checkpoint_pending = Some(PendingCheckpoint {
            position,
            segment: self.plan.segment,
            file_offset: self.plan.offset,
            index_bytes,
            body,
            referenced: self.index.live_segments().collect(),
        });
    }

    /// The staged checkpoint once it may be written.
    pub(crate) fn take_ready_checkpoint(&mut self) -> Option<PendingCheckpoint> {
        let staged = self.checkpoint_pending.as_ref()?;
        if self.durable < staged.position || self.current_segment < staged.segment {
            return None;
        }
        self.checkpoint_writing = true;
        self.checkpoint_pending.take()
    }
}

/// Writes a staged checkpoint and removes those it replaces.
pub(crate) fn write(
    inner: Rc<Inner>,
    staged: PendingCheckpoint,
) -> LocalFuture<'static, Result<(), JournalError>> {
    Box::pin(async move {
        let number = {
            let mut state = inner.state.borrow_mut();
            state.checkpoint_number += 1;
            state.checkpoint_number
        };
        let mut outcome = write_file(&inner, &staged, number).await;
        if outcome.as_ref().is_err_and(JournalError::storage_full) && give_up_older(&inner).await? {
            outcome = write_file(&inner, &staged, number).await;
        }
        inner.state.borrow_mut().checkpoint_writing = false;
        if let Err(error) = outcome {
            if error.storage_full() {
                inner.state.borrow_mut().checkpoint_put_off();
                // A name that is not durable is none of the two that are kept. An open finds it if this fails.
                drop(inner.disk.remove(&checkpoint_name(number)).await);
            }
            return Err(error);
        }
        let surplus = inner.state.borrow_mut().checkpoint_written(number, staged);
        retire(&inner, &surplus).await
    })
}

impl State {
    fn checkpoint_put_off(&mut self) {
        self.bytes_since_checkpoint = u64::MAX / 2;
        self.checkpoint_short = true;
    }

    /// The numbers of the checkpoints that it replaces.
    fn checkpoint_written(&mut self, number: u64, staged: PendingCheckpoint) -> Vec<u64> {
        self.checkpoint_bytes_last = staged.body.len() as u64;
        self.stats.checkpoints += 1;
        self.free_check = true;
        self.checkpoints.push(Kept {
            number,
            position: staged.position,
            segment: staged.segment,
            referenced: Some(staged.referenced),
        });
        let extra = self.checkpoints.len().saturating_sub(KEPT_MAX);
        self.checkpoints.drain(..extra).map(|kept| kept.number).collect()
    }
}

/// The last of these becomes the file for the next checkpoint, the others are removed.
async fn retire(inner: &Inner, numbers: &[u64]) -> Result<(), JournalError> {
    let Some((last, older)) = numbers.split_last() else { return Ok(()) };
    for number in older {
        let name = checkpoint_name(*number);
        let removed = inner.disk.remove(&name).await;
        removed.map_err(|error| JournalError::io("remove", &name, error))?;
    }
    let name = checkpoint_name(*last);
    let renamed = inner.disk.rename(&name, TEMPORARY).await;
    renamed.map_err(|error| JournalError::io("retire", &name, error))?;
    inner.state.borrow_mut().checkpoint_reserve = CheckpointReserve::Found;
    Ok(())
}

/// Without space, and without a file for the next checkpoint, the older of the two kept ones becomes that. Whether it did.
async fn give_up_older(inner: &Inner) -> Result<bool, JournalError> {
    let older = {
        let mut state = inner.state.borrow_mut();
        let newest_known = state.checkpoints.last().is_some_and(|kept| kept.referenced.is_some());
        let starved =
            state.checkpoint_reserve == CheckpointReserve::Missing && !state.checkpoint_spare;
        if !starved || !newest_known || state.checkpoints.len() < KEPT_MAX {
            return Ok(false);
        }
        state.checkpoints.remove(0).number
    };
    retire(inner, &[older]).await?;
    Ok(true)
}

/// Makes sure of a file for the next checkpoint: its blocks and its name.
pub(crate) fn reserve(inner: Rc<Inner>) -> LocalFuture<'static, Result<(), JournalError>> {
    Box::pin(async move {
        let (bytes, found, spare) = {
            let state = inner.state.borrow();
            let bytes = checkpoint_reserve_bytes(&state.options, state.checkpoint_bytes_last);
            (bytes, state.checkpoint_reserve, state.checkpoint_spare)
        };
        let disk = inner.disk.as_ref();
        let name = if found == CheckpointReserve::Ready { SPARE } else { TEMPORARY };
        let moved = found == CheckpointReserve::Missing && spare;
        if moved {
            let renamed = disk.rename(SPARE, TEMPORARY).await;
            renamed.map_err(|error| JournalError::io("rename", SPARE, error))?;
        }
        let there = moved || found == CheckpointReserve::Found;
        match open_reserve(disk, name, bytes).await {
            Ok(_) => {}
            // A file that cannot grow is still the best there is.
            Err(error) if there && error.storage_full() => {}
            Err(error) => return Err(error),
        }
        let mut state = inner.state.borrow_mut();
        state.checkpoint_reserve = CheckpointReserve::Ready;
        state.checkpoint_spare = (spare && !moved) || name == SPARE;
        Ok(())
    })
}

/// The file for the next checkpoint, of at least `bytes`, under a durable name: what it may have been before is
/// overwritten only then.
async fn open_reserve(
    disk: &dyn Disk,
    name: &str,
    bytes: u64,
) -> Result<Rc<dyn File>, JournalError> {
    let error = |doing| move |error| JournalError::io(doing, name, error);
    let (file, made) = match disk.create(name).await {
        Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => {
            (disk.open(name).await.map_err(error("open"))?, false)
        }
        created => (created.map_err(error("create"))?, true),
    };
    if let Err(refused) = file.allocate(bytes).await {
        if made {
            // What there is of it takes space that others may need. An open finds it if this fails.
            drop(file);
            drop(disk.remove(name).await);
        }
        return Err(error("allocate")(refused));
    }
    disk.sync_dir().await.map_err(error("sync the directory of"))?;
    Ok(file)
}

async fn write_file(
    inner: &Inner,
    staged: &PendingCheckpoint,
    number: u64,
) -> Result<(), JournalError> {
    let error = |doing| move |error| JournalError::io(doing, TEMPORARY, error);
    let disk = inner.disk.as_ref();
    let header = {
        let state = inner.state.borrow();
        let header = CheckpointHeader {
            number,
            position: staged.position,
            segment: staged.segment,
            file_offset: staged.file_offset,
            index_bytes: staged.index_bytes as u64,
            state_bytes: (staged.body.len() - staged.index_bytes) as u64,
            generation: state.generation,
            body_crc: crc32fast::hash(&staged.body),
        };
        let mut block = disk.alloc(BLOCK_BYTES);
        header.encode(state.identity, block.bytes_mut());
        Block::from(block)
    };
    let file_bytes = BLOCK + align_up(staged.body.len() as u64);
    let file = open_reserve(disk, TEMPORARY, file_bytes).await?;
    let write = |at, block, len| file.write_at(at, block, len, Durability::Volatile);
    write(0, header, BLOCK_BYTES).await.map_err(error("write"))?;
    let mut at = BLOCK;
    for piece in staged.body.chunks(WRITE_BYTES) {
        let len = piece.len().next_multiple_of(BLOCK_BYTES);
        let mut memory = disk.alloc(len);
        memory.bytes_mut()[..piece.len()].copy_from_slice(piece);
        write(at, Block::from(memory), len).await.map_err(error("write"))?;
        at += len as u64;
    }
    file.sync_data().await.map_err(error("sync"))?;
    disk.rename(TEMPORARY, &checkpoint_name(number)).await.map_err(error("rename"))?;
    inner.state.borrow_mut().checkpoint_reserve = CheckpointReserve::Missing;
    disk.sync_dir().await.map_err(error("sync the directory of"))
}

/// Reads and checks one checkpoint.
pub(crate) async fn load(
    disk: &dyn Disk,
    identity: Identity,
    number: u64,
) -> Result<Loaded, JournalError> {
    let name = checkpoint_name(number);
    let file = disk.open(&name).await.map_err(|error| JournalError::io("open", &name, error))?;
    let io = |error| JournalError::io("read", &name, error);
    let corrupt = |at: u64, mismatch: Mismatch| JournalError::Corrupt {
        file: name.clone(),
        offset: at,
        what: mismatch.what,
        expected: mismatch.expected,
        found: mismatch.found,
    };
    let block = file.read_at(0, BLOCK_BYTES).await.map_err(io)?;
    let header = CheckpointHeader::decode(&block, identity, number)
        .map_err(|mismatch| corrupt(0, mismatch))?;
    let len = file.len().await.map_err(io)?;
    let body_bytes = header.index_bytes.saturating_add(header.state_bytes);
    let short = Mismatch {
        what: "checkpoint length",
        expected: body_bytes,
        found: len.saturating_sub(BLOCK),
    };
    if body_bytes > len.saturating_sub(BLOCK) {
        return Err(corrupt(BLOCK, short));
    }
    let mut body = read_body(file.as_ref(), body_bytes).await.map_err(io)?;
    let crc = crc32fast::hash(&body);
    if body.len() as u64 != body_bytes || crc != header.body_crc {
        let what = "checkpoint checksum";
        let mismatch =
            Mismatch { what, expected: u64::from(header.body_crc), found: u64::from(crc) };
        return Err(corrupt(BLOCK, mismatch));
    }
    let index_bytes = usize::try_from(header.index_bytes).map_err(|_| corrupt(BLOCK, short))?;
    let state = body.split_off(index_bytes);
    let (segments, index) = decode_index(&body).ok_or_else(|| corrupt(BLOCK, short))?;
    Ok(Loaded { header, index, segments, state })
}

async fn read_body(file: &dyn File, len: u64) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    while (body.len() as u64) < len {
        let left = usize::try_from(len - body.len() as u64).unwrap_or(WRITE_BYTES);
        let piece = file.read_at(BLOCK + body.len() as u64, left.min(WRITE_BYTES)).await?;
        if piece.is_empty() {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn decode_index(bytes: &[u8]) -> Option<(BTreeMap<SegmentId, SegmentMeta>, Index)> {
    let (count, rest) = bytes.split_at_checked(8)?;
    let table_bytes = usize::try_from(get_u64(count, 0)).ok()?.checked_mul(SEGMENT_ENTRY_BYTES)?;
    let (table, rest) = rest.split_at_checked(table_bytes)?;
    let sizes = table.chunks_exact(SEGMENT_ENTRY_BYTES).map(|entry| get_u64(entry, 24));
    if sizes.into_iter().any(|size| size != segment_size(size)) {
        return None;
    }
    let segments = table.chunks_exact(SEGMENT_ENTRY_BYTES).map(|entry| {
        let meta = SegmentMeta {
            base: Position(get_u64(entry, 8)),
            last: Position(get_u64(entry, 16)),
            segment_bytes: get_u64(entry, 24),
            created_ms: get_i64(entry, 32),
            sealed: true,
            file: None,
        };
        (SegmentId(get_u64(entry, 0)), meta)
    });
    let segments = segments.collect();
    Some((segments, Index::decode(rest)?))
}
