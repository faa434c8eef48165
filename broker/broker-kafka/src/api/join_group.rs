//! JoinGroup (11), versions 0–9: answered when the rebalance completes.
//!
//! Source: KIP-62 (rebalance timeout, 1), KIP-394 (member id first, 4), KIP-345 (static members, 5), KIP-559 (protocol
//! type, 7), KIP-800 (reason, 8), KIP-814 (skip assignment, 9).

use broker_core::group::{JoinMember, JoinReply, JoinRequest, Protocol, ReplyTo};
use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, ResponseKind};

use super::text::{optional, owned, text};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;

/// What a member takes in the answer to its leader, besides its metadata.
const MEMBER_BYTES: usize = 256;

pub(crate) async fn handle(
    context: &mut Context,
    request: JoinGroupRequest,
) -> Result<ResponseKind, Fatal> {
    let version = context.header.version;
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_string(),
        // A copy: the group keeps it, and a slice would keep the whole request.
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    let call = GroupCall::Join(JoinRequest {
        reply_to: ReplyTo(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id.as_ref()),
        client_id: context.header.client_id.clone().unwrap_or_default(),
        client_host: context.peer.host(),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        require_known_member_id: version >= 4,
        skip_assignment_supported: version >= 9,
        random: 0,
    });
    let response = match context.broker.group(call).await? {
        GroupAnswer::Join(reply) => {
            let member = |member: &JoinMember| MEMBER_BYTES + member.metadata.len();
            context.grow(reply.members.iter().map(member).sum()).await;
            response(reply, version)
        }
        _ => unavailable(version),
    };
    Ok(ResponseKind::JoinGroup(response))
}

fn unavailable(version: i16) -> JoinGroupResponse {
    let mut response = JoinGroupResponse::default();
    response.error_code = code::COORDINATOR_NOT_AVAILABLE;
    response.generation_id = -1;
    if version < 7 {
        response.protocol_name = Some(text(""));
    }
    response
}

fn response(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let mut response = JoinGroupResponse::default();
    response.error_code = reply.error.map_or(code::NONE, |error| error.code());
    response.generation_id = reply.generation;
    if version >= 7 {
        response.protocol_type = optional(reply.protocol_type.as_deref());
        response.protocol_name = optional(reply.protocol_name.as_deref());
    } else {
        // Null is allowed from version 7 on.
        response.protocol_name = Some(text(reply.protocol_name.as_deref().unwrap_or_default()));
    }
    response.leader = text(&reply.leader);
    response.skip_assignment = version >= 9 && reply.skip_assignment;
    response.member_id = text(&reply.member_id);
    let members = reply.members.into_iter().map(|member| {
        let mut described = JoinGroupResponseMember::default();
        described.member_id = text(&member.member_id);
        if version >= 5 {
            described.group_instance_id = optional(member.instance_id.as_deref());
        }
        described.metadata = member.metadata;
        described
    });
    response.members = members.collect();
    response
}
