//! DescribeGroups (15), versions 0–6: state, protocol, members and their assignments of each group.
//!
//! An unknown group is `Dead` up to version 5 and GROUP_ID_NOT_FOUND from 6 on (KIP-1043). Authorized operations
//! (version 3, KIP-430) only on request. Source also: KIP-345 (instance ids, 4).

use std::collections::BTreeSet;

use broker_core::group::{GroupDescription, GroupError};
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, ResponseKind};

use super::text::{optional, text};
use crate::broker::{Fatal, GroupAnswer, GroupCall};
use crate::code;
use crate::context::{Context, Encoded};
use broker_kafka_wire::Pace;

/// What describing a member is taken to cost, in bytes worked on.
const MEMBER_BYTES: usize = 4 << 10;
/// From here on an unknown group is an error, and errors have messages.
const UNKNOWN_IS_ERROR_VERSION_MIN: i16 = 6;
const INSTANCE_ID_VERSION_MIN: i16 = 4;
/// Every operation on a group: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS (KIP-430).
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

pub(crate) async fn handle(
    context: &mut Context,
    request: DescribeGroupsRequest,
) -> Result<Encoded, Fatal> {
    let version = context.header.version;
    let unknown_is_error = version >= UNKNOWN_IS_ERROR_VERSION_MIN;
    let response = ResponseKind::DescribeGroups(DescribeGroupsResponse::default());
    let mut answer = context.elements(&response)?;
    let (mut answered, mut pace) = (BTreeSet::new(), Pace::default());
    for group_id in &request.groups {
        // A group that stands several times is described once: two bytes could ask for megabytes otherwise.
        if !answered.insert(group_id) {
            continue;
        }
        let call = GroupCall::Describe { group_id: group_id.to_string(), unknown_is_error };
        let described = match context.broker.group(call).await? {
            GroupAnswer::Described(described) => described,
            _ => Err(GroupError::CoordinatorNotAvailable),
        };
        let mut group = match described {
            Ok(description) => describe(description, version),
            Err(error) => {
                let mut group = DescribedGroup::default();
                group.error_code = error.code();
                if unknown_is_error {
                    group.error_message = Some(match error {
                        GroupError::GroupIdNotFound => {
                            text(&format!("Group {} not found.", group_id.0))
                        }
                        other => text(&other.to_string()),
                    });
                }
                if error == GroupError::GroupIdNotFound {
                    group.group_state = text("Dead");
                }
                group
            }
        };
        group.group_id = group_id.clone();
        if request.include_authorized_operations && group.error_code == code::NONE {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        context.push(&mut answer, &group).await?;
        pace.partition(group.members.len() * MEMBER_BYTES).await;
    }
    Ok(answer.finish())
}

fn describe(description: GroupDescription, version: i16) -> DescribedGroup {
    let members = description.members.into_iter().map(|one| {
        let mut member = DescribedGroupMember::default();
        member.member_id = text(&one.member_id);
        if version >= INSTANCE_ID_VERSION_MIN {
            member.group_instance_id = optional(one.instance_id.as_deref());
        }
        member.client_id = text(&one.client_id);
        member.client_host = text(&one.client_host);
        member.member_metadata = one.metadata;
        member.member_assignment = one.assignment;
        member
    });
    let mut group = DescribedGroup::default();
    group.group_state = text(&description.state.to_string());
    group.protocol_type = text(&description.protocol_type);
    group.protocol_data = text(&description.protocol_name);
    group.members = members.collect();
    group
}
