//! Reading batches: tail, frames not yet written, chunk cache, segment files.
//!
//! ```text
//!  (stream, offset) ─► runs | extent ─► footer (cached or loaded) ─► run {segment, file offset, len}
//!        run ─► tail frame (shared) │ open or queued frame (copied) │ chunk of 1 MiB (cached, read ahead) │ exact read
//!        ─► batches within [from, upto) up to max_bytes; bytes that came from a file pass their CRC-32C first (F1)
//! ```
//!
//! Invariants:
//! - A chunk is cached only when every byte of it is written and final.
//! - A segment file is held by its readers once it is open, so it is not recycled under them. One that goes before they have
//!   opened it fails its checks: whoever asked holds that against the log start, which moved first.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};
use log_io::{LocalFuture, yield_once};
use log_record::{BatchError, BatchHeader, frame_len, verify_crc};
use log_types::{Offset, SegmentId, StreamId};

use crate::error::{JournalError, ReadError};
use crate::format::{BLOCK, Mismatch, Trailer, align_up, segment_name};
use crate::index::{Footer, Run};
use crate::journal::{Inner, Journal};
use crate::options::ReadBatches;
use crate::recovery::corrupt;
use crate::state::{Pending, SegmentFile, State};

pub(crate) const CHUNK_BYTES: u64 = 1 << 20;

/// Chunks read at the same time ahead of a reader that moves forward: enough to keep a device busy.
const READ_AHEAD_MAX: usize = 4;
/// Chunks that wait to be read ahead. Of more readers than this allows for, those that asked first wait for themselves.
const WANTED_MAX: usize = 4 * READ_AHEAD_MAX;

/// Bytes checked before other tasks may run: some 50 µs.
const CHECKED_MAX: usize = 512 << 10;

/// Pieces of a chunk up to this size are copied out of it.
const COPIED_MAX: usize = 32 << 10;

pub(crate) type ChunkKey = (SegmentId, u64);

struct Chunk {
    data: Bytes,
    used: u64,
}

struct CachedFooter {
    footer: Rc<Footer>,
    used: u64,
    /// Not on disk yet.
    pinned: bool,
}

/// What was read back from sealed segments.
pub(crate) struct Caches {
    chunks: BTreeMap<ChunkKey, Chunk>,
    chunks_max: usize,
    footers: BTreeMap<SegmentId, CachedFooter>,
    footers_max: usize,
    clock: u64,
    wanted: VecDeque<ChunkKey>,
    loading: Vec<ChunkKey>,
    loading_waiters: Vec<Waker>,
}

