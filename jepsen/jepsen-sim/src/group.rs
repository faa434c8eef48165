//! A member of a classic consumer group: joins, shares the partitions out when it leads, reads, commits, leaves.
//!
//! ```text
//!  join ─► sync ─► committed offsets ─► { fetch ─► commit ─► heartbeat }* ─► leave
//!   ▲                                        │ rebalance, fenced, lost
//!   └────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;

use broker_kafka_wire::ApiKey;
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, RequestKind, ResponseKind, SyncGroupRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::consumer::{Positions, fetch};
use crate::rpc::{Context, Lost, Rpc, TOPIC};
use crate::session::Session;

const UNKNOWN_MEMBER: i16 = 25;
const MEMBER_ID_REQUIRED: i16 = 79;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name() -> TopicName {
    TopicName(text(TOPIC))
}

/// The membership has ended; join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Lost,
    /// The broker said so.
    Refused(i16),
}

impl From<Lost> for Out {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

pub(crate) struct Member {
    context: Context,
    group: &'static str,
    member_id: StrBytes,
    generation: i32,
    /// The generation before this one, to be refused from now on.
    ended: Option<i32>,
    /// Takes every partition, whatever the leader says: a seeded bug.
    greedy: bool,
}

impl Member {
    pub(crate) fn new(context: Context, group: &'static str, greedy: bool) -> Self {
        let member_id = StrBytes::default();
        Self { context, group, member_id, generation: -1, ended: None, greedy }
    }

    /// Takes part until the scenario stops.
    pub(crate) async fn run(mut self) {
        while !self.context.stopping.get() {
            let rpc = self.context.connect_to_topic().await;
            loop {
                match self.generation(&rpc).await {
                    Ok(()) => {
                        // A lost answer to the goodbye changes nothing any more.
                        let _ = self.leave(&rpc).await;
                        return;
                    }
                    Err(Out::Lost) => break,
                    Err(Out::Refused(code)) => {
                        if code == UNKNOWN_MEMBER {
                            self.member_id = StrBytes::default();
                        }
                        self.context.pause(10).await;
                    }
                }
                if self.context.stopping.get() {
                    return;
                }
            }
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(self.group))
    }

    /// One generation, from joining to the end of the scenario.
    async fn generation(&mut self, rpc: &Rpc) -> Result<(), Out> {
        let joined = self.join(rpc).await?;
        let mine = self.sync(rpc, &joined).await?;
        self.context.history.rebalanced();
        self.context.history.assigned(self.group, self.generation, &self.member_id, &mine);
        self.try_ended(rpc).await?;
        let mut positions = self.committed(rpc, &mine).await?;
        while !self.context.stopping.get() {
            if positions.is_empty() {
                self.context.pause(200).await;
            } else {
                let before = positions.clone();
                let session = &mut Session::none();
                fetch(&self.context, rpc, &mut positions, session, 200).await?;
                if before != positions {
                    self.commit(rpc, &before, &positions).await?;
                }
            }
            self.heartbeat(rpc).await?;
        }
        Ok(())
    }

    async fn join(&mut self, rpc: &Rpc) -> Result<JoinGroupResponse, Out> {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text("mine")).with_metadata(Bytes::new());
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(6_000)
            .with_rebalance_timeout_ms(4_000)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let answer = rpc.call(ApiKey::JoinGroup, 7, RequestKind::JoinGroup(request)).await?;
        let ResponseKind::JoinGroup(answer) = answer else { return Err(Out::Lost) };
        if answer.error_code == MEMBER_ID_REQUIRED {
            self.member_id = answer.member_id.clone();
        }
        refused(answer.error_code)?;
        self.member_id = answer.member_id.clone();
        self.ended = (self.generation > 0).then_some(self.generation);
        self.generation = answer.generation_id;
        Ok(answer)
    }

