//! Records to batches and back.

use bytes::Bytes;
use log_codec::{Compression, compress, decompress};
use log_record::{BatchBuilder, Batches, Header, Records, TimestampType};

use crate::error::Error;

/// Largest records section accepted after decompression.
const RECORDS_BYTES_MAX: usize = 128 << 20;

/// A record with everything a consumer sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Records collected for one produce request.
#[derive(Debug, Default)]
pub struct Batch {
    builder: BatchBuilder,
}

impl Batch {
    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Encode`] when the batch would pass 2 GiB or the timestamps are too far apart.
    pub fn push(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(Vec<u8>, Option<Vec<u8>>)],
    ) -> Result<(), Error> {
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        self.builder
            .push(timestamp_ms, key, value, &headers)
            .map_err(|error| Error::Encode(error.to_string()))
    }

    /// Bytes of the records so far, before compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.builder.records().len()
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.builder.count()).unwrap_or(0)
    }

    /// The batch as it goes on the wire.
    ///
    /// # Errors
    /// [`Error::Encode`] when it is empty or too large.
    pub fn build(self, compression: Compression) -> Result<Bytes, Error> {
        let encode = |error: &dyn std::fmt::Display| Error::Encode(error.to_string());
        if compression == Compression::None {
            return self.builder.build().map_err(|error| encode(&error));
        }
        let compressed =
            compress(compression, self.builder.records()).map_err(|error| encode(&error))?;
        self.builder.build_compressed(compression.id(), &compressed).map_err(|error| encode(&error))
    }
}

/// Calls `visit` for every data record of `batches` whose offset is at least `from`, in order, until it returns false.
/// Control records are passed over. Returns the offset after the last batch read, or `from` when there was none.
///
/// # Errors
/// [`Error::Decode`] for a batch or record that does not follow the format.
pub fn each_record(
    batches: &[u8],
    from: i64,
    mut visit: impl FnMut(OwnedRecord) -> bool,
) -> Result<i64, Error> {
    let mut next = from;
    for batch in Batches::tolerant(batches) {
        let (header, bytes) = batch.map_err(Error::decode)?;
        next = header.next_offset().0.max(next);
        if header.attributes.control() {
            continue;
        }
        let section = bytes.get(log_record::BATCH_HEADER_BYTES..).unwrap_or_default();
        let compression = Compression::from_id(header.attributes.compression());
        let compression = compression.ok_or_else(|| Error::decode("unknown compression"))?;
        let plain;
        let section = if compression == Compression::None {
            section
        } else {
            plain = decompress(compression, section, RECORDS_BYTES_MAX).map_err(Error::decode)?;
            &plain
        };
        let append_time = header.attributes.timestamp_type() == TimestampType::LogAppend;
        for record in Records::new(section, header.records_count) {
            let record = record.map_err(Error::decode)?;
            let offset = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
            if offset < from {
                continue;
            }
            let timestamp_ms = if append_time {
                header.max_timestamp
            } else {
                header.base_timestamp.saturating_add(record.timestamp_delta)
            };
            let mut headers = Vec::new();
            for found in record.headers {
                let found = found.map_err(Error::decode)?;
                headers.push((found.key.to_vec(), found.value.map(<[u8]>::to_vec)));
            }
            let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
            if !visit(OwnedRecord { offset, timestamp_ms, key, value, headers }) {
                return Ok(offset.saturating_add(1));
            }
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
