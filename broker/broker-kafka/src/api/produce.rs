//! Produce (0), versions 3–13: appends one batch per partition.
//!
//! acks 0 is never answered, but an error closes the connection; acks 1 and −1 are answered when the batches are as
//! durable as their topics ask. A batch is stored byte for byte as it was sent, except its base offset and leader epoch, and
//! unless its topic asks for another codec.
//! Source: KIP-98, KIP-467 (record errors), KIP-516 (topic ids from 13).

use broker_core::catalog::Catalog;
use broker_core::partition::{AppendError, AppendRules, RecordProblem, must_open, seen};
use broker_kafka_wire::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    RequestHeader, TopicProduceResponse,
};
use bytes::Bytes;
use log_io::{LocalFuture, Slice};
use log_record::BatchHeader;
use log_types::{Offset, PartitionId, TopicId};

use super::topics;
use crate::broker::{AppendRequest, Appended, Broker, Fatal, PartitionError, Reserved};
use crate::code;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

/// Attribute value of zstd; accepted from version 7 on (KIP-110).
const ZSTD: u8 = 4;
const ZSTD_VERSION_MIN: i16 = 7;

/// One partition of the request: where its answer goes, and what is appended or why not.
struct Slot {
    topic: usize,
    partition: PartitionId,
    outcome: Result<usize, Refusal>,
}

/// Why a batch is not even given to the log.
enum Refusal {
    Code(i16),
    Batch(PartitionError),
}

impl From<i16> for Refusal {
    fn from(code: i16) -> Self {
        Self::Code(code)
    }
}

/// Batches that are given to the log at once. What a request has beyond that is appended before its last ones, so that
/// other requests get their turn in between.
const APPENDS_MAX: usize = 256;

/// Bytes of opened batches that a request holds at most, and one batch, before they are appended: they may be far larger than
/// what was sent.
const OPENED_BYTES_MAX: usize = 1 << 20;

/// A produce request whose batches are being appended.
#[derive(Default)]
struct Producing {
    /// What all batches of the request take together.
    request_bytes: usize,
    topics: Vec<TopicProduceResponse>,
    slots: Vec<Slot>,
    /// Not yet given to the log.
    appends: Vec<AppendRequest>,
    /// Outcomes of those that were.
    results: Vec<Result<Appended, PartitionError>>,
    /// Memory of those batches in `appends` that were opened, and their bytes.
    opened: Option<Reserved>,
    opened_bytes: usize,
    slice: Slice,
}

impl Producing {
    async fn append(&mut self, broker: &dyn Broker) -> Result<(), Fatal> {
        let appends = std::mem::take(&mut self.appends);
        self.results.extend(broker.append(appends).await?);
        (self.opened, self.opened_bytes) = (None, 0);
        Ok(())
    }

    /// Opens the batch where that must be, and looks at it here where that may take long. The connection's next request begins
    /// after this one: its batches come later.
    async fn open(
        &mut self,
        broker: &dyn Broker,
        mut append: AppendRequest,
    ) -> Result<AppendRequest, Refusal> {
        let refused = |error| Refusal::Batch(PartitionError::Append(error));
        let rules = AppendRules::from(&*append.config);
        if !must_open(&append.batch, &rules) {
            let seen = seen(&append.batch, &rules, &mut self.slice).await;
            append.opened = seen.map_err(refused)?;
            return Ok(append);
        }
        let held = self.opened.take().map(|held| (held, self.opened_bytes));
        let (opened, held) = broker.open(append, self.request_bytes, held).await;
        self.opened = Some(held);
        let append = opened.map_err(refused)?;
        self.opened_bytes += append.batch.len();
        Ok(append)
    }

    fn take(&mut self, partition: PartitionId, prepared: Result<AppendRequest, Refusal>) {
        let outcome = prepared.map(|append| {
            self.appends.push(append);
            self.results.len() + self.appends.len() - 1
        });
        self.slots.push(Slot { topic: self.topics.len(), partition, outcome });
    }

    /// Everything was appended: the answer for each topic, and whether anything was refused.
    async fn answers(self, catalog: &Catalog) -> (Vec<TopicProduceResponse>, bool) {
        let (mut topics, mut failed, mut pace) = (self.topics, false, Pace::default());
        for slot in self.slots {
            let of_batch = |error| {
                let TopicProduceResponse { name, topic_id, .. } = &topics[slot.topic];
                let topic = topics::find(catalog, name, *topic_id);
                let name = topic.map_or(&**name, |topic| &*topic.name);
                refused_batch(slot.partition, error, name)
            };
            let answer = match &slot.outcome {
                Ok(index) => match &self.results[*index] {
                    Ok(appended) => accepted(slot.partition, appended),
                    Err(error) => of_batch(error),
                },
                Err(Refusal::Code(error_code)) => refused(slot.partition, *error_code),
                Err(Refusal::Batch(error)) => of_batch(error),
            };
            failed |= answer.error_code != code::NONE;
            topics[slot.topic].partitions.push(answer);
            pace.partition(0).await;
        }
        (topics, failed)
    }
}

