//! Decompression of gzip, snappy, lz4 and zstd under a cap.
//!
//! Promises: never more than the cap comes out; what comes out can be compressed and comes out again; in slices comes out
//! what does in one go.
//!
//! Budget: the output, twice while its buffer grows, and the fixed memory that `log-codec` documents per codec. zstd's
//! own memory is taken by C code and is not seen; its window is capped at 8 MiB.

use log_codec::{CodecError, Compression, Decoder, SLICE_BYTES, compress, decompress};

use crate::target::{Limit, Steps, Verdict};

/// The cap here: large enough to be crossed by a bomb of a few bytes.
const OUTPUT_BYTES_MAX: usize = 256 << 10;

pub(super) const SNAPPY_DICTIONARY: &[&[u8]] = &[
    b"\x82SNAPPY\0",
    b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01",
    b"\0\0\0\x02\x01\0",
    b"\xff\xff\xff\xff\x0f",
];
pub(super) const LZ4_DICTIONARY: &[&[u8]] =
    &[b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18", b"\x50\x2a\x4d\x18", b"\0\0\0\0", b"\0\0\0\x80"];
pub(super) const ZSTD_DICTIONARY: &[&[u8]] =
    &[b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\x03\0\0", b"\xff\xff\xff\xff"];

/// Budget of a codec that keeps `fixed` bytes besides its output.
pub(super) const fn memory(fixed: usize) -> Limit {
    Limit { base: 64 * 1024 + 3 * OUTPUT_BYTES_MAX + fixed, factor: 16 }
}

fn seeds(compression: Compression) -> Vec<Vec<u8>> {
    let text = b"one two three, one two three; ".repeat(40);
    let noise: Vec<u8> = (0u32..600).map(|n| (n * n / 7).to_le_bytes()[0]).collect();
    let zeros = vec![0; OUTPUT_BYTES_MAX + 1];
    let mut packed: Vec<Vec<u8>> = [&b""[..], b"a", &text, &noise, &zeros]
        .iter()
        .map(|plain| compress(compression, plain).expect("memory to memory"))
        .collect();
    // Frames may follow each other.
    packed.push([packed[1].clone(), packed[2].clone()].concat());
    packed
}

fn run(compression: Compression, input: &[u8], steps: &Steps) -> Verdict {
    let plain = steps.decoding(|| decompress(compression, input, OUTPUT_BYTES_MAX));
    let sliced = steps.decoding(|| decompress_in_slices(compression, input));
    match (&plain, &sliced) {
        (Ok(plain), Ok(sliced)) => assert_eq!(plain, sliced, "{compression}"),
        // A lz4 block that holds nothing, which nobody writes; a zstd frame that ends with an empty block before it has the
        // size it declares, which the library notices only where the whole size has room.
        (Ok(_), Err(_)) => assert!(
            matches!(compression, Compression::Lz4 | Compression::Zstd),
            "{compression}: only in slices: {sliced:?}"
        ),
        (Err(_), Ok(_)) => panic!("{compression}: only in one go: {plain:?}"),
        (Err(_), Err(_)) => {}
    }
    drop(sliced);
    if let Ok(plain) = &plain {
        assert!(plain.len() <= OUTPUT_BYTES_MAX, "{} bytes came out", plain.len());
        // Compressing costs a hundred times more than refusing: small outputs prove as much.
        if plain.len() <= 2048 && input.len().is_multiple_of(8) {
            let again = compress(compression, plain).expect("memory to memory");
            let back = decompress(compression, &again, plain.len()).expect("our own output");
            assert_eq!(&back, plain, "{compression} gives back what it was given");
        }
    }
    Verdict::of(&plain)
}

fn decompress_in_slices(compression: Compression, input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let (mut decoder, mut output) =
        (Decoder::new(compression, input, OUTPUT_BYTES_MAX)?, Vec::new());
    loop {
        let before = output.len();
        let ended = decoder.step(&mut output)?;
        assert!(output.len() - before <= SLICE_BYTES, "{compression}: a slice is one");
        if ended {
            return Ok(output);
        }
    }
}

macro_rules! codecs {
    ($($name:ident $seeds:ident $codec:ident;)*) => {$(
        pub(super) fn $seeds() -> Vec<Vec<u8>> {
            seeds(Compression::$codec)
        }

        pub(super) fn $name(input: &[u8], steps: &Steps) -> Verdict {
            run(Compression::$codec, input, steps)
        }
    )*};
}

codecs! {
    gzip gzip_seeds Gzip;
    snappy snappy_seeds Snappy;
    lz4 lz4_seeds Lz4;
    zstd zstd_seeds Zstd;
}
