//! ListGroups (16), versions 0–5: the groups of every shard, filtered by state (version 4, KIP-518) and type (5,
//! KIP-848). All groups are of type `classic`.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse, ResponseKind};

use super::text::{group_id, text};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::handler::Context;

const CLASSIC: &str = "classic";
const STATE_VERSION_MIN: i16 = 4;
const TYPE_VERSION_MIN: i16 = 5;

pub(crate) async fn handle(
    context: &Context,
    request: ListGroupsRequest,
) -> Result<ResponseKind, Fatal> {
    let version = context.header.version;
    let mut response = ListGroupsResponse::default();
    let mut types = request.types_filter.iter();
    if !request.types_filter.is_empty() && !types.any(|one| one.eq_ignore_ascii_case(CLASSIC)) {
        return Ok(ResponseKind::ListGroups(response));
    }
    let states = request.states_filter.iter().map(|state| state.to_string()).collect();
    for answer in context.broker.group_everywhere(GroupCall::List { states }).await? {
        let GroupAnswer::Listed(listings) = answer else {
            response.error_code = code::COORDINATOR_NOT_AVAILABLE;
            continue;
        };
        response.groups.extend(listings.into_iter().map(|listing| {
            let mut group = ListedGroup::default();
            group.group_id = group_id(&listing.group_id);
            group.protocol_type = text(&listing.protocol_type);
            if version >= STATE_VERSION_MIN {
                group.group_state = text(&listing.state.to_string());
            }
            if version >= TYPE_VERSION_MIN {
                group.group_type = text(CLASSIC);
            }
            group
        }));
    }
    if response.error_code != code::NONE {
        response.groups.clear();
    }
    Ok(ResponseKind::ListGroups(response))
}
