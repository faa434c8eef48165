//! SyncGroup, Heartbeat and LeaveGroup.

use crate::group::error::GroupError;
use crate::group::machine::{Ctx, Group};
use crate::group::types::{
    GroupState, HeartbeatRequest, LeaveMember, LeaveRequest, ReplyBody, SyncReply, SyncRequest,
};
use std::collections::BTreeMap;

impl Group {
    pub(super) fn sync(&mut self, req: &SyncRequest, ctx: &mut Ctx<'_>) {
        let refused = self.check_sync(req).err().or(match self.state {
            GroupState::Empty | GroupState::Dead => Some(GroupError::UnknownMemberId),
            GroupState::PreparingRebalance => Some(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => None,
        });
        if let Some(error) = refused {
            return ctx.reply(req.reply_to, ReplyBody::Sync(SyncReply::failed(error)));
        }
        self.synced(&req.member_id);
        let stable = self.state == GroupState::Stable;
        let Some(member) = self.members.get_mut(&req.member_id) else { return };
        if stable {
            member.touch(ctx.now_ms);
            let assignment = member.assignment.clone();
            return ctx.reply(req.reply_to, ReplyBody::Sync(self.sync_reply(assignment)));
        }
        if let Some(earlier) = member.awaiting_sync.replace(req.reply_to) {
            let failed = SyncReply::failed(GroupError::RebalanceInProgress);
            ctx.reply(earlier, ReplyBody::Sync(failed));
        }
        if self.is_leader(&req.member_id) {
            self.assign(req, ctx);
        }
    }

    fn check_sync(&self, req: &SyncRequest) -> Result<(), GroupError> {
        self.check_member(&req.member_id, req.instance_id.as_deref())?;
        if req.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |asked: &Option<String>, own: &Option<String>| {
            asked.is_some() && own.is_some() && asked != own
        };
        if differs(&req.protocol_type, &self.protocol_type)
            || differs(&req.protocol_name, &self.protocol_name)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// The leader's assignment makes the group stable; members it forgot get an empty one.
    fn assign(&mut self, req: &SyncRequest, ctx: &mut Ctx<'_>) {
        let assigned: BTreeMap<&str, _> =
            req.assignments.iter().map(|(id, bytes)| (id.as_str(), bytes)).collect();
        for (member_id, member) in &mut self.members {
            let own = assigned.get(member_id.as_str());
            member.assignment = own.map(|bytes| (*bytes).clone()).unwrap_or_default();
        }
        self.enter(GroupState::Stable, ctx.now_ms);
        self.log_metadata(ctx);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            let Some(to) = member.awaiting_sync.take() else { continue };
            member.touch(ctx.now_ms);
            let assignment = member.assignment.clone();
            ctx.reply(to, ReplyBody::Sync(self.sync_reply(assignment)));
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        req: &HeartbeatRequest,
        now_ms: i64,
    ) -> Result<(), GroupError> {
        self.check_member(&req.member_id, req.instance_id.as_deref())?;
        if req.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.touch_member(&req.member_id, now_ms);
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// A sign of life. A new member keeps the deadline of its join: nothing else can prove it knows its id.
    pub(super) fn touch_member(&mut self, member_id: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(member_id).filter(|member| !member.new) {
            member.touch(now_ms);
        }
    }

    pub(super) fn leave(&mut self, req: LeaveRequest, ctx: &mut Ctx<'_>) {
        let mut left = false;
        let mut results = Vec::with_capacity(req.members.len());
        for member in req.members {
            let result = self.leave_one(&member, ctx);
            left |= result.is_ok();
            results.push((member, result.err()));
        }
        ctx.reply(req.reply_to, ReplyBody::Leave(results));
        if left && self.state != GroupState::Empty {
            self.rebalance_or_complete(ctx);
        }
    }

    fn leave_one(&mut self, member: &LeaveMember, ctx: &mut Ctx<'_>) -> Result<(), GroupError> {
        if member.member_id.is_empty() {
            let instance_id = member.instance_id.as_ref().ok_or(GroupError::UnknownMemberId)?;
            let current = self.static_members.get(instance_id).cloned();
            self.remove_member(&current.ok_or(GroupError::UnknownMemberId)?, ctx);
            return Ok(());
        }
        if self.pending_members.remove(&member.member_id).is_some() {
            return Ok(());
        }
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        self.remove_member(&member.member_id, ctx);
        Ok(())
    }
}
