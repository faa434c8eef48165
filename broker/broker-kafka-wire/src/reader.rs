//! Reading fields from one request or response in memory.
//!
//! Invariants:
//! - An array's count is checked against the remaining bytes and its smallest element before anything is allocated.
//! - `Bytes` are slices of the input, never copies.
//! - A request holds at most [`ELEMENTS_MAX`] array elements, [`GUARDED_ELEMENTS_MAX`] where the third-party codec
//!   decodes it, and a response [`RESPONSE_ELEMENTS_MAX`].
//! - Tags ascend, as KIP-482 demands, and fit 31 bits.

use crate::cost::Cost;
use crate::error::WireError;
use crate::pace::Pace;
use bytes::Bytes;
use log_record::{RecordError, read_uvarint};

/// Array elements in one request, nested ones included: bounds what small elements cost in memory and time. Ten times the
/// partitions that a node is built for.
pub const ELEMENTS_MAX: usize = 100_000;
/// The same for requests of the third-party codec, which decodes them in one go: measured 0.4 ms (DescribeGroups) to 1.1 ms
/// (CreateTopics) for so many, after 0.1 to 0.7 ms for the guard's walk, and the more than a thousand come one request at a
/// time with a pause before it. Fewer would refuse what administrators send: their clients name all topics of a node in one
/// request.
pub const GUARDED_ELEMENTS_MAX: usize = 20_000;
/// Array elements in a response, which a client that trusts its broker decodes.
const RESPONSE_ELEMENTS_MAX: usize = 500_000;

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
    cost: Cost,
    pace: Pace,
}

impl<'a> Reader<'a> {
    /// A reader of a request.
    pub(crate) fn new(whole: &'a Bytes, version: Version) -> Self {
        Self::with_elements(whole, version, ELEMENTS_MAX)
    }

    /// A reader of a request that goes to the third-party codec.
    pub(crate) fn guard(whole: &'a Bytes, version: Version) -> Self {
        Self::with_elements(whole, version, GUARDED_ELEMENTS_MAX)
    }

    /// A reader of a response.
    pub(crate) fn response(whole: &'a Bytes, version: Version) -> Self {
        Self::with_elements(whole, version, RESPONSE_ELEMENTS_MAX)
    }

    fn with_elements(whole: &'a Bytes, version: Version, elements_left: usize) -> Self {
        let (cost, pace) = (Cost::default(), Pace::default());
        Self { version, whole, rest: whole, elements_left, cost, pace }
    }

    /// What the arrays read so far take in memory.
    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// So many bytes were copied out of the message.
    pub(crate) fn copied(&mut self, bytes: usize) {
        self.pace.text(bytes);
    }

    /// One element is done; yields at the end of a slice of work.
    pub(crate) async fn element_done(&mut self) {
        self.pace.element().await;
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

    /// Walks over a string; false for null. Text is copied into the decoded message, and from there into the answer.
    pub(crate) fn weigh_string(&mut self) -> Result<bool, WireError> {
        let bytes = self.string_bytes()?;
        self.cost.bytes += 2 * bytes.map_or(0, <[u8]>::len);
        Ok(bytes.is_some())
    }

    /// The decoder keeps so many bytes of what was walked over.
    pub(crate) fn weigh_kept(&mut self, bytes: usize) {
        self.cost.bytes += bytes;
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

    /// The count of an array whose elements take `element_bytes_min` or more in the message, and `memory_bytes` when
    /// decoded; `None` for null.
    pub(crate) fn count(
        &mut self,
        element_bytes_min: usize,
        memory_bytes: usize,
    ) -> Result<Option<usize>, WireError> {
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
        self.cost.add(count, memory_bytes);
        Ok(Some(count))
    }

    /// Reads a tagged section: `known` reads the content of a tag it knows and returns true, or returns false.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.uvarint()?;
        // Tags count as elements; each takes at least its tag and its size.
        let tags = usize::try_from(count).unwrap_or(usize::MAX);
        if tags > self.rest.len() / 2 {
            return Err(WireError::BadCount {
                count: i64::from(count),
                available: self.rest.len(),
            });
        }
        self.elements_left =
            self.elements_left.checked_sub(tags).ok_or(WireError::TooManyElements)?;
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
                cost: self.cost,
                pace: Pace::default(),
            };
            if known(tag, &mut inner)? && inner.remaining() > 0 {
                return Err(WireError::BadTag { tag });
            }
            (self.elements_left, self.cost) = (inner.elements_left, inner.cost);
        }
        Ok(())
    }
}
