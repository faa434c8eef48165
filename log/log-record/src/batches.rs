//! Splitting a buffer (the payload of a Produce request or Fetch response, a piece of the journal) into batches.
//!
//! Invariants:
//! - Every yielded slice is one whole batch with magic 2; the slices are adjacent and start at byte 0.
//! - After an error the iterator is finished.
//! - [`Batches::tolerant`] ends quietly at a cut-off last batch, which Kafka allows in Fetch responses only.

use crate::error::BatchError;
use crate::header::{BatchHeader, frame_len};

/// Iterator over the whole batches of a buffer.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    tolerant: bool,
}

impl<'a> Batches<'a> {
    /// Every byte must belong to a whole batch.
    #[must_use]
    pub fn strict(buffer: &'a [u8]) -> Self {
        Self { rest: buffer, tolerant: false }
    }

    /// A truncated last batch is ignored, as consumers must (KIP-74).
    #[must_use]
    pub fn tolerant(buffer: &'a [u8]) -> Self {
        Self { rest: buffer, tolerant: true }
    }

    /// The bytes not yet yielded; with `tolerant`, the cut-off batch once the iterator is done.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let found = frame_len(self.rest).and_then(|len| {
            let batch = self.rest.get(..len).unwrap_or_default();
            Ok((BatchHeader::parse(batch)?, len))
        });
        match found {
            Ok((header, len)) => {
                let (batch, rest) = self.rest.split_at(len);
                self.rest = rest;
                Some(Ok((header, batch)))
            }
            Err(BatchError::Truncated { .. }) if self.tolerant => None,
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

#[cfg(test)]
mod tests;
