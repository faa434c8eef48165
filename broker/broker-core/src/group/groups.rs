//! All groups of one shard: routing by group id, timers, listing, and the fold.
//!
//! Invariants:
//! - `deadlines` holds at most one entry per group, never later than the group's true deadline. Heartbeats do not move
//!   it: a tick that comes early finds nothing to do and sets it anew.
//! - `member_bytes` is the sum of what the slots' members take. It is counted anew whenever members came, went or were given
//!   something, and checked before that.

use crate::group::error::GroupError;
use crate::group::machine::{Ctx, Group};
use crate::group::record::{GroupRecord, OffsetCommitted};
use crate::group::types::{
    CommitRequest, CommittedOffset, GroupConfig, GroupDescription, GroupListing, GroupPage,
    GroupState, HeartbeatRequest, JoinReply, JoinRequest, LeaveRequest, MemberDescription, Outputs,
    PartitionResult, ReplyBody, ReplyTo, SyncReply, SyncRequest, TopicPartition,
};
use log_types::{PartitionId, TopicId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

#[derive(Debug)]
struct Slot {
    group: Group,
    deadline_ms: Option<i64>,
    /// What its members take, as counted last.
    bytes: usize,
}

/// Whether a group's members may take more.
enum Room {
    Enough,
    /// The group has what one may have: asking again is no use.
    GroupFull,
    /// All groups of the shard together do: who asks again may have room, and has done nothing wrong.
    ShardFull,
}

/// The coordinator of one shard's groups.
///
/// After a restart: [`Groups::apply`] every record since the last [`Groups::export`], then [`Groups::start_sessions`], then
/// requests.
#[derive(Debug)]
pub struct Groups {
    config: GroupConfig,
    slots: BTreeMap<String, Slot>,
    deadlines: BTreeSet<(i64, String)>,
    expiry_check_ms: Option<i64>,
    member_bytes: usize,
}

impl Groups {
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        let (slots, deadlines) = (BTreeMap::new(), BTreeSet::new());
        Self { config, slots, deadlines, expiry_check_ms: None, member_bytes: 0 }
    }

    // --- requests ------------------------------------------------------------------------------------------------

    /// JoinGroup. Answered at once on errors, else when the rebalance completes.
    pub fn handle_join(&mut self, now_ms: i64, req: &JoinRequest) -> Outputs {
        let range = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        let known = self.slots.contains_key(&req.group_id);
        let refused = if req.group_id.is_empty() {
            Some(GroupError::InvalidGroupId)
        } else if !range.contains(&req.session_timeout_ms) {
            Some(GroupError::InvalidSessionTimeout)
        } else if !known && !req.member_id.is_empty() {
            Some(GroupError::UnknownMemberId)
        } else if !known && self.is_full() {
            Some(GroupError::TooManyGroups)
        } else {
            let room = self.room(&req.group_id, |group| bytes_joined(group, req));
            match room {
                Room::Enough => None,
                Room::GroupFull => Some(GroupError::GroupMaxSizeReached),
                Room::ShardFull => Some(GroupError::CoordinatorLoadInProgress),
            }
        };
        if let Some(error) = refused {
            let body = ReplyBody::Join(JoinReply::failed(error, &req.member_id));
            return answer(req.reply_to, body);
        }
        let mut out = Outputs::default();
        self.with_new(&req.group_id, now_ms, &mut out, |group, ctx| group.join(req, ctx));
        self.weigh(&req.group_id);
        out
    }

    /// SyncGroup. Answered at once in a stable group and on errors, else when the leader has synced.
    pub fn handle_sync(&mut self, now_ms: i64, req: &SyncRequest) -> Outputs {
        let mut out = Outputs::default();
        let refused = if !self.slots.contains_key(&req.group_id) {
            Some(GroupError::UnknownMemberId)
        } else {
            let room = self.room(&req.group_id, |group| bytes_assigned(group, req));
            match room {
                Room::Enough => None,
                Room::GroupFull => Some(GroupError::GroupMaxSizeReached),
                // Java's client takes "loading" for fatal here, and joins again, after a pause, after this.
                Room::ShardFull => Some(GroupError::CoordinatorNotAvailable),
            }
        };
        if let Some(error) = refused {
            return answer(req.reply_to, ReplyBody::Sync(SyncReply::failed(error)));
        }
        self.with(&req.group_id, now_ms, &mut out, |group, ctx| group.sync(req, ctx));
        if !req.assignments.is_empty() {
            self.weigh(&req.group_id);
        }
        out
    }

    /// Heartbeat: changes nothing durable, so the result is the answer.
    ///
    /// # Errors
    /// REBALANCE_IN_PROGRESS: join again. UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION: not a member (now).
    pub fn handle_heartbeat(
        &mut self,
        now_ms: i64,
        req: &HeartbeatRequest,
    ) -> Result<(), GroupError> {
        let slot = self.slots.get_mut(&req.group_id).ok_or(GroupError::UnknownMemberId)?;
        slot.group.heartbeat(req, now_ms)
    }

    /// LeaveGroup, one result per member.
    pub fn handle_leave(&mut self, now_ms: i64, req: LeaveRequest) -> Outputs {
        let mut out = Outputs::default();
        let group_id = req.group_id.clone();
        if !self.slots.contains_key(&group_id) {
            let unknown = |member| (member, Some(GroupError::UnknownMemberId));
            let results = req.members.into_iter().map(unknown).collect();
            return answer(req.reply_to, ReplyBody::Leave(results));
        }
        self.with(&group_id, now_ms, &mut out, |group, ctx| group.leave(req, ctx));
        self.weigh(&group_id);
        out
    }

    /// OffsetCommit, one result per partition; GROUP_ID_NOT_FOUND for a member of a group that does not exist.
    pub fn handle_commit(&mut self, now_ms: i64, req: CommitRequest) -> Outputs {
        // An empty group id is a group like any other here: old clients commit under it.
        let known = self.slots.contains_key(&req.group_id);
        let refused = if !known && req.generation >= 0 {
            Some(GroupError::GroupIdNotFound)
        } else if !known && self.is_full() {
            Some(GroupError::TooManyGroups)
        } else {
            None
        };
        if refused.is_some() {
            let refuse = |partition: super::CommitPartition| PartitionResult {
                topic: partition.topic,
                partition: partition.partition,
                error: refused,
            };
            let results = req.partitions.into_iter().map(refuse).collect();
            return answer(req.reply_to, ReplyBody::Commit(results));
        }
        let mut out = Outputs::default();
        let group_id = req.group_id.clone();
        self.with_new(&group_id, now_ms, &mut out, |group, ctx| group.commit(req, ctx));
        out
    }

    /// Undoes what a record that was not logged has done to an offset: its partition has what it had before. The last one
    /// comes first. A group that a commit made stays until its next check for expiry.
    pub fn take_back(&mut self, record: GroupRecord, before: Option<CommittedOffset>) {
        let (group_id, topic, partition) = match record {
            GroupRecord::OffsetCommitted(OffsetCommitted {
                group_id, topic, partition, ..
            })
            | GroupRecord::OffsetDeleted { group_id, topic, partition } => {
                (group_id, topic, partition)
            }
            GroupRecord::Metadata { .. } | GroupRecord::Deleted { .. } => return,
        };
        let Some(slot) = self.slots.get_mut(&group_id) else { return };
        match before {
            None => {
                slot.group.remove_offset(&topic, partition);
            }
            Some(value) => {
                slot.group.put_offset(&OffsetCommitted { group_id, topic, partition, value });
            }
        }
    }

    /// What DeleteGroups of this group would log.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn plan_deletion(&self, group_id: &str) -> Result<GroupRecord, GroupError> {
        match self.slots.get(group_id).map(|slot| slot.group.state) {
            None => Err(GroupError::GroupIdNotFound),
            Some(GroupState::Empty) => Ok(GroupRecord::Deleted { group_id: group_id.to_owned() }),
            Some(_) => Err(GroupError::NonEmptyGroup),
        }
    }

    /// DeleteGroups: NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND when there is none.
    pub fn handle_delete_groups(&mut self, reply_to: ReplyTo, group_ids: Vec<String>) -> Outputs {
        let mut out = Outputs::default();
        let mut results = Vec::with_capacity(group_ids.len());
        for group_id in group_ids {
            let planned = self.plan_deletion(&group_id);
            if planned.is_ok() {
                self.remove(&group_id, &mut out);
            }
            results.push((group_id, planned.err()));
        }
        out.replies.push(super::Reply { to: reply_to, body: ReplyBody::DeleteGroups(results) });
        out
    }

    /// OffsetDelete (KIP-496).
    pub fn handle_delete_offsets(
        &mut self,
        now_ms: i64,
        reply_to: ReplyTo,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Outputs {
        let mut out = Outputs::default();
        let result = self
            .with(group_id, now_ms, &mut out, |group, ctx| group.delete_offsets(partitions, ctx));
        let result = result.unwrap_or(Err(GroupError::GroupIdNotFound));
        out.replies.push(super::Reply { to: reply_to, body: ReplyBody::DeleteOffsets(result) });
        out
    }

    /// A topic was deleted: its offsets go, in every group. Those of a topic that has its name since stay.
    pub fn handle_topic_deleted(&mut self, now_ms: i64, topic: &str, topic_id: TopicId) -> Outputs {
        let mut out = Outputs::default();
        let mut ctx = Ctx { now_ms, config: &self.config, out: &mut out };
        for slot in self.slots.values_mut() {
            slot.group.forget_topic(topic, topic_id, &mut ctx);
        }
        out
    }

    // --- time ----------------------------------------------------------------------------------------------------

    /// When [`Groups::tick`] must be called next; early calls are harmless.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let first = self.deadlines.first().map(|(at_ms, _)| *at_ms);
        first.into_iter().chain(self.expiry_check_ms).min()
    }

    /// Expires sessions, ends join and sync phases, and now and then expires offsets and groups.
    pub fn tick(&mut self, now_ms: i64) -> Outputs {
        let mut out = Outputs::default();
        while let Some((at_ms, group_id)) = self.deadlines.first().cloned() {
            if at_ms > now_ms {
                break;
            }
            let progress = self.with(&group_id, now_ms, &mut out, |group, ctx| {
                group.tick(ctx);
                group.next_deadline_ms()
            });
            self.weigh(&group_id);
            if progress.is_none() {
                self.deadlines.remove(&(at_ms, group_id));
                continue;
            }
            // A timer that was set for "now" runs at the next tick rather than for ever in this one.
            if progress.flatten().is_some_and(|at_ms| at_ms <= now_ms) {
                self.set_deadline(&group_id, Some(now_ms.saturating_add(1)));
            }
        }
        let interval_ms = self.config.offsets_retention_check_ms;
        match self.expiry_check_ms {
            Some(at_ms) if at_ms <= now_ms => {
                self.expire(now_ms, &mut out);
                self.expiry_check_ms = Some(now_ms.saturating_add(interval_ms));
            }
            Some(_) => {}
            None => self.expiry_check_ms = Some(now_ms.saturating_add(interval_ms)),
        }
        out
    }

    fn expire(&mut self, now_ms: i64, out: &mut Outputs) {
        let mut over = Vec::new();
        let mut ctx = Ctx { now_ms, config: &self.config, out };
        for (group_id, slot) in &mut self.slots {
            if slot.group.expire_offsets(&mut ctx) {
                over.push(group_id.clone());
            }
        }
        for group_id in over {
            self.remove(&group_id, out);
        }
    }

    // --- getters -------------------------------------------------------------------------------------------------

    /// No group can be added: there are `groups_max`. After a restart with a lower limit there may be more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slots.len() >= self.config.groups_max
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// The id of the first group, or of the next one behind `after`, in order.
    #[must_use]
    pub fn id_after(&self, after: Option<&str>) -> Option<String> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.slots.range::<str, _>((from, Bound::Unbounded)).next().map(|(id, _)| id.clone())
    }

    /// The committed offset of a partition; None also for an unknown group, as Kafka answers −1 for both.
    #[must_use]
    pub fn committed(
        &self,
        group_id: &str,
        topic: &str,
        topic_id: TopicId,
        partition: PartitionId,
    ) -> Option<&CommittedOffset> {
        self.slots.get(group_id)?.group.offset(topic, topic_id, partition)
    }

    /// The committed offsets of a group by topic and partition, from behind `after` on (OffsetFetch with a null topic
    /// list).
    pub fn committed_after<'a>(
        &'a self,
        group_id: &str,
        after: Option<(&'a str, PartitionId)>,
    ) -> impl Iterator<Item = (&'a str, PartitionId, &'a CommittedOffset)> {
        let topics = self.slots.get(group_id).into_iter().flat_map(move |slot| {
            let from = after.map_or(Bound::Unbounded, |(topic, _)| Bound::Included(topic));
            slot.group.offsets.range::<str, _>((from, Bound::Unbounded))
        });
        topics.flat_map(move |(topic, partitions)| {
            let from = match after {
                Some((last, partition)) if last == topic => Bound::Excluded(partition),
                _ => Bound::Unbounded,
            };
            partitions
                .range((from, Bound::Unbounded))
                .map(move |(partition, committed)| (topic.as_str(), *partition, committed))
        })
    }

    /// Whether an OffsetFetch that names its member (version 9) comes from a member of the group.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID.
    pub fn check_fetch_member(&self, group_id: &str, member_id: &str) -> Result<(), GroupError> {
        let slot = self.slots.get(group_id).ok_or(GroupError::UnknownMemberId)?;
        slot.group.check_member(member_id, None)
    }

    /// DescribeGroups. An unknown group is Dead, or an error where `unknown_is_error` (version ≥ 6, KIP-1043).
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND.
    pub fn describe(
        &self,
        group_id: &str,
        unknown_is_error: bool,
    ) -> Result<GroupDescription, GroupError> {
        match self.slots.get(group_id) {
            Some(slot) => Ok(describe(&slot.group)),
            None if unknown_is_error => Err(GroupError::GroupIdNotFound),
            None => Ok(GroupDescription {
                group_id: group_id.to_owned(),
                state: GroupState::Dead,
                protocol_type: String::new(),
                protocol_name: String::new(),
                generation: -1,
                members: Vec::new(),
            }),
        }
    }

    /// ListGroups, by group id: those with one of the states among the first `count_max` behind `after`. Empty `states`
    /// selects every state; otherwise names, in any case (KIP-518).
    #[must_use]
    pub fn list(&self, states: &[String], after: Option<&str>, count_max: usize) -> GroupPage {
        // Looked up once per state, of which there are few, and not once per group.
        let known = GroupState::ALL.into_iter().filter(|state| {
            let name = state.to_string();
            states.is_empty() || states.iter().any(|asked| asked.eq_ignore_ascii_case(&name))
        });
        let known: Vec<GroupState> = known.collect();
        let wanted = |state: GroupState| known.contains(&state);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.slots.range::<str, _>((from, Bound::Unbounded));
        let (mut groups, mut last) = (Vec::new(), None);
        for (id, Slot { group, .. }) in rest.by_ref().take(count_max) {
            last = Some(id);
            if wanted(group.state) {
                groups.push(GroupListing {
                    group_id: group.id.clone(),
                    protocol_type: group.protocol_type.clone().unwrap_or_default(),
                    state: group.state,
                });
            }
        }
        GroupPage { groups, upto: rest.next().and(last).cloned() }
    }

    // --- fold ----------------------------------------------------------------------------------------------------

    /// Folds a durable record in; for replay only, since requests change the state themselves.
    pub fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::OffsetCommitted(committed) => {
                let at_ms = committed.value.committed_at_ms;
                let _ = self.slot(&committed.group_id, at_ms).group.put_offset(committed);
            }
            GroupRecord::OffsetDeleted { group_id, topic, partition } => {
                if let Some(slot) = self.slots.get_mut(group_id) {
                    slot.group.remove_offset(topic, *partition);
                    if slot.group.offsets.is_empty() && slot.group.logged.is_none() {
                        self.slots.remove(group_id);
                    }
                }
            }
            GroupRecord::Metadata { group_id, metadata } => {
                self.slot(group_id, metadata.state_since_ms).group.restore(metadata);
            }
            GroupRecord::Deleted { group_id } => {
                let removed = self.slots.remove(group_id);
                self.member_bytes -= removed.map_or(0, |slot| slot.bytes);
            }
        }
    }

    /// Call once after replay: members get a full session from now on.
    pub fn start_sessions(&mut self, now_ms: i64) {
        let ids: Vec<String> = self.slots.keys().cloned().collect();
        let mut out = Outputs::default();
        for group_id in ids {
            self.with(&group_id, now_ms, &mut out, |group, ctx| group.start_sessions(ctx.now_ms));
            self.weigh(&group_id);
        }
        debug_assert!(out == Outputs::default(), "starting sessions changes nothing durable");
    }

    /// Records that fold to the durable state: a checkpoint. A rebalance under way is not in it; members redo it.
    #[must_use]
    pub fn export(&self) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for (group_id, slot) in &self.slots {
            if let Some(metadata) = &slot.group.logged {
                let (group_id, metadata) = (group_id.clone(), metadata.clone());
                records.push(GroupRecord::Metadata { group_id, metadata });
            }
            for (topic, partitions) in &slot.group.offsets {
                for (partition, value) in partitions {
                    records.push(GroupRecord::OffsetCommitted(OffsetCommitted {
                        group_id: group_id.clone(),
                        topic: topic.clone(),
                        partition: *partition,
                        value: value.clone(),
                    }));
                }
            }
        }
        records
    }

    // --- inside --------------------------------------------------------------------------------------------------

    fn slot(&mut self, group_id: &str, now_ms: i64) -> &mut Slot {
        self.slots.entry(group_id.to_owned()).or_insert_with(|| Slot {
            group: Group::new(group_id.to_owned(), now_ms),
            deadline_ms: None,
            bytes: 0,
        })
    }

    /// Whether there is room for the group when its members take so many more bytes; always when that is none.
    fn room(&self, group_id: &str, more: impl FnOnce(Option<&Group>) -> usize) -> Room {
        let slot = self.slots.get(group_id);
        let more = more(slot.map(|slot| &slot.group));
        let group_bytes = slot.map_or(0, |slot| slot.bytes) + more;
        if more == 0 {
            Room::Enough
        } else if group_bytes > self.config.group_bytes_max {
            Room::GroupFull
        } else if self.member_bytes + more > self.config.member_bytes_max {
            Room::ShardFull
        } else {
            Room::Enough
        }
    }

    /// Counts what the group's members take.
    fn weigh(&mut self, group_id: &str) {
        let Some(slot) = self.slots.get_mut(group_id) else { return };
        let before = std::mem::replace(&mut slot.bytes, slot.group.member_bytes());
        self.member_bytes = self.member_bytes - before + slot.bytes;
    }

    fn with_new<T>(
        &mut self,
        group_id: &str,
        now_ms: i64,
        out: &mut Outputs,
        step: impl FnOnce(&mut Group, &mut Ctx<'_>) -> T,
    ) {
        self.slot(group_id, now_ms);
        self.with(group_id, now_ms, out, step);
    }

    /// Runs `step` on a group and notes its new deadline. None when there is no such group.
    fn with<T>(
        &mut self,
        group_id: &str,
        now_ms: i64,
        out: &mut Outputs,
        step: impl FnOnce(&mut Group, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        let slot = self.slots.get_mut(group_id)?;
        let result = step(&mut slot.group, &mut Ctx { now_ms, config: &self.config, out });
        let deadline_ms = slot.group.next_deadline_ms();
        self.set_deadline(group_id, deadline_ms);
        self.expiry_check_ms
            .get_or_insert(now_ms.saturating_add(self.config.offsets_retention_check_ms));
        Some(result)
    }

    fn set_deadline(&mut self, group_id: &str, deadline_ms: Option<i64>) {
        let Some(slot) = self.slots.get_mut(group_id) else { return };
        if slot.deadline_ms == deadline_ms {
            return;
        }
        if let Some(at_ms) = slot.deadline_ms {
            self.deadlines.remove(&(at_ms, group_id.to_owned()));
        }
        slot.deadline_ms = deadline_ms;
        if let Some(at_ms) = deadline_ms {
            self.deadlines.insert((at_ms, group_id.to_owned()));
        }
    }

    fn remove(&mut self, group_id: &str, out: &mut Outputs) {
        self.set_deadline(group_id, None);
        if let Some(slot) = self.slots.remove(group_id) {
            self.member_bytes -= slot.bytes;
            // A group that never reached the log leaves nothing to delete there, but saying so again is harmless.
            let group_id = slot.group.id;
            out.records.push(GroupRecord::Deleted { group_id });
        }
    }
}

/// By how much the members' bytes grow when this one joins.
fn bytes_joined(group: Option<&Group>, req: &JoinRequest) -> usize {
    let known = group.and_then(|group| {
        let of_instance = req.instance_id.as_ref().and_then(|id| group.static_members.get(id));
        group.members.get(of_instance.unwrap_or(&req.member_id))
    });
    req.bytes().saturating_sub(known.map_or(0, |member| member.bytes() - member.assignment.len()))
}

/// The same when the leader hands out assignments; others hand out none.
fn bytes_assigned(group: Option<&Group>, req: &SyncRequest) -> usize {
    let Some(group) = group.filter(|group| group.is_leader(&req.member_id)) else { return 0 };
    let members = req.assignments.iter().filter(|(id, _)| group.members.contains_key(id));
    let assigned: usize = members.map(|(_, assignment)| assignment.len()).sum();
    let before: usize = group.members.values().map(|member| member.assignment.len()).sum();
    assigned.saturating_sub(before)
}

fn answer(to: ReplyTo, body: ReplyBody) -> Outputs {
    Outputs { replies: vec![super::Reply { to, body }], ..Outputs::default() }
}

fn describe(group: &Group) -> GroupDescription {
    let stable = group.state == GroupState::Stable;
    let protocol = group.protocol_name.as_deref().filter(|_| stable).unwrap_or("");
    let members = group.members.iter().map(|(member_id, member)| MemberDescription {
        member_id: member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(protocol),
        assignment: if stable { member.assignment.clone() } else { bytes::Bytes::new() },
    });
    GroupDescription {
        group_id: group.id.clone(),
        state: group.state,
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol_name: protocol.to_owned(),
        generation: group.generation,
        members: members.collect(),
    }
}
