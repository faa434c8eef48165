//! A journal's files with damage in them: segments with frames and entry directories, footers, the watermark ring,
//! checkpoints.
//!
//! An input is a list of changes to the files of a journal that was written, sealed and closed once per process:
//!
//! ```text
//! flags u8 ┼ { file u8 ┼ block u8 ┼ offset u16 ┼ length u8 ┼ bytes }*        all taken modulo what there is
//! flags: 1 repair checksums afterwards · 2 no checkpoints · 4 cut the file of the first change at its block
//! ```
//!
//! Promises, when checksums were not repaired (damage, a torn write, rot):
//! - Opening gives the entries that were written, in order, from the first on, byte for byte; or it refuses.
//! - Unless the ring or a header was hit, which is where the watermark lives, it gives all of them.
//! - What is read back is what was written, or an error.
//! - `verify` finds nothing in a whole journal and proves its checkpoints; what it finds nothing in opens, with all entries.
//!
//! With repaired checksums the bytes say what nobody wrote: then nothing may panic, loop or take memory.

mod disk;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use log_io::{BLOCK_BYTES, Clock, Disk, Durability};
use log_journal::{
    Entry, EntryHead, EntryKind, FRAME_HEADER_BYTES, Journal, JournalHooks, JournalOptions,
    ReplaySink, StateFold, StateMismatch,
};
use log_record::BatchBuilder;
use log_types::{ClusterId, LeaderEpoch, Offset, Position, ShardId, StreamId};

use self::disk::MemoryDisk;
use super::now::now;
use crate::target::{Limit, Steps, Verdict};

const REPAIR: u8 = 1;
const NO_CHECKPOINTS: u8 = 2;
const CUT: u8 = 4;
const CLUSTER: ClusterId = ClusterId([0x5a; 16]);
const SHARD: ShardId = ShardId(3);
const STREAMS: u64 = 3;
const ENTRIES: u64 = 24;
/// Blocks of the segment header and of the ring.
const HEAD_BLOCKS: usize = 4;

/// The journal reads whole files of this size; everything is bounded by them, not by the input.
pub(super) const MEMORY: Limit = Limit { base: 2 << 20, factor: 16 };
/// Likewise: tens of frames and of streams per opening.
pub(super) const STEPS: Limit = Limit { base: 20_000, factor: 16 };

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"LUMASEG1",
    b"LUMAWMRK",
    b"LUMAFOOT",
    b"LUMACKPT",
    b"LFRM",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\0\0\0\0\0\0\0\0",
    b"\0\x10\0\0",
    b"\0\x20\0\0",
];

fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: 48 << 10,
        frame_bytes_max: 4096,
        frame_bytes_target: 1024,
        pending_bytes_max: 64 << 10,
        tail_bytes_max: 64 << 10,
        chunk_cache_bytes_max: 64 << 10,
        ..JournalOptions::new(CLUSTER, SHARD)
    }
}

/// One entry as it was written, or as it was replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    stream: StreamId,
    base: Offset,
    last: Offset,
    bytes: Bytes,
}

/// A closed journal: its files and everything that was appended to it.
struct Image {
    files: BTreeMap<String, Bytes>,
    written: Vec<Written>,
    newest_segment: String,
}

/// The owner's fold: how many entries.
#[derive(Default)]
struct Replayed {
    skipped: Option<usize>,
    entries: Vec<Written>,
}

impl ReplaySink for Replayed {
    fn checkpoint(&mut self, _: Position, state: &[u8]) {
        let count = state.first_chunk::<8>().map_or(0, |count| u64::from_le_bytes(*count));
        self.skipped = Some(usize::try_from(count).unwrap_or(usize::MAX));
    }

    fn entry(&mut self, _: Position, head: &EntryHead, payload: &[u8]) {
        self.entries.push(Written {
            stream: head.stream,
            base: head.base_offset,
            last: head.last_offset,
            bytes: Bytes::copy_from_slice(payload),
        });
    }
}

/// The same fold, for `verify`.
#[derive(Default)]
struct Proof(usize);

impl ReplaySink for Proof {
    fn checkpoint(&mut self, position: Position, state: &[u8]) {
        let mut replayed = Replayed::default();
        replayed.checkpoint(position, state);
        self.0 = replayed.skipped.unwrap_or(0);
    }

    fn entry(&mut self, _: Position, _: &EntryHead, _: &[u8]) {
        self.0 += 1;
    }
}

impl StateFold for Proof {
    fn prove(&mut self, position: Position, state: &[u8]) -> Result<(), StateMismatch> {
        let mut stored = Self::default();
        stored.checkpoint(position, state);
        if stored.0 == self.0 {
            return Ok(());
        }
        let (expected, found) = (self.0 as u64, stored.0 as u64);
        Err(StateMismatch { what: "entries", expected, found })
    }
}

struct Hooks(Rc<RefCell<Vec<Written>>>);

impl JournalHooks for Hooks {
    fn on_durable(&self, _: Position) {}