impl Caches {
    pub(crate) fn new(chunk_bytes_max: usize, footers_max: usize) -> Self {
        let chunk = usize::try_from(CHUNK_BYTES).expect("a small constant");
        Self {
            chunks: BTreeMap::new(),
            chunks_max: chunk_bytes_max / chunk,
            footers: BTreeMap::new(),
            footers_max: footers_max.max(1),
            clock: 0,
            wanted: VecDeque::new(),
            loading: Vec::new(),
            loading_waiters: Vec::new(),
        }
    }

    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.data.len()).sum()
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn chunk(&mut self, key: ChunkKey) -> Option<Bytes> {
        let used = self.tick();
        let chunk = self.chunks.get_mut(&key)?;
        chunk.used = used;
        Some(chunk.data.clone())
    }

    fn put_chunk(&mut self, key: ChunkKey, data: Bytes) {
        if self.chunks_max == 0 {
            return;
        }
        let used = self.tick();
        self.chunks.insert(key, Chunk { data, used });
        while self.chunks.len() > self.chunks_max {
            let oldest =
                self.chunks.iter().min_by_key(|(_, chunk)| chunk.used).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            self.chunks.remove(&oldest);
        }
    }

    /// Whether the chunk before `key`, maybe in the segment before, was read lately.
    fn follows_another(&self, key: ChunkKey) -> bool {
        match self.chunks.range(..key).next_back() {
            Some((before, _)) if key.1 == 0 => before.0.0 + 1 == key.0.0,
            Some((before, _)) => *before == (key.0, key.1 - 1),
            None => false,
        }
    }

    /// How far to read ahead: what is read must still be there when its reader comes.
    fn read_ahead(&self) -> usize {
        (self.chunks_max / 2).min(READ_AHEAD_MAX)
    }

    /// A reader that moves forward will want `key` soon. Whether it has to be read.
    fn want(&mut self, key: ChunkKey) -> bool {
        if self.chunks.contains_key(&key)
            || self.loading.contains(&key)
            || self.wanted.contains(&key)
        {
            return false;
        }
        self.wanted.push_back(key);
        if self.wanted.len() > WANTED_MAX {
            self.wanted.pop_front();
        }
        true
    }

    /// The next chunk to read ahead, which counts as loading from now on.
    pub(crate) fn next_prefetch(&mut self) -> Option<ChunkKey> {
        if self.loading.len() >= READ_AHEAD_MAX {
            return None;
        }
        while let Some(key) = self.wanted.pop_front() {
            if !self.chunks.contains_key(&key) {
                self.loading.push(key);
                return Some(key);
            }
        }
        None
    }

    /// The prefetch of `key` ended: its waiters look again.
    fn prefetch_done(&mut self, key: ChunkKey) {
        self.loading.retain(|loading| *loading != key);
        self.wake_loading_waiters();
    }

    /// No prefetch will ever run again.
    pub(crate) fn prefetches_ended(&mut self) {
        self.loading.clear();
        self.wake_loading_waiters();
    }

    fn wake_loading_waiters(&mut self) {
        for waker in self.loading_waiters.drain(..) {
            waker.wake();
        }
    }

    pub(crate) fn footer(&mut self, segment: SegmentId) -> Option<Rc<Footer>> {
        let used = self.tick();
        let cached = self.footers.get_mut(&segment)?;
        cached.used = used;
        Some(Rc::clone(&cached.footer))
    }

    fn put_footer(&mut self, segment: SegmentId, footer: Rc<Footer>, pinned: bool) {
        let used = self.tick();
        self.footers.insert(segment, CachedFooter { footer, used, pinned });
        while self.footers.len() > self.footers_max {
            let unpinned =
                self.footers.iter().filter(|(id, cached)| !cached.pinned && **id != segment);
            let Some(oldest) = unpinned.min_by_key(|(_, cached)| cached.used).map(|(id, _)| *id)
            else {
                break;
            };
            self.footers.remove(&oldest);
        }
    }

    pub(crate) fn pin_footer(&mut self, segment: SegmentId, footer: Rc<Footer>) {
        self.put_footer(segment, footer, true);
    }

    pub(crate) fn unpin_footer(&mut self, segment: SegmentId) {
        if let Some(cached) = self.footers.get_mut(&segment) {
            cached.pinned = false;
        }
    }

    /// The segment's file is about to be reused.
    pub(crate) fn forget(&mut self, segment: SegmentId) {
        self.footers.remove(&segment);
        self.chunks.retain(|(id, _), _| *id != segment);
    }
}

enum Located {
    End,
    NeedFooter(SegmentId),
    Run(SegmentId, Run),
}

impl State {
    /// The first run whose last offset is at least `from` and whose maximum timestamp is at least `timestamp`.
    fn locate(&mut self, stream: StreamId, from: Offset, timestamp: i64) -> Located {
        let Some(found) = self.index.stream(stream) else { return Located::End };
        let first = found.extents.partition_point(|extent| extent.last < from);
        let extents = found.extents.get(first..).unwrap_or_default();
        for extent in extents.iter().filter(|extent| extent.max_timestamp >= timestamp) {
            let Some(footer) = self.caches.footer(extent.segment) else {
                return Located::NeedFooter(extent.segment);
            };
            if let Some(run) = first_run(footer.runs_of(stream), from, timestamp) {
                return Located::Run(extent.segment, run);
            }
        }
        match first_run(&found.runs, from, timestamp) {
            Some(run) => Located::Run(self.plan.segment, run),
            None => Located::End,
        }
    }

    /// The run's bytes when they are in memory: shared from the tail, or copied from a frame that is not written yet.
    fn bytes_in_memory(&self, segment: SegmentId, run: &Run) -> Option<Bytes> {
        let len = run.len as usize;
        if let Some(bytes) = self.tail.get(segment, run.file_offset, len) {
            return Some(bytes);
        }
        let queued = self.queue.iter().filter_map(|pending| match pending {
            Pending::Frame(frame) => Some(frame),
            Pending::Seal(_) => None,
        });
        let frame = queued.chain(self.open.as_ref()).find(|frame| {
            frame.segment == segment
                && frame.file_offset <= run.file_offset
                && run.file_offset < frame.file_offset + frame.used as u64
        })?;
        let start = usize::try_from(run.file_offset - frame.file_offset).ok()?;
        Some(Bytes::copy_from_slice(frame.block.bytes().get(start..start + len)?))
    }

