//! DescribeLogDirs (35), versions 1–4: the data directory, its volume (version 4, KIP-827), and the bytes of every
//! partition asked for (null: all). Partitions that do not exist are left out. Source: KIP-113.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::catalog::{Catalog, PartitionPlace, Topic};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, ResponseKind};
use log_types::PartitionId;

use super::text::{text, topic_name};
use crate::broker::Fatal;
use crate::handler::Context;

const VOLUME_VERSION_MIN: i16 = 4;

/// A partition to measure.
struct Wanted {
    topic: String,
    partition: i32,
    place: PartitionPlace,
}

pub(crate) async fn handle(
    context: &Context,
    request: DescribeLogDirsRequest,
) -> Result<ResponseKind, Fatal> {
    let wanted = wanted(&context.broker.catalog(), &request);
    let sizes =
        context.broker.partition_sizes(wanted.iter().map(|one| one.place).collect()).await?;
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (wanted, size) in wanted.iter().zip(sizes) {
        let mut partition = DescribeLogDirsPartition::default();
        partition.partition_index = wanted.partition;
        partition.partition_size = i64::try_from(size.bytes).unwrap_or(i64::MAX);
        topics.entry(&wanted.topic).or_default().push(partition);
    }
    let log_dir = context.broker.log_dir();
    let mut result = DescribeLogDirsResult::default();
    result.log_dir = text(&log_dir.path);
    result.topics = topics
        .into_iter()
        .map(|(name, partitions)| {
            let mut topic = DescribeLogDirsTopic::default();
            topic.name = topic_name(name);
            topic.partitions = partitions;
            topic
        })
        .collect();
    if context.header.version >= VOLUME_VERSION_MIN {
        result.total_bytes = log_dir.total_bytes;
        result.usable_bytes = log_dir.usable_bytes;
    }
    let mut response = DescribeLogDirsResponse::default();
    response.results = vec![result];
    Ok(ResponseKind::DescribeLogDirs(response))
}

fn wanted(catalog: &Catalog, request: &DescribeLogDirsRequest) -> Vec<Wanted> {
    let partition = |topic: &Topic, partition: i32| {
        let place = topic.place(PartitionId(partition))?;
        Some(Wanted { topic: topic.name.clone(), partition, place })
    };
    let Some(topics) = &request.topics else {
        let all = catalog.topics.values().flat_map(|topic| {
            (0..).zip(&topic.partitions).filter_map(move |(index, _)| partition(topic, index))
        });
        return all.collect();
    };
    let mut indexes: BTreeSet<(&str, i32)> = BTreeSet::new();
    for topic in topics {
        indexes.extend(topic.partitions.iter().map(|index| (&**topic.topic, *index)));
    }
    let found =
        indexes.into_iter().filter_map(|(name, index)| partition(catalog.topic(name)?, index));
    found.collect()
}
