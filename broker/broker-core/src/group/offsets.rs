//! Committed offsets: commit, delete, expiry (KIP-211), and what goes when a topic goes.

use crate::group::error::GroupError;
use crate::group::machine::{Ctx, Group};
use crate::group::record::{GroupRecord, OffsetCommitted};
use crate::group::types::{
    CommitPartition, CommitRequest, CommittedOffset, GroupConfig, GroupState, PartitionResult,
    ReplyBody, TopicPartition,
};
use log_types::{PartitionId, TopicId};

impl Group {
    pub(super) fn commit(&mut self, req: CommitRequest, ctx: &mut Ctx<'_>) {
        let refused = self.check_commit(&req).err();
        if refused.is_none() && req.generation >= 0 {
            self.touch_member(&req.member_id, ctx.now_ms);
        }
        let expires_at_ms = req.retention_ms.map(|ms| ctx.now_ms.saturating_add(ms));
        let mut results = Vec::with_capacity(req.partitions.len());
        for partition in req.partitions {
            let too_large = partition.metadata.len() > ctx.config.offset_metadata_bytes_max;
            let error = refused.or(too_large.then_some(GroupError::OffsetMetadataTooLarge));
            results.push(PartitionResult {
                topic: partition.topic.clone(),
                partition: partition.partition,
                error,
            });
            if error.is_none() {
                self.commit_one(partition, expires_at_ms, ctx);
            }
        }
        ctx.reply(req.reply_to, ReplyBody::Commit(results));
    }

    /// Members commit in their generation; a consumer without a group may commit while nobody is a member.
    fn check_commit(&self, req: &CommitRequest) -> Result<(), GroupError> {
        let anonymous = req.member_id.is_empty() && req.instance_id.is_none();
        if req.generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if req.generation < 0 && anonymous {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_member(&req.member_id, req.instance_id.as_deref())?;
        if req.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    fn commit_one(
        &mut self,
        partition: CommitPartition,
        expires_at_ms: Option<i64>,
        ctx: &mut Ctx<'_>,
    ) {
        let value = CommittedOffset {
            topic_id: partition.topic_id,
            offset: partition.offset,
            leader_epoch: partition.leader_epoch,
            metadata: partition.metadata,
            committed_at_ms: ctx.now_ms,
            expires_at_ms,
        };
        let committed = OffsetCommitted {
            group_id: self.id.clone(),
            topic: partition.topic,
            partition: partition.partition,
            value,
        };
        let before = self.put_offset(&committed);
        ctx.out.before.push(before);
        ctx.out.records.push(GroupRecord::OffsetCommitted(committed));
    }

    /// The one that it replaces.
    pub(super) fn put_offset(&mut self, committed: &OffsetCommitted) -> Option<CommittedOffset> {
        let partitions = match self.offsets.get_mut(&committed.topic) {
            Some(partitions) => partitions,
            None => self.offsets.entry(committed.topic.clone()).or_default(),
        };
        partitions.insert(committed.partition, committed.value.clone())
    }

    /// The one that was there.
    pub(super) fn remove_offset(
        &mut self,
        topic: &str,
        partition: PartitionId,
    ) -> Option<CommittedOffset> {
        let partitions = self.offsets.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.offsets.remove(topic);
        }
        removed
    }

    /// The one that was there.
    fn delete_offset(
        &mut self,
        topic: &str,
        partition: PartitionId,
        ctx: &mut Ctx<'_>,
    ) -> Option<CommittedOffset> {
        let removed = self.remove_offset(topic, partition)?;
        let (group_id, topic) = (self.id.clone(), topic.to_owned());
        ctx.out.records.push(GroupRecord::OffsetDeleted { group_id, topic, partition });
        Some(removed)
    }

    /// The committed offset, unless it was committed for another topic of the same name.
    pub(super) fn offset(
        &self,
        topic: &str,
        topic_id: TopicId,
        partition: PartitionId,
    ) -> Option<&CommittedOffset> {
        let none = TopicId::default();
        let same = |own: TopicId| own == topic_id || own == none || topic_id == none;
        let committed = self.offsets.get(topic)?.get(&partition)?;
        same(committed.topic_id).then_some(committed)
    }

    /// OffsetDelete (KIP-496).
    pub(super) fn delete_offsets(
        &mut self,
        partitions: &[TopicPartition],
        ctx: &mut Ctx<'_>,
    ) -> Result<Vec<PartitionResult>, GroupError> {
        let consumer = self.protocol_type.as_deref() == Some("consumer");
        if self.state != GroupState::Empty && !consumer {
            return Err(GroupError::NonEmptyGroup);
        }
        let mut results = Vec::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            let subscribed = self.is_subscribed(topic);
            if !subscribed && let Some(removed) = self.delete_offset(topic, *partition, ctx) {
                ctx.out.before.push(Some(removed));
            }
            results.push(PartitionResult {
                topic: topic.clone(),
                partition: *partition,
                error: subscribed.then_some(GroupError::GroupSubscribedToTopic),
            });
        }
        Ok(results)
    }

    fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().is_some_and(|topics| topics.contains(topic))
    }

    pub(super) fn forget_topic(&mut self, topic: &str, topic_id: TopicId, ctx: &mut Ctx<'_>) {
        let Some(partitions) = self.offsets.get(topic) else { return };
        let of_topic = |own: TopicId| own == topic_id || own == TopicId::default();
        let mine = partitions.iter().filter(|(_, committed)| of_topic(committed.topic_id));
        let partitions: Vec<PartitionId> = mine.map(|(partition, _)| *partition).collect();
        for partition in partitions {
            self.delete_offset(topic, partition, ctx);
        }
    }

    /// Drops offsets whose retention ended. True when nothing is left that is worth keeping the group for.
    pub(super) fn expire_offsets(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let mut expired = Vec::new();
        for (topic, partitions) in &self.offsets {
            for (partition, committed) in partitions {
                let at_ms = self.offset_expiry_ms(topic, committed, ctx.config);
                if at_ms.is_some_and(|at_ms| at_ms <= ctx.now_ms) {
                    expired.push((topic.clone(), *partition));
                }
            }
        }
        for (topic, partition) in expired {
            self.delete_offset(&topic, partition, ctx);
        }
        self.state == GroupState::Empty
            && self.offsets.is_empty()
            && self.pending_members.is_empty()
    }

    /// None while the offset is in use: its group has members that read the topic, or may.
    fn offset_expiry_ms(
        &self,
        topic: &str,
        committed: &CommittedOffset,
        config: &GroupConfig,
    ) -> Option<i64> {
        let since_ms = match (&self.protocol_type, self.state) {
            (None, _) => committed.committed_at_ms,
            // An offset set while the group was already empty (an administrator's reset) counts from its commit.
            (Some(_), GroupState::Empty) => self.state_since_ms.max(committed.committed_at_ms),
            (Some(_), GroupState::Stable)
                if self.subscribed.is_some() && !self.is_subscribed(topic) =>
            {
                committed.committed_at_ms
            }
            _ => return None,
        };
        let retained_until_ms = since_ms.saturating_add(config.offsets_retention_ms);
        Some(committed.expires_at_ms.unwrap_or(retained_until_ms))
    }
}