    /// Whether every byte of the file up to `end` is final.
    fn stable(&self, segment: SegmentId, end: u64) -> bool {
        segment < self.current_segment
            || (segment == self.current_segment && end <= self.written_end)
    }
}

fn first_run(runs: &[Run], from: Offset, timestamp: i64) -> Option<Run> {
    let first = runs.partition_point(|run| run.last < from);
    runs.get(first..)?.iter().find(|run| run.max_timestamp >= timestamp).copied()
}

/// What a read may return, and what it has so far.
struct Gather {
    upto: Offset,
    bytes_max: usize,
    bytes: usize,
    /// Bytes whose checksums were computed since other tasks could run.
    checked: usize,
    full: bool,
    out: ReadBatches,
}

/// Where bytes came from, for error reports; `verify` when they came from a file.
struct Source<'a> {
    file: &'a str,
    at: u64,
    verify: bool,
}

impl Source<'_> {
    fn corrupt(&self, start: usize, mismatch: Mismatch) -> ReadError {
        corrupt(self.file, self.at + start as u64, mismatch).into()
    }

    fn batch_error(&self, start: usize, error: &BatchError) -> ReadError {
        let (what, expected, found) = match *error {
            BatchError::BadCrc { expected, computed } => {
                ("batch checksum", u64::from(expected), u64::from(computed))
            }
            BatchError::Truncated { needed, available } => {
                ("batch length", needed as u64, available as u64)
            }
            BatchError::UnsupportedMagic { magic } => {
                ("batch magic", 2, u64::from(magic.cast_unsigned()))
            }
            _ => ("batch length field", 0, 0),
        };
        self.corrupt(start, Mismatch { what, expected, found })
    }

    /// The batch at `start` of `data`, which must begin at offset `base` of the run that holds it. Its own checksum does
    /// not cover base offset and leader epoch: those are held against the index, which has a checksum of its own.
    fn batch(
        &self,
        data: &[u8],
        start: usize,
        base: Offset,
        run: &Run,
    ) -> Result<(BatchHeader, usize), ReadError> {
        let rest = data.get(start..).unwrap_or_default();
        let len = frame_len(rest).map_err(|error| self.batch_error(start, &error))?;
        let header = BatchHeader::parse(rest).map_err(|error| self.batch_error(start, &error))?;
        let same = |what, expected, found| {
            let differs = || self.corrupt(start, Mismatch { what, expected, found });
            if expected == found { Ok(()) } else { Err(differs()) }
        };
        let number = |offset: Offset| offset.0.cast_unsigned();
        same("batch base offset", number(base), number(header.base_offset))?;
        let epoch = header.partition_leader_epoch.0.cast_unsigned();
        same("batch leader epoch", run.epoch.into(), epoch.into())?;
        if header.last_offset_delta < 0 || header.last_offset() > run.last {
            let (expected, found) = (number(run.last), number(header.last_offset()));
            return Err(
                self.corrupt(start, Mismatch { what: "batch last offset", expected, found })
            );
        }
        if self.verify {
            let batch = rest.get(..len).unwrap_or_default();
            verify_crc(batch).map_err(|error| self.batch_error(start, &error))?;
        }
        Ok((header, len))
    }
}

impl Gather {
    /// Takes what fits of one run, also when damage follows. `next` moves past everything looked at.
    fn run(&mut self, data: &Bytes, run: &Run, source: &Source<'_>) -> Result<(), ReadError> {
        let mut taken = None;
        let outcome = self.take(data, run, source, &mut taken);
        if let Some(range) = taken {
            // A slice keeps a whole chunk from being used again for as long as a slow client takes to read it.
            self.out.batches.push(match source.verify && range.len() <= COPIED_MAX {
                true => Bytes::copy_from_slice(&data[range]),
                false => data.slice(range),
            });
        }
        outcome?;
        // A run whose last batch ends before the index says would otherwise be found again for ever.
        if !self.full && self.out.next <= run.last {
            let (expected, found) = (run.last.0.cast_unsigned(), self.out.next.0.cast_unsigned());
            return Err(
                source.corrupt(data.len(), Mismatch { what: "end of a run", expected, found })
            );
        }
        self.full |= self.bytes >= self.bytes_max;
        Ok(())
    }

