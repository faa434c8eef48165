//! Batches that must be opened before they are appended, in slices of work, so that nobody on the core waits for one.
//!
//! ```text
//!  batch ─► checksum ─► decompress ─► look at every record ─► compress ─► batch in the topic's codec, and what was seen
//!            256 KiB       32 KiB             500            4 or 32 KiB                     yields between slices
//! ```
//!
//! Two kinds of batches are opened: those in another codec than the topic's (`compression.type`), and compressed ones of a
//! topic that needs every key. Of the others those that may have very many records or headers are [seen] in slices. The records stay as they are, byte for byte; producer, epoch
//! and sequence stay; the header's maximum timestamp becomes that of the records. Source: Kafka's `LogValidator`.
//!
//! [seen]: seen
//!
//! `max.message.bytes` holds for a batch as it was sent, before anything is done with it, as in Kafka's
//! `UnifiedLog.analyzeAndValidateRecords`, and for what it becomes, which is given up where it exceeds that.

use std::borrow::Cow;
use std::fmt::Display;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use log_codec::{Compression, Decoder, Encoder, SLICE_BYTES};
use log_io::Slice;
use log_record::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, BatchSummary, CRC_COVERS_FROM, InvalidBatch,
    RecordCheck, RecordError, RecordRules, Records, crc32c_extend, put_crc, put_header,
    validate_header,
};

use super::append::{
    AppendError, AppendRules, PROBLEMS_MAX, RecordProblem, check_kind, check_shape, check_size,
    from_invalid, rejected,
};
use crate::config::BrokerCompression;

/// A batch whose records were looked at.
#[derive(Clone, Debug)]
pub struct Opened {
    /// In the topic's codec.
    pub batch: Bytes,
    pub summary: BatchSummary,
}

/// Why a batch was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// It becomes larger than the caller wanted to know: to be opened where there is room for that.
    Larger,
    Refused(AppendError),
}

impl From<AppendError> for NotOpened {
    fn from(error: AppendError) -> Self {
        Self::Refused(error)
    }
}

/// Whether a batch must be opened before it is appended; `false` also where it is no batch.
#[must_use]
pub fn must_open(batch: &[u8], rules: &AppendRules) -> bool {
    let Ok(header) = BatchHeader::parse(batch) else { return false };
    let compressed = header.attributes.compression() != 0;
    target(rules.compression, &header).is_some() || (compressed && rules.key_required)
}

/// Up to this size a batch is looked at in one go: it has 10,000 records and headers at most, which takes some 100 µs.
const AT_ONCE_BYTES_MAX: usize = BATCH_HEADER_BYTES + 20_000;

/// What is in a batch that needs not be opened ([`must_open`]) and whose check may take long: uncompressed, with possibly very
/// many records or headers. `None` where it does not, which is left to the append. `slice` goes on from batch to batch.
///
/// # Errors
/// What the Produce response carries for the partition.
pub async fn seen(
    batch: &Bytes,
    rules: &AppendRules,
    slice: &mut Slice,
) -> Result<Option<BatchSummary>, AppendError> {
    let compressed = BatchHeader::parse(batch).is_ok_and(|h| h.attributes.compression() != 0);
    if compressed || batch.len() <= AT_ONCE_BYTES_MAX {
        return Ok(None);
    }
    check_shape(batch)?;
    check_size(batch.len(), rules)?;
    let header = check_header(batch, slice).await?;
    let records = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let rules = RecordRules { key_required: rules.key_required };
    look_at(&header, records, rules, slice).await.map(Some)
}