    fn checkpoint_state(&self, _: Position) -> Vec<u8> {
        (self.0.borrow().len() as u64).to_le_bytes().to_vec()
    }

    fn on_disk_full(&self, _: bool) {}
}

struct Stopped;

impl Clock for Stopped {
    fn mono_ns(&self) -> u64 {
        0
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(build)
}

fn build() -> Image {
    let disk = MemoryDisk::default();
    let shared: Rc<dyn Disk> = Rc::new(disk.clone());
    let opened = now(Journal::open(shared, Rc::new(Stopped), options(), &mut Replayed::default()));
    let (journal, _) = opened.expect("an empty disk");
    let written = Rc::new(RefCell::new(Vec::new()));
    let mut flusher = journal.run(Rc::new(Hooks(Rc::clone(&written))));
    let mut context = Context::from_waker(Waker::noop());
    let mut next = [0i64; 3];
    for number in 0..ENTRIES {
        let stream = number % STREAMS;
        let base = &mut next[usize::try_from(stream).expect("below 3")];
        let mut builder = BatchBuilder::new().at(Offset(*base), LeaderEpoch(1));
        for record in 0..=i64::try_from(number % 4).expect("below 4") {
            let value = vec![
                number.to_le_bytes()[0];
                100 + usize::try_from(number * 37 % 900).expect("below 900")
            ];
            builder.push(1_000 + *base + record, None, Some(&value), &[]).expect("small");
        }
        let last = Offset(*base + i64::from(builder.count()) - 1);
        let bytes = builder.build().expect("there are records");
        let entry = Entry {
            stream: StreamId(stream + 16),
            kind: EntryKind::BATCH,
            base_offset: Offset(*base),
            last_offset: last,
            max_timestamp: 1_000 + last.0,
            durability: Durability::Synced,
            parts: &[&bytes],
            last_part_crc: None,
        };
        journal.append(&entry).expect("the flusher keeps up");
        let entry = Written { stream: entry.stream, base: entry.base_offset, last, bytes };
        written.borrow_mut().push(entry);
        *base = last.0 + 1;
        if number == ENTRIES / 2 {
            journal.request_checkpoint();
        }
        for _ in 0..4 {
            assert!(flusher.as_mut().poll(&mut context).is_pending(), "the journal is open");
        }
        journal.tick();
    }
    journal.close();
    let ended = (0..64).find_map(|_| match flusher.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    });
    assert!(matches!(ended, Some(Ok(()))), "the journal closes: {ended:?}");
    let files = disk.files();
    let newest = files.keys().rfind(|name| name.starts_with("segment-")).expect("there is one");
    let newest_segment = newest.clone();
    let written = written.borrow().clone();
    assert!(files.len() >= 4, "segments and a checkpoint: {:?}", files.keys());
    Image { newest_segment, files, written }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds =
        vec![vec![0], vec![REPAIR], vec![NO_CHECKPOINTS], vec![REPAIR | NO_CHECKPOINTS]];
    let files = u8::try_from(image().files.len()).expect("a few");
    for file in 0..files {
        for block in 0..12 {
            for flags in [0, REPAIR, REPAIR | NO_CHECKPOINTS] {
                seeds.push(vec![flags, file, block, 0, 48, 1, 0xff]);
            }
        }
    }
    seeds
}

/// Which parts of the journal were changed.
#[derive(Default)]
struct Touched {
    /// A segment header, the ring, the newest segment's last block, or a file's length.
    head: bool,
    anything: bool,
}

/// The files with the input's changes in them.
fn damaged(input: &[u8], steps: &Steps) -> (BTreeMap<String, Bytes>, Touched) {
    let image = image();
    let mut files = image.files.clone();
    let mut touched = Touched::default();
    let Some((&flags, mut rest)) = input.split_first() else { return (files, touched) };
    if flags & NO_CHECKPOINTS != 0 {
        files.retain(|name, _| !name.starts_with("checkpoint-"));
    }
    let names: Vec<String> = files.keys().cloned().collect();
    let mut cut = flags & CUT != 0;
    while let Some((&[file, block, high, low, length], tail)) = rest.split_first_chunk::<5>() {
        steps.step();
        let length = usize::from(length % 33).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let Some(name) = names.get(usize::from(file) % names.len()) else { break };
        let Some(stored) = files.get_mut(name) else { break };
        let mut content = stored.to_vec();
        let blocks = content.len() / BLOCK_BYTES;
        let block = usize::from(block) % blocks.max(1);
        let last = block + 1 == blocks && *name == image.newest_segment;
        touched.head |= name.starts_with("segment-") && (block < HEAD_BLOCKS || last);
        if cut {
            touched.head |= name.starts_with("segment-");
            content.truncate(block * BLOCK_BYTES);
            cut = false;
        } else {
            let at =
                block * BLOCK_BYTES + usize::from(u16::from_be_bytes([high, low])) % BLOCK_BYTES;
            let end = content.len().min(at + bytes.len());
            if let Some(target) = content.get_mut(at..end) {
                target.copy_from_slice(&bytes[..end - at]);
            }
        }
        touched.anything |= content != stored.as_ref();
        if flags & REPAIR != 0 {
            repair(&mut content);
        }
        *stored = Bytes::from(content);
    }
    (files, touched)
}

