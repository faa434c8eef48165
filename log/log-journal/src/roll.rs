//! Segment files: ending one, starting the next, keeping a spare, recycling.
//!
//! ```text
//!  SEAL: footer body │ trailer ─► next file: header + ring (synced) ─► rename to segment-N ─► sync_dir ─► frames
//!  free: rename to spare-M ─► (reused by a later roll; its old frames never match: segment id, position, generation)
//! ```
//!
//! Invariants:
//! - A file is named `segment-*` only after its header is durable, and gets frames only after its name is.
//! - A roll starts when everything before it is durable: the next segment's existence proves the previous one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use log_io::{Block, Disk, Durability, LocalFuture};
use log_types::{Position, SegmentId};

use crate::error::JournalError;
use crate::format::{
    BLOCK, DATA_START, Identity, SegmentHeader, Trailer, Watermark, align_up, segment_name,
    spare_name,
};
use crate::index::Footer;
use crate::journal::Inner;
use crate::options::JournalOptions;
use crate::shared_space::Attempt;
use crate::space::bridge_bytes;
use crate::state::{Pending, Plan, Seal, SegmentFile, SegmentMeta, Spare, State};

/// Zeros written at a time into a spare segment.
const FILL_STEP_BYTES: u64 = 1 << 20;

/// Dead segments are kept to be written again up to this much: removing a file makes the device discard its blocks, which
/// holds up every write beside it for tens of milliseconds, and its blocks are initialised already.
const SPARE_BYTES_MAX: u64 = 1 << 30;
const SPARES_MAX: u64 = 16;

/// Spare segments kept, at least 2.
pub(crate) fn spares_max(options: &JournalOptions) -> usize {
    let count = (SPARE_BYTES_MAX / options.segment_bytes).clamp(2, SPARES_MAX);
    usize::try_from(count).expect("a small number")
}

type Job = LocalFuture<'static, Result<(), JournalError>>;

impl State {
    /// Ends the planned segment: its runs become a footer and extents, and the next frame goes into a new segment, which
    /// `next` will be. `false` when it has no frame yet.
    pub(crate) fn plan_next_segment(&mut self, next: Option<Spare>) -> bool {
        if self.plan.offset == DATA_START {
            return false;
        }
        let segment = self.plan.segment;
        let last = Position(self.plan.position.0 - 1);
        let footer = Rc::new(self.index.seal(segment));
        self.caches.pin_footer(segment, Rc::clone(&footer));
        if let Some(meta) = self.segments.get_mut(&segment) {
            meta.sealed = true;
            meta.last = last;
        }
        let segment_bytes = next.as_ref().map_or(self.options.segment_bytes, |next| next.bytes);
        self.queue.push_back(Pending::Seal(Rc::new(Seal {
            segment,
            base: self.plan.base,
            last,
            segment_bytes: self.plan.segment_bytes,
            frames_end: self.plan.offset,
            footer,
            next: RefCell::new(next),
            next_bytes: segment_bytes,
        })));
        self.plan = Plan {
            segment: SegmentId(segment.0 + 1),
            base: last.next(),
            segment_bytes,
            offset: DATA_START,
            position: last.next(),
        };
        self.stats.seals += 1;
        true
    }

    /// Whether a spare segment may be allocated within `segments_max_bytes`.
    pub(crate) fn spare_wanted(&self) -> bool {
        !self.closing && self.spare_allowed()
    }

    pub(crate) fn spare_allowed(&self) -> bool {
        let wanted = self.allocated_bytes().saturating_add(self.options.segment_bytes);
        self.options.segments_max_bytes.is_none_or(|max| wanted <= max)
    }

    pub(crate) fn spare_needs_fill(&self) -> bool {
        !self.closing && self.spares.first().is_some_and(|spare| spare.filled < spare.bytes)
    }

    /// A sealed segment that nothing needs: no live extent, and no kept checkpoint that names or precedes it.
    pub(crate) fn freeable(&self) -> Option<SegmentId> {
        if self.checkpoints.is_empty() {
            return None;
        }
        let unneeded = |id: SegmentId, meta: &SegmentMeta| {
            let unshared = meta.file.as_ref().is_none_or(|file| Rc::strong_count(file) == 1);
            self.dead(id, meta)
                && unshared
                && self.checkpoints.iter().all(|kept| kept.releases(id, meta.last))
        };
        self.segments.iter().find(|(id, meta)| unneeded(**id, meta)).map(|(id, _)| *id)
    }

    fn dead(&self, id: SegmentId, meta: &SegmentMeta) -> bool {
        meta.sealed && id < self.current_segment && self.index.live(id) == 0
    }

