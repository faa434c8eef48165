//! Lazy iteration over the uncompressed records of a batch.
//!
//! ```text
//! record  = length varint ┼ attributes i8 ┼ timestampDelta varlong ┼ offsetDelta varint
//!           ┼ keyLength varint (−1 = null) ┼ key ┼ valueLength varint (−1 = null) ┼ value ┼ headerCount varint ┼ header*
//! header  = keyLength varint ┼ key ┼ valueLength varint (−1 = null) ┼ value
//! ```
//!
//! Invariants:
//! - Nothing is copied or allocated; keys, values and headers borrow the input.
//! - Headers are walked only by who asks for them, in order, duplicate keys included.
//! - The first error ends the iteration; counts are never trusted for memory.

use crate::error::RecordError;
use crate::varint::{read_varint, read_varlong};

/// One record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Added to the batch's base offset.
    pub offset_delta: i32,
    /// Milliseconds, added to the batch's base timestamp.
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// One record header, borrowed. Keys are UTF-8 by convention; nothing here relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Iterator over `count` records.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: i32,
    failed: bool,
}

impl<'a> Records<'a> {
    /// `bytes` are the decompressed records section; `count` is the header's record count.
    #[must_use]
    pub fn new(bytes: &'a [u8], count: i32) -> Self {
        Self { rest: bytes, left: count.max(0), failed: false }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.left == 0 {
            if self.rest.is_empty() {
                return None;
            }
            self.failed = true;
            return Some(Err(RecordError::TrailingBytes { count: self.rest.len() }));
        }
        self.left -= 1;
        let record = read_record(&mut self.rest);
        self.failed = record.is_err();
        Some(record)
    }
}

impl std::iter::FusedIterator for Records<'_> {}

fn read_record<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let length = read_varint(rest)?;
    let mut body = take(rest, length)?;
    // The attributes byte is unused in format 2; Kafka ignores its value too.
    take(&mut body, 1)?;
    let timestamp_delta = read_varlong(&mut body)?;
    let offset_delta = read_varint(&mut body)?;
    let key = read_nullable(&mut body)?;
    let value = read_nullable(&mut body)?;
    let count = read_varint(&mut body)?;
    // A header takes at least two bytes: its two lengths.
    let fits = usize::try_from(count).is_ok_and(|count| count <= body.len() / 2);
    if !fits {
        return Err(RecordError::BadLength { length: count });
    }
    let headers = Headers { rest: body, left: count, failed: false };
    if count == 0 && !body.is_empty() {
        return Err(RecordError::LengthMismatch { unread: body.len() });
    }
    Ok(Record { offset_delta, timestamp_delta, key, value, headers })
}

fn take<'a>(rest: &mut &'a [u8], length: i32) -> Result<&'a [u8], RecordError> {
    let wanted = usize::try_from(length).map_err(|_| RecordError::BadLength { length })?;
    let (taken, tail) = rest.split_at_checked(wanted).ok_or(RecordError::Truncated)?;
    *rest = tail;
    Ok(taken)
}

fn read_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match read_varint(rest)? {
        -1 => Ok(None),
        length => take(rest, length).map(Some),
    }
}

/// Iterator over the headers of one record; of none by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: i32,
    failed: bool,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let header = read_header(&mut self.rest).and_then(|header| {
            if self.left == 0 && !self.rest.is_empty() {
                return Err(RecordError::LengthMismatch { unread: self.rest.len() });
            }
            Ok(header)
        });
        self.failed = header.is_err();
        Some(header)
    }
}

impl std::iter::FusedIterator for Headers<'_> {}

fn read_header<'a>(rest: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let length = read_varint(rest)?;
    let key = take(rest, length)?;
    Ok(Header { key, value: read_nullable(rest)? })
}

#[cfg(test)]
mod tests;
