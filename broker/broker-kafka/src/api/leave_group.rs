//! LeaveGroup (13), versions 0–5: one member, or from version 3 on several (KIP-345).

use broker_core::group::{LeaveMember, LeaveRequest, ReplyTo};
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse, ResponseKind};

use super::text::{optional, owned, text};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;

const SEVERAL_MEMBERS_VERSION_MIN: i16 = 3;

pub(crate) async fn handle(
    context: &Context,
    request: LeaveGroupRequest,
) -> Result<ResponseKind, Fatal> {
    let several = context.header.version >= SEVERAL_MEMBERS_VERSION_MIN;
    let members = if several {
        let members = request.members.iter().map(|member| LeaveMember {
            member_id: member.member_id.to_string(),
            instance_id: owned(member.group_instance_id.as_ref()),
        });
        members.collect()
    } else {
        vec![LeaveMember { member_id: request.member_id.to_string(), instance_id: None }]
    };
    let call = GroupCall::Leave(LeaveRequest {
        reply_to: ReplyTo(0),
        group_id: request.group_id.to_string(),
        members,
    });
    let mut response = LeaveGroupResponse::default();
    match context.broker.group(call).await? {
        GroupAnswer::Leave(results) if several => {
            let members = results.iter().map(|(member, error)| {
                let mut left = MemberResponse::default();
                left.member_id = text(&member.member_id);
                left.group_instance_id = optional(member.instance_id.as_deref());
                left.error_code = error.map_or(code::NONE, |error| error.code());
                left
            });
            response.members = members.collect();
        }
        GroupAnswer::Leave(results) => {
            let error = results.first().and_then(|(_, error)| *error);
            response.error_code = error.map_or(code::NONE, |error| error.code());
        }
        _ => response.error_code = code::COORDINATOR_NOT_AVAILABLE,
    }
    Ok(ResponseKind::LeaveGroup(response))
}
