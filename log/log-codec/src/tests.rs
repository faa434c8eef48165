//! Round trips, foreign golden bytes, truncation, bombs.

use super::*;
use proptest::prelude::*;
use std::io::Write as _;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn text(len: usize) -> Vec<u8> {
    b"the log is the database; ".iter().copied().cycle().take(len).collect()
}

#[test]
fn round_trips_at_the_limit() {
    for codec in Compression::ALL {
        for len in [0, 1, 100, 32 * 1024, 200_000] {
            let plain = text(len);
            let packed = compress(codec, &plain).unwrap();
            assert_eq!(decompress(codec, &packed, len).unwrap(), plain, "{codec} {len}");
            if len > 0 {
                let error = decompress(codec, &packed, len - 1).unwrap_err();
                assert!(
                    matches!(error, CodecError::OutputLimit { .. }),
                    "{codec} {len}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn ids() {
    for codec in Compression::ALL {
        assert_eq!(Compression::from_id(codec.id()), Some(codec));
    }
    assert_eq!(Compression::from_id(5), None);
}

#[test]
fn golden_xerial_and_raw_snappy() {
    // "aaaaa…" (20): raw block: length 20, literal 'a', copy of 19 at distance 1.
    let raw = [0x14, 0x00, b'a', 0x4a, 0x01, 0x00];
    let plain = vec![b'a'; 20];
    assert_eq!(decompress(Compression::Snappy, &raw, 100).unwrap(), plain);
    let mut framed = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
    framed.extend_from_slice(&[0, 0, 0, 6]);
    framed.extend_from_slice(&raw);
    assert_eq!(decompress(Compression::Snappy, &framed, 100).unwrap(), plain);
    // Concatenated streams, as snappy-java reads them.
    let twice = [&framed[..], &framed[..]].concat();
    assert_eq!(
        decompress(Compression::Snappy, &twice, 100).unwrap(),
        [&plain[..], &plain[..]].concat()
    );
    assert!(matches!(
        decompress(Compression::Snappy, &twice, 39),
        Err(CodecError::OutputLimit { bytes_max: 39 })
    ));
}

#[test]
fn golden_gzip_lz4_zstd() {
    // "abc", laid out by hand from RFC 1952, RFC 8878 and the lz4 frame format (gzip fixed block, zstd and lz4 raw).
    let gzip = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c, 0x4a, 0x06, 0x00, 0xc2, 0x41, 0x24, 0x35,
        3, 0, 0, 0,
    ];
    assert_eq!(decompress(Compression::Gzip, &gzip, 10).unwrap(), b"abc");
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x03, 0x19, 0x00, 0x00, b'a', b'b', b'c'];
    assert_eq!(decompress(Compression::Zstd, &zstd, 10).unwrap(), b"abc");
    let lz4 =
        [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 3, 0, 0, 0x80, b'a', b'b', b'c', 0, 0, 0, 0];
    assert_eq!(decompress(Compression::Lz4, &lz4, 10).unwrap(), b"abc");
}

#[test]
fn concatenated_frames() {
    for codec in CODECS {
        let packed = compress(codec, b"one frame ").unwrap();
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(decompress(codec, &twice, 100).unwrap(), b"one frame one frame ", "{codec}");
    }
}

#[test]
fn truncation_never_panics_and_never_invents() {
    for codec in CODECS {
        let plain = text(1000);
        let packed = compress(codec, &plain).unwrap();
        for len in 0..packed.len() {
            if let Ok(output) = decompress(codec, &packed[..len], 2000) {
                // lz4 frames may end at any block's end: what came out is right, and the record count tells the rest.
                let shorter = codec == Compression::Lz4 || output.len() < plain.len();
                assert!(shorter && plain.starts_with(&output), "{codec} {len}");
            }
        }
    }
}

#[test]
fn bombs_stop_at_the_cap() {
    // 64 MiB of zeroes; the cap of 1 MiB must end it.
    let plain = vec![0u8; 64 << 20];
    for codec in CODECS {
        let packed = compress(codec, &plain).unwrap();
        assert!(matches!(
            decompress(codec, &packed, 1 << 20),
            Err(CodecError::OutputLimit { bytes_max: 0x10_0000 })
        ));
    }
}

#[test]
fn raw_snappy_that_declares_4_gib() {
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, b'a'];
    assert!(matches!(
        decompress(Compression::Snappy, &bomb, 64 << 20),
        Err(CodecError::OutputLimit { .. })
    ));
    // Below the cap, but more than seven bytes can hold: nothing is allocated for it.
    let liar = [0x80, 0x80, 0x80, 0x10, 0x00, b'a'];
    assert!(matches!(
        decompress(Compression::Snappy, &liar, 64 << 20),
        Err(CodecError::Malformed { .. })
    ));
    let mut negative = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
    negative.extend_from_slice(&[0xff; 4]);
    assert!(decompress(Compression::Snappy, &negative, 100).is_err());
}

#[test]
fn zstd_window_above_8_mib_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    encoder.write_all(&text(100_000)).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(matches!(
        decompress(Compression::Zstd, &packed, 1 << 20),
        Err(CodecError::Malformed { compression: Compression::Zstd, .. })
    ));
}

proptest! {
    #[test]
    fn round_trip(plain in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for codec in Compression::ALL {
            let packed = compress(codec, &plain).unwrap();
            prop_assert_eq!(&decompress(codec, &packed, plain.len()).unwrap(), &plain);
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        for codec in Compression::ALL {
            let _ = decompress(codec, &noise, 10_000);
        }
    }

    #[test]
    fn flipped_bytes_never_panic(at in any::<proptest::sample::Index>(), bit in 0u32..8) {
        for codec in CODECS {
            let mut packed = compress(codec, &text(3000)).unwrap();
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            if let Ok(output) = decompress(codec, &packed, 10_000) {
                prop_assert!(output.len() <= 10_000);
            }
        }
    }
}