/// The codec a batch with this header is to be stored in, when it is not its own.
fn target(topic: BrokerCompression, header: &BatchHeader) -> Option<Compression> {
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

/// Opens a producer's batch (the bytes of exactly one). `plain_bytes_max` is the most that its records may take
/// decompressed before the caller is asked again; `held` is told how many bytes are held besides the batch, as it changes.
///
/// # Errors
/// `Larger`, or what the Produce response carries for the partition.
pub async fn open(
    batch: &Bytes,
    rules: &AppendRules,
    plain_bytes_max: usize,
    held: &mut dyn FnMut(usize),
) -> Result<Opened, NotOpened> {
    let mut slice = Slice::default();
    check_shape(batch)?;
    check_size(batch.len(), rules)?;
    let header = check_header(batch, &mut slice).await?;
    let codec = target(rules.compression, &header);
    let sent = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
    let records = decompressed(&header, sent, plain_bytes_max, &mut slice, held).await?;
    let plain_bytes = match &records {
        Cow::Borrowed(_) => 0,
        Cow::Owned(plain) => plain.capacity(),
    };
    let mut held = |bytes| held(plain_bytes + bytes);
    let opened = looked_at(batch, &header, &records, rules, codec, &mut slice, &mut held).await;
    let_go(records, &mut slice).await;
    Ok(opened?)
}

/// The batch with its decompressed records, checked and packed with `codec`; without one it stays as it is.
async fn looked_at(
    batch: &Bytes,
    header: &BatchHeader,
    records: &[u8],
    rules: &AppendRules,
    codec: Option<Compression>,
    slice: &mut Slice,
    held: &mut dyn FnMut(usize),
) -> Result<Opened, AppendError> {
    let record_rules = RecordRules { key_required: rules.key_required };
    let summary = look_at(header, records, record_rules, slice).await?;
    let Some(codec) = codec else {
        return Ok(Opened { batch: batch.clone(), summary });
    };
    let mut batch = packed(codec, records, rules, slice, held).await?;
    put_header(header, summary.max_timestamp, codec.id(), &mut batch)
        .map_err(|error| corrupt(&error))?;
    let crc = checksum(&batch, slice).await;
    put_crc(&mut batch, crc);
    Ok(Opened { batch: batch.into(), summary })
}

/// Bytes that are given back in one piece, and what a byte takes: the system clears tables and counts page by page. All of a
/// large batch in one go took 6 ms.
const LET_GO_BYTES: usize = 512 << 10;
const LET_GO_BYTES_PER_NS: usize = 10;

/// Gives the memory of decompressed records back in slices.
pub async fn let_go(records: Cow<'_, [u8]>, slice: &mut Slice) {
    let Cow::Owned(mut plain) = records else { return };
    while plain.capacity() > LET_GO_BYTES {
        let left = plain.capacity() - LET_GO_BYTES;
        plain.truncate(left);
        plain.shrink_to(left);
        slice.worked(LET_GO_BYTES / LET_GO_BYTES_PER_NS).await;
    }
}

/// The same in one go, for whoever has nobody else to let run.
pub(super) fn open_at_once(batch: &Bytes, rules: &AppendRules) -> Result<Opened, AppendError> {
    at_once(open(batch, rules, usize::MAX, &mut |_| {})).map_err(|error| match error {
        NotOpened::Refused(error) => error,
        NotOpened::Larger => unreachable!("nothing is larger than the largest number"),
    })
}

/// Runs what does nothing but work and yield.
pub(super) fn at_once<T>(work: impl Future<Output = T>) -> T {
    let (mut work, mut context) = (pin!(work), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn corrupt(error: &dyn Display) -> AppendError {
    AppendError::Corrupt(error.to_string())
}

/// Bytes that are checked in one piece; 10 µs.
const CHECKED_BYTES: usize = 256 << 10;

/// Everything but the records.
async fn check_header(batch: &[u8], slice: &mut Slice) -> Result<BatchHeader, AppendError> {
    let of_batch = |error: BatchError| from_invalid(error.into());
    let header = BatchHeader::parse(batch).map_err(of_batch)?;
    let computed = checksum(batch, slice).await;
    if computed != header.crc {
        return Err(of_batch(BatchError::BadCrc { expected: header.crc, computed }));
    }
    validate_header(&header).map_err(of_batch)?;
    check_kind(&header)?;
    Ok(header)
}

async fn checksum(batch: &[u8], slice: &mut Slice) -> u32 {
    let mut computed = 0;
    for piece in batch.get(CRC_COVERS_FROM..).unwrap_or_default().chunks(CHECKED_BYTES) {
        computed = crc32c_extend(computed, piece);
        slice.worked(piece.len() / 16).await;
    }
    computed
}

/// Limit on a decompressed batch, in bytes: a small compressed batch must not take the node's memory.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// How many times larger than its compressed form a batch may be: what real data reaches stays far below, what is made
/// to fill memory does not.
const DECOMPRESSION_RATIO_MAX: usize = 1000;

/// Up to this size a batch may be compressed to anything: a few zeros compress by more than any ratio.
const DECOMPRESSED_BYTES_FREE: usize = 1 << 20;

/// How large a batch of `compressed` bytes may become.
fn decompressed_bytes_max(compressed: usize) -> usize {
    let by_ratio = compressed.saturating_mul(DECOMPRESSION_RATIO_MAX);
    by_ratio.clamp(DECOMPRESSED_BYTES_FREE, DECOMPRESSED_BYTES_MAX)
}

/// The records section of a whole batch, decompressed when it is compressed, in slices; [`let_go`] gives it back so.
///
/// # Errors
/// What is wrong with the compressed bytes, or that they would exceed [`DECOMPRESSED_BYTES_MAX`] or, from 1 MiB
/// on, 1000 times their own size (docs/bad-inputs.md).
pub async fn batch_records<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
    slice: &mut Slice,
) -> Result<Cow<'a, [u8]>, String> {
    let records = batch.get(BATCH_HEADER_BYTES..header.frame_len()).unwrap_or_default();
    let records = decompressed(header, records, usize::MAX, slice, &mut |_| {}).await;
    records.map_err(|error| match error {
        NotOpened::Refused(error) => error.to_string(),
        NotOpened::Larger => unreachable!("nothing is larger than the largest number"),
    })
}

/// Nanoseconds that a byte of output takes to decompress; measured with JSON records.
fn decode_ns(codec: Compression) -> usize {
    match codec {
        Compression::None | Compression::Lz4 => 1,
        Compression::Zstd => 2,
        Compression::Snappy => 3,
        Compression::Gzip => 4,
    }
}

/// Nanoseconds that a byte takes to compress.
fn encode_ns(codec: Compression) -> usize {
    match codec {
        Compression::None => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 5,
        Compression::Gzip => 32,
    }
}

async fn decompressed<'a>(
    header: &BatchHeader,
    records: &'a [u8],
    plain_bytes_max: usize,
    slice: &mut Slice,
    held: &mut dyn FnMut(usize),
) -> Result<Cow<'a, [u8]>, NotOpened> {
    let id = header.attributes.compression();
    let codec = match Compression::from_id(id) {
        None => return Err(AppendError::Corrupt(format!("unknown compression {id}")).into()),
        Some(Compression::None) if records.len() > plain_bytes_max => {
            return Err(NotOpened::Larger);
        }
        Some(Compression::None) => return Ok(Cow::Borrowed(records)),
        Some(codec) => codec,
    };
    let bytes_max = decompressed_bytes_max(records.len());
    let decoder = Decoder::new(codec, records, bytes_max);
    let (mut decoder, mut plain) = (decoder.map_err(|error| corrupt(&error))?, Vec::new());
    let refused = loop {
        let before = plain.len();
        make_room(&mut plain, bytes_max);
        let ended = match decoder.step(&mut plain) {
            Ok(ended) => ended,
            Err(error) => break corrupt(&error).into(),
        };
        if plain.len() > plain_bytes_max {
            break NotOpened::Larger;
        }
        held(plain.capacity());
        let bytes = plain.len() - before + decoder.taken();
        slice.worked(bytes * decode_ns(codec)).await;
        if ended {
            return Ok(Cow::Owned(plain));
        }
    };
    let_go(plain.into(), slice).await;
    Err(refused)
}

