//! Consumer groups, seen from outside: state, members, committed offsets.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    DescribeGroupsRequest, GroupId, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use crate::client::{Client, str_bytes, topic_name};
use crate::error::{Error, check};

const LIST_GROUPS_VERSION: i16 = 4;
const DESCRIBE_GROUPS_VERSION: i16 = 5;
/// The last version that asks for one group.
const OFFSET_FETCH_VERSION: i16 = 7;
const OFFSET_COMMIT_VERSION: i16 = 8;

/// A group in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    /// Kafka's name of the state: `Stable`, `Empty` …
    pub state: String,
    pub protocol_type: String,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetail {
    pub state: String,
    /// The assignment strategy the members agreed on.
    pub protocol: String,
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub client_id: String,
    pub host: String,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

fn group_id(id: &str) -> GroupId {
    GroupId(str_bytes(id))
}

impl Client {
    /// All groups, by id.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        let response =
            self.connection.call(LIST_GROUPS_VERSION, &ListGroupsRequest::default()).await?;
        check(response.error_code, || "cannot list groups".to_owned(), None)?;
        let mut groups: Vec<Group> = response
            .groups
            .into_iter()
            .map(|group| Group {
                id: group.group_id.0.to_string(),
                state: group.group_state.to_string(),
                protocol_type: group.protocol_type.to_string(),
            })
            .collect();
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// One group. A group that does not exist has the state `Dead`, as in Kafka.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn describe_group(&self, id: &str) -> Result<GroupDetail, Error> {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(id)]);
        let response = self.connection.call(DESCRIBE_GROUPS_VERSION, &request).await?;
        let group = response.groups.into_iter().next();
        let group = group.ok_or_else(|| Error::decode("the response describes no group"))?;
        check(group.error_code, || format!("cannot describe group {id:?}"), None)?;
        let members = group.members.into_iter().map(|member| Member {
            id: member.member_id.to_string(),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
        });
        Ok(GroupDetail {
            state: group.group_state.to_string(),
            protocol: group.protocol_data.to_string(),
            members: members.collect(),
        })
    }

    /// Every committed offset of a group.
    ///
    /// # Errors
    /// [`Error::Broker`].
    pub async fn committed(&self, id: &str) -> Result<Vec<Committed>, Error> {
        let request = OffsetFetchRequest::default().with_group_id(group_id(id)).with_topics(None);
        let response = self.connection.call(OFFSET_FETCH_VERSION, &request).await?;
        check(response.error_code, || format!("cannot read offsets of group {id:?}"), None)?;
        let mut committed = Vec::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let name = topic.name.0.to_string();
                let what =
                    || format!("cannot read the offset of {name}-{}", partition.partition_index);
                check(partition.error_code, what, None)?;
                if partition.committed_offset >= 0 {
                    let (partition, offset) =
                        (partition.partition_index, partition.committed_offset);
                    committed.push(Committed { topic: name, partition, offset });
                }
            }
        }
        committed.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(committed)
    }

    /// Commits offsets for a group that has no members.
    ///
    /// # Errors
    /// [`Error::Broker`], among others when the group has members.
    pub async fn commit(&self, id: &str, offsets: &[Committed]) -> Result<(), Error> {
        let topics = offsets.iter().map(|commit| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(commit.partition)
                .with_committed_offset(commit.offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(str_bytes("")));
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(&commit.topic))
                .with_partitions(vec![partition])
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(id))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect());
        let response = self.connection.call(OFFSET_COMMIT_VERSION, &request).await?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                let name = topic.name.0.as_str();
                let what = || {
                    format!("cannot commit {name}-{} for group {id:?}", partition.partition_index)
                };
                check(partition.error_code, what, None)?;
            }
        }
        Ok(())
    }
}
