//! SyncGroup (14), versions 0–5: the leader's assignment out to every member.
//!
//! Source: KIP-345 (static members, 3), KIP-559 (protocol type and name, 5).

use broker_core::group::{ReplyTo, SyncRequest};
use bytes::Bytes;
use kafka_protocol::messages::{ResponseKind, SyncGroupRequest, SyncGroupResponse};

use super::text::{optional, owned};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;

pub(crate) async fn handle(
    context: &mut Context,
    request: SyncGroupRequest,
) -> Result<ResponseKind, Fatal> {
    let assignments = request.assignments.iter();
    let call = GroupCall::Sync(SyncRequest {
        reply_to: ReplyTo(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type.as_ref()),
        protocol_name: owned(request.protocol_name.as_ref()),
        assignments: assignments
            .map(|one| (one.member_id.to_string(), Bytes::copy_from_slice(&one.assignment)))
            .collect(),
    });
    let mut response = SyncGroupResponse::default();
    match context.broker.group(call).await? {
        GroupAnswer::Sync(reply) => {
            context.grow(reply.assignment.len()).await;
            response.error_code = reply.error.map_or(code::NONE, |error| error.code());
            if context.header.version >= 5 {
                response.protocol_type = optional(reply.protocol_type.as_deref());
                response.protocol_name = optional(reply.protocol_name.as_deref());
            }
            response.assignment = reply.assignment;
        }
        _ => response.error_code = code::COORDINATOR_NOT_AVAILABLE,
    }
    Ok(ResponseKind::SyncGroup(response))
}
