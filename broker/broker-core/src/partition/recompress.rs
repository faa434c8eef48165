//! `compression.type`: stores a batch in the topic's codec when the producer used another one.
//!
//! The records stay as they are (timestamps, keys, values, headers in order); producer id, epoch and sequence stay;
//! the header's maximum timestamp becomes that of the records. Source: Kafka's `LogValidator`.

use bytes::Bytes;
use log_codec::{Compression, compress};
use log_record::{BatchBuilder, BatchHeader, Header, Records};

use super::append::{AppendError, batch_records};
use crate::config::BrokerCompression;

/// The codec a batch with this header is to be stored in, when it is not its own.
pub(super) fn target(topic: BrokerCompression, header: &BatchHeader) -> Option<Compression> {
    let wanted = match topic {
        BrokerCompression::Producer => return None,
        BrokerCompression::Uncompressed => Compression::None,
        BrokerCompression::Gzip => Compression::Gzip,
        BrokerCompression::Snappy => Compression::Snappy,
        BrokerCompression::Lz4 => Compression::Lz4,
        BrokerCompression::Zstd => Compression::Zstd,
    };
    (wanted.id() != header.attributes.compression()).then_some(wanted)
}

/// The validated `batch` with its records in `codec`.
///
/// # Errors
/// `Corrupt` when the records do not decompress or parse.
pub(super) fn recompress(
    batch: &Bytes,
    header: &BatchHeader,
    codec: Compression,
) -> Result<Bytes, AppendError> {
    let corrupt = |error: &dyn std::fmt::Display| AppendError::Corrupt(error.to_string());
    let records = batch_records(header, batch).map_err(AppendError::Corrupt)?;
    let mut builder = BatchBuilder::new();
    if header.has_producer() {
        builder = builder.producer(header.producer_id, header.producer_epoch, header.base_sequence);
    }
    let mut headers: Vec<Header<'_>> = Vec::new();
    for record in Records::new(&records, header.records_count) {
        let record = record.map_err(|error| corrupt(&error))?;
        headers.clear();
        for header in record.headers {
            headers.push(header.map_err(|error| corrupt(&error))?);
        }
        let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
        let pushed = builder.push(timestamp, record.key, record.value, &headers);
        pushed.map_err(|error| corrupt(&error))?;
    }
    let built = if codec == Compression::None {
        builder.build()
    } else {
        let compressed = compress(codec, builder.records()).map_err(|error| corrupt(&error))?;
        builder.build_compressed(codec.id(), &compressed)
    };
    built.map_err(|error| corrupt(&error))
}

#[cfg(test)]
mod tests;
