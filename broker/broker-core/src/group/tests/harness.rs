//! Runs a group scenario written as text: `> command` lines, each followed by what the coordinator put out.
//!
//! Member ids are shown as `prefix#n`, n counting the joins that were given randomness. Time is virtual: `at MS` sets
//! it and ticks. Every record emitted is kept, and `restart` rebuilds the coordinator from them.

use crate::group::*;
use bytes::{BufMut, Bytes, BytesMut};
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const GROUP: &str = "g";

/// Runs `script` with Kafka's defaults and compares the transcript with the script itself.
pub(super) fn check(script: &str) {
    check_with(GroupConfig::default(), script);
}

pub(super) fn check_with(config: GroupConfig, script: &str) {
    let mut world = World::new(config);
    let mut transcript = String::new();
    let expected: Vec<&str> =
        script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for line in &expected {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(transcript, "> {command}").unwrap();
            transcript.push_str(&world.run(command));
        }
    }
    let actual: Vec<&str> = transcript.lines().collect();
    assert_eq!(actual, expected, "actual transcript:\n{transcript}");
}

pub(super) struct World {
    pub(super) groups: Groups,
    config: GroupConfig,
    pub(super) now_ms: i64,
    joins: u128,
    tokens: u64,
    /// Who waits for an answer.
    pub(super) waiting: BTreeMap<ReplyTo, String>,
    ids: BTreeMap<String, String>,
    pub(super) log: Vec<GroupRecord>,
}

