//! DescribeLogDirs (35), versions 1–5: the data directory, its volume (version 4, KIP-827), and the bytes of every
//! partition asked for (null: all). Partitions that do not exist are left out.
//!
//! The one data directory is never cordoned (version 5): there is no other place for new partitions.
//! Source: KIP-113, KIP-1066.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::catalog::Topic;
use broker_kafka_wire::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic, yield_once,
};
use log_types::PartitionId;

use crate::broker::{Broker, Fatal};
use crate::handler::{Context, Response};
use crate::pace::Pace;

/// Partitions that are measured at once.
const MEASURED_MAX: usize = 256;

pub(crate) async fn handle(context: Context, request: DescribeLogDirsRequest) -> Response {
    let Ok(topics) = measured(&context, request).await else { return Response::Close };
    let log_dir = context.broker.log_dir();
    let result = DescribeLogDirsResult {
        log_dir: log_dir.path,
        topics,
        total_bytes: log_dir.total_bytes,
        usable_bytes: log_dir.usable_bytes,
        ..DescribeLogDirsResult::default()
    };
    let response =
        DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() };
    let header = &context.header;
    Context::send(response.encode_paced(header.version, header.correlation_id).await)
}

async fn measured(
    context: &Context,
    request: DescribeLogDirsRequest,
) -> Result<Vec<DescribeLogDirsTopic>, Fatal> {
    let catalog = context.broker.catalog();
    let mut topics = Vec::new();
    let Some(asked) = request.topics else {
        for topic in catalog.topics.values() {
            let all: Vec<PartitionId> =
                (0..).map(PartitionId).zip(&topic.partitions).map(|(id, _)| id).collect();
            topics.push(sizes(&*context.broker, topic, &all).await?);
        }
        return Ok(topics);
    };
    let mut wanted: BTreeMap<String, BTreeSet<PartitionId>> = BTreeMap::new();
    let mut pace = Pace::default();
    for topic in asked {
        let partitions = wanted.entry(topic.topic).or_default();
        for partition in topic.partitions {
            partitions.insert(partition);
            pace.spend(0).await;
        }
    }
    for (name, partitions) in wanted {
        pace.spend(0).await;
        let Some(topic) = catalog.topic(&name) else { continue };
        let partitions: Vec<PartitionId> = partitions.into_iter().collect();
        let measured = sizes(&*context.broker, topic, &partitions).await?;
        topics.extend((!measured.partitions.is_empty()).then_some(measured));
    }
    Ok(topics)
}

/// The sizes of those of the partitions that exist.
async fn sizes(
    broker: &dyn Broker,
    topic: &Topic,
    partitions: &[PartitionId],
) -> Result<DescribeLogDirsTopic, Fatal> {
    let mut answers = Vec::new();
    for some in partitions.chunks(MEASURED_MAX) {
        let found = some.iter().filter_map(|id| Some((*id, topic.place(*id)?)));
        let (ids, places): (Vec<_>, Vec<_>) = found.unzip();
        let sizes = broker.partition_sizes(places).await?;
        answers.extend(ids.into_iter().zip(sizes).map(|(partition, size)| {
            DescribeLogDirsPartition {
                partition,
                size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
                ..DescribeLogDirsPartition::default()
            }
        }));
        yield_once().await;
    }
    Ok(DescribeLogDirsTopic { name: topic.name.clone(), partitions: answers })
}
