//! Records whose bytes say who sent them, so that a reader can tell a phantom from the real thing.
//!
//! key = producer u32, number u32, big endian; value = a length and filler that follow from the key.

use std::borrow::Cow;

use bytes::Bytes;
use log_codec::{BATCH_BYTES_MAX, Compression, compress, decompress};
use log_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Batches, Records, verify_crc};
use log_testkit::SimRng;
use log_types::{ProducerEpoch, ProducerId};

use log_io::Random;

/// Which record: the `number`-th of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    pub producer: u32,
    pub number: u32,
}

/// An idempotent producer's stamp on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

fn value_of(id: RecordId) -> Vec<u8> {
    let rng = SimRng::new((u64::from(id.producer) << 32) | u64::from(id.number));
    let len = match rng.below(40) {
        0 => 2_000 + rng.below(12_000),
        _ => 8 + rng.below(150),
    };
    let filler = rng.next_u64().to_le_bytes();
    let len = usize::try_from(len).expect("a few kilobytes");
    let bytes = filler.iter().cycle().zip((0u8..=255).cycle());
    bytes.take(len).map(|(byte, at)| byte ^ at).collect()
}

fn key_of(id: RecordId) -> [u8; 8] {
    ((u64::from(id.producer) << 32) | u64::from(id.number)).to_be_bytes()
}

/// How a batch is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    pub(crate) codec: Compression,
    /// What the header says it is: another one is a seeded bug.
    pub(crate) label: Compression,
}

/// One batch of these records.
pub(crate) fn batch(ids: &[RecordId], stamp: Option<Stamp>, now_ms: i64, codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some(Stamp { id, epoch, sequence }) = stamp {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    for id in ids {
        let value = value_of(*id);
        builder
            .push(now_ms, Some(&key_of(*id)), Some(&value), &[])
            .expect("a few small records fit a batch");
    }
    let built = if codec.codec == Compression::None {
        builder.build()
    } else {
        let compressed = compress(codec.codec, builder.records()).expect("memory is enough");
        builder.build_compressed(codec.label.id(), &compressed)
    };
    built.expect("a batch has records")
}

/// The records of a batch, decompressed when they are compressed.
fn records_of<'a>(header: &BatchHeader, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let records = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let id = header.attributes.compression();
    match Compression::from_id(id) {
        None => Err(format!("unknown codec {id}")),
        Some(Compression::None) => Ok(Cow::Borrowed(records)),
        Some(codec) => {
            let plain = decompress(codec, records, BATCH_BYTES_MAX);
            plain.map(Cow::Owned).map_err(|error| error.to_string())
        }
    }
}

/// Every record of `bytes` with its offset; an error says what is wrong with them.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(i64, RecordId)>, String> {
    let mut found = Vec::new();
    for batch in Batches::strict(bytes) {
        let (header, batch) = batch.map_err(|error| error.to_string())?;
        verify_crc(batch).map_err(|error| error.to_string())?;
        let records = records_of(&header, batch)?;
        for record in Records::new(&records, header.records_count) {
            let record = record.map_err(|error| error.to_string())?;
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            let key = record.key.and_then(|key| <[u8; 8]>::try_from(key).ok());
            let Some(key) = key.map(u64::from_be_bytes) else {
                return Err(format!("the record at offset {offset} has a foreign key"));
            };
            let half = |shift: u32| u32::try_from((key >> shift) & 0xffff_ffff).expect("32 bits");
            let id = RecordId { producer: half(32), number: half(0) };
            if record.value != Some(&value_of(id)) {
                return Err(format!(
                    "the value of {id:?} at offset {offset} differs from what was sent"
                ));
            }
            found.push((offset, id));
        }
    }
    Ok(found)
}
