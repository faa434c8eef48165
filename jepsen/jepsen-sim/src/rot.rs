//! Bits that go wrong in what was stored durably: `log/FORMAT.md` read from outside, so that the product's own reader is
//! not its judge.

use log_testkit::{SimDisk, SimRng};

use crate::random::index;

const BLOCK: usize = 4096;
const DATA_START: usize = 16_384;

/// One wrong byte.
#[derive(Clone, Debug)]
pub(crate) struct Rot {
    disk: usize,
    file: String,
    position: usize,
    was: u8,
    is: u8,
    /// Where the frame starts that holds it.
    frame: usize,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| <[u8; 8]>::try_from(word).ok());
    word.map_or(0, u64::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> usize {
    usize::try_from(word(bytes, at) & 0xffff_ffff).expect("32 bits")
}

/// Start and length of the frames that a later frame says were durable.
fn proven_frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    let mut at = DATA_START;
    let mut position = None;
    while bytes.get(at..at + 4) == Some(b"LFRM") {
        let (here, len) = (word(bytes, at + 48), half(bytes, at + 88));
        // What lies behind the last frame may be of an earlier use of the file.
        if len == 0 || position.is_some_and(|before| before + 1 != here) {
            break;
        }
        position = Some(here);
        frames.push((at, len, here, word(bytes, at + 64)));
        at += len;
    }
    let durable = frames.iter().map(|(_, _, _, durable)| *durable).max().unwrap_or(0);
    let proven = frames.into_iter().filter(|(_, _, position, _)| *position <= durable);
    proven.map(|(at, len, _, _)| (at, len)).collect()
}

impl Rot {
    /// A bit of a frame that is known to be durable, if there is one on the disk that is chosen.
    pub(crate) fn pick(disks: &[SimDisk], rng: &SimRng) -> Option<Self> {
        let disk = index(rng, disks.len().max(1));
        let names = disks.get(disk)?.names();
        let segments: Vec<&String> =
            names.iter().filter(|name| name.starts_with("segment-")).collect();
        // The newest one most of the time: only there a tail may be torn.
        let newest = segments.len().checked_sub(1)?;
        let chosen = if rng.below(3) == 0 { index(rng, segments.len()) } else { newest };
        let file = (*segments.get(chosen)?).clone();
        let bytes = disks.get(disk)?.peek(&file)?;
        let frames = proven_frames(&bytes);
        let (frame, len) =
            *frames.get(usize::try_from(rng.below(frames.len() as u64 + 1)).ok()?)?;
        let position = frame + index(rng, len);
        let was = *bytes.get(position)?;
        Some(Self { disk, file, position, was, is: was ^ (1 << rng.below(8)), frame })
    }

    /// A bit of the oldest batch, which any reader of everything needs.
    pub(crate) fn oldest_batch(disks: &[SimDisk]) -> Option<Self> {
        for (number, disk) in disks.iter().enumerate() {
            for file in disk.names().into_iter().filter(|name| name.starts_with("segment-")) {
                let bytes = disk.peek(&file)?;
                let found = proven_frames(&bytes).into_iter().find_map(|(frame, _)| {
                    let directory = frame + 128 + half(&bytes, frame + 84);
                    let batch = bytes.get(directory + 40) == Some(&0);
                    batch.then(|| (frame, frame + half(&bytes, directory + 32) + 70))
                });
                if let Some((frame, position)) = found {
                    let was = *bytes.get(position)?;
                    return Some(Self { disk: number, file, position, was, is: was ^ 1, frame });
                }
            }
        }
        None
    }

    pub(crate) fn apply(&self, disks: &[SimDisk]) {
        disks[self.disk].poke(&self.file, self.position as u64, &[self.is]);
    }

    /// Zeros the frame, everything behind it and the watermark: as if none of it had ever been written.
    pub(crate) fn forget(&self, disks: &[SimDisk]) {
        let disk = &disks[self.disk];
        let len = disk.peek(&self.file).map_or(0, |bytes| bytes.len());
        disk.poke(&self.file, BLOCK as u64, &[0; 3 * BLOCK]);
        disk.poke(&self.file, self.frame as u64, &vec![0; len.saturating_sub(self.frame)]);
    }

    /// Puts the bit right, unless the place was overwritten meanwhile.
    pub(crate) fn mend(&self, disks: &[SimDisk]) {
        let disk = &disks[self.disk];
        if disk.peek(&self.file).and_then(|bytes| bytes.get(self.position).copied())
            == Some(self.is)
        {
            disk.poke(&self.file, self.position as u64, &[self.was]);
        }
    }
}

/// Changes the state in the newest checkpoint of the first disk and makes its checksums right again: the largest
/// timestamp of its first stream, as if a fold had read a clock.
pub(crate) fn forge_state(disks: &[SimDisk]) {
    for disk in disks {
        let names = disk.names();
        let Some(name) = names.iter().rfind(|name| name.starts_with("checkpoint-")) else {
            continue;
        };
        let mut bytes = disk.peek(name).expect("it was just listed");
        let (index_bytes, state_bytes) = (word(&bytes, 64), word(&bytes, 72));
        let state = BLOCK + usize::try_from(index_bytes).expect("a small checkpoint");
        let end = state + usize::try_from(state_bytes).expect("a small checkpoint");
        // version u8, stream count u32, stream u64, log start i64, end i64, largest timestamp i64.
        if half(&bytes, state + 1) == 0 || word(&bytes, state + 21) == 0 {
            continue;
        }
        bytes[state + 29] ^= 1;
        let crc = crc32fast::hash(&bytes[BLOCK..end]);
        bytes[84..88].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..BLOCK - 4]);
        bytes[BLOCK - 4..BLOCK].copy_from_slice(&crc.to_le_bytes());
        disk.poke(name, 0, &bytes);
        return;
    }
}