    /// Extends `taken` batch by batch.
    fn take(
        &mut self,
        data: &[u8],
        run: &Run,
        source: &Source<'_>,
        taken: &mut Option<Range<usize>>,
    ) -> Result<(), ReadError> {
        let (mut start, mut base) = (0, run.base);
        while start < data.len() {
            let (header, len) = source.batch(data, start, base, run)?;
            base = header.next_offset();
            if header.last_offset() >= self.out.next {
                let fits = self.bytes == 0 || self.bytes + len <= self.bytes_max;
                if header.last_offset() >= self.upto || !fits {
                    self.full = true;
                    break;
                }
                self.bytes += len;
                self.out.next = header.next_offset();
                *taken = Some(taken.as_ref().map_or(start, |range| range.start)..start + len);
            }
            start += len;
        }
        Ok(())
    }
}

impl Journal {
    /// Whole batches of `stream` in `[from, upto)`, about `bytes_max` bytes of them: the batch that holds `from` comes
    /// first even when it is larger. A batch that ends at or beyond `upto` is not returned.
    ///
    /// Sees everything appended, durable or not: the caller bounds `upto` by what it may show. Lets other tasks run
    /// after each piece that came from a file.
    ///
    /// # Errors
    /// `Corrupt` when bytes from a file fail their checks, `Io`; in front of them whatever is whole is returned first.
    pub async fn read(
        &self,
        stream: StreamId,
        from: Offset,
        upto: Offset,
        bytes_max: usize,
    ) -> Result<ReadBatches, ReadError> {
        let out = ReadBatches { batches: Vec::new(), next: from };
        let mut gather = Gather { upto, bytes_max, bytes: 0, checked: 0, full: false, out };
        while !gather.full {
            match self.read_on(stream, &mut gather).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if gather.out.batches.is_empty() => return Err(error),
                // The next read begins with what is damaged.
                Err(_) => break,
            }
        }
        Ok(gather.out)
    }

    /// Gathers the next run, or loads what tells where it is. `false` when there is none.
    async fn read_on(&self, stream: StreamId, gather: &mut Gather) -> Result<bool, ReadError> {
        let located = self.inner.state.borrow_mut().locate(stream, gather.out.next, i64::MIN);
        match located {
            Located::End => Ok(false),
            Located::NeedFooter(segment) => {
                load_footer(&self.inner, segment).await?;
                Ok(true)
            }
            Located::Run(_, run) if run.base >= gather.upto => Ok(false),
            Located::Run(segment, run) => {
                let (data, verify) = run_bytes(&self.inner, segment, &run).await?;
                let name = segment_name(segment);
                gather.run(&data, &run, &Source { file: &name, at: run.file_offset, verify })?;
                gather.checked += if verify { data.len() } else { 0 };
                if gather.checked >= CHECKED_MAX {
                    gather.checked = 0;
                    yield_once().await;
                }
                Ok(true)
            }
        }
    }

    /// As [`Journal::read`], but only what is in memory. `None` when the first batch is not, or fails its checks.
    #[must_use]
    pub fn try_read_tail(
        &self,
        stream: StreamId,
        from: Offset,
        upto: Offset,
        bytes_max: usize,
    ) -> Option<ReadBatches> {
        let mut state = self.inner.state.borrow_mut();
        let out = ReadBatches { batches: Vec::new(), next: from };
        let mut gather = Gather { upto, bytes_max, bytes: 0, checked: 0, full: false, out };
        while !gather.full {
            let found = match state.locate(stream, gather.out.next, i64::MIN) {
                Located::End => break,
                Located::Run(_, run) if run.base >= upto => break,
                Located::NeedFooter(_) => None,
                Located::Run(segment, run) => {
                    state.bytes_in_memory(segment, &run).map(|data| (data, run))
                }
            };
            let source = Source { file: "", at: 0, verify: false };
            let done = found.is_some_and(|(data, run)| gather.run(&data, &run, &source).is_ok());
            if !done {
                return (!gather.out.batches.is_empty()).then_some(gather.out);
            }
        }
        Some(gather.out)
    }

    /// The first batch in offset order, among those that hold an offset of at least `from`, whose maximum timestamp is
    /// at least `timestamp`.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub async fn find_by_timestamp(
        &self,
        stream: StreamId,
        from: Offset,
        timestamp: i64,
    ) -> Result<Option<Bytes>, ReadError> {
        let mut next = from;
        loop {
            let located = self.inner.state.borrow_mut().locate(stream, next, timestamp);
            let (segment, run) = match located {
                Located::End => return Ok(None),
                Located::NeedFooter(segment) => {
                    load_footer(&self.inner, segment).await?;
                    continue;
                }
                Located::Run(segment, run) => (segment, run),
            };
            let (data, verify) = run_bytes(&self.inner, segment, &run).await?;
            let name = segment_name(segment);
            let source = Source { file: &name, at: run.file_offset, verify };
            let (mut start, mut base) = (0, run.base);
            while start < data.len() {
                let (header, len) = source.batch(&data, start, base, &run)?;
                base = header.next_offset();
                if header.last_offset() >= next && header.max_timestamp >= timestamp {
                    return Ok(Some(data.slice(start..start + len)));
                }
                start += len;
            }
            next = run.last.plus(1);
        }
    }
}

