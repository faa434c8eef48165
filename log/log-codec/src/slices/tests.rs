//! Slices give what one go gives, whatever the input, and none of them is more than a slice.

use std::io::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Decoder, Encoder, SLICE_BYTES};
use crate::{CodecError, Compression, compress, decompress};

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// What comes out, and how many steps it takes.
fn sliced(
    codec: Compression,
    input: &[u8],
    bytes_max: usize,
) -> Result<(Vec<u8>, usize), CodecError> {
    let mut decoder = Decoder::new(codec, input, bytes_max)?;
    let (mut output, mut steps) = (Vec::new(), 0);
    loop {
        let before = output.len();
        let ended = decoder.step(&mut output)?;
        assert!(output.len() - before <= SLICE_BYTES, "{codec}: {}", output.len() - before);
        steps += 1;
        if ended {
            return Ok((output, steps));
        }
    }
}

/// What any two decoders agree about. A lz4 block that holds nothing is taken by one and not by the other; nobody writes it.
fn check(codec: Compression, input: &[u8], bytes_max: usize) {
    let whole = decompress(codec, input, bytes_max);
    match (&whole, sliced(codec, input, bytes_max)) {
        (Ok(whole), Ok((slices, _))) => assert!(*whole == slices, "{codec}"),
        (Ok(_), Err(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(source.as_deref(), Some("empty block"), "{codec}: {error:?}");
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("{codec}: only in one go: {error:?}"),
    }
}

/// Words in no order: literals and repeats of many lengths and distances.
fn words(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut text = Vec::new();
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = (state >> 16) % 500;
        text.extend_from_slice(format!("{word} ").repeat((state >> 28) as usize).as_bytes());
        text.extend_from_slice(&state.to_le_bytes());
    }
    text.truncate(len);
    text
}

/// lz4 as other clients write it: blocks of 4 MiB that reach back into those before, every check.
fn lz4_linked(plain: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max4MB)
        .block_mode(lz4_flex::frame::BlockMode::Linked)
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(plain.len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(plain).expect("to memory");
    encoder.finish().expect("to memory")
}

fn snappy_raw(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).expect("to memory")
}

#[test]
fn slices_give_what_one_go_gives() {
    for plain in [vec![], b"a".to_vec(), words(100_000), vec![0; 300_000], words(5 << 20)] {
        for codec in Compression::ALL {
            let packed = compress(codec, &plain).expect("to memory");
            let (output, steps) = sliced(codec, &packed, plain.len()).expect("our own output");
            assert!(output == plain, "{codec}");
            assert!(steps >= plain.len() / SLICE_BYTES, "{codec}: {steps}");
            if !plain.is_empty() {
                let short = sliced(codec, &packed, plain.len() - 1);
                assert!(matches!(short, Err(CodecError::OutputLimit { .. })), "{codec}");
            }
        }
        for (codec, packed) in
            [(Compression::Lz4, lz4_linked(&plain)), (Compression::Snappy, snappy_raw(&plain))]
        {
            let (output, _) = sliced(codec, &packed, plain.len()).expect("a library's output");
            assert!(output == plain, "{codec}");
        }
    }
}

#[test]
fn pieces_of_any_size_compress_to_the_same() {
    let plain = words(200_000);
    for codec in Compression::ALL {
        let whole = compress(codec, &plain).expect("to memory");
        for size in [1000, SLICE_BYTES, 70_001] {
            let mut encoder = Encoder::new(codec).expect("set up");
            for piece in plain.chunks(size) {
                encoder.push(piece).expect("to memory");
                assert!(encoder.bytes() <= whole.len(), "{codec}");
            }
            let pieces = encoder.finish().expect("to memory");
            let mut behind = Encoder::after(b"head".to_vec(), codec).expect("set up");
            plain.chunks(size).for_each(|piece| behind.push(piece).expect("to memory"));
            let behind = behind.finish().expect("to memory");
            assert!(behind.starts_with(b"head") && behind.ends_with(&pieces), "{codec}");
            assert_eq!(behind.len(), 4 + pieces.len(), "{codec}");
            assert_eq!(decompress(codec, &pieces, plain.len()).expect("our own"), plain, "{codec}");
        }
    }
}

