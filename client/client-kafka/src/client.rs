//! Producing, fetching and looking up offsets.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, ListOffsetsRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::connection::{Connection, Pending};
use crate::error::{Error, check};

/// The last version that names topics by name.
const PRODUCE_VERSION: i16 = 9;
/// The last version that names topics by name.
const FETCH_VERSION: i16 = 12;
const LIST_OFFSETS_VERSION: i16 = 7;

/// A client of one broker.
#[derive(Debug)]
pub struct Client {
    pub(crate) connection: Connection,
    timeout_ms: i32,
}

/// What a fetch returned of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub partition: i32,
    pub high_watermark: i64,
    pub log_start: i64,
    /// Record batches, the last one possibly cut off; for [`crate::each_record`].
    pub records: Bytes,
}

/// An offset found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    pub partition: i32,
    /// −1 when no record is at or after the time asked for.
    pub offset: i64,
    /// Milliseconds since the epoch; −1 where the broker does not say.
    pub timestamp_ms: i64,
}

/// A produce request on its way.
#[derive(Debug)]
pub struct PendingProduce {
    pending: Pending<ProduceRequest>,
    topic: String,
    partition: i32,
}

impl PendingProduce {
    /// Waits for the acknowledgement; the offset of the batch's first record.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker refused the batch, else what happened to the connection.
    pub async fn wait(self) -> Result<i64, Error> {
        let response = self.pending.wait().await?;
        let answer = response.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let answer =
            answer.ok_or_else(|| Error::decode("the produce response names no partition"))?;
        let what = || format!("cannot produce to {}-{}", self.topic, self.partition);
        check(answer.error_code, what, answer.error_message.as_deref())?;
        Ok(answer.base_offset)
    }
}

impl Client {
    /// Connects. `timeout` bounds this and the wait for each answer.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect(addr: &str, client_id: &str, timeout: Duration) -> Result<Self, Error> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Ok(Self { connection: Connection::open(addr, client_id, timeout).await?, timeout_ms })
    }

    pub(crate) fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// Sends one whole record batch with acks −1 (all) or 1; wait for the result afterwards, in any number at once.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn start_produce(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: i16,
    ) -> Result<PendingProduce, Error> {
        let request = self.produce_request(topic, partition, batch, acks);
        let pending = self.connection.start(PRODUCE_VERSION, &request).await?;
        Ok(PendingProduce { pending, topic: topic.to_owned(), partition })
    }

    /// Produces one whole record batch and waits for the acknowledgement of all replicas.
    ///
    /// # Errors
    /// As [`PendingProduce::wait`].
    pub async fn produce(&self, topic: &str, partition: i32, batch: Bytes) -> Result<i64, Error> {
        self.start_produce(topic, partition, batch, -1).await?.wait().await
    }

    fn produce_request(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: i16,
    ) -> ProduceRequest {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let data = TopicProduceData::default()
            .with_name(topic_name(topic))
            .with_partition_data(vec![data]);
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(self.timeout_ms)
            .with_topic_data(vec![data])
    }

    /// Fetches from partitions of one topic, each (partition, offset), waiting up to `wait_ms` for the first byte.
    ///
    /// # Errors
    /// [`Error::Broker`] for the first partition that failed.
    pub async fn fetch(
        &self,
        topic: &str,
        partitions: &[(i32, i64)],
        wait_ms: i32,
        bytes_max: i32,
    ) -> Result<Vec<Fetched>, Error> {
        let wanted = partitions.iter().map(|&(partition, offset)| {
            FetchPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(offset)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(bytes_max)
        });
        let wanted =
            FetchTopic::default().with_topic(topic_name(topic)).with_partitions(wanted.collect());
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(bytes_max)
            .with_session_epoch(-1)
            .with_topics(vec![wanted]);
        let response = self.connection.call(FETCH_VERSION, &request).await?;
        check(response.error_code, || format!("cannot fetch from {topic}"), None)?;
        let mut fetched = Vec::new();
        for answer in response.responses.into_iter().flat_map(|topic| topic.partitions) {
            let what = || format!("cannot fetch from {topic}-{}", answer.partition_index);
            check(answer.error_code, what, None)?;
            fetched.push(Fetched {
                partition: answer.partition_index,
                high_watermark: answer.high_watermark,
                log_start: answer.log_start_offset,
                records: answer.records.unwrap_or_default(),
            });
        }
        Ok(fetched)
    }

    /// The offset of the first record at or after `timestamp_ms`, per partition; −1 asks for the end, −2 for the
    /// start of the log, as in `ListOffsets`.
    ///
    /// # Errors
    /// [`Error::Broker`] for the first partition that failed.
    pub async fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<TimedOffset>, Error> {
        let wanted = partitions.iter().map(|&partition| {
            ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp_ms)
        });
        let wanted = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(wanted.collect());
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
        let response = self.connection.call(LIST_OFFSETS_VERSION, &request).await?;
        let mut found = Vec::new();
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let what = || format!("cannot look up offsets of {topic}-{}", answer.partition_index);
            check(answer.error_code, what, None)?;
            found.push(TimedOffset {
                partition: answer.partition_index,
                offset: answer.offset,
                timestamp_ms: answer.timestamp,
            });
        }
        Ok(found)
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
