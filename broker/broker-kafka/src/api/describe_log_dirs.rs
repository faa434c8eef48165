//! DescribeLogDirs (35), versions 1–5: the data directory, its volume (version 4, KIP-827), and the bytes of every
//! partition asked for (null: all). Partitions that do not exist are left out.
//!
//! The one data directory is never cordoned (version 5): there is no other place for new partitions.
//! Source: KIP-113, KIP-1066.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::catalog::{Catalog, PartitionPlace, Topic};
use broker_kafka_wire::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use log_types::PartitionId;

use crate::handler::{Context, Response};

/// A partition to measure.
struct Wanted {
    topic: String,
    partition: PartitionId,
    place: PartitionPlace,
}

pub(crate) async fn handle(context: Context, request: DescribeLogDirsRequest) -> Response {
    let wanted = wanted(&context.broker.catalog(), &request);
    let places = wanted.iter().map(|one| one.place).collect();
    let Ok(sizes) = context.broker.partition_sizes(places).await else { return Response::Close };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (wanted, size) in wanted.into_iter().zip(sizes) {
        topics.entry(wanted.topic).or_default().push(DescribeLogDirsPartition {
            partition: wanted.partition,
            size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
            ..DescribeLogDirsPartition::default()
        });
    }
    let topics = topics.into_iter();
    let log_dir = context.broker.log_dir();
    let result = DescribeLogDirsResult {
        log_dir: log_dir.path,
        topics: topics
            .map(|(name, partitions)| DescribeLogDirsTopic { name, partitions })
            .collect(),
        total_bytes: log_dir.total_bytes,
        usable_bytes: log_dir.usable_bytes,
        ..DescribeLogDirsResult::default()
    };
    let response =
        DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() };
    Context::send(response.encode(context.header.version, context.header.correlation_id))
}

fn wanted(catalog: &Catalog, request: &DescribeLogDirsRequest) -> Vec<Wanted> {
    let partition = |topic: &Topic, partition: PartitionId| {
        let place = topic.place(partition)?;
        Some(Wanted { topic: topic.name.clone(), partition, place })
    };
    let Some(topics) = &request.topics else {
        let all = catalog.topics.values().flat_map(|topic| {
            let indexes = (0..).map(PartitionId).zip(&topic.partitions);
            indexes.filter_map(move |(index, _)| partition(topic, index))
        });
        return all.collect();
    };
    let mut indexes: BTreeSet<(&str, PartitionId)> = BTreeSet::new();
    for topic in topics {
        indexes.extend(topic.partitions.iter().map(|index| (&*topic.topic, *index)));
    }
    let found =
        indexes.into_iter().filter_map(|(name, index)| partition(catalog.topic(name)?, index));
    found.collect()
}
