//! What is readable of each partition.

use query_api::Error;

use super::NodeHandle;

/// Partitions that are told at a time: a page of metrics is for fewer.
const PARTITIONS_MAX: usize = 100_000;

/// The readable part of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    pub topic: String,
    pub partition: usize,
    /// Offset of the first record that is kept.
    pub start: i64,
    /// The high watermark: offset of the next record that consumers will see.
    pub end: i64,
}

impl NodeHandle {
    /// The range of every partition, by topic and number; of very many only the first.
    ///
    /// # Errors
    /// `Unavailable` when the node is stopping.
    pub async fn partition_ranges(&self) -> Result<Vec<PartitionRange>, Error> {
        let catalog = self.catalog().await?;
        let topics = catalog.topics.values();
        let partitions = topics.flat_map(|topic| {
            let places = topic.partitions.iter().enumerate();
            places.map(move |(partition, place)| (topic.name.as_str(), partition, *place))
        });
        let partitions: Vec<_> = partitions.take(PARTITIONS_MAX).collect();
        let ranges = self.ranges(partitions.iter().map(|(.., place)| *place).collect()).await?;
        let range = |((topic, partition, _), (start, end)): ((&str, usize, _), (i64, i64))| {
            PartitionRange { topic: topic.to_owned(), partition, start, end }
        };
        Ok(partitions.into_iter().zip(ranges).map(range).collect())
    }
}