    /// The partitions of this member.
    async fn sync(&self, rpc: &Rpc, joined: &JoinGroupResponse) -> Result<Vec<i32>, Out> {
        let mut shares: BTreeMap<StrBytes, Vec<u8>> = BTreeMap::new();
        if joined.leader == self.member_id {
            let members: Vec<_> =
                joined.members.iter().map(|member| member.member_id.clone()).collect();
            let all = 0..u8::try_from(self.context.partitions).expect("a few partitions");
            shares = members.iter().map(|member| (member.clone(), Vec::new())).collect();
            for (partition, member) in all.zip(members.iter().cycle()) {
                shares.entry(member.clone()).or_default().push(partition);
            }
        }
        let assignments = shares.into_iter().map(|(member, share)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member)
                .with_assignment(Bytes::from(share))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("mine")))
            .with_assignments(assignments.collect());
        let answer = rpc.call(ApiKey::SyncGroup, 5, RequestKind::SyncGroup(request)).await?;
        let ResponseKind::SyncGroup(answer) = answer else { return Err(Out::Lost) };
        refused(answer.error_code)?;
        if self.greedy {
            return Ok((0..self.context.partitions).collect());
        }
        Ok(answer.assignment.iter().map(|partition| i32::from(*partition)).collect())
    }

    /// Commits as if the generation before were not over, which must be refused (G3).
    async fn try_ended(&mut self, rpc: &Rpc) -> Result<(), Out> {
        let Some(ended) = self.ended.take().filter(|ended| *ended < self.generation) else {
            return Ok(());
        };
        let history = &self.context.history;
        history.count(|counts| counts.zombies += 1);
        let floor = history.generation_floor(self.group);
        let answer = self.commit_as(rpc, ended, &[(0, 0)]).await?;
        if answer.iter().any(|(_, code)| *code == 0) {
            history.accepted(self.group, ended, floor, "a commit");
        }
        Ok(())
    }

    async fn committed(&self, rpc: &Rpc, mine: &[i32]) -> Result<Positions, Out> {
        let history = &self.context.history;
        if mine.is_empty() {
            return Ok(Positions::new());
        }
        let floors: BTreeMap<i32, i64> = mine
            .iter()
            .map(|partition| (*partition, history.committed_floor(self.group, *partition)))
            .collect();
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name())
            .with_partition_indexes(mine.to_vec());
        let request = OffsetFetchRequest::default()
            .with_group_id(self.group_id())
            .with_topics(Some(vec![topic]));
        let answer = rpc.call(ApiKey::OffsetFetch, 7, RequestKind::OffsetFetch(request)).await?;
        let ResponseKind::OffsetFetch(answer) = answer else { return Err(Out::Lost) };
        refused(answer.error_code)?;
        let mut positions = Positions::new();
        for found in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            refused(found.error_code)?;
            let (partition, offset) = (found.partition_index, found.committed_offset);
            let Some(floor) = floors.get(&partition) else { continue };
            history.committed_seen(self.group, partition, *floor, offset);
            positions.insert(partition, offset.max(0));
        }
        Ok(positions)
    }

    async fn commit(&self, rpc: &Rpc, before: &Positions, now: &Positions) -> Result<(), Out> {
        let history = &self.context.history;
        let moved: Vec<(i32, i64)> = now
            .iter()
            .filter(|(partition, offset)| before.get(partition) != Some(offset))
            .map(|(partition, offset)| (*partition, *offset))
            .collect();
        for (partition, offset) in &moved {
            history.committing(self.group, *partition, *offset);
        }
        let floor = history.generation_floor(self.group);
        for (answered, code) in self.commit_as(rpc, self.generation, &moved).await? {
            refused(code)?;
            history.accepted(self.group, self.generation, floor, "a commit");
            if let Some((partition, offset)) =
                moved.iter().find(|(partition, _)| *partition == answered)
            {
                history.committed(self.group, *partition, *offset);
            }
        }
        Ok(())
    }

    /// Commits offsets for a generation; gives partitions and error codes.
    async fn commit_as(
        &self,
        rpc: &Rpc,
        generation: i32,
        offsets: &[(i32, i64)],
    ) -> Result<Vec<(i32, i16)>, Out> {
        let partitions = offsets.iter().map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::default()))
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name())
            .with_partitions(partitions.collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(self.member_id.clone())
            .with_topics(vec![topic]);
        let answer = rpc.call(ApiKey::OffsetCommit, 8, RequestKind::OffsetCommit(request)).await?;
        let ResponseKind::OffsetCommit(answer) = answer else { return Err(Out::Lost) };
        let results = answer.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(results.map(|result| (result.partition_index, result.error_code)).collect())
    }

    async fn heartbeat(&self, rpc: &Rpc) -> Result<(), Out> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone());
        let floor = self.context.history.generation_floor(self.group);
        let answer = rpc.call(ApiKey::Heartbeat, 4, RequestKind::Heartbeat(request)).await?;
        let ResponseKind::Heartbeat(answer) = answer else { return Err(Out::Lost) };
        refused(answer.error_code)?;
        self.context.history.accepted(self.group, self.generation, floor, "a heartbeat");
        Ok(())
    }

    async fn leave(&self, rpc: &Rpc) -> Result<(), Out> {
        let member = MemberIdentity::default().with_member_id(self.member_id.clone());
        let request =
            LeaveGroupRequest::default().with_group_id(self.group_id()).with_members(vec![member]);
        rpc.call(ApiKey::LeaveGroup, 4, RequestKind::LeaveGroup(request)).await?;
        Ok(())
    }
}

fn refused(code: i16) -> Result<(), Out> {
    if code == 0 { Ok(()) } else { Err(Out::Refused(code)) }
}
