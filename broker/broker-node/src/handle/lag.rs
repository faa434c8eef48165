//! How far consumer groups are behind.

use std::collections::BTreeMap;

use log_types::ShardId;
use query_api::Error;

use super::{NodeHandle, stopped};

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
                let shard = core.shards.get(&shard);
                let commits = shard.map(|shard| shard.commits(COMMITS_PER_SHARD_MAX));
                Box::pin(async move { commits.unwrap_or_default() })
            });
            commits.extend(asked.await.map_err(stopped)?);
        }
        let catalog = self.catalog().await?;
        // A topic that was deleted has no end to be behind of.
        commits.retain(|commit| {
            let topic = catalog.topics.get(&commit.topic);
            topic.is_some_and(|topic| topic.place(commit.partition).is_some())
        });
        let places = commits.iter().filter_map(|commit| {
            catalog.topics.get(&commit.topic).and_then(|topic| topic.place(commit.partition))
        });
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