impl World {
    pub(super) fn new(config: GroupConfig) -> Self {
        Self {
            groups: Groups::new(config.clone()),
            config,
            now_ms: 0,
            joins: 0,
            tokens: 0,
            waiting: BTreeMap::new(),
            ids: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn token(&mut self, label: String) -> ReplyTo {
        self.tokens += 1;
        self.waiting.insert(ReplyTo(self.tokens), label);
        ReplyTo(self.tokens)
    }

    fn id(&self, shown: &str) -> String {
        if shown == "-" {
            return String::new();
        }
        self.ids.get(shown).cloned().unwrap_or_else(|| shown.to_owned())
    }

    /// `prefix-uuid` as `prefix#n`.
    fn show(&mut self, id: &str) -> String {
        let Some((prefix, uuid)) = id.len().checked_sub(37).map(|at| id.split_at(at)) else {
            return if id.is_empty() { "-".into() } else { id.into() };
        };
        let n = u64::from_str_radix(&uuid[uuid.len() - 8..], 16).unwrap();
        let shown = format!("{prefix}#{n}");
        self.ids.insert(shown.clone(), id.to_owned());
        shown
    }

    pub(super) fn run(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let who = words.get(1).copied().unwrap_or("");
        let out = match words[0] {
            "at" => {
                self.now_ms = who.parse().unwrap();
                self.groups.tick(self.now_ms)
            }
            "join" => self.join(who, &words[2..]),
            "sync" => self.sync(who, &words[2..]),
            "leave" => self.leave(&words[1..]),
            "commit" => self.commit(who, &words[2..]),
            "delete" => {
                let to = self.token("delete".into());
                let group = Options(&words[1..]).get("group").unwrap_or(GROUP);
                self.groups.handle_delete_groups(to, vec![group.into()])
            }
            "delete-offsets" => {
                let to = self.token("delete-offsets".into());
                let partitions: Vec<_> =
                    words[1..].iter().map(|word| topic_partition(word)).collect();
                self.groups.handle_delete_offsets(self.now_ms, to, GROUP, &partitions)
            }
            "delete-topic" => {
                let id = topic_id(&Options(&words[2..]));
                self.groups.handle_topic_deleted(self.now_ms, who, id)
            }
            _ => return self.query(&words),
        };
        self.show_outputs(out)
    }

    fn query(&mut self, words: &[&str]) -> String {
        match words[0] {
            "heartbeat" => {
                let options = Options(&words[2..]);
                let req = HeartbeatRequest {
                    group_id: GROUP.into(),
                    member_id: self.id(words[1]),
                    instance_id: options.get("instance").map(str::to_owned),
                    generation: options.get("gen").unwrap().parse().unwrap(),
                };
                match self.groups.handle_heartbeat(self.now_ms, &req) {
                    Ok(()) => "ok\n".into(),
                    Err(error) => format!("{error:?}\n"),
                }
            }
            "offset" => {
                let at = topic_partition(words[1]);
                let none = TopicId::default();
                match self.groups.committed(GROUP, &at.topic, none, at.partition) {
                    None => "none\n".into(),
                    Some(offset) => format!(
                        "{} epoch {} {:?}\n",
                        offset.offset, offset.leader_epoch, offset.metadata
                    ),
                }
            }
            "describe" => self.describe(),
            "list" => {
                let listed = self.groups.list(&[], None, usize::MAX).groups;
                let show = |group: &GroupListing| {
                    format!("{} {} {}\n", group.group_id, group.protocol_type, group.state)
                };
                if listed.is_empty() {
                    "nothing\n".into()
                } else {
                    listed.iter().map(show).collect()
                }
            }
            "restart" => {
                self.restart();
                String::new()
            }
            other => panic!("no command {other}"),
        }
    }

    /// Rebuilds from the log, and checks that a checkpoint folds to the same state, through the records' bytes.
    pub(super) fn restart(&mut self) {
        let exported = self.groups.export();
        let fold = |records: &[GroupRecord]| {
            let mut groups = Groups::new(self.config.clone());
            for record in records {
                groups.apply(&GroupRecord::decode(&record.encode()).unwrap());
            }
            groups
        };
        let from_log = fold(&self.log);
        assert_eq!(from_log.export(), exported, "the fold of the log is the checkpoint");
        assert_eq!(fold(&exported).export(), exported);
        self.groups = from_log;
        self.groups.start_sessions(self.now_ms);
        self.waiting.clear();
    }

    fn describe(&mut self) -> String {
        let group = self.groups.describe(GROUP, false).unwrap();
        let mut text =
            format!("{} gen {} {:?}\n", group.state, group.generation, group.protocol_name);
        for member in group.members {
            let id = self.show(&member.member_id);
            let assignment = String::from_utf8_lossy(&member.assignment).into_owned();
            writeln!(text, "{id} {assignment:?}").unwrap();
        }
        text
    }

    fn join(&mut self, who: &str, options: &[&str]) -> Outputs {
        let options = Options(options);
        let reply_to = self.token(format!("join {who}"));
        let member_id = options.get("id").map(|id| self.id(id)).unwrap_or_default();
        if member_id.is_empty() {
            self.joins += 1;
        }
        let metadata = options.get("sub").map(subscription).unwrap_or_default();
        let names = options.get("protocols").unwrap_or("range");
        let protocol = |name: &str| Protocol { name: name.into(), metadata: metadata.clone() };
        let req = JoinRequest {
            reply_to,
            group_id: options.get("group").unwrap_or(GROUP).into(),
            member_id,
            instance_id: options.get("instance").map(str::to_owned),
            client_id: who.into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: options.get("type").unwrap_or("consumer").into(),
            protocols: names.split(',').filter(|name| !name.is_empty()).map(protocol).collect(),
            session_timeout_ms: options.number("session", 10_000),
            rebalance_timeout_ms: options.number("rebalance", 60_000),
            require_known_member_id: options.has("v4"),
            skip_assignment_supported: options.has("v9"),
            random: self.joins,
        };
        self.groups.handle_join(self.now_ms, &req)
    }

    fn sync(&mut self, who: &str, options: &[&str]) -> Outputs {
        let options = Options(options);
        let reply_to = self.token(format!("sync {who}"));
        let assign = options.get("assign").unwrap_or("");
        let assignments = assign.split(',').filter_map(|part| part.split_once(':'));
        let assignments: Vec<_> = assignments
            .map(|(id, bytes)| (self.id(id), Bytes::copy_from_slice(bytes.as_bytes())))
            .collect();
        let req = SyncRequest {
            reply_to,
            group_id: options.get("group").unwrap_or(GROUP).into(),
            member_id: self.id(who),
            instance_id: options.get("instance").map(str::to_owned),
            generation: options.number("gen", 1),
            protocol_type: options.get("type").map(str::to_owned),
            protocol_name: options.get("protocol").map(str::to_owned),
            assignments,
        };
        self.groups.handle_sync(self.now_ms, &req)
    }

    fn leave(&mut self, who: &[&str]) -> Outputs {
        let reply_to = self.token("leave".into());
        let member = |word: &&str| {
            let (id, instance) = word.split_once('/').unwrap_or((word, ""));
            let instance_id = Some(instance.to_owned()).filter(|instance| !instance.is_empty());
            LeaveMember { member_id: self.id(id), instance_id }
        };
        let members = who.iter().map(member).collect();
        self.groups
            .handle_leave(self.now_ms, LeaveRequest { reply_to, group_id: GROUP.into(), members })
    }

    fn commit(&mut self, who: &str, options: &[&str]) -> Outputs {
        let reply_to = self.token(format!("commit {who}"));
        let options = Options(options);
        let partition = |word: &&str| {
            let (at, value) = word.split_once('=')?;
            let at = at.contains(':').then(|| topic_partition(at))?;
            let (offset, metadata) = value.split_once('/').unwrap_or((value, ""));
            let long = metadata.strip_prefix('*').map(|count| "m".repeat(count.parse().unwrap()));
            Some(CommitPartition {
                topic: at.topic,
                topic_id: topic_id(&options),
                partition: at.partition,
                offset: Offset(offset.parse().unwrap()),
                leader_epoch: LeaderEpoch(3),
                metadata: long.unwrap_or_else(|| metadata.to_owned()),
            })
        };
        let req = CommitRequest {
            reply_to,
            group_id: options.get("group").unwrap_or(GROUP).into(),
            member_id: self.id(who),
            instance_id: options.get("instance").map(str::to_owned),
            generation: options.number("gen", -1),
            retention_ms: options.get("retention").map(|ms| ms.parse().unwrap()),
            partitions: options.0.iter().filter_map(partition).collect(),
        };
        self.groups.handle_commit(self.now_ms, req)
    }

    fn show_outputs(&mut self, out: Outputs) -> String {
        let mut text = String::new();
        for record in &out.records {
            match record {
                GroupRecord::OffsetCommitted(committed) => {
                    let (topic, partition) = (&committed.topic, committed.partition);
                    writeln!(text, "log {topic}:{partition}={}", committed.value.offset).unwrap();
                }
                GroupRecord::OffsetDeleted { topic, partition, .. } => {
                    writeln!(text, "log {topic}:{partition} deleted").unwrap();
                }
                GroupRecord::Metadata { metadata, .. } => {
                    let count = metadata.members.len();
                    writeln!(text, "log gen {} members {count}", metadata.generation).unwrap();
                }
                GroupRecord::Deleted { .. } => writeln!(text, "log group deleted").unwrap(),
            }
        }
        self.log.extend(out.records);
        for reply in out.replies {
            let label = self.waiting.remove(&reply.to).expect("a reply is sent once");
            let body = self.show_reply(reply.body);
            writeln!(text, "{label}: {body}").unwrap();
        }
        text
    }

    fn show_reply(&mut self, body: ReplyBody) -> String {
        let result =
            |error: Option<GroupError>| error.map_or("ok".into(), |error| format!("{error:?}"));
        match body {
            ReplyBody::Join(reply) => {
                let id = self.show(&reply.member_id);
                if let Some(error) = reply.error {
                    return format!("{error:?} {id}");
                }
                let leader = self.show(&reply.leader);
                let protocol = reply.protocol_name.unwrap_or_default();
                let mut text = format!("{id} gen {} {protocol} leader {leader}", reply.generation);
                if reply.skip_assignment {
                    text.push_str(" skip");
                }
                for member in reply.members {
                    let shown = self.show(&member.member_id);
                    write!(text, " [{shown}]").unwrap();
                }
                text
            }
            ReplyBody::Sync(reply) => match reply.error {
                Some(error) => format!("{error:?}"),
                None => format!("{:?}", String::from_utf8_lossy(&reply.assignment)),
            },
            ReplyBody::Leave(results) => {
                results.into_iter().map(|(_, error)| result(error)).collect::<Vec<_>>().join(" ")
            }
            ReplyBody::DeleteGroups(results) => result(results[0].1),
            ReplyBody::DeleteOffsets(Err(error)) => result(Some(error)),
            ReplyBody::Commit(results) | ReplyBody::DeleteOffsets(Ok(results)) => {
                let shown = results.into_iter().map(|one| result(one.error));
                shown.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

struct Options<'a>(&'a [&'a str]);

impl<'a> Options<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find_map(|word| word.split_once('=').filter(|(key, _)| *key == name))
            .map(|o| o.1)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    fn number(&self, name: &str, default: i32) -> i32 {
        self.get(name).map_or(default, |value| value.parse().unwrap())
    }
}

/// `topic-id=n`: sixteen bytes n; none is all zero.
fn topic_id(options: &Options<'_>) -> TopicId {
    TopicId([u8::try_from(options.number("topic-id", 0)).unwrap(); 16])
}

fn topic_partition(word: &str) -> TopicPartition {
    let (topic, partition) = word.split_once(':').unwrap();
    TopicPartition { topic: topic.into(), partition: PartitionId(partition.parse().unwrap()) }
}

/// A consumer subscription to comma-separated topics.
pub(super) fn subscription(topics: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    let topics: Vec<&str> = topics.split(',').collect();
    bytes.put_i16(1);
    bytes.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        bytes.put_i16(i16::try_from(topic.len()).unwrap());
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}
