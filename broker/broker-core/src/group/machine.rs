//! The group itself: its state, the rebalance transitions that every request shares, and its timers.
//!
//! Invariants:
//! - `join_timer` is set exactly while preparing; `sync_deadline_ms` at most while completing or stable.
//! - `leader` is a member whenever there are members.
//! - `static_members` maps the instance id of every member that has one.
//! - `logged` is the last metadata record that was emitted or applied.

use crate::group::error::GroupError;
use crate::group::member::Member;
use crate::group::record::{GroupMetadata, GroupRecord, MemberMetadata};
use crate::group::subscription::subscribed_topics;
use crate::group::types::{
    CommittedOffset, GroupConfig, GroupState, JoinMember, JoinReply, Outputs, Reply, ReplyBody,
    ReplyTo, SyncReply,
};
use bytes::Bytes;
use log_types::PartitionId;
use std::collections::{BTreeMap, BTreeSet};

/// What every step needs: the time, the settings, and where results go.
pub(super) struct Ctx<'a> {
    pub(super) now_ms: i64,
    pub(super) config: &'a GroupConfig,
    pub(super) out: &'a mut Outputs,
}

impl Ctx<'_> {
    pub(super) fn reply(&mut self, to: ReplyTo, body: ReplyBody) {
        self.out.replies.push(Reply { to, body });
    }

    fn after(&self, delay_ms: i32) -> i64 {
        self.now_ms.saturating_add(i64::from(delay_ms.max(0)))
    }
}

/// Ends the join phase.
#[derive(Clone, Copy, Debug)]
struct JoinTimer {
    at_ms: i64,
    /// The first rebalance of a group may be prolonged while members keep arriving (KIP-134).
    initial: Option<InitialDelay>,
}

#[derive(Clone, Copy, Debug)]
struct InitialDelay {
    delay_ms: i32,
    remaining_ms: i32,
}

/// One classic group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) state: GroupState,
    previous_state: GroupState,
    pub(super) state_since_ms: i64,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) static_members: BTreeMap<String, String>,
    /// Member ids handed out and not yet used, with their deadline (KIP-394).
    pub(super) pending_members: BTreeMap<String, i64>,
    /// Members of this generation that have not synced.
    pub(super) pending_sync: BTreeSet<String>,
    /// None: not known, the subscriptions do not parse or the group is no consumer group.
    pub(super) subscribed: Option<BTreeSet<String>>,
    new_member_added: bool,
    join_timer: Option<JoinTimer>,
    sync_deadline_ms: Option<i64>,
    pub(super) offsets: BTreeMap<String, BTreeMap<PartitionId, CommittedOffset>>,
    pub(super) logged: Option<GroupMetadata>,
}

/// What a promised member id takes besides the id.
const PROMISE_BYTES: usize = 64;

