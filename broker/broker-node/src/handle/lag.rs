//! How far consumer groups are behind.

use std::collections::BTreeMap;

use broker_core::catalog::{Catalog, PartitionPlace};
use log_types::{ShardId, TopicId};
use query_api::Error;

use super::{NodeHandle, stopped};
use crate::shard::Commit;

/// Committed offsets that one shard tells at a time: a page of metrics is for fewer.
const COMMITS_PER_SHARD_MAX: usize = 10_000;

/// The distance between a group's committed offsets on a topic and the ends of those partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLag {
    pub group: String,
    pub topic: String,
    pub records: u64,
}

impl NodeHandle {
    /// The lag of every group on every topic it has committed for, by name; of many thousand only a part.
    ///
    /// # Errors
    /// `Unavailable` when the node is stopping.
    pub async fn group_lags(&self) -> Result<Vec<GroupLag>, Error> {
        let router = &self.shared.router;
        let mut commits = Vec::new();
        for shard in (0..router.shard_count()).map(ShardId) {
            let asked = router.submit(router.core_of(shard), move |core| {
                let shard = core.shards.get(&shard).cloned();
                Box::pin(async move {
                    match shard {
                        Some(shard) => shard.commits(COMMITS_PER_SHARD_MAX).await,
                        None => Vec::new(),
                    }
                })
            });
            commits.extend(asked.await.map_err(stopped)?);
        }
        let catalog = self.catalog().await?;
        commits.retain(|commit| place_of(commit, &catalog).is_some());
        let places = commits.iter().filter_map(|commit| place_of(commit, &catalog));
        let ranges = self.ranges(places.collect()).await?;
        let mut lags: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (commit, (_, end)) in commits.into_iter().zip(ranges) {
            let behind = u64::try_from(end.saturating_sub(commit.offset.0)).unwrap_or(0);
            *lags.entry((commit.group, commit.topic)).or_default() += behind;
        }
        let lag = |((group, topic), records)| GroupLag { group, topic, records };
        Ok(lags.into_iter().map(lag).collect())
    }
}

/// Where the partition lies. One of a topic that was deleted has no end to be behind of, also when another has its name.
fn place_of(commit: &Commit, catalog: &Catalog) -> Option<PartitionPlace> {
    let topic = catalog.topics.get(&commit.topic)?;
    let same = commit.topic_id == topic.id || commit.topic_id == TopicId::default();
    same.then(|| topic.place(commit.partition)).flatten()
}

#[cfg(test)]
mod tests;
