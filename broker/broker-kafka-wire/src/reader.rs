//! Reading fields from one request or response in memory.
//!
//! Invariants:
//! - An array's count is checked against the remaining bytes and its smallest element before anything is allocated.
//! - `Bytes` are slices of the input, never copies.
//! - A whole message holds at most [`ELEMENTS_MAX`] array elements.
//! - Tags ascend, as KIP-482 demands, and fit 31 bits.

use crate::error::WireError;
use bytes::Bytes;
use log_record::{RecordError, read_uvarint};

/// Array elements in one message, nested ones included: bounds what small elements cost in memory.
pub const ELEMENTS_MAX: usize = 500_000;

/// Which encoding is being read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: i16,
    pub(crate) flexible: bool,
}

/// A cursor over a message.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) version: Version,
    whole: &'a Bytes,
    rest: &'a [u8],
    elements_left: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(whole: &'a Bytes, version: Version) -> Self {
        Self { version, whole, rest: whole, elements_left: ELEMENTS_MAX }
    }

    /// Unread bytes.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The unread bytes, without copying.
    pub(crate) fn rest(&self) -> Bytes {
        self.whole.slice_ref(self.rest)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(WireError::Truncated { needed: N, available: self.rest.len() })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Truncated { needed: length, available: self.rest.len() })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn slice(&self, taken: &[u8]) -> Bytes {
        self.whole.slice_ref(taken)
    }

    pub(crate) fn uvarint(&mut self) -> Result<u32, WireError> {
        read_uvarint(&mut self.rest).map_err(|error| match error {
            RecordError::Truncated => WireError::Truncated { needed: 1, available: 0 },
            _ => WireError::BadVarint,
        })
    }

    /// Compact lengths are stored plus one, zero meaning null.
    fn compact_len(&mut self) -> Result<Option<usize>, WireError> {
        let stored = self.uvarint()?;
        let Some(length) = stored.checked_sub(1) else { return Ok(None) };
        usize::try_from(length)
            .map(Some)
            .map_err(|_| WireError::BadLength { length: i64::from(length) })
    }

    fn plain_len(length: i64) -> Result<Option<usize>, WireError> {
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| WireError::BadLength { length }),
        }
    }

    /// The bytes of a string, or `None` for null.
    pub(crate) fn string_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        let length = if self.version.flexible {
            self.compact_len()?
        } else {
            Self::plain_len(i64::from(i16::from_be_bytes(self.fixed()?)))?
        };
        // Kafka refuses longer strings in both encodings.
        if let Some(length) = length
            && length > 0x7fff
        {
            return Err(WireError::BadLength { length: i64::try_from(length).unwrap_or(i64::MAX) });
        }
        length.map(|length| self.take(length)).transpose()
    }

    /// A bytes or records field, or `None` for null.
    pub(crate) fn blob(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        let length = if self.version.flexible {
            self.compact_len()?
        } else {
            Self::plain_len(i64::from(i32::from_be_bytes(self.fixed()?)))?
        };
        length.map(|length| self.take(length)).transpose()
    }

    /// The count of an array whose elements take `element_bytes_min` or more; `None` for null.
    pub(crate) fn count(&mut self, element_bytes_min: usize) -> Result<Option<usize>, WireError> {
        let count = if self.version.flexible {
            self.compact_len()?
        } else {
            Self::plain_len(i64::from(i32::from_be_bytes(self.fixed()?)))?
        };
        let Some(count) = count else { return Ok(None) };
        if count > self.rest.len() / element_bytes_min.max(1) {
            let claimed = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(WireError::BadCount { count: claimed, available: self.rest.len() });
        }
        self.elements_left =
            self.elements_left.checked_sub(count).ok_or(WireError::TooManyElements)?;
        Ok(Some(count))
    }

    /// Reads a tagged section: `known` reads the content of a tag it knows and returns true, or returns false.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.uvarint()?;
        // A tagged field takes at least its tag and its size.
        if usize::try_from(count).map_or(true, |count| count > self.rest.len() / 2) {
            return Err(WireError::BadCount {
                count: i64::from(count),
                available: self.rest.len(),
            });
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.uvarint()?;
            // Kafka and the third-party codec keep tags in 31 bits.
            if previous.is_some_and(|previous| previous >= tag) || tag > i32::MAX.cast_unsigned() {
                return Err(WireError::BadTag { tag });
            }
            previous = Some(tag);
            let size = self.uvarint()?;
            let size = usize::try_from(size)
                .map_err(|_| WireError::BadLength { length: i64::from(size) })?;
            let rest = self.take(size)?;
            let mut inner = Reader {
                version: self.version,
                whole: self.whole,
                rest,
                elements_left: self.elements_left,
            };
            if known(tag, &mut inner)? && inner.remaining() > 0 {
                return Err(WireError::BadTag { tag });
            }
            self.elements_left = inner.elements_left;
        }
        Ok(())
    }
}