impl Group {
    pub(super) fn new(id: String, now_ms: i64) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            previous_state: GroupState::Empty,
            state_since_ms: now_ms,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            subscribed: None,
            new_member_added: false,
            join_timer: None,
            sync_deadline_ms: None,
            offsets: BTreeMap::new(),
            logged: None,
        }
    }

    /// Takes over the durable part of a group: the state after load.
    pub(super) fn restore(&mut self, metadata: &GroupMetadata) {
        let protocol = metadata.protocol_name.as_deref();
        self.members = metadata
            .members
            .iter()
            .map(|member| (member.member_id.clone(), Member::from_metadata(member, protocol)))
            .collect();
        self.static_members = metadata
            .members
            .iter()
            .filter_map(|member| Some((member.instance_id.clone()?, member.member_id.clone())))
            .collect();
        self.state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.previous_state = self.state;
        self.state_since_ms = metadata.state_since_ms;
        self.generation = metadata.generation;
        self.protocol_type.clone_from(&metadata.protocol_type);
        self.protocol_name.clone_from(&metadata.protocol_name);
        self.leader.clone_from(&metadata.leader);
        self.pending_sync.clear();
        self.subscribed = self.compute_subscribed();
        self.logged = Some(metadata.clone());
    }

    // --- getters -------------------------------------------------------------------------------------------------

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// What its members take, and the ids that were promised, in bytes.
    pub(super) fn member_bytes(&self) -> usize {
        let members = self.members.values().map(Member::bytes).sum::<usize>();
        let promised = self.pending_members.keys().map(|id| PROMISE_BYTES + id.len());
        members + promised.sum::<usize>()
    }

    pub(super) fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    fn all_joined(&self) -> bool {
        self.pending_members.is_empty()
            && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest rebalance timeout of the members, 0 without members.
    fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Checks that a request comes from a current member (KIP-345: and not from a replaced instance).
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            return match self.static_members.get(instance_id) {
                None => Err(GroupError::UnknownMemberId),
                Some(current) if current != member_id => Err(GroupError::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// The protocol most members prefer among those all speak; ties go to the smaller name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let spoken = |name: &str| self.members.values().all(|member| member.supports(name));
        let common: BTreeSet<&str> = first
            .protocols
            .iter()
            .map(|own| own.name.as_str())
            .filter(|name| spoken(name))
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|own| own.name.as_str());
            if let Some(choice) = names.find(|name| common.contains(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|&(_, count)| count == most).map(|(name, _)| name.to_owned())
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some("consumer") {
            return None;
        }
        let mut topics = BTreeSet::new();
        let Some(protocol) = self.protocol_name.as_deref() else {
            return self.members.is_empty().then_some(topics);
        };
        let parsed = self
            .members
            .values()
            .all(|member| subscribed_topics(&member.metadata(protocol), &mut topics));
        parsed.then_some(topics)
    }

    /// The join reply of a member for the current generation.
    pub(super) fn join_reply(&self, member_id: &str) -> JoinReply {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let member = |(id, member): (&String, &Member)| JoinMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        let leads = self.is_leader(member_id);
        JoinReply {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if leads { self.members.iter().map(member).collect() } else { Vec::new() },
        }
    }

    pub(super) fn sync_reply(&self, assignment: Bytes) -> SyncReply {
        SyncReply {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }

    /// When [`Group::tick`] has something to do, as far as known: requests may since have moved it later.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        let members = self.members.values().filter_map(Member::expiry_ms);
        let pending = self.pending_members.values().copied();
        let timers =
            self.join_timer.map(|timer| timer.at_ms).into_iter().chain(self.sync_deadline_ms);
        members.chain(pending).chain(timers).min()
    }

    // --- records -------------------------------------------------------------------------------------------------

    fn metadata(&self) -> GroupMetadata {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let members = self.members.iter().map(|(id, member)| MemberMetadata {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        GroupMetadata {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_since_ms: self.state_since_ms,
            members: members.collect(),
        }
    }

    /// Emits the group's durable part; only in Empty and Stable, the states a restart can go on from.
    pub(super) fn log_metadata(&mut self, ctx: &mut Ctx<'_>) {
        assert!(
            matches!(self.state, GroupState::Empty | GroupState::Stable),
            "group metadata is logged in {}",
            self.state
        );
        let metadata = self.metadata();
        self.logged = Some(metadata.clone());
        ctx.out.records.push(GroupRecord::Metadata { group_id: self.id.clone(), metadata });
    }

    // --- transitions ---------------------------------------------------------------------------------------------

    pub(super) fn enter(&mut self, state: GroupState, now_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_since_ms = now_ms;
    }

    /// A member joined while the first rebalance is being delayed: the delay may be prolonged.
    pub(super) fn note_new_member(&mut self) {
        if self.state == GroupState::PreparingRebalance && self.previous_state == GroupState::Empty
        {
            self.new_member_added = true;
        }
    }

    /// Removes a member and answers what it waits for with UNKNOWN_MEMBER_ID, so that a live client starts over.
    pub(super) fn remove_member(&mut self, member_id: &str, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.remove(member_id) else { return };
        let error = GroupError::UnknownMemberId;
        if let Some(to) = member.awaiting_join {
            ctx.reply(to, ReplyBody::Join(JoinReply::failed(error, "")));
        }
        if let Some(to) = member.awaiting_sync {
            ctx.reply(to, ReplyBody::Sync(SyncReply::failed(error)));
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        self.pending_sync.remove(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// After members left: starts a rebalance, or ends the join phase they were holding up.
    pub(super) fn rebalance_or_complete(&mut self, ctx: &mut Ctx<'_>) {
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance | GroupState::Empty => {
                self.prepare_rebalance(ctx);
            }
            GroupState::PreparingRebalance => self.complete_join_if_all(ctx),
            GroupState::Dead => {}
        }
    }

    /// The first rebalance waits for its timer even when all known members have joined.
    pub(super) fn complete_join_if_all(&mut self, ctx: &mut Ctx<'_>) {
        let preparing = self.state == GroupState::PreparingRebalance;
        if preparing && self.previous_state != GroupState::Empty && self.all_joined() {
            self.complete_join(ctx);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, ctx: &mut Ctx<'_>) {
        self.abort_sync(ctx);
        let initial = self.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance, ctx.now_ms);
        if initial {
            let delay_ms = ctx.config.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            let initial = Some(InitialDelay { delay_ms, remaining_ms });
            self.join_timer = Some(JoinTimer { at_ms: ctx.after(delay_ms), initial });
        } else if self.all_joined() {
            self.complete_join(ctx);
        } else {
            let at_ms = ctx.after(self.rebalance_timeout_ms());
            self.join_timer = Some(JoinTimer { at_ms, initial: None });
        }
    }

    /// Sends members that wait for an assignment back to joining.
    fn abort_sync(&mut self, ctx: &mut Ctx<'_>) {
        self.pending_sync.clear();
        self.sync_deadline_ms = None;
        if self.state != GroupState::CompletingRebalance {
            return;
        }
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(to) = member.awaiting_sync.take() {
                let failed = SyncReply::failed(GroupError::RebalanceInProgress);
                ctx.reply(to, ReplyBody::Sync(failed));
                member.touch(ctx.now_ms);
            }
        }
    }

    /// Ends the join phase: absent dynamic members go, the generation advances, every join is answered.
    fn complete_join(&mut self, ctx: &mut Ctx<'_>) {
        self.join_timer = None;
        self.new_member_added = false;
        let absent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for member_id in absent {
            self.remove_member(&member_id, ctx);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only absent static members are left: wait for them or for their sessions to end.
            let at_ms = ctx.after(self.rebalance_timeout_ms());
            self.join_timer = Some(JoinTimer { at_ms, initial: None });
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol_name = None;
            self.subscribed = self.compute_subscribed();
            self.enter(GroupState::Empty, ctx.now_ms);
            self.log_metadata(ctx);
        } else {
            self.protocol_name = self.select_protocol();
            self.subscribed = self.compute_subscribed();
            self.enter(GroupState::CompletingRebalance, ctx.now_ms);
            self.answer_joins(ctx);
            self.sync_deadline_ms = Some(ctx.after(self.rebalance_timeout_ms()));
        }
    }

    /// Keeps the leader when it joined, else takes the first member that did. False when nobody joined.
    fn elect_leader(&mut self) -> bool {
        let joined = |member: &Member| member.awaiting_join.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(joined) {
            return true;
        }
        let first = self.members.iter().find(|(_, member)| joined(member));
        let Some((member_id, _)) = first else { return false };
        self.leader = Some(member_id.clone());
        true
    }

    fn answer_joins(&mut self, ctx: &mut Ctx<'_>) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let reply = self.join_reply(&member_id);
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.touch(ctx.now_ms);
            member.new = false;
            if let Some(to) = member.awaiting_join.take() {
                ctx.reply(to, ReplyBody::Join(reply));
            }
            self.pending_sync.insert(member_id);
        }
    }

    pub(super) fn synced(&mut self, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    // --- time ----------------------------------------------------------------------------------------------------

    /// Starts the sessions of members that were loaded from the log.
    pub(super) fn start_sessions(&mut self, now_ms: i64) {
        for member in self.members.values_mut() {
            if member.deadline_ms.is_none() {
                member.touch(now_ms);
            }
        }
    }

    /// Does everything whose time has come.
    pub(super) fn tick(&mut self, ctx: &mut Ctx<'_>) {
        self.tick_sessions(ctx);
        if self.sync_deadline_ms.is_some_and(|at| at <= ctx.now_ms) {
            self.expire_sync(ctx);
        }
        if let Some(timer) = self.join_timer.filter(|timer| timer.at_ms <= ctx.now_ms) {
            self.expire_join(timer, ctx);
        }
    }

    fn tick_sessions(&mut self, ctx: &mut Ctx<'_>) {
        let now_ms = ctx.now_ms;
        let pending_before = self.pending_members.len();
        self.pending_members.retain(|_, at_ms| *at_ms > now_ms);
        let mut changed = self.pending_members.len() != pending_before;
        let expired = self.members.iter().filter(|(_, member)| member.expired(now_ms));
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        for member_id in &expired {
            self.remove_member(member_id, ctx);
        }
        if !expired.is_empty() {
            self.rebalance_or_complete(ctx);
            changed = false;
        }
        if changed {
            self.complete_join_if_all(ctx);
        }
    }

    /// Members that have not synced in a rebalance timeout are gone (KIP-62's limit applied to the second phase).
    fn expire_sync(&mut self, ctx: &mut Ctx<'_>) {
        self.sync_deadline_ms = None;
        let absent: Vec<String> = self.pending_sync.iter().cloned().collect();
        for member_id in &absent {
            self.remove_member(member_id, ctx);
        }
        if !absent.is_empty() {
            self.prepare_rebalance(ctx);
        }
    }

    fn expire_join(&mut self, timer: JoinTimer, ctx: &mut Ctx<'_>) {
        let Some(initial) = timer.initial else { return self.complete_join(ctx) };
        if !self.new_member_added || initial.remaining_ms == 0 {
            return self.complete_join(ctx);
        }
        self.new_member_added = false;
        let delay_ms = ctx.config.initial_rebalance_delay_ms.min(initial.remaining_ms);
        let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms).max(0);
        let initial = Some(InitialDelay { delay_ms, remaining_ms });
        self.join_timer = Some(JoinTimer { at_ms: ctx.after(delay_ms), initial });
    }
}

impl JoinReply {
    pub(super) fn failed(error: GroupError, member_id: &str) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

impl SyncReply {
    pub(super) fn failed(error: GroupError) -> Self {
        Self {
            error: Some(error),
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}