/// Makes every checksum of a file right again: FORMAT.md "Frame" and the 4 KiB blocks.
fn repair(content: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .map_or(0, |word| u32::from_le_bytes(*word))
    };
    if content.starts_with(b"LUMACKPT") {
        let bytes =
            |at: usize| (u64::from(word(content, at + 4)) << 32) | u64::from(word(content, at));
        let body = usize::try_from(bytes(64).saturating_add(bytes(72))).unwrap_or(usize::MAX);
        let end = BLOCK_BYTES.saturating_add(body);
        if let Some(body) = content.get(BLOCK_BYTES..end) {
            let crc = crc32fast::hash(body);
            content[84..88].copy_from_slice(&crc.to_le_bytes());
        }
    }
    for at in (0..content.len()).step_by(BLOCK_BYTES) {
        let rest = &mut content[at..];
        if rest.starts_with(b"LFRM") {
            let end = word(rest, 88) as usize;
            if let Some(payload) = rest.get(FRAME_HEADER_BYTES..end) {
                let crc = log_record::crc32c(payload);
                rest[92..96].copy_from_slice(&crc.to_le_bytes());
            }
            let crc = crc32fast::hash(&rest[..FRAME_HEADER_BYTES - 4]);
            rest[FRAME_HEADER_BYTES - 4..FRAME_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        } else if rest.starts_with(b"LUMA") && rest.len() >= BLOCK_BYTES {
            let crc = crc32fast::hash(&rest[..BLOCK_BYTES - 4]);
            rest[BLOCK_BYTES - 4..BLOCK_BYTES].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

pub(super) fn damage(input: &[u8], steps: &Steps) -> Verdict {
    let flags = input.first().copied().unwrap_or(0);
    let (files, touched) = damaged(input, steps);
    let honest = flags & REPAIR == 0;
    let trimmed = flags & NO_CHECKPOINTS != 0;
    let disk = MemoryDisk::new(files);
    steps.decoding(|| {
        let verified = now(Journal::verify(&disk, CLUSTER, SHARD, &mut Proof::default()));
        let sound = verified.as_ref().is_ok_and(|report| report.findings.is_empty());
        let shared: Rc<dyn Disk> = Rc::new(disk.clone());
        let mut replayed = Replayed::default();
        match now(Journal::open(shared, Rc::new(Stopped), options(), &mut replayed)) {
            Err(_) => {
                // Without checkpoints the oldest segments are simply not there any more.
                let healthy = honest && !touched.anything && !trimmed;
                assert!(!healthy, "an undamaged journal opens: {verified:?}");
                assert!(!(honest && sound && !trimmed), "no findings, and it does not open");
                Verdict::Refused
            }
            Ok((journal, _)) => {
                if honest {
                    check_replay(&replayed, touched.head);
                }
                read_back(&journal, &replayed, honest, steps);
                Verdict::Accepted
            }
        }
    })
}

/// The entries are the first ones written, and all of them unless the watermark was damaged.
fn check_replay(replayed: &Replayed, head_touched: bool) {
    let written = &image().written;
    let skipped = replayed.skipped.unwrap_or(0);
    let count = skipped + replayed.entries.len();
    let expected = written.get(skipped..count).expect("no more than was written");
    assert!(replayed.entries == expected, "entries {skipped}..{count} are what was written");
    assert!(head_touched || count == written.len(), "{count} of {} are left", written.len());
}

/// Reads every stream; with honest checksums each batch is one that was written.
fn read_back(journal: &Journal, replayed: &Replayed, honest: bool, steps: &Steps) {
    let count = replayed.skipped.unwrap_or(0).saturating_add(replayed.entries.len());
    for stream in (0..STREAMS).map(|stream| StreamId(stream + 16)) {
        let mut next = Offset(0);
        let mut read = Vec::new();
        let mut failed = false;
        for _ in 0..2 * ENTRIES {
            steps.step();
            match now(journal.read(stream, next, Offset(i64::MAX), 3000)) {
                Ok(found) if found.batches.is_empty() => break,
                Ok(found) => {
                    assert!(found.next > next, "a read that returns batches moves forward");
                    next = found.next;
                    found.batches.iter().for_each(|batch| read.extend_from_slice(batch));
                }
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        if honest {
            let of_stream =
                image().written.iter().take(count).filter(|entry| entry.stream == stream);
            let wanted: Vec<u8> = of_stream.flat_map(|entry| entry.bytes.iter().copied()).collect();
            assert!(wanted.starts_with(&read), "stream {stream}: what is read is what was written");
            assert!(
                failed || read.len() == wanted.len(),
                "stream {stream} ends early without an error"
            );
        }
    }
}
