//! Heartbeat (12), versions 0–4: a member lives, and learns of a rebalance.

use broker_core::group::HeartbeatRequest as Beat;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse, ResponseKind};

use super::text::owned;
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;

pub(crate) async fn handle(
    context: &Context,
    request: HeartbeatRequest,
) -> Result<ResponseKind, Fatal> {
    let call = GroupCall::Heartbeat(Beat {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id,
    });
    let mut response = HeartbeatResponse::default();
    response.error_code = match context.broker.group(call).await? {
        GroupAnswer::Heartbeat(error) => error.map_or(code::NONE, |error| error.code()),
        _ => code::COORDINATOR_NOT_AVAILABLE,
    };
    Ok(ResponseKind::Heartbeat(response))
}
