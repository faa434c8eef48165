//! Groups seen from outside: DescribeGroups, ListGroups, DeleteGroups, OffsetDelete; and what else describes the cluster:
//! OffsetForLeaderEpoch, DescribeCluster.

use broker_kafka::code;
use broker_kafka_wire::ApiKey;
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeClusterRequest, DescribeGroupsRequest, GroupId, JoinGroupRequest,
    ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetForLeaderEpochRequest,
    RequestKind, ResponseKind, SyncGroupRequest,
};

use crate::client::{Client, ask, text, topic_name};
use crate::double::{EPOCH, NODE_ID};
use crate::topics::produce;

/// A subscription to topic `t` (ConsumerProtocolSubscription, version 0).
const SUBSCRIBED_TO_T: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A stable group of one member that is subscribed to `t`.
fn stable_group(client: &Client, name: &str) {
    let mut protocol = JoinGroupRequestProtocol::default();
    protocol.name = text("range");
    protocol.metadata = Bytes::from_static(SUBSCRIBED_TO_T);
    let mut join = JoinGroupRequest::default();
    join.group_id = group(name);
    join.session_timeout_ms = 10_000;
    join.rebalance_timeout_ms = 10_000;
    join.protocol_type = text("consumer");
    join.protocols = vec![protocol];
    let joined = ask!(client, JoinGroup, 3, join);
    assert_eq!(joined.error_code, 0, "{joined:?}");
    let mut assignment = SyncGroupRequestAssignment::default();
    assignment.member_id = joined.member_id.clone();
    assignment.assignment = Bytes::from_static(b"all");
    let mut sync = SyncGroupRequest::default();
    sync.group_id = group(name);
    sync.generation_id = joined.generation_id;
    sync.member_id = joined.member_id;
    sync.assignments = vec![assignment];
    let synced = ask!(client, SyncGroup, 3, sync);
    assert_eq!(synced.error_code, 0, "{synced:?}");
}

/// A group that only has offsets, of topics `t` and `u`.
fn empty_group(client: &Client, name: &str) {
    let topics = ["t", "u"].map(|topic| {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.committed_offset = 1;
        partition.committed_metadata = Some(text("note"));
        let mut of = OffsetCommitRequestTopic::default();
        of.name = topic_name(topic);
        of.partitions = vec![partition];
        of
    });
    let mut request = OffsetCommitRequest::default();
    request.group_id = group(name);
    request.generation_id_or_member_epoch = -1;
    request.topics = topics.to_vec();
    let response = ask!(client, OffsetCommit, 8, request);
    assert!(
        response.topics.iter().all(|topic| topic.partitions[0].error_code == 0),
        "{response:?}"
    );
}

fn client() -> Client {
    let client = Client::with_topic();
    client.create("u", 1, &[]);
    stable_group(&client, "busy");
    empty_group(&client, "idle");
    client
}

#[test]
fn describe_groups_in_every_version() {
    let client = client();
    for version in 0..=6 {
        let mut request = DescribeGroupsRequest::default();
        request.groups = ["busy", "idle", "none"].map(group).to_vec();
        request.include_authorized_operations = version >= 3;
        let groups = ask!(client, DescribeGroups, version, request).groups;
        assert_eq!((groups[0].error_code, &*groups[0].group_state), (0, "Stable"), "v{version}");
        assert_eq!((&*groups[0].protocol_type, &*groups[0].protocol_data), ("consumer", "range"));
        let member = &groups[0].members[0];
        assert_eq!((&*member.client_id, &*member.client_host), ("it", "/127.0.0.1"));
        assert_eq!(member.member_metadata, SUBSCRIBED_TO_T);
        assert_eq!(member.member_assignment, &b"all"[..]);
        assert_eq!((groups[1].error_code, &*groups[1].group_state), (0, "Empty"));
        assert_eq!(&*groups[2].group_state, "Dead");
        let unknown = if version >= 6 { 69 } else { 0 };
        assert_eq!(groups[2].error_code, unknown, "KIP-1043");
        assert_eq!(groups[2].error_message.is_some(), version >= 6);
        let omitted = i32::MIN;
        assert_eq!(groups[0].authorized_operations == omitted, version < 3, "KIP-430");
        request.include_authorized_operations = false;
        let groups = ask!(client, DescribeGroups, version, request).groups;
        assert_eq!(groups[0].authorized_operations, omitted, "only on request");
    }
}

#[test]
fn list_groups_in_every_version() {
    let client = client();
    for version in 0..=5 {
        let list = |states: &[&str], types: &[&str]| -> Vec<String> {
            let mut request = ListGroupsRequest::default();
            request.states_filter = states.iter().map(|state| text(state)).collect();
            request.types_filter = types.iter().map(|one| text(one)).collect();
            let response = ask!(client, ListGroups, version, request);
            assert_eq!(response.error_code, 0);
            response.groups.iter().map(|group| group.group_id.to_string()).collect()
        };
        assert_eq!(list(&[], &[]), ["busy", "idle"], "v{version}");
        if version >= 4 {
            assert_eq!(list(&["empty"], &[]), ["idle"], "KIP-518, in any case");
            assert!(list(&["Dead"], &[]).is_empty());
        }
        if version >= 5 {
            assert_eq!(list(&["Stable"], &["Classic"]), ["busy"], "KIP-848");
            assert!(list(&[], &["consumer"]).is_empty());
        }
        let listed = ask!(client, ListGroups, version, ListGroupsRequest::default());
        assert_eq!(&*listed.groups[0].protocol_type, "consumer");
        let state = if version >= 4 { "Stable" } else { "" };
        let kind = if version >= 5 { "classic" } else { "" };
        assert_eq!((&*listed.groups[0].group_state, &*listed.groups[0].group_type), (state, kind));
    }
}

