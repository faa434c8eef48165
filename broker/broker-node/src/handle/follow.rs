//! [`Follow`]: topics with their ranges, and batches from an offset.

use broker_core::catalog::{Catalog, PartitionPlace, Topic};
use broker_core::config::{TimestampSource, TopicConfig};
use broker_kafka::broker::{Broker, Fatal, OffsetQuery, PartitionError, ReadReply, ReadRequest};
use log_record::Batches;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};
use query_api::{BoxFuture, Error, ErrorKind, Follow, PartitionInfo, ReadBatches, TopicInfo};
use std::rc::Rc;
use std::sync::Arc;

use super::{NodeHandle, ingest, stopped};
use crate::core::CoreBroker;

fn describe(catalog: &Catalog, topic: &Topic, ranges: &[(i64, i64)]) -> TopicInfo {
    let declared = catalog.declarations.values().filter(|declared| declared.topic == topic.name);
    TopicInfo {
        name: topic.name.clone(),
        id: topic.id.0,
        number: topic.number,
        internal: false,
        partitions: ranges
            .iter()
            .map(|(log_start, end)| PartitionInfo { log_start: *log_start, end: *end })
            .collect(),
        declared: declared
            .filter_map(|declared| ingest::table_of(declared).map(Arc::new))
            .collect(),
    }
}

impl NodeHandle {
    async fn place(&self, topic: [u8; 16], partition: i32) -> Result<PartitionPlace, Error> {
        let catalog = self.catalog().await?;
        let found = catalog.topic_by_id(TopicId(topic));
        found.and_then(|topic| topic.place(PartitionId(partition))).ok_or_else(|| {
            let what = format!("partition {partition} of the topic does not exist any more");
            Error::new(ErrorKind::NotFound, what)
        })
    }

    async fn read_partition(
        &self,
        place: PartitionPlace,
        offset: i64,
        bytes_max: usize,
    ) -> Result<ReadReply, Error> {
        let request = ReadRequest {
            place,
            offset: Offset(offset),
            bytes_max,
            current_epoch: LeaderEpoch(-1),
            last_fetched_epoch: LeaderEpoch(-1),
        };
        let core = self.shared.router.core_of(place.shard);
        let reading = self.shared.router.submit(core, move |core| {
            let reading = CoreBroker(core).read(Rc::new(vec![request]), bytes_max);
            Box::pin(async move {
                // What statements hold is theirs to bound.
                let replies = reading.await?.replies;
                replies.into_iter().next().ok_or(Fatal)
            })
        });
        reading
            .await
            .map_err(stopped)?
            .map_err(stopped)?
            .map_err(|error| read_error(&error, offset))
    }
}

fn read_error(error: &PartitionError, offset: i64) -> Error {
    match error {
        PartitionError::OutOfRange => Error::new(
            ErrorKind::Invalid,
            format!("offset {offset} was removed by retention while the statement ran"),
        ),
        PartitionError::Corrupt(what) => {
            Error::new(ErrorKind::Corrupt, format!("cannot read offset {offset}: {what}"))
                .with_sqlstate("XX001")
        }
        _ => Error::new(ErrorKind::NotFound, "the partition was deleted while the statement ran"),
    }
}

impl Follow for NodeHandle {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, Error>> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            let places = catalog.topics.values().flat_map(|topic| topic.partitions.iter().copied());
            let ranges = self.ranges(places.collect()).await?;
            let mut rest = &ranges[..];
            let topics = catalog.topics.values().map(|topic| {
                let (mine, others) = rest.split_at(topic.partitions.len());
                rest = others;
                describe(&catalog, topic, mine)
            });
            Ok(topics.collect())
        })
    }

    fn topic(&self, name: &str) -> BoxFuture<'_, Result<Option<TopicInfo>, Error>> {
        let name = name.to_owned();
        Box::pin(async move {
            let catalog = self.catalog().await?;
            let Some(topic) = catalog.topic(&name) else { return Ok(None) };
            let ranges = self.ranges(topic.partitions.clone()).await?;
            Ok(Some(describe(&catalog, topic, &ranges)))
        })
    }

    fn read(
        &self,
        topic: [u8; 16],
        partition: i32,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<ReadBatches, Error>> {
        Box::pin(async move {
            let place = self.place(topic, partition).await?;
            let reply = self.read_partition(place, offset, max_bytes).await?;
            let mut batches = Vec::new();
            let mut next = offset;
            for piece in reply.batches {
                let mut start = 0;
                for batch in Batches::strict(&piece) {
                    let corrupt = |error: log_record::BatchError| {
                        Error::new(ErrorKind::Corrupt, format!("after offset {next}: {error}"))
                    };
                    let (header, batch) = batch.map_err(corrupt)?;
                    if header.base_offset.0 >= end {
                        return Ok(ReadBatches { batches, next });
                    }
                    batches.push(piece.slice(start..start + batch.len()));
                    start += batch.len();
                    next = header.next_offset().0;
                }
            }
            Ok(ReadBatches { batches, next })
        })
    }

    fn offset_for_timestamp(
        &self,
        topic: [u8; 16],
        partition: i32,
        timestamp_ms: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, Error>> {
        Box::pin(async move {
            let place = self.place(topic, partition).await?;
            let core = self.shared.router.core_of(place.shard);
            let finding = self.shared.router.submit(core, move |core| {
                let query = OffsetQuery::Timestamp(timestamp_ms);
                CoreBroker(core).find_offset(place, query, LeaderEpoch(-1))
            });
            let found = finding.await.map_err(stopped)?.map_err(stopped)?;
            let found = found.map_err(|error| read_error(&error, -1))?;
            Ok((found.offset.0 >= 0).then_some(found.offset.0))
        })
    }

    fn timestamps_ordered(&self, topic: [u8; 16]) -> bool {
        let catalog = self.last_catalog();
        let Some(topic) = catalog.topic_by_id(TopicId(topic)) else { return false };
        let broker = self.shared.settings.broker_config(&catalog.broker_configs);
        TopicConfig::resolve(&topic.configs, &broker).timestamp_source == TimestampSource::LogAppend
    }

    fn offsets_dense(&self, _topic: [u8; 16]) -> bool {
        // A producer's batch has as many records as offsets (`log_record::validate_header`) and is no control batch, the next
        // one begins where it ends, and what is removed lies before the log's start. Nothing is compacted; what will be, and
        // topics with markers of transactions, are not dense any more.
        true
    }
}