    /// Old checkpoints keep dead segments: write newer ones even when little is appended.
    pub(crate) fn want_checkpoint_for_frees(&mut self) {
        if self.checkpoint_wanted > 0 || self.checkpoint_busy() || self.checkpoint_short {
            return;
        }
        let blocked = self.segments.iter().any(|(id, meta)| {
            self.dead(*id, meta)
                && (self.checkpoints.is_empty()
                    || !self.checkpoints.iter().all(|kept| kept.releases(*id, meta.last)))
        });
        if blocked {
            // Two are kept, so two have to be replaced.
            self.checkpoint_wanted = 2;
        }
    }
}

/// A freshly created, fully allocated file under a spare name.
pub(crate) async fn create_spare(
    disk: &dyn Disk,
    name: String,
    bytes: u64,
) -> Result<Spare, JournalError> {
    let file =
        disk.create(&name).await.map_err(|error| JournalError::io("create", &name, error))?;
    if let Err(error) = file.allocate(bytes).await {
        drop(file);
        // Best effort: without it the next open removes the short file.
        let removed = disk.remove(&name).await;
        drop(removed);
        return Err(JournalError::io("allocate", &name, error));
    }
    Ok(Spare { name, file, bytes, filled: 0 })
}

/// Writes header and first watermark record, then gives the file its segment name, durably.
pub(crate) async fn make_segment(
    disk: &dyn Disk,
    identity: Identity,
    spare: Spare,
    header: SegmentHeader,
) -> Result<Rc<SegmentFile>, JournalError> {
    let len = usize::try_from(DATA_START).expect("a small constant");
    let mut memory = disk.alloc(len);
    let bytes = memory.bytes_mut();
    let block = usize::try_from(BLOCK).expect("a small constant");
    header.encode(identity, &mut bytes[..block]);
    let watermark = Watermark {
        segment: header.segment,
        sequence: 0,
        durable: Position(header.base.0 - 1),
        generation: header.generation,
        closed: false,
    };
    watermark.encode(identity, &mut bytes[block..2 * block]);
    let name = segment_name(header.segment);
    let error = |doing| move |error| JournalError::io(doing, &segment_name(header.segment), error);
    spare
        .file
        .write_at(0, Block::from(memory), len, Durability::Synced)
        .await
        .map_err(error("write the header of"))?;
    disk.rename(&spare.name, &name).await.map_err(error("rename a spare to"))?;
    disk.sync_dir().await.map_err(error("sync the directory of"))?;
    Ok(Rc::new(SegmentFile { name, file: spare.file }))
}

/// Writes the footer and moves on to the next segment. Repeatable after `StorageFull`.
pub(crate) fn roll(inner: Rc<Inner>, seal: Rc<Seal>) -> Job {
    Box::pin(async move {
        let (identity, generation, current) = {
            let state = inner.state.borrow();
            (state.identity, state.generation, Rc::clone(&state.current))
        };
        write_footer(inner.disk.as_ref(), identity, generation, &current, &seal).await?;
        let next = seal.next.borrow_mut().take();
        let spare = match next {
            Some(spare) => spare,
            None => take_or_create_spare(&inner, seal.next_bytes).await?,
        };
        let segment_bytes = spare.bytes;
        let segment = SegmentId(seal.segment.0 + 1);
        let created_ms = inner.clock.wall_ms();
        let base = seal.last.next();
        let header = SegmentHeader { segment, base, segment_bytes, generation, created_ms };
        let file = make_segment(inner.disk.as_ref(), identity, spare, header).await?;
        let mut state = inner.state.borrow_mut();
        state.segments.insert(
            segment,
            SegmentMeta {
                base,
                last: Position(0),
                segment_bytes,
                created_ms,
                sealed: false,
                file: Some(Rc::clone(&file)),
            },
        );
        state.current = file;
        state.current_segment = segment;
        state.written_end = DATA_START;
        state.watermark_sequence = 0;
        state.watermark_recorded = seal.last;
        state.free_check = true;
        state.close_files();
        Ok(())
    })
}

async fn take_or_create_spare(inner: &Rc<Inner>, bytes: u64) -> Result<Spare, JournalError> {
    let name = {
        let mut state = inner.state.borrow_mut();
        if let Some(at) = state.spares.iter().rposition(|spare| spare.bytes == bytes) {
            return Ok(state.spares.remove(at));
        }
        if !state.spare_allowed() {
            return Err(no_space(&state));
        }
        state.spare_number += 1;
        spare_name(state.spare_number)
    };
    create_spare(inner.disk.as_ref(), name, bytes).await
}

