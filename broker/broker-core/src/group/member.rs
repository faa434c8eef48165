//! One member of a group.

use crate::group::record::MemberMetadata;
use crate::group::types::{JoinRequest, Protocol, ReplyTo};
use bytes::Bytes;

/// What a member takes whose fields are empty: itself, its id here and there, its places in the maps.
const MEMBER_BYTES: usize = 512;

/// A member; owned by its group, which keeps the counters that depend on it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// In order of preference.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    pub(super) awaiting_join: Option<ReplyTo>,
    pub(super) awaiting_sync: Option<ReplyTo>,
    /// Until its first join is answered.
    pub(super) new: bool,
    /// When the member counts as gone. None between load and the first tick.
    pub(super) deadline_ms: Option<i64>,
}

fn bytes_of(names: [Option<&String>; 3], protocols: &[Protocol]) -> usize {
    // One of them begins its id as well.
    let names = 2 * names.into_iter().flatten().map(String::len).sum::<usize>();
    MEMBER_BYTES + names + protocols.iter().map(Protocol::bytes).sum::<usize>()
}

impl JoinRequest {
    /// What the member takes that it becomes.
    pub(super) fn bytes(&self) -> usize {
        let names = [Some(&self.client_id), Some(&self.client_host), self.instance_id.as_ref()];
        bytes_of(names, &self.protocols)
    }
}

impl Member {
    pub(super) fn from_join(req: &JoinRequest) -> Self {
        Self {
            instance_id: req.instance_id.clone(),
            client_id: req.client_id.clone(),
            client_host: req.client_host.clone(),
            session_timeout_ms: req.session_timeout_ms,
            rebalance_timeout_ms: req.rebalance_timeout_ms,
            protocols: req.protocols.clone(),
            assignment: Bytes::new(),
            awaiting_join: Some(req.reply_to),
            awaiting_sync: None,
            new: true,
            deadline_ms: None,
        }
    }

    pub(super) fn from_metadata(metadata: &MemberMetadata, protocol: Option<&str>) -> Self {
        let protocols = protocol.map(|name| Protocol {
            name: name.to_owned(),
            metadata: metadata.subscription.clone(),
        });
        Self {
            instance_id: metadata.instance_id.clone(),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            session_timeout_ms: metadata.session_timeout_ms,
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            protocols: protocols.into_iter().collect(),
            assignment: metadata.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            new: false,
            deadline_ms: None,
        }
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let names = [Some(&self.client_id), Some(&self.client_host), self.instance_id.as_ref()];
        bytes_of(names, &self.protocols) + self.assignment.len()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|own| own.name == protocol)
    }

    /// Subscription bytes for `protocol`; empty when the member does not speak it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let own = self.protocols.iter().find(|own| own.name == protocol);
        own.map(|own| own.metadata.clone()).unwrap_or_default()
    }

    /// Waiting members are kept by the coordinator itself; a new one only as long as its deadline says.
    pub(super) fn expired(&self, now_ms: i64) -> bool {
        let waiting = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        self.expiry_ms().is_some_and(|at| at <= now_ms) && (self.new || !waiting)
    }

    /// When the member must be looked at; None while it cannot expire.
    pub(super) fn expiry_ms(&self) -> Option<i64> {
        let waiting = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        if waiting && !self.new { None } else { self.deadline_ms }
    }

    pub(super) fn touch(&mut self, now_ms: i64) {
        self.deadline_ms = Some(now_ms.saturating_add(i64::from(self.session_timeout_ms)));
    }
}
