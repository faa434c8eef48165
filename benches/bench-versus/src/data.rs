//! The data of every workload: 1 KiB records in batches, built once and sent as they are.
//!
//! Both peers get the same bytes. Values are pseudo-random, so that nothing gains by compressing or deduplicating.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use broker_kafka_wire::ProduceRequest;
use bytes::Bytes;
use log_record::BatchBuilder;
use log_types::PartitionId;

/// Bytes of a record's value.
pub(crate) const VALUE_BYTES: usize = 1024;
/// Produce version that names topics and that Kafka 2.4 to 4.x and LumaDB know.
pub(crate) const PRODUCE_VERSION: i16 = 9;

/// When this run began, in milliseconds: every record's timestamp. A time in the past would let retention take records
/// away under the measurement.
fn run_ms() -> anyhow::Result<i64> {
    static BEGAN: OnceLock<SystemTime> = OnceLock::new();
    let began = BEGAN.get_or_init(SystemTime::now);
    Ok(i64::try_from(began.duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// A batch and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) records: u32,
}

impl Batch {
    /// The largest batch of whole records within `bytes_max`; one record at least.
    ///
    /// # Errors
    /// Never for sizes below 2 GiB.
    pub(crate) fn within(bytes_max: usize, seed: u64) -> anyhow::Result<Self> {
        // A record's own header takes at most 16 bytes at these sizes, a batch's 61.
        let records = (bytes_max.saturating_sub(61) / (VALUE_BYTES + 16)).max(1);
        let mut builder = BatchBuilder::new();
        let mut state = seed | 1;
        for _ in 0..records {
            let mut value = Vec::with_capacity(VALUE_BYTES);
            while value.len() < VALUE_BYTES {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                value.extend_from_slice(&state.to_le_bytes());
            }
            builder.push(run_ms()?, None, Some(&value), &[]).context("record")?;
        }
        let records = u32::try_from(records)?;
        Ok(Self { bytes: builder.build().context("batch")?, records })
    }

    /// The part that a broker must keep byte for byte: all after the fields it assigns (offset, epoch), which the
    /// checksum covers.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.bytes[21..]
    }
}

/// A whole Produce request as it goes over the wire, with acks −1; the batch is shared, not copied.
///
/// # Errors
/// Never for batches below 2 GiB.
pub(crate) fn produce_frame(
    topic: &str,
    partition: i32,
    batch: &Batch,
) -> anyhow::Result<Vec<Bytes>> {
    let request = ProduceRequest::of_batch(topic, PartitionId(partition), batch.bytes.clone());
    let frame = request.encode(PRODUCE_VERSION, 1, Some("bench-versus"))?;
    Ok(frame.into_segments())
}