#[test]
fn kip_229_delete_groups_in_every_version() {
    for version in 0..=2 {
        let client = client();
        let mut request = DeleteGroupsRequest::default();
        request.groups_names = ["busy", "idle", "none", "idle"].map(group).to_vec();
        let response = ask!(client, DeleteGroups, version, request);
        let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [68, 0, 69], "NON_EMPTY_GROUP, none, GROUP_ID_NOT_FOUND");
        let listed = ask!(client, ListGroups, 0, ListGroupsRequest::default());
        assert_eq!(listed.groups.len(), 1);
    }
}

#[test]
fn kip_496_offset_delete() {
    let client = client();
    empty_group(&client, "idle");
    let delete = |name: &str| {
        let topics = ["t", "u", "gone"].map(|topic| {
            let mut of = OffsetDeleteRequestTopic::default();
            of.name = topic_name(topic);
            of.partitions = vec![OffsetDeleteRequestPartition::default()];
            of
        });
        let mut request = OffsetDeleteRequest::default();
        request.group_id = group(name);
        request.topics = topics.to_vec();
        let response = ask!(client, OffsetDelete, 0, request);
        let codes = response.topics.iter().map(|topic| topic.partitions[0].error_code);
        (response.error_code, codes.collect::<Vec<i16>>())
    };
    let unknown = code::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(delete("idle"), (0, vec![0, 0, unknown]));
    assert_eq!(delete("busy"), (0, vec![86, 0, unknown]), "GROUP_SUBSCRIBED_TO_TOPIC");
    assert_eq!(delete("none"), (69, vec![]), "GROUP_ID_NOT_FOUND");
}

#[test]
fn a_coordinator_that_cannot_log_says_so() {
    let client = client();
    client.double.unavailable.set(true);
    let unavailable = code::COORDINATOR_NOT_AVAILABLE;
    let listed = ask!(client, ListGroups, 5, ListGroupsRequest::default());
    assert_eq!((listed.error_code, listed.groups.len()), (unavailable, 0));
    let mut delete = DeleteGroupsRequest::default();
    delete.groups_names = vec![group("idle")];
    assert_eq!(ask!(client, DeleteGroups, 2, delete).results[0].error_code, unavailable);
    let mut describe = DescribeGroupsRequest::default();
    describe.groups = vec![group("idle")];
    assert_eq!(ask!(client, DescribeGroups, 6, describe).groups[0].error_code, unavailable);
    let request = OffsetDeleteRequest::default();
    assert_eq!(ask!(client, OffsetDelete, 0, request).error_code, unavailable);
}

#[test]
fn kip_320_offset_for_leader_epoch_in_every_version() {
    let client = Client::with_topic();
    produce(&client, "t", 4);
    for version in 2..=4 {
        let find = |topic: &str, current: i32, epoch: i32| {
            let mut partition = OffsetForLeaderPartition::default();
            partition.current_leader_epoch = current;
            partition.leader_epoch = epoch;
            let mut of = OffsetForLeaderTopic::default();
            of.topic = topic_name(topic);
            of.partitions = vec![partition];
            let mut request = OffsetForLeaderEpochRequest::default();
            request.topics = vec![of];
            let response = ask!(client, OffsetForLeaderEpoch, version, request);
            let end = &response.topics[0].partitions[0];
            (end.error_code, end.leader_epoch, end.end_offset)
        };
        assert_eq!(find("t", -1, EPOCH.0), (0, EPOCH.0, 4), "v{version}");
        assert_eq!(find("t", EPOCH.0, EPOCH.0), (0, EPOCH.0, 4));
        assert_eq!(find("t", -1, EPOCH.0 + 1), (0, -1, -1), "not known yet");
        assert_eq!(find("t", EPOCH.0 - 1, 0).0, code::FENCED_LEADER_EPOCH);
        assert_eq!(find("t", EPOCH.0 + 1, 0).0, code::UNKNOWN_LEADER_EPOCH);
        assert_eq!(find("gone", -1, 0), (code::UNKNOWN_TOPIC_OR_PARTITION, -1, -1));
    }
}

#[test]
fn kip_700_describe_cluster_in_every_version() {
    let client = Client::new();
    for version in 0..=2 {
        let mut request = DescribeClusterRequest::default();
        let response = ask!(client, DescribeCluster, version, request);
        assert_eq!((response.error_code, response.controller_id.0), (0, NODE_ID));
        assert_eq!(&*response.cluster_id, "abcdefghijklmnopqrstuv");
        let broker = &response.brokers[0];
        assert_eq!((broker.broker_id.0, &*broker.host, broker.port), (1, "broker.example", 9092));
        assert_eq!(response.cluster_authorized_operations, i32::MIN, "only on request");
        request.include_cluster_authorized_operations = true;
        let response = ask!(client, DescribeCluster, version, request);
        assert!(response.cluster_authorized_operations > 0);
        if version >= 1 {
            request.endpoint_type = 2;
            let response = ask!(client, DescribeCluster, version, request);
            assert_eq!(response.error_code, code::MISMATCHED_ENDPOINT_TYPE, "KIP-919");
            request.endpoint_type = 9;
            let response = ask!(client, DescribeCluster, version, request);
            assert_eq!(response.error_code, code::UNSUPPORTED_ENDPOINT_TYPE);
        }
    }
}
