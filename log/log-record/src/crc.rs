//! CRC-32C (Castagnoli), as in Kafka's batches and in the journal's frames: of bytes, of more bytes, and of two pieces
//! whose checksums are known.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of `bytes`; 0 for none.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// The checksum of what `crc` covers, followed by `bytes`.
#[must_use]
pub fn crc32c_extend(crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    #[expect(clippy::expect_used, reason = "a checksum of 32 bits, whatever it is returned in")]
    u32::try_from(digest.finalize()).expect("32 bits")
}

/// The checksum of two pieces from the checksum of each and the second one's length in bytes.
///
/// It takes well below a microsecond whatever the length, as in zlib's `crc32_combine`: appending `n` zero bits multiplies
/// a checksum by x^n in the field.
#[must_use]
pub fn crc32c_combine(first: u32, second: u32, second_bytes: u64) -> u32 {
    let mut shifted = first;
    for (bit, power) in POWERS.iter().enumerate() {
        if second_bytes >> bit & 1 == 1 {
            shifted = multiply(*power, shifted);
        }
    }
    shifted ^ second
}

/// x to the power of 8 × 2^index.
#[expect(clippy::indexing_slicing, reason = "a constant: an index beyond it does not compile")]
const POWERS: [u32; 64] = {
    let mut powers = [0; 64];
    // The highest bit of an element is its lowest power: x^8.
    let mut power = 1 << (31 - 8);
    let mut index = 0;
    while index < powers.len() {
        powers[index] = power;
        power = multiply(power, power);
        index += 1;
    }
    powers
};

/// The product of two elements of the field.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut rest, mut shifted) = (0, a, b);
    while rest != 0 {
        // All ones or all zeros, so that there is no branch to mispredict.
        product ^= shifted & 0_u32.wrapping_sub(rest >> 31);
        shifted = (shifted >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(shifted & 1));
        rest <<= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::{crc32c, crc32c_combine, crc32c_extend};

    #[test]
    fn the_check_value_of_the_polynomial() {
        // RFC 3720, appendix B.4, and the catalogue's check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn pieces_make_the_whole() {
        let bytes: Vec<u8> = (0..=255_u8).cycle().take(10_000).collect();
        for cut in [0, 1, 3, 21, 61, 255, 4096, 9_999, 10_000] {
            let (first, second) = bytes.split_at(cut);
            let whole = crc32c(&bytes);
            assert_eq!(crc32c_extend(crc32c(first), second), whole, "extended at {cut}");
            let combined = crc32c_combine(crc32c(first), crc32c(second), second.len() as u64);
            assert_eq!(combined, whole, "combined at {cut}");
        }
    }
}