/// The segment's file, opened at first use.
async fn segment_file(inner: &Rc<Inner>, segment: SegmentId) -> Result<Rc<SegmentFile>, ReadError> {
    let name = segment_name(segment);
    {
        let state = inner.state.borrow();
        let meta = state.segments.get(&segment);
        let Some(meta) = meta else {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(ReadError::Io { file: name, source });
        };
        if let Some(file) = &meta.file {
            return Ok(Rc::clone(file));
        }
    }
    let opened = inner
        .disk
        .open(&name)
        .await
        .map_err(|source| ReadError::Io { file: name.clone(), source })?;
    let file = Rc::new(SegmentFile { name, file: opened });
    let mut state = inner.state.borrow_mut();
    if let Some(meta) = state.segments.get_mut(&segment) {
        meta.file = Some(Rc::clone(&file));
    }
    state.close_files();
    Ok(file)
}

async fn load_footer(inner: &Rc<Inner>, segment: SegmentId) -> Result<(), ReadError> {
    let file = segment_file(inner, segment).await?;
    let (identity, segment_bytes) = {
        let state = inner.state.borrow();
        let bytes = state
            .segments
            .get(&segment)
            .map_or(state.options.segment_bytes, |meta| meta.segment_bytes);
        (state.identity, bytes)
    };
    let footer = read_footer(&file, identity, segment, segment_bytes).await?;
    inner.state.borrow_mut().caches.put_footer(segment, Rc::new(footer.1), false);
    Ok(())
}

/// Reads and checks trailer and footer of a sealed segment.
pub(crate) async fn read_footer(
    file: &SegmentFile,
    identity: crate::format::Identity,
    segment: SegmentId,
    segment_bytes: u64,
) -> Result<(Trailer, Footer), JournalError> {
    let io = |error| JournalError::io("read", &file.name, error);
    let trailer_at = segment_bytes - BLOCK;
    let block_len = usize::try_from(BLOCK).expect("a small constant");
    let block = file.file.read_at(trailer_at, block_len).await.map_err(io)?;
    let trailer = Trailer::decode(&block, identity, segment);
    let trailer = trailer.map_err(|mismatch| corrupt(&file.name, trailer_at, mismatch))?;
    let padded = align_up(u64::from(trailer.footer_bytes));
    let len = usize::try_from(padded).expect("the format says u32");
    if trailer.frames_end.saturating_add(padded) > trailer_at {
        let mismatch =
            Mismatch { what: "end of the footer", expected: trailer_at, found: trailer.frames_end };
        return Err(corrupt(&file.name, trailer_at, mismatch));
    }
    let body = if len == 0 {
        Bytes::new()
    } else {
        file.file.read_at(trailer.frames_end, len).await.map_err(io)?
    };
    let crc = crc32fast::hash(&body);
    if crc != trailer.footer_crc {
        let (expected, found) = (u64::from(trailer.footer_crc), u64::from(crc));
        return Err(corrupt(
            &file.name,
            trailer.frames_end,
            Mismatch { what: "footer checksum", expected, found },
        ));
    }
    let body = body.get(..trailer.footer_bytes as usize).unwrap_or_default();
    let footer = Footer::decode(body, trailer.stream_count);
    Ok((trailer, footer.map_err(|mismatch| corrupt(&file.name, trailer.frames_end, mismatch))?))
}

