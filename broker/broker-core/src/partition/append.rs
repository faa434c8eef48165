//! Validation of a producer's batch: what Kafka's `LogValidator` and `ProducerAppendInfo` decide.

use std::fmt;

use bytes::Bytes;
use log_io::Slice;
use log_record::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, BatchSummary, InvalidBatch, MAGIC, RecordError,
    RecordRules, TimestampType, frame_len, validate_batch,
};
use log_types::Offset;

use super::open::{Opened, at_once, must_open, name_all, open_at_once};
use crate::config::{BrokerCompression, TimestampSource, TopicConfig};
use crate::producer::{ProducerError, ProducerStates, ProducerVerdict};

/// What the topic's configuration demands of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendRules {
    /// `max.message.bytes`: size of the whole batch.
    pub batch_bytes_max: usize,
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    /// `cleanup.policy` contains `compact`.
    pub key_required: bool,
    /// `compression.type`: a batch in another codec is recompressed.
    pub compression: BrokerCompression,
}

impl From<&TopicConfig> for AppendRules {
    fn from(config: &TopicConfig) -> Self {
        Self {
            batch_bytes_max: config.max_message_bytes,
            log_append_time: config.timestamp_source == TimestampSource::LogAppend,
            timestamp_before_ms_max: config.timestamp_before_ms_max,
            timestamp_after_ms_max: config.timestamp_after_ms_max,
            key_required: config.compact,
            compression: config.compression,
        }
    }
}

/// A batch that may be appended.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub header: BatchHeader,
    /// The bytes to append; differ from the producer's only under `LogAppendTime` and recompression.
    pub batch: Bytes,
}

/// What to do with a valid batch.
#[derive(Clone, Debug)]
pub enum Verdict {
    Append(Prepared),
    /// One of the producer's last five batches again: answer with the original offset and timestamp.
    Duplicate {
        base_offset: Offset,
        timestamp: i64,
    },
}

/// A record that made its batch unacceptable (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordProblem {
    /// Index within the batch.
    pub index: i32,
    pub message: String,
}

/// Why a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Wrong CRC or truncated bytes (CORRUPT_MESSAGE).
    Corrupt(String),
    /// Structure or content that the topic does not take (INVALID_RECORD).
    InvalidRecord {
        message: String,
        problems: Vec<RecordProblem>,
    },
    /// `max.message.bytes` (MESSAGE_TOO_LARGE).
    TooLarge {
        /// Of the batch as it was sent; what there was of it in another codec when it became too large.
        bytes: usize,
        max: usize,
    },
    /// A timestamp outside the allowed window (INVALID_TIMESTAMP).
    InvalidTimestamp {
        timestamp: i64,
    },
    /// Transactional batches are not served (INVALID_TXN_STATE).
    Transactional,
    /// Nothing was appended, and what is wrong is not the batch: too many wait to be opened (NOT_ENOUGH_REPLICAS). That is what
    /// producers take for "not stored, send it again": Java's as retriable, librdkafka as retriable and not persisted, both
    /// with the same sequences where they are idempotent. After REQUEST_TIMED_OUT they would not know whether it was stored.
    Busy,
    Producer(ProducerError),
}

