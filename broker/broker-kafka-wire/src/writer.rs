//! Writing a message as a scatter list: small fields in one buffer, record bytes as the slices they already are.
//!
//! ```text
//! head   [size ┼ header ┼ fields …│… fields …│… fields]
//! marks                           ^ slice      ^ slice, slice
//! ```
//!
//! Invariants:
//! - Record bytes are never copied, whatever their number; their total is known before they are written.
//! - What does not fit its length field makes [`Writer::finish`] fail; nothing is silently cut.

use crate::error::WireError;
use crate::pace::Pace;
use crate::reader::Version;
use bytes::Bytes;
use log_record::write_uvarint;

/// A whole message as a client or broker sends it: 4 bytes of size, header, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    segments: Vec<Bytes>,
    len: usize,
}

impl Frame {
    /// The pieces to send, in order.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The pieces to send, in order, without copying.
    #[must_use]
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// Bytes of all pieces, the size field included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// A frame is never empty: it has a size field and a correlation id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One contiguous copy; for tests and small messages.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if let [only] = self.segments.as_slice() {
            return only.clone();
        }
        Bytes::from(self.segments.concat())
    }
}

const SIZE_BYTES: usize = 4;

/// A longer head is put aside, and another begun: growing, it would be copied in one go.
pub(crate) const PIECE_BYTES_MIN: usize = 128 << 10;

/// A part of a message: its fields and the slices between them.
#[derive(Debug)]
struct Piece {
    head: Vec<u8>,
    /// (bytes of `head` before the slice, slice).
    marks: Vec<(usize, Bytes)>,
}

impl Piece {
    fn len(&self) -> usize {
        self.head.len() + self.marks.iter().map(|(_, slice)| slice.len()).sum::<usize>()
    }

    /// Cuts the head at the marks.
    fn cut(self, segments: &mut Vec<Bytes>) {
        let head = Bytes::from(self.head);
        let mut from = 0;
        for (to, slice) in self.marks {
            if to > from {
                segments.push(head.slice(from..to));
            }
            segments.push(slice);
            from = to;
        }
        if from < head.len() {
            segments.push(head.slice(from..));
        }
    }
}

/// Collects one message.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) version: Version,
    head: Vec<u8>,
    /// (bytes of `head` before the slice, slice).
    marks: Vec<(usize, Bytes)>,
    /// What was written before `head`, its size field included; empty for most messages.
    pieces: Vec<Piece>,
    too_large: Option<usize>,
    pace: Pace,
}

impl Writer {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            head: Vec::with_capacity(256),
            marks: Vec::new(),
            pieces: Vec::new(),
            too_large: None,
            pace: Pace::default(),
        }
    }

    /// One element is done; yields at the end of a slice of work.
    pub(crate) async fn element_done(&mut self) {
        if self.head.len() >= PIECE_BYTES_MIN {
            let head = std::mem::replace(&mut self.head, Vec::with_capacity(2 * PIECE_BYTES_MIN));
            self.pieces.push(Piece { head, marks: std::mem::take(&mut self.marks) });
        }
        self.pace.element().await;
    }

    /// A writer for a whole frame: its size field is filled in by [`Writer::finish`].
    pub(crate) fn frame(version: Version) -> Self {
        let mut writer = Self::new(version);
        writer.put(&[0; SIZE_BYTES]);
        writer
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    pub(crate) fn uvarint(&mut self, value: u32) {
        write_uvarint(&mut self.head, value);
    }

    fn compact_len(&mut self, length: Option<usize>) {
        match length {
            None => self.uvarint(0),
            Some(length) => match i32::try_from(length) {
                Ok(fits) => self.uvarint(fits.cast_unsigned() + 1),
                Err(_) => self.too_large = Some(length),
            },
        }
    }

    /// Length of a bytes or records field, or count of an array.
    pub(crate) fn length(&mut self, length: Option<usize>) {
        if self.version.flexible {
            return self.compact_len(length);
        }
        match length.map(|length| i32::try_from(length).map_err(|_| length)) {
            None => self.put(&(-1i32).to_be_bytes()),
            Some(Ok(fits)) => self.put(&fits.to_be_bytes()),
            Some(Err(length)) => self.too_large = Some(length),
        }
    }

    pub(crate) fn string(&mut self, value: Option<&str>) {
        if let Some(length) = value.map(str::len)
            && length > 0x7fff
        {
            self.too_large = Some(length);
            return;
        }
        if self.version.flexible {
            self.compact_len(value.map(str::len));
        } else {
            let length = value.map_or(-1, |value| i16::try_from(value.len()).unwrap_or(i16::MAX));
            self.put(&length.to_be_bytes());
        }
        let bytes = value.unwrap_or_default().as_bytes();
        self.pace.text(bytes.len());
        self.put(bytes);
    }

    /// A slice of the message that is passed on as it is.
    pub(crate) fn slice(&mut self, slice: &Bytes) {
        if !slice.is_empty() {
            self.marks.push((self.head.len(), slice.clone()));
        }
    }

    /// A tagged section of (tag, content), ascending by tag.
    pub(crate) fn tags(&mut self, fields: Vec<(u32, Self)>) {
        self.uvarint(u32::try_from(fields.len()).unwrap_or(u32::MAX));
        for (tag, content) in fields {
            let whole = content.marks.is_empty() && content.pieces.is_empty();
            assert!(whole, "tagged fields hold no records, and are written in one go");
            self.too_large = self.too_large.or(content.too_large);
            self.uvarint(tag);
            match u32::try_from(content.head.len()) {
                Ok(size) => self.uvarint(size),
                Err(_) => self.too_large = Some(content.head.len()),
            }
            self.put(&content.head);
        }
    }

    /// Puts the size in front and cuts the pieces at their marks.
    #[expect(clippy::expect_used, reason = "what is written begins with room for the size")]
    pub(crate) fn finish(self) -> Result<Frame, WireError> {
        if let Some(length) = self.too_large {
            return Err(WireError::TooLarge { length });
        }
        let (mut pieces, mut last) = (self.pieces, Piece { head: self.head, marks: self.marks });
        let len = pieces.iter().map(Piece::len).sum::<usize>() + last.len();
        let size = i32::try_from(len).map_err(|_| WireError::TooLarge { length: len })?;
        let first = pieces.first_mut().unwrap_or(&mut last);
        let field = first.head.first_chunk_mut::<SIZE_BYTES>().expect("frame() put it there");
        *field = (size - 4).to_be_bytes();
        let mut segments = Vec::with_capacity(pieces.len() + last.marks.len() * 2 + 1);
        for piece in pieces {
            piece.cut(&mut segments);
        }
        last.cut(&mut segments);
        Ok(Frame { segments, len })
    }
}