/// The bytes of a run, and whether they came from a file.
async fn run_bytes(
    inner: &Rc<Inner>,
    segment: SegmentId,
    run: &Run,
) -> Result<(Bytes, bool), ReadError> {
    if let Some(bytes) = inner.state.borrow().bytes_in_memory(segment, run) {
        return Ok((bytes, false));
    }
    inner.state.borrow_mut().stats.cold_reads += 1;
    let file = segment_file(inner, segment).await?;
    let len = run.len as usize;
    let (first, end) = (run.file_offset / CHUNK_BYTES, run.file_offset + u64::from(run.len));
    let last = (end - 1) / CHUNK_BYTES;
    let chunked = {
        let state = inner.state.borrow();
        let stable = state.stable(segment, (last + 1) * CHUNK_BYTES);
        stable && state.caches.chunks_max > 0 && last - first <= 1
    };
    let bytes = if chunked {
        chunked_bytes(inner, &file, segment, run, first, last).await?
    } else {
        exact(&file, run.file_offset, len).await?
    };
    if bytes.len() != len {
        let mismatch =
            Mismatch { what: "bytes in the file", expected: len as u64, found: bytes.len() as u64 };
        return Err(corrupt(&file.name, run.file_offset, mismatch).into());
    }
    Ok((bytes, true))
}

async fn exact(file: &SegmentFile, at: u64, len: usize) -> Result<Bytes, ReadError> {
    let read = file.file.read_at(at, len).await;
    read.map_err(|source| ReadError::Io { file: file.name.clone(), source })
}

async fn chunked_bytes(
    inner: &Rc<Inner>,
    file: &SegmentFile,
    segment: SegmentId,
    run: &Run,
    first: u64,
    last: u64,
) -> Result<Bytes, ReadError> {
    let head = load_chunk(inner, file, (segment, first)).await?;
    let start = usize::try_from(run.file_offset - first * CHUNK_BYTES).expect("below CHUNK_BYTES");
    let len = run.len as usize;
    if first == last {
        let end = (start + len).min(head.len());
        return Ok(head.slice(start.min(end)..end));
    }
    let tail = load_chunk(inner, file, (segment, last)).await?;
    let mut joined = BytesMut::with_capacity(len);
    joined.extend_from_slice(head.get(start..).unwrap_or_default());
    let rest = len.saturating_sub(joined.len());
    joined.extend_from_slice(tail.get(..rest).unwrap_or_default());
    Ok(joined.freeze())
}

async fn load_chunk(
    inner: &Rc<Inner>,
    file: &SegmentFile,
    key: ChunkKey,
) -> Result<Bytes, ReadError> {
    loop {
        {
            let mut state = inner.state.borrow_mut();
            if state.want_ahead(key) {
                state.wake_flusher();
            }
            if let Some(data) = state.caches.chunk(key) {
                return Ok(data);
            }
            if !state.caches.loading.contains(&key) || !state.running {
                break;
            }
        }
        // The prefetch is reading it: wait for that instead of reading it twice.
        poll_fn(|context| {
            let mut state = inner.state.borrow_mut();
            if !state.caches.loading.contains(&key) || !state.running {
                return Poll::Ready(());
            }
            state.caches.loading_waiters.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
    let len = usize::try_from(CHUNK_BYTES).expect("a small constant");
    let data = exact(file, key.1 * CHUNK_BYTES, len).await?;
    inner.state.borrow_mut().caches.put_chunk(key, data.clone());
    Ok(data)
}

impl State {
    /// Asks for the chunks after `key` when its reader came from the one before. Whether any has to be read.
    fn want_ahead(&mut self, key: ChunkKey) -> bool {
        if !self.caches.follows_another(key) {
            return false;
        }
        let (mut next, mut wanted) = (key, false);
        for _ in 0..self.caches.read_ahead() {
            next.1 += 1;
            if self
                .segments
                .get(&next.0)
                .is_none_or(|meta| next.1 * CHUNK_BYTES >= meta.segment_bytes)
            {
                next = (SegmentId(next.0.0 + 1), 0);
            }
            if !self.segments.contains_key(&next.0)
                || !self.stable(next.0, (next.1 + 1) * CHUNK_BYTES)
            {
                break;
            }
            wanted |= self.caches.want(next);
        }
        wanted
    }
}

/// Loads a chunk ahead of its reader. A failure is the reader's to find.
pub(crate) fn prefetch(inner: Rc<Inner>, key: ChunkKey) -> LocalFuture<'static, ()> {
    Box::pin(async move {
        if let Ok(file) = segment_file(&inner, key.0).await {
            let len = usize::try_from(CHUNK_BYTES).expect("a small constant");
            let data = exact(&file, key.1 * CHUNK_BYTES, len).await;
            if let Ok(data) = data {
                let mut state = inner.state.borrow_mut();
                if state.segments.contains_key(&key.0) {
                    state.caches.put_chunk(key, data);
                }
            }
        }
        inner.state.borrow_mut().caches.prefetch_done(key);
    })
}