fn no_space(state: &State) -> JournalError {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    JournalError::io("allocate the segment after", &state.current.name, source)
}

async fn write_footer(
    disk: &dyn Disk,
    identity: Identity,
    generation: u32,
    current: &SegmentFile,
    seal: &Seal,
) -> Result<(), JournalError> {
    let error = |error| JournalError::io("write the footer of", &current.name, error);
    let body = encode_body(disk, &seal.footer);
    let padded = body.as_ref().map_or(0, |(block, _)| block.bytes().len());
    let trailer = Trailer {
        segment: seal.segment,
        base: seal.base,
        last: seal.last,
        frames_end: seal.frames_end,
        footer_bytes: u32::try_from(body.as_ref().map_or(0, |(_, len)| *len))
            .expect("a segment is below 4 GiB"),
        stream_count: u32::try_from(seal.footer.streams.len()).expect("a segment is below 4 GiB"),
        generation,
        footer_crc: crc32fast::hash(body.as_ref().map_or(&[][..], |(block, _)| block.bytes())),
    };
    assert!(
        seal.frames_end + padded as u64 + BLOCK <= seal.segment_bytes,
        "room for the footer of {} was reserved",
        current.name
    );
    if let Some((block, _)) = body {
        current
            .file
            .write_at(seal.frames_end, block, padded, Durability::Synced)
            .await
            .map_err(error)?;
    }
    let block_len = usize::try_from(BLOCK).expect("a small constant");
    let mut memory = disk.alloc(block_len);
    trailer.encode(identity, memory.bytes_mut());
    let at = seal.segment_bytes - BLOCK;
    current
        .file
        .write_at(at, Block::from(memory), block_len, Durability::Synced)
        .await
        .map_err(error)
}

/// The footer's body padded to whole blocks, and its real length. `None` when it is empty.
fn encode_body(disk: &dyn Disk, footer: &Footer) -> Option<(Block, usize)> {
    let mut body = Vec::new();
    footer.encode(&mut body);
    if body.is_empty() {
        return None;
    }
    let padded = usize::try_from(align_up(body.len() as u64)).expect("a segment is below 4 GiB");
    let mut memory = disk.alloc(padded);
    memory.bytes_mut()[..body.len()].copy_from_slice(&body);
    Some((Arc::from(memory), body.len()))
}

