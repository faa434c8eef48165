//! Variable-length integers of the record format: base 128, least significant group first, zigzag when signed.
//!
//! Readers take the unread rest by reference and advance it only on success. They refuse encodings that do not fit
//! the type; padded but fitting ones (`80 00`) are accepted, as Kafka does.
//!
//! Source: Protocol Buffers encoding, as used by KIP-98 and KIP-482.

use crate::error::RecordError;

/// Longest encoding of a 32-bit integer.
pub const VARINT_BYTES_MAX: usize = 5;
/// Longest encoding of a 64-bit integer.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Reads an unsigned 32-bit integer.
///
/// # Errors
/// `Truncated` when `rest` ends inside the integer, `BadVarint` when it exceeds 32 bits.
#[inline]
pub fn read_uvarint(rest: &mut &[u8]) -> Result<u32, RecordError> {
    if let [byte @ 0..=0x7f, tail @ ..] = *rest {
        *rest = tail;
        return Ok(u32::from(*byte));
    }
    // 5 groups: the last one may hold the upper 4 bits.
    let value = read_group(rest, VARINT_BYTES_MAX, 0x0f)?;
    u32::try_from(value).map_err(|_| RecordError::BadVarint)
}

/// Reads a zigzag 32-bit integer. Errors as [`read_uvarint`].
///
/// # Errors
/// `Truncated` when `rest` ends inside the integer, `BadVarint` when it exceeds 32 bits.
#[inline]
pub fn read_varint(rest: &mut &[u8]) -> Result<i32, RecordError> {
    let raw = read_uvarint(rest)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a zigzag 64-bit integer.
///
/// # Errors
/// `Truncated` when `rest` ends inside the integer, `BadVarint` when it exceeds 64 bits.
#[inline]
pub fn read_varlong(rest: &mut &[u8]) -> Result<i64, RecordError> {
    // 10 groups: the last one may hold the upper bit.
    let raw = read_group(rest, VARLONG_BYTES_MAX, 0x01)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

fn read_group(rest: &mut &[u8], bytes_max: usize, last_max: u8) -> Result<u64, RecordError> {
    let mut value = 0u64;
    let mut unread = *rest;
    for index in 0..bytes_max {
        let Some((&byte, tail)) = unread.split_first() else { return Err(RecordError::Truncated) };
        unread = tail;
        if index + 1 == bytes_max && byte > last_max {
            return Err(RecordError::BadVarint);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = unread;
            return Ok(value);
        }
    }
    Err(RecordError::BadVarint)
}

/// Appends an unsigned 32-bit integer: 1 to 5 bytes.
pub fn write_uvarint(out: &mut Vec<u8>, value: u32) {
    write_group(out, u64::from(value));
}

/// Appends a zigzag 32-bit integer: 1 to 5 bytes.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_group(out, u64::from((value.cast_unsigned() << 1) ^ (value >> 31).cast_unsigned()));
}

/// Appends a zigzag 64-bit integer: 1 to 10 bytes.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_group(out, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

fn write_group(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests;