/// Checks the partitions, in the order of the requests; the future appends when it is first polled.
pub(crate) async fn begin(
    context: Context,
    request: ProduceRequest,
) -> LocalFuture<'static, Response> {
    let acks = request.acks;
    match prepare_all(&context, request).await {
        Ok(producing) => Box::pin(finish(context, acks, producing)),
        Err(Fatal) => Box::pin(async { Response::Close }),
    }
}

async fn prepare_all(context: &Context, request: ProduceRequest) -> Result<Producing, Fatal> {
    let (broker, version) = (&*context.broker, context.header.version);
    let (mut producing, mut pace) = (Producing::default(), Pace::default());
    // With room for all: a list that grows is copied in one go.
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let batches = request.topics.iter().flat_map(|topic| &topic.partitions);
    let batches = batches.filter_map(|data| data.records.as_ref());
    producing.request_bytes = batches.map(Bytes::len).sum();
    producing.slots.reserve_exact(count);
    producing.results.reserve_exact(count);
    producing.topics.reserve_exact(request.topics.len());
    for topic in request.topics {
        let partitions = Vec::with_capacity(topic.partitions.len());
        for data in topic.partitions {
            let full = producing.opened_bytes > OPENED_BYTES_MAX;
            if full || producing.appends.len() == APPENDS_MAX {
                producing.append(broker).await?;
            }
            let batch = data.records.unwrap_or_default();
            let wanted = (&*topic.name, topic.topic_id, data.partition);
            let prepared = match prepare(broker, version, request.acks, wanted, batch) {
                Ok(append) => producing.open(broker, append).await,
                Err(code) => Err(code.into()),
            };
            producing.take(data.partition, prepared);
            pace.partition(0).await;
        }
        let (name, topic_id) = (topic.name, topic.topic_id);
        producing.topics.push(TopicProduceResponse { name, topic_id, partitions });
    }
    Ok(producing)
}

async fn finish(context: Context, acks: i16, mut producing: Producing) -> Response {
    if producing.append(&*context.broker).await.is_err() {
        return Response::Close;
    }
    let (topics, failed) = producing.answers(&context.broker.catalog()).await;
    match (acks, failed) {
        (0, true) => Response::Close,
        (0, false) => Response::Nothing,
        _ => {
            let response = ProduceResponse { topics, ..ProduceResponse::default() };
            let RequestHeader { version, correlation_id, .. } = context.header;
            context.send(response.encode_paced(version, correlation_id).await)
        }
    }
}

fn prepare(
    broker: &dyn Broker,
    version: i16,
    acks: i16,
    (name, id, partition): (&str, TopicId, PartitionId),
    batch: Bytes,
) -> Result<AppendRequest, i16> {
    if !(-1..=1).contains(&acks) {
        return Err(code::INVALID_REQUIRED_ACKS);
    }
    let catalog = broker.catalog();
    let topic = topics::find(&catalog, name, id)?;
    let place = topics::place(topic, partition)?;
    let config = broker.topic_config(topic);
    if acks == -1 && config.min_insync_replicas > 1 {
        return Err(code::NOT_ENOUGH_REPLICAS);
    }
    let compression = BatchHeader::parse(&batch).map(|header| header.attributes.compression());
    if compression == Ok(ZSTD) && version < ZSTD_VERSION_MIN {
        return Err(code::UNSUPPORTED_COMPRESSION_TYPE);
    }
    Ok(AppendRequest { place, batch, opened: None, config })
}

fn accepted(partition: PartitionId, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        partition,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: appended.log_start,
        ..PartitionProduceResponse::default()
    }
}

fn refused(partition: PartitionId, error_code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse {
        partition,
        error_code,
        base_offset: Offset(-1),
        ..PartitionProduceResponse::default()
    }
}

/// With the records that are to blame and where they were to go, as Kafka's `LogValidator` says it (KIP-467).
fn refused_batch(
    partition: PartitionId,
    error: &PartitionError,
    topic: &str,
) -> PartitionProduceResponse {
    let mut response = refused(partition, code::of_partition(error));
    if let PartitionError::Append(error) = error {
        response.error_message = Some(error.to_string());
        if let AppendError::InvalidRecord { problems, .. } = error {
            let named = problems.iter().map(|RecordProblem { index, message }| {
                let message = format!("{message} in topic partition {topic}-{partition}");
                BatchIndexAndErrorMessage { batch_index: *index, message: Some(message) }
            });
            response.record_errors = named.collect();
        }
    }
    response
}
