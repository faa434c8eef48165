//! ListGroups (16), versions 0–5: the groups of every shard, filtered by state (version 4, KIP-518) and type (5,
//! KIP-848), by id. All groups are of type `classic`.
//!
//! Very many groups are listed in pages: each shard lists some from the same group id on, and what one of them has not
//! looked at yet is left to the next page of all.

use broker_core::group::GroupPage;
use broker_kafka_wire::Pace;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse, ResponseKind};

use super::text::{group_id, text};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::{Context, Encoded};

const CLASSIC: &str = "classic";
const STATE_VERSION_MIN: i16 = 4;
const TYPE_VERSION_MIN: i16 = 5;

pub(crate) async fn handle(
    context: &mut Context,
    request: ListGroupsRequest,
) -> Result<Encoded, Fatal> {
    let version = context.header.version;
    let mut answer = context.elements(&ResponseKind::ListGroups(ListGroupsResponse::default()))?;
    let mut types = request.types_filter.iter();
    if !request.types_filter.is_empty() && !types.any(|one| one.eq_ignore_ascii_case(CLASSIC)) {
        return Ok(answer.finish());
    }
    let states: Vec<String> = request.states_filter.iter().map(|one| one.to_string()).collect();
    let (mut after, mut pace) = (None, Pace::default());
    loop {
        let call = GroupCall::List { states: states.clone(), after };
        let Some(page) = merged(context.broker.group_everywhere(call).await?) else {
            let mut response = ListGroupsResponse::default();
            response.error_code = code::COORDINATOR_NOT_AVAILABLE;
            return Ok(context.elements(&ResponseKind::ListGroups(response))?.finish());
        };
        for listing in page.groups {
            let mut group = ListedGroup::default();
            group.group_id = group_id(&listing.group_id);
            group.protocol_type = text(&listing.protocol_type);
            if version >= STATE_VERSION_MIN {
                group.group_state = text(&listing.state.to_string());
            }
            if version >= TYPE_VERSION_MIN {
                group.group_type = text(CLASSIC);
            }
            context.push(&mut answer, &group).await?;
            pace.partition(0).await;
        }
        match page.upto {
            Some(upto) => after = Some(upto),
            None => return Ok(answer.finish()),
        }
    }
}

/// One page of all shards' groups, by id; `None` when a shard cannot answer now. It ends where the first of the shards has
/// stopped.
fn merged(answers: Vec<GroupAnswer>) -> Option<GroupPage> {
    let (mut groups, mut upto): (Vec<_>, Option<String>) = (Vec::new(), None);
    for answer in answers {
        let GroupAnswer::Listed(page) = answer else { return None };
        groups.extend(page.groups);
        upto = match (upto, page.upto) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    if let Some(upto) = &upto {
        groups.retain(|group| group.group_id <= *upto);
    }
    groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    Some(GroupPage { groups, upto })
}