impl AppendError {
    /// Kafka's error code for the partition in the Produce response.
    #[must_use]
    pub fn code(&self) -> i16 {
        match self {
            Self::Corrupt(_) => 2,
            Self::InvalidRecord { .. } => 87,
            Self::TooLarge { .. } => 10,
            Self::InvalidTimestamp { .. } => 32,
            Self::Transactional => 48,
            Self::Busy => 19,
            Self::Producer(error) => error.code(),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(message) | Self::InvalidRecord { message, .. } => f.write_str(message),
            Self::TooLarge { bytes, max } => {
                write!(f, "The batch has {bytes} bytes or more, max.message.bytes is {max}.")
            }
            Self::InvalidTimestamp { timestamp } => {
                write!(f, "Timestamp {timestamp} of the batch is out of the allowed range.")
            }
            Self::Transactional => f.write_str("Transactions are not supported."),
            Self::Busy => {
                f.write_str("Too many large batches wait to be recompressed; send it again.")
            }
            Self::Producer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}

fn invalid(message: impl Into<String>) -> AppendError {
    AppendError::InvalidRecord { message: message.into(), problems: Vec::new() }
}

/// Everything that does not depend on the producer's history. `opened` is what was seen in the batch when it was opened; one
/// that must be and was not is opened here, in one go.
pub(super) fn prepare(
    batch: &Bytes,
    opened: Option<BatchSummary>,
    rules: &AppendRules,
    now_ms: i64,
) -> Result<Prepared, AppendError> {
    check_shape(batch)?;
    check_size(batch.len(), rules)?;
    if opened.is_none() && must_open(batch, rules) {
        let Opened { batch, summary } = open_at_once(batch, rules)?;
        return prepare(&batch, Some(summary), rules, now_ms);
    }
    let (header, summary) = match opened {
        Some(summary) => {
            let header = BatchHeader::parse(batch);
            (header.map_err(|error| from_invalid(error.into()))?, Some(summary))
        }
        None => validated(batch, RecordRules { key_required: rules.key_required })?,
    };
    check_kind(&header)?;
    if rules.log_append_time {
        return stamp(batch, now_ms);
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppend {
        return Err(invalid("Producers may not set the timestamp type LogAppendTime."));
    }
    let (min, max) = summary.map_or((header.max_timestamp, header.max_timestamp), |s| {
        (s.min_timestamp, s.max_timestamp)
    });
    for timestamp in [min, max] {
        check_timestamp(timestamp, rules, now_ms)?;
    }
    Ok(Prepared { header, batch: batch.clone() })
}

fn validated(
    batch: &Bytes,
    rules: RecordRules,
) -> Result<(BatchHeader, Option<BatchSummary>), AppendError> {
    validate_batch(batch, rules).map_err(|error| match (error, BatchHeader::parse(batch)) {
        (InvalidBatch::Record { error: RecordError::MissingKey, .. }, Ok(header)) => {
            let records = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
            at_once(name_all(&header, records, &mut Slice::default()))
        }
        (error, _) => from_invalid(error),
    })
}

/// Only what clients may write.
pub(super) fn check_kind(header: &BatchHeader) -> Result<(), AppendError> {
    if header.attributes.control() {
        return Err(invalid("Client is not allowed to write control records."));
    }
    if header.attributes.transactional() {
        return Err(AppendError::Transactional);
    }
    Ok(())
}

pub(super) fn check_size(bytes: usize, rules: &AppendRules) -> Result<(), AppendError> {
    let max = rules.batch_bytes_max;
    if bytes > max { Err(AppendError::TooLarge { bytes, max }) } else { Ok(()) }
}

pub(super) fn check_shape(batch: &Bytes) -> Result<(), AppendError> {
    if let Some(magic) = batch.get(16)
        && i8::from_ne_bytes([*magic]) != MAGIC
    {
        let message = "Produce requests with version 3 or later are only allowed to contain record batches with magic version 2.";
        return Err(invalid(message));
    }
    let len = frame_len(batch).map_err(|error| AppendError::Corrupt(error.to_string()))?;
    if len > batch.len() {
        return Err(AppendError::Corrupt(format!(
            "The batch says {len} bytes, the request holds {}.",
            batch.len()
        )));
    }
    if len < batch.len() {
        return Err(invalid(
            "Produce requests with version 3 or later must have exactly one record batch per partition.",
        ));
    }
    Ok(())
}

fn stamp(batch: &Bytes, now_ms: i64) -> Result<Prepared, AppendError> {
    let mut stamped = batch.to_vec();
    log_record::set_log_append_time(&mut stamped, now_ms)
        .map_err(|error| AppendError::Corrupt(error.to_string()))?;
    let header =
        BatchHeader::parse(&stamped).map_err(|error| AppendError::Corrupt(error.to_string()))?;
    Ok(Prepared { header, batch: Bytes::from(stamped) })
}

fn check_timestamp(timestamp: i64, rules: &AppendRules, now_ms: i64) -> Result<(), AppendError> {
    // −1 is "no timestamp", which old clients send.
    let age_ms = now_ms.saturating_sub(timestamp);
    let ahead_ms = timestamp.saturating_sub(now_ms);
    let in_range =
        age_ms <= rules.timestamp_before_ms_max && ahead_ms <= rules.timestamp_after_ms_max;
    if timestamp == -1 || in_range {
        return Ok(());
    }
    Err(AppendError::InvalidTimestamp { timestamp })
}

pub(super) fn rejected(problems: Vec<RecordProblem>) -> AppendError {
    let message = "One or more records have been rejected".to_owned();
    AppendError::InvalidRecord { message, problems }
}

/// Records named in one refusal.
pub(super) const PROBLEMS_MAX: usize = 1000;

pub(super) fn from_invalid(error: InvalidBatch) -> AppendError {
    match error {
        InvalidBatch::Batch(error @ BatchError::BadCrc { .. }) => {
            AppendError::Corrupt(error.to_string())
        }
        InvalidBatch::Record { index, error } => {
            rejected(vec![RecordProblem { index, message: error.to_string() }])
        }
        other => invalid(other.to_string()),
    }
}

/// The producer's history decides between appending, answering again, and refusing.
pub(super) fn check_sequence(
    producers: &ProducerStates,
    prepared: Prepared,
    now_ms: i64,
) -> Result<Verdict, AppendError> {
    if !prepared.header.has_producer() {
        return Ok(Verdict::Append(prepared));
    }
    match producers.check(&prepared.header, now_ms).map_err(AppendError::Producer)? {
        ProducerVerdict::Append => Ok(Verdict::Append(prepared)),
        ProducerVerdict::Duplicate { base_offset, timestamp } => {
            Ok(Verdict::Duplicate { base_offset, timestamp })
        }
    }
}
