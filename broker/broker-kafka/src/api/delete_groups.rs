//! DeleteGroups (42), versions 0–2: removes groups without members, and their offsets (KIP-229). Durable before it is
//! answered; a group that stands twice is answered once.

use std::collections::BTreeSet;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, ResponseKind};

use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::Context;
use broker_kafka_wire::Pace;

pub(crate) async fn handle(
    context: &Context,
    request: DeleteGroupsRequest,
) -> Result<ResponseKind, Fatal> {
    let mut answered = BTreeSet::new();
    let mut response = DeleteGroupsResponse::default();
    let mut pace = Pace::default();
    for group_id in &request.groups_names {
        if !answered.insert(group_id.clone()) {
            continue;
        }
        let mut result = DeletableGroupResult::default();
        result.group_id = group_id.clone();
        let call = GroupCall::Delete { group_id: group_id.to_string() };
        result.error_code = match context.broker.group(call).await? {
            GroupAnswer::Deleted(error) => error.map_or(code::NONE, |error| error.code()),
            _ => code::COORDINATOR_NOT_AVAILABLE,
        };
        response.results.push(result);
        pace.partition(0).await;
    }
    Ok(ResponseKind::DeleteGroups(response))
}