/// Members, frames and blocks without any content are work as well. A gzip member makes the decoder begin anew, which takes 3 µs:
/// when a step took in 32 KiB of them it took 5 ms.
#[test]
fn what_yields_nothing_is_taken_in_slices_too() {
    let count = 20_000;
    let magic = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
    let mut xerial = [magic, [0, 0, 0, 1, 0, 0, 0, 1]].concat();
    xerial.extend_from_slice(&[0, 0, 0, 1, 0].repeat(count));
    // A stored block of no bytes, which is not the last one.
    let gzip = compress(Compression::Gzip, b"").expect("to memory");
    let mut stored = gzip.get(..10).expect("a gzip header").to_vec();
    stored.extend_from_slice(&[0, 0, 0, 0xff, 0xff].repeat(count));
    stored.extend_from_slice(gzip.get(10..).expect("a gzip header"));
    let empty = |codec| compress(codec, b"").expect("to memory").repeat(count);
    let in_all = |packed: &[u8]| packed.len() / (SLICE_BYTES + 64);
    let cases = [
        (Compression::Gzip, empty(Compression::Gzip), count / 30),
        (Compression::Gzip, named_member().repeat(20), 20 * 60_000 / (SLICE_BYTES / 64 + 1)),
        (Compression::Gzip, stored.clone(), in_all(&stored)),
        (Compression::Snappy, xerial.clone(), in_all(&xerial)),
        (Compression::Lz4, empty(Compression::Lz4), in_all(&empty(Compression::Lz4))),
        (Compression::Zstd, empty(Compression::Zstd), 4 * in_all(&empty(Compression::Zstd))),
    ];
    for (codec, packed, steps_min) in cases {
        let (output, steps) = sliced(codec, &packed, 10).expect("nothing, many times");
        assert!(output.is_empty(), "{codec}");
        assert!(steps >= steps_min, "{codec}: {steps} for {}, not {steps_min}", packed.len());
    }
}

/// A gzip member without content and with a long name, which is read byte by byte.
fn named_member() -> Vec<u8> {
    let mut member = compress(Compression::Gzip, b"").expect("to memory");
    member[3] |= 8;
    let name = [vec![b'n'; 60_000], vec![0]].concat();
    member.splice(10..10, name);
    member
}

#[test]
fn members_with_little_content_count_as_the_work_they_are() {
    let count = 1000;
    let packed = compress(Compression::Gzip, b"a").expect("to memory").repeat(count);
    let mut decoder = Decoder::new(Compression::Gzip, &packed, count).expect("set up");
    let (mut output, mut taken) = (Vec::new(), 0);
    while !decoder.step(&mut output).expect("our own output") {
        taken += decoder.taken();
    }
    assert_eq!(output.len(), count);
    assert!((1000 * count..1300 * count).contains(&taken), "{taken}");
}

#[test]
fn a_length_of_very_many_bytes_is_not_read_to_its_end() {
    // A block of 4 MiB that is one number.
    let mut block = vec![0xf0];
    block.resize(4 << 20, 0xff);
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    frame.extend_from_slice(&u32::try_from(block.len()).expect("4 MiB").to_le_bytes());
    frame.extend_from_slice(&block);
    let refused = sliced(Compression::Lz4, &frame, 64 << 20).expect_err("out of bounds");
    let source = std::error::Error::source(&refused).expect("a reason").to_string();
    assert_eq!(source, "length out of bounds");
}

/// The same in every codec and framing.
static PACKED: LazyLock<Vec<(Compression, Vec<u8>)>> = LazyLock::new(|| {
    let plain = words(20_000);
    let mut all: Vec<_> = CODECS.map(|codec| (codec, compress(codec, &plain).unwrap())).into();
    all.push((Compression::Lz4, lz4_linked(&plain)));
    all.push((Compression::Snappy, snappy_raw(&plain)));
    all
});

proptest! {
    #[test]
    fn noise_is_taken_alike(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        for codec in Compression::ALL {
            check(codec, &noise, 10_000);
        }
    }

    #[test]
    fn damage_is_found_alike(
        at in any::<proptest::sample::Index>(), bit in 0u32..8, cut in any::<proptest::sample::Index>(),
    ) {
        for (codec, mut packed) in PACKED.clone() {
            check(codec, &packed[..cut.index(packed.len())], 25_000);
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            check(codec, &packed, 25_000);
        }
    }
}