/// Allocates the spare segment ahead of need, or a smaller one where there is need; where there is no space for any, the
/// bridge, if that is missing.
pub(crate) fn add_spare(inner: Rc<Inner>, attempt: Attempt) -> Job {
    Box::pin(async move {
        let _until_it_ends = attempt;
        let sizes = inner.state.borrow().spare_sizes();
        let mut refused = None;
        for bytes in sizes {
            let name = inner.state.borrow_mut().next_spare_name();
            match create_spare(inner.disk.as_ref(), name, bytes).await {
                Ok(spare) => {
                    inner.state.borrow_mut().space_found(spare);
                    return Ok(());
                }
                Err(error) if error.storage_full() => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        if inner.state.borrow().bridge_missing() {
            make_bridge(&inner).await?;
        }
        refused.map_or(Ok(()), Err)
    })
}

/// Allocates the bridge.
pub(crate) fn add_bridge(inner: Rc<Inner>) -> Job {
    Box::pin(async move { make_bridge(&inner).await })
}

/// A power cut on a full disk must not take the bridge away: neither its name nor its blocks.
async fn make_bridge(inner: &Inner) -> Result<(), JournalError> {
    let (name, bytes) = {
        let mut state = inner.state.borrow_mut();
        (state.next_spare_name(), bridge_bytes(&state.options))
    };
    let disk = inner.disk.as_ref();
    let bridge = create_spare(disk, name, bytes).await?;
    let error = |doing| move |error| JournalError::io(doing, "the bridge", error);
    bridge.file.sync_data().await.map_err(error("sync"))?;
    disk.sync_dir().await.map_err(error("sync the directory of"))?;
    inner.state.borrow_mut().bridge = Some(bridge);
    Ok(())
}

/// What becomes of a dead segment's file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterlife {
    Spare,
    Bridge,
    None,
}

impl State {
    fn afterlife(&self, segment_bytes: u64) -> Afterlife {
        let whole = segment_bytes == self.options.segment_bytes;
        if whole && self.spares.len() < self.spares_kept_max() && !self.parts_wanted() {
            Afterlife::Spare
        } else if self.bridge.is_none() && segment_bytes == bridge_bytes(&self.options) {
            Afterlife::Bridge
        } else {
            Afterlife::None
        }
    }

    fn next_spare_name(&mut self) -> String {
        self.spare_number += 1;
        spare_name(self.spare_number)
    }
}

/// Turns a dead segment into a spare or the bridge, or removes it.
pub(crate) fn free(inner: Rc<Inner>, segment: SegmentId) -> Job {
    Box::pin(async move {
        let name = segment_name(segment);
        let (meta, afterlife) = {
            let mut state = inner.state.borrow_mut();
            let Some(meta) = state.segments.remove(&segment) else { return Ok(()) };
            state.caches.forget(segment);
            let afterlife = state.afterlife(meta.segment_bytes);
            (meta, afterlife)
        };
        let disk = inner.disk.as_ref();
        let error = |doing| move |error| JournalError::io(doing, &segment_name(segment), error);
        if afterlife == Afterlife::None {
            drop(meta);
            disk.remove(&name).await.map_err(error("remove"))?;
            disk.sync_dir().await.map_err(error("sync the directory of"))?;
            let mut state = inner.state.borrow_mut();
            state.space_freed();
            state.options.space.gave_back();
            return Ok(());
        }
        let bytes = meta.segment_bytes;
        let file = match meta.file.and_then(|file| Rc::try_unwrap(file).ok()) {
            Some(file) => file.file,
            None => disk.open(&name).await.map_err(error("open"))?,
        };
        let to = inner.state.borrow_mut().next_spare_name();
        disk.rename(&name, &to).await.map_err(error("rename to a spare"))?;
        disk.sync_dir().await.map_err(error("sync the directory of"))?;
        let spare = Spare { name: to, file, bytes, filled: bytes };
        let mut state = inner.state.borrow_mut();
        match afterlife {
            Afterlife::Bridge => state.bridge = Some(spare),
            _ => state.space_found(spare),
        }
        Ok(())
    })
}

/// Removes the spares that another journal of the file system may need more.
pub(crate) fn give_back(inner: Rc<Inner>) -> Job {
    Box::pin(async move {
        let surplus = {
            let mut state = inner.state.borrow_mut();
            let kept = state.spares_kept_max().min(state.spares.len());
            state.spares.split_off(kept)
        };
        for Spare { name, file, .. } in surplus {
            drop(file);
            let error = |doing| {
                let name = &name;
                move |error| JournalError::io(doing, name, error)
            };
            inner.disk.remove(&name).await.map_err(error("give back"))?;
            inner.disk.sync_dir().await.map_err(error("sync the directory of"))?;
        }
        inner.state.borrow().options.space.gave_back();
        Ok(())
    })
}

/// Appends one record to the ring: everything up to `durable` is on stable storage.
pub(crate) fn record_watermark(inner: Rc<Inner>, closed: bool) -> Job {
    Box::pin(async move {
        let len = usize::try_from(BLOCK).expect("a small constant");
        let mut memory = inner.disk.alloc(len);
        let (record, current) = {
            let mut state = inner.state.borrow_mut();
            state.watermark_sequence += 1;
            state.watermark_recorded = state.durable;
            let record = Watermark {
                segment: state.current_segment,
                sequence: state.watermark_sequence,
                durable: state.durable,
                generation: state.generation,
                closed,
            };
            record.encode(state.identity, memory.bytes_mut());
            (record, Rc::clone(&state.current))
        };
        let written = current
            .file
            .write_at(record.file_offset(), Block::from(memory), len, Durability::Synced)
            .await;
        written.map_err(|error| JournalError::io("record the watermark in", &current.name, error))
    })
}

/// Writes the next zeros into the spare, so that later frames overwrite initialised blocks.
pub(crate) fn fill_spare(inner: Rc<Inner>) -> Job {
    Box::pin(async move {
        let (file, name, at, len, done) = {
            let state = inner.state.borrow();
            let Some(spare) = state.spares.first() else { return Ok(()) };
            let len = FILL_STEP_BYTES.min(spare.bytes - spare.filled);
            let done = spare.filled + len == spare.bytes;
            (Rc::clone(&spare.file), spare.name.clone(), spare.filled, len, done)
        };
        let bytes = usize::try_from(len).expect("a small step");
        let block = Block::from(inner.disk.alloc(bytes));
        let error = |error| JournalError::io("zero-fill", &name, error);
        file.write_at(at, block, bytes, Durability::Volatile).await.map_err(error)?;
        if done {
            file.sync_data().await.map_err(error)?;
        }
        let mut state = inner.state.borrow_mut();
        if let Some(spare) = state.spares.iter_mut().find(|spare| spare.name == name) {
            spare.filled = at + len;
        }
        Ok(())
    })
}
