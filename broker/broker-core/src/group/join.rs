//! JoinGroup: new, pending, known and static members.

use crate::group::error::GroupError;
use crate::group::machine::{Ctx, Group};
use crate::group::member::Member;
use crate::group::types::{GroupState, JoinReply, JoinRequest, Protocol, ReplyBody, SyncReply};

/// Protocols that a member may offer; clients offer one to five. Those of each member are compared with those of every
/// other.
const PROTOCOLS_MAX: usize = 32;

impl Group {
    pub(super) fn join(&mut self, req: &JoinRequest, ctx: &mut Ctx<'_>) {
        if !self.accepts(&req.member_id, ctx.config.group_size_max) {
            self.remove_member(&req.member_id, ctx);
            self.pending_members.remove(&req.member_id);
            fail(req, GroupError::GroupMaxSizeReached, "", ctx);
            return self.complete_join_if_all(ctx);
        }
        if !self.fits(&req.protocol_type, &req.protocols) {
            return fail(req, GroupError::InconsistentGroupProtocol, &req.member_id, ctx);
        }
        if !req.member_id.is_empty() {
            return self.join_known(req, ctx);
        }
        let member_id = new_member_id(req);
        match &req.instance_id {
            Some(instance_id) => match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_static(req, &old_id, member_id, ctx),
                None => self.add(req, member_id, ctx),
            },
            None if req.require_known_member_id => self.promise(req, member_id, ctx),
            None => self.add(req, member_id, ctx),
        }
    }

    /// Room for the member. While preparing, those who wait are counted: the last to rejoin an over-full group go.
    fn accepts(&self, member_id: &str, size_max: usize) -> bool {
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join_count() < size_max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < size_max
            }
        }
    }

    /// The member's type is the group's and one of its protocols is spoken by all.
    fn fits(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() || protocols.len() > PROTOCOLS_MAX {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.members.values().all(|other| other.supports(&protocol.name)))
    }

    /// Hands out a member id to join with, so that a client that gives up leaves no member behind (KIP-394).
    fn promise(&mut self, req: &JoinRequest, member_id: String, ctx: &mut Ctx<'_>) {
        if self.pending_members.len() >= ctx.config.pending_members_max {
            return fail(req, GroupError::GroupMaxSizeReached, "", ctx);
        }
        let until_ms = ctx.now_ms.saturating_add(i64::from(req.session_timeout_ms));
        fail(req, GroupError::MemberIdRequired, &member_id, ctx);
        self.pending_members.insert(member_id, until_ms);
    }

    fn add(&mut self, req: &JoinRequest, member_id: String, ctx: &mut Ctx<'_>) {
        self.pending_members.remove(&member_id);
        self.note_new_member();
        if self.members.is_empty() {
            self.protocol_type = Some(req.protocol_type.clone());
        }
        let mut member = Member::from_join(req);
        let timeout_ms = i64::from(ctx.config.new_member_join_timeout_ms);
        member.deadline_ms = Some(ctx.now_ms.saturating_add(timeout_ms));
        if let Some(instance_id) = &req.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.clone());
        }
        self.members.insert(member_id, member);
        self.rebalance_or_complete(ctx);
    }

    fn join_known(&mut self, req: &JoinRequest, ctx: &mut Ctx<'_>) {
        if self.pending_members.contains_key(&req.member_id) {
            if req.instance_id.is_some() {
                // A promised id is a dynamic member's; no client mixes the two.
                return fail(req, GroupError::UnknownMemberId, &req.member_id, ctx);
            }
            return self.add(req, req.member_id.clone(), ctx);
        }
        if let Err(error) = self.check_member(&req.member_id, req.instance_id.as_deref()) {
            return fail(req, error, &req.member_id, ctx);
        }
        let same = self
            .members
            .get(&req.member_id)
            .is_some_and(|member| member.protocols == req.protocols);
        let leads = self.is_leader(&req.member_id);
        match self.state {
            GroupState::PreparingRebalance => {
                self.rejoin(req, &req.member_id, ctx);
                self.complete_join_if_all(ctx);
            }
            // It lost the reply to its join, or it is a follower that only wants to sync again.
            GroupState::CompletingRebalance if same => self.answer_current(req, ctx),
            GroupState::Stable if same && !leads => self.answer_current(req, ctx),
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.rejoin(req, &req.member_id, ctx);
                self.prepare_rebalance(ctx);
            }
            GroupState::Empty | GroupState::Dead => {
                fail(req, GroupError::UnknownMemberId, &req.member_id, ctx);
            }
        }
    }

    fn answer_current(&mut self, req: &JoinRequest, ctx: &mut Ctx<'_>) {
        let reply = self.join_reply(&req.member_id);
        if let Some(member) = self.members.get_mut(&req.member_id) {
            member.touch(ctx.now_ms);
        }
        ctx.reply(req.reply_to, ReplyBody::Join(reply));
    }

    /// Takes over the new protocols and timeouts, and parks the request.
    fn rejoin(&mut self, req: &JoinRequest, member_id: &str, ctx: &mut Ctx<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.protocols.clone_from(&req.protocols);
        member.session_timeout_ms = req.session_timeout_ms;
        member.rebalance_timeout_ms = req.rebalance_timeout_ms;
        // It knows its id, so its client is alive: from here on waiting keeps it.
        member.new = false;
        member.touch(ctx.now_ms);
        if let Some(earlier) = member.awaiting_join.replace(req.reply_to) {
            let failed = JoinReply::failed(GroupError::RebalanceInProgress, member_id);
            ctx.reply(earlier, ReplyBody::Join(failed));
        }
    }

    /// A static member came back without its member id: the old id is fenced and the new one takes its place (KIP-345).
    fn replace_static(
        &mut self,
        req: &JoinRequest,
        old_id: &str,
        member_id: String,
        ctx: &mut Ctx<'_>,
    ) {
        let old_leader = self.leader.clone().unwrap_or_default();
        let Some(mut member) = self.members.remove(old_id) else { return };
        if let Some(to) = member.awaiting_join.take() {
            let failed = JoinReply::failed(GroupError::FencedInstanceId, old_id);
            ctx.reply(to, ReplyBody::Join(failed));
        }
        if let Some(to) = member.awaiting_sync.take() {
            ctx.reply(to, ReplyBody::Sync(SyncReply::failed(GroupError::FencedInstanceId)));
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(member_id.clone());
        }
        if self.is_leader(old_id) {
            self.leader = Some(member_id.clone());
        }
        if let Some(instance_id) = &req.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        member.client_id.clone_from(&req.client_id);
        member.client_host.clone_from(&req.client_host);
        self.members.insert(member_id.clone(), member);
        self.rejoin(req, &member_id, ctx);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol_name => {
                self.answer_replacement(req, member_id, old_leader, ctx);
            }
            // The leader may already be assigning partitions to the old id.
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(ctx),
            _ => self.complete_join_if_all(ctx),
        }
    }

    /// Nothing changed but the id: no rebalance. Old clients that lead would compute an assignment on every restart,
    /// so they are told of the old leader; newer ones learn that they lead and may skip it (KIP-814).
    fn answer_replacement(
        &mut self,
        req: &JoinRequest,
        member_id: String,
        old_leader: String,
        ctx: &mut Ctx<'_>,
    ) {
        let mut reply = self.join_reply(&member_id);
        if req.skip_assignment_supported {
            reply.skip_assignment = self.is_leader(&member_id);
        } else {
            reply.members.clear();
            reply.leader = old_leader;
        }
        if let Some(member) = self.members.get_mut(&member_id) {
            member.awaiting_join = None;
        }
        self.log_metadata(ctx);
        ctx.reply(req.reply_to, ReplyBody::Join(reply));
    }
}

fn fail(req: &JoinRequest, error: GroupError, member_id: &str, ctx: &mut Ctx<'_>) {
    ctx.reply(req.reply_to, ReplyBody::Join(JoinReply::failed(error, member_id)));
}

/// `<client or instance id>-<random UUID>`.
fn new_member_id(req: &JoinRequest) -> String {
    const VERSION_MASK: u128 = 0xf << 76;
    const VERSION_4: u128 = 4 << 76;
    const VARIANT_MASK: u128 = 3 << 62;
    const VARIANT_RFC: u128 = 2 << 62;
    let bits = (req.random & !VERSION_MASK & !VARIANT_MASK) | VERSION_4 | VARIANT_RFC;
    let hex = format!("{bits:032x}");
    let prefix = req.instance_id.as_deref().unwrap_or(&req.client_id);
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{prefix}-{a}-{b}-{c}-{d}-{e}")
}
