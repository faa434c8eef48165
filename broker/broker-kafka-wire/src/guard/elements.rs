//! Writes a response of the `kafka-protocol` crate element by element: what is written need not be kept, and others run in
//! between.
//!
//! ```text
//!  the message with an empty array, as the crate writes it:   fields │ count 0 │ no tags
//!  what is sent:                                              fields │ count n │ elements │ no tags
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::protocol::Encodable;

use super::{refused, response_api};
use crate::api::ApiKey;
use crate::error::WireError;
use crate::header::response_writer;
use crate::pace::Pace;
use crate::writer::{Frame, PIECE_BYTES_MIN, Writer};

/// A response whose last field is an array.
#[derive(Debug)]
pub struct GuardedElements {
    api: ApiKey,
    writer: Writer,
    count: usize,
    /// Elements that are put aside: a buffer that grows is copied in one go.
    pieces: Vec<Bytes>,
    pieces_bytes: usize,
    elements: BytesMut,
    pace: Pace,
}

impl GuardedElements {
    /// `response` has everything but the elements, and no tagged fields.
    ///
    /// # Errors
    /// `UnsupportedVersion`; `Refused` when the message is of another API, or does not end with an empty array.
    pub fn new(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        response: &ResponseKind,
    ) -> Result<Self, WireError> {
        if response_api(response) != Some(api) {
            return Err(refused(api, version, &"message of another api"));
        }
        let mut writer = response_writer(api, version, correlation_id)?;
        let empty: &[u8] = if writer.version.flexible { &[1, 0] } else { &[0; 4] };
        let mut fields = BytesMut::new();
        response.encode(&mut fields, version).map_err(|error| refused(api, version, &error))?;
        let fields = fields.strip_suffix(empty);
        writer.put(fields.ok_or_else(|| refused(api, version, &"no empty array at its end"))?);
        let (pieces, elements, pace) = (Vec::new(), BytesMut::new(), Pace::default());
        Ok(Self { api, writer, count: 0, pieces, pieces_bytes: 0, elements, pace })
    }

    /// Bytes of the elements so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces_bytes + self.elements.len()
    }

    /// No element was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes an element of the array; yields at the end of a slice of work.
    ///
    /// # Errors
    /// `Refused` when it has a field set that does not exist in the version.
    pub async fn push(&mut self, element: &impl Encodable) -> Result<(), WireError> {
        let (version, before) = (self.writer.version.number, self.elements.len());
        let pushed = element.encode(&mut self.elements, version);
        pushed.map_err(|error| refused(self.api, version, &error))?;
        self.count += 1;
        let written = self.elements.len() - before;
        if self.elements.len() >= PIECE_BYTES_MIN {
            self.pieces_bytes += self.elements.len();
            let next = BytesMut::with_capacity(2 * PIECE_BYTES_MIN);
            self.pieces.push(std::mem::replace(&mut self.elements, next).freeze());
        }
        self.pace.partition(WRITE_FACTOR * written).await;
        Ok(())
    }

    /// The whole frame.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn finish(mut self) -> Result<Frame, WireError> {
        self.writer.length(Some(self.count));
        if self.writer.version.flexible {
            self.elements.put_u8(0);
        }
        for piece in self.pieces {
            self.writer.slice(&piece);
        }
        self.writer.slice(&self.elements.freeze());
        self.writer.finish()
    }
}

/// Small fields are written so many times slower than bytes are copied.
const WRITE_FACTOR: usize = 8;