/// Room for a step's output: twice what there is, but no more than what may come.
fn make_room(plain: &mut Vec<u8>, bytes_max: usize) {
    let left = (bytes_max + SLICE_BYTES).saturating_sub(plain.len());
    if plain.capacity() - plain.len() < SLICE_BYTES.min(left) {
        plain.reserve_exact(plain.len().clamp(SLICE_BYTES, left.max(SLICE_BYTES)));
    }
}

/// Records and headers that are looked at in one piece, and what one takes.
const LOOKED_AT: usize = 500;
const LOOK_NS: usize = 20;

async fn look_at(
    header: &BatchHeader,
    records: &[u8],
    rules: RecordRules,
    slice: &mut Slice,
) -> Result<BatchSummary, AppendError> {
    let mut check = RecordCheck::new(header, records, rules);
    loop {
        match check.step(LOOKED_AT) {
            Ok(Some(summary)) => return Ok(summary),
            Ok(None) => slice.worked(LOOKED_AT * LOOK_NS).await,
            Err(InvalidBatch::Record { error: RecordError::MissingKey, .. }) => {
                return Err(name_all(header, records, slice).await);
            }
            Err(error) => return Err(from_invalid(error)),
        }
    }
}

/// A refusal that names every record without a key, as Kafka does, so that the client fails just those.
pub(super) async fn name_all(
    header: &BatchHeader,
    records: &[u8],
    slice: &mut Slice,
) -> AppendError {
    let mut problems = Vec::new();
    for (index, record) in (0..).zip(Records::new(records, header.records_count)) {
        if record.is_ok_and(|record| record.key.is_none()) {
            problems.push(RecordProblem { index, message: RecordError::MissingKey.to_string() });
        }
        if problems.len() == PROBLEMS_MAX {
            break;
        }
        slice.worked(LOOK_NS).await;
    }
    rejected(problems)
}

/// The records in the codec, behind room for a header.
async fn packed(
    codec: Compression,
    records: &[u8],
    rules: &AppendRules,
    slice: &mut Slice,
    held: &mut dyn FnMut(usize),
) -> Result<Vec<u8>, AppendError> {
    let encoder = Encoder::after(vec![0; BATCH_HEADER_BYTES], codec);
    let mut encoder = encoder.map_err(|error| corrupt(&error))?;
    // Some 100 µs each.
    let piece_bytes = if codec == Compression::Gzip { SLICE_BYTES / 8 } else { SLICE_BYTES };
    for piece in records.chunks(piece_bytes) {
        encoder.push(piece).map_err(|error| corrupt(&error))?;
        held(encoder.bytes());
        check_size(encoder.bytes(), rules)?;
        slice.worked(piece.len() * encode_ns(codec)).await;
    }
    let batch = encoder.finish().map_err(|error| corrupt(&error))?;
    held(batch.len());
    check_size(batch.len(), rules)?;
    Ok(batch)
}

#[cfg(test)]
mod tests;
