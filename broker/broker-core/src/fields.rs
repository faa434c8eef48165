//! The byte form of internal records and checkpoints: fixed-width little-endian numbers and length-prefixed bytes.
//!
//! Invariants:
//! - Every decode is bounded by the bytes that are there; a count is checked against the bytes left before anything
//!   is allocated.
//! - A record begins with its own version byte, written by its owner; nothing here is self-describing.

use std::fmt;

/// Stored bytes that do not decode: a newer version of the program wrote them, or they are damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What was being read.
    pub what: &'static str,
    /// Byte offset within the record.
    pub offset: usize,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for FieldError {}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub struct FieldWriter {
    buf: Vec<u8>,
}

impl FieldWriter {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.buf
    }

    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.buf.push(value);
        self
    }

    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.buf.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.buf.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.buf.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.buf.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.buf.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.buf.extend_from_slice(value);
        self
    }

    /// A `u32` length and the bytes.
    ///
    /// # Panics
    /// When `value` is 4 GiB or longer; every caller's limits are far below.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.raw(value)
    }

    pub fn str(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// The number of elements that follow.
    ///
    /// # Panics
    /// When `count` does not fit 32 bits.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("internal records hold fewer than 2^32 elements"))
    }
}

/// Reads fields back.
#[derive(Debug)]
pub struct FieldReader<'a> {
    buf: &'a [u8],
    offset: usize,
}

impl<'a> FieldReader<'a> {
    #[must_use]
    pub fn new(buf: &'a [u8]) -> Self {
        Self { buf, offset: 0 }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offset == self.buf.len()
    }

    fn left(&self) -> usize {
        self.buf.len() - self.offset
    }

    fn error(&self, what: &'static str) -> FieldError {
        FieldError { what, offset: self.offset }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn raw(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], FieldError> {
        let slice = self.offset.checked_add(len).and_then(|end| self.buf.get(self.offset..end));
        let slice = slice.ok_or_else(|| self.error(what))?;
        self.offset += len;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FieldError> {
        let error = self.error(what);
        self.raw(N, what)?.try_into().map_err(|_| error)
    }

    /// # Errors
    /// When no byte is left.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, FieldError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// # Errors
    /// When fewer than 2 bytes are left.
    pub fn i16(&mut self, what: &'static str) -> Result<i16, FieldError> {
        Ok(i16::from_le_bytes(self.array(what)?))
    }

    /// # Errors
    /// When fewer than 4 bytes are left.
    pub fn i32(&mut self, what: &'static str) -> Result<i32, FieldError> {
        Ok(i32::from_le_bytes(self.array(what)?))
    }

    /// # Errors
    /// When fewer than 4 bytes are left.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, FieldError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// # Errors
    /// When fewer than 8 bytes are left.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, FieldError> {
        Ok(i64::from_le_bytes(self.array(what)?))
    }

    /// # Errors
    /// When fewer than 8 bytes are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, FieldError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// 16 bytes, such as a UUID.
    ///
    /// # Errors
    /// When fewer than 16 bytes are left.
    pub fn id16(&mut self, what: &'static str) -> Result<[u8; 16], FieldError> {
        self.array(what)
    }

    /// Length-prefixed bytes.
    ///
    /// # Errors
    /// When the length runs past the end.
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], FieldError> {
        let len = self.u32(what)?;
        self.raw(len as usize, what)
    }

    /// Length-prefixed UTF-8.
    ///
    /// # Errors
    /// When the length runs past the end or the bytes are not UTF-8.
    pub fn str(&mut self, what: &'static str) -> Result<&'a str, FieldError> {
        let error = self.error(what);
        std::str::from_utf8(self.bytes(what)?).map_err(|_| error)
    }

    /// A count of elements of at least `element_bytes_min` bytes each, which therefore fits the bytes left.
    ///
    /// # Errors
    /// When the elements cannot fit.
    pub fn count(
        &mut self,
        element_bytes_min: usize,
        what: &'static str,
    ) -> Result<usize, FieldError> {
        let error = self.error(what);
        let count = self.u32(what)? as usize;
        if count.checked_mul(element_bytes_min.max(1)).is_none_or(|bytes| bytes > self.left()) {
            return Err(error);
        }
        Ok(count)
    }
}
