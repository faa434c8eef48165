//! Mutations: small, blind changes that decoders are known to get wrong.

use crate::rng::Rng;

/// Numbers at the edges of lengths, counts, offsets and varints.
const INTERESTING: [u64; 24] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x0001_0000,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x0001_0000_0000,
    0x7fff_ffff_ffff_fffe,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Changes `input` one to five times; `pool` gives the second half of splices.
pub fn mutate(
    rng: &mut Rng,
    input: &mut Vec<u8>,
    pool: &[Vec<u8>],
    dictionary: &[&[u8]],
    bytes_max: usize,
) {
    for _ in 0..=rng.below(5) {
        once(rng, input, pool, dictionary);
    }
    input.truncate(bytes_max);
}

fn once(rng: &mut Rng, input: &mut Vec<u8>, pool: &[Vec<u8>], dictionary: &[&[u8]]) {
    match rng.below(11) {
        0 | 1 => flip_bit(rng, input),
        2 => set_byte(rng, input),
        3 => number(rng, input),
        4 => nudge_length(rng, input),
        5 => splice(rng, input, pool),
        6 => input.truncate(rng.below(input.len() + 1)),
        7 => repeat(rng, input),
        8 => remove(rng, input),
        9 => insert_noise(rng, input),
        _ => {
            if let Some(word) = rng.pick(dictionary) {
                put(rng, input, word);
            }
        }
    }
}

fn flip_bit(rng: &mut Rng, input: &mut [u8]) {
    let at = rng.below(input.len());
    let bit = rng.below(8);
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn set_byte(rng: &mut Rng, input: &mut [u8]) {
    let (at, value) = (rng.below(input.len()), rng.byte());
    if let Some(byte) = input.get_mut(at) {
        *byte = value;
    }
}

/// Overwrites or inserts `bytes` somewhere.
fn put(rng: &mut Rng, input: &mut Vec<u8>, bytes: &[u8]) {
    let at = rng.below(input.len() + 1);
    let replaced = if rng.below(2) == 0 { bytes.len() } else { 0 };
    let end = input.len().min(at + replaced);
    input.splice(at..end, bytes.iter().copied());
}

/// An interesting number of any width, in either byte order or as a varint.
fn number(rng: &mut Rng, input: &mut Vec<u8>) {
    let value = rng.pick(&INTERESTING).copied().unwrap_or(0);
    let width = [1, 2, 4, 8][rng.below(4)];
    match rng.below(3) {
        0 => put(rng, input, &value.to_be_bytes()[8 - width..]),
        1 => put(rng, input, &value.to_le_bytes()[..width]),
        _ => put(rng, input, &varint(value)),
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

/// Treats 1, 2 or 4 bytes as a length, big or little endian, and makes it a little wrong: or as wrong as what is left.
fn nudge_length(rng: &mut Rng, input: &mut [u8]) {
    let width = [1, 2, 4][rng.below(3)];
    let Some(last) = input.len().checked_sub(width) else { return };
    let at = rng.below(last + 1);
    let left = input.len() - at - width;
    let little = rng.below(2) == 0;
    let delta = [1u32, 2, 4, 8][rng.below(4)];
    let kind = rng.below(3);
    let Some(field) = input.get_mut(at..at + width) else { return };
    if little {
        field.reverse();
    }
    let old = field.iter().fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
    let new = match kind {
        0 => old.wrapping_add(delta),
        1 => old.wrapping_sub(delta),
        _ => u32::try_from(left).unwrap_or(u32::MAX).wrapping_add(delta / 4),
    };
    field.copy_from_slice(&new.to_be_bytes()[4 - width..]);
    if little {
        field.reverse();
    }
}

/// The head of this input and the tail of another.
fn splice(rng: &mut Rng, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    let Some(other) = rng.pick(pool) else { return };
    input.truncate(rng.below(input.len() + 1));
    let from = rng.below(other.len() + 1);
    input.extend_from_slice(other.get(from..).unwrap_or_default());
}

fn range(rng: &mut Rng, input: &[u8], bytes_max: usize) -> std::ops::Range<usize> {
    let from = rng.below(input.len() + 1);
    let len = rng.below(bytes_max.min(input.len() - from) + 1);
    from..from + len
}

/// Repeats a piece, which is how arrays grow.
fn repeat(rng: &mut Rng, input: &mut Vec<u8>) {
    let piece = range(rng, input, 64);
    let bytes = input.get(piece.clone()).unwrap_or_default().to_vec();
    for _ in 0..=rng.below(4) {
        input.splice(piece.end..piece.end, bytes.iter().copied());
    }
}

fn remove(rng: &mut Rng, input: &mut Vec<u8>) {
    let piece = range(rng, input, 32);
    input.drain(piece);
}

fn insert_noise(rng: &mut Rng, input: &mut Vec<u8>) {
    let noise: Vec<u8> = (0..=rng.below(8)).map(|_| rng.byte()).collect();
    put(rng, input, &noise);
}
