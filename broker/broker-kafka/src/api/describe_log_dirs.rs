//! DescribeLogDirs (35), versions 1–5: the data directory, its volume (version 4, KIP-827), and the bytes of every
//! partition asked for (null: all). Partitions that do not exist are left out.
//!
//! The one data directory is never cordoned (version 5): there is no other place for new partitions.
//! Source: KIP-113, KIP-1066.

use std::collections::{BTreeMap, BTreeSet};

use broker_core::catalog::Topic;
use broker_kafka_wire::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use log_io::yield_once;
use log_types::PartitionId;

use crate::broker::Fatal;
use crate::context::Context;
use crate::handler::Response;
use broker_kafka_wire::Pace;

/// Partitions that are measured at once.
const MEASURED_MAX: usize = 256;
/// What a partition takes while the answer is built, its encoded form included.
const PARTITION_BYTES: usize = 96;
/// The same for a topic.
const TOPIC_BYTES: usize = 256;

pub(crate) async fn handle(mut context: Context, request: DescribeLogDirsRequest) -> Response {
    let Ok(topics) = measured(&mut context, request).await else { return Response::Close };
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
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    context.send(response.encode_paced(version, correlation_id).await)
}

async fn measured(
    context: &mut Context,
    request: DescribeLogDirsRequest,
) -> Result<Vec<DescribeLogDirsTopic>, Fatal> {
    let catalog = context.broker.catalog();
    let mut topics = Vec::new();
    let Some(asked) = request.topics else {
        for topic in catalog.topics.values() {
            let all = (0..).map(PartitionId).take(topic.partitions.len());
            topics.push(sizes(context, topic, all).await?);
        }
        return Ok(topics);
    };
    let mut wanted: BTreeMap<String, BTreeSet<PartitionId>> = BTreeMap::new();
    let mut pace = Pace::default();
    for topic in asked {
        let partitions = wanted.entry(topic.topic).or_default();
        for partition in topic.partitions {
            partitions.insert(partition);
            pace.partition(0).await;
        }
    }
    for (name, partitions) in wanted {
        pace.partition(0).await;
        let Some(topic) = catalog.topic(&name) else { continue };
        let measured = sizes(context, topic, partitions.into_iter()).await?;
        topics.extend((!measured.partitions.is_empty()).then_some(measured));
    }
    Ok(topics)
}

/// The sizes of those of the partitions that exist.
async fn sizes(
    context: &mut Context,
    topic: &Topic,
    mut partitions: impl Iterator<Item = PartitionId>,
) -> Result<DescribeLogDirsTopic, Fatal> {
    let mut answers = Vec::new();
    context.grow(TOPIC_BYTES + topic.name.len()).await;
    loop {
        let some: Vec<PartitionId> = partitions.by_ref().take(MEASURED_MAX).collect();
        if some.is_empty() {
            break;
        }
        context.grow(some.len() * PARTITION_BYTES).await;
        let found = some.iter().filter_map(|id| Some((*id, topic.place(*id)?)));
        let (ids, places): (Vec<_>, Vec<_>) = found.unzip();
        let sizes = context.broker.partition_sizes(places).await?;
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
