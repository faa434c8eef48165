//! The records whose fold is the state of the groups, and their bytes: `log/FORMAT.md` "Group record".

use crate::fields::{FieldError, FieldReader, FieldWriter};
use crate::group::types::CommittedOffset;
use bytes::Bytes;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

const VERSION: u8 = 1;
/// The fixed part of a member: four lengths, one option, two timeouts, two lengths.
const MEMBER_BYTES_MIN: usize = 4 + 1 + 4 + 4 + 4 + 4 + 4 + 4;

/// One change of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    OffsetCommitted(OffsetCommitted),
    OffsetDeleted { group_id: String, topic: String, partition: PartitionId },
    Metadata { group_id: String, metadata: GroupMetadata },
    Deleted { group_id: String },
}

/// A committed offset with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitted {
    pub group_id: String,
    pub topic: String,
    pub partition: PartitionId,
    pub value: CommittedOffset,
}

/// The durable part of a group: what a restarted coordinator goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: Option<String>,
    /// When the group entered its state; offset retention starts here when it has no members (KIP-211).
    pub state_since_ms: i64,
    /// None: the group is empty. Otherwise it is stable.
    pub members: Vec<MemberMetadata>,
}

/// The durable part of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Metadata of the selected protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl GroupRecord {
    /// The group the record belongs to.
    #[must_use]
    pub fn group_id(&self) -> &str {
        match self {
            Self::OffsetCommitted(committed) => &committed.group_id,
            Self::OffsetDeleted { group_id, .. }
            | Self::Metadata { group_id, .. }
            | Self::Deleted { group_id } => group_id,
        }
    }

    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FieldWriter::new();
        out.u8(VERSION).u8(self.kind()).str(self.group_id());
        match self {
            Self::OffsetCommitted(committed) => {
                let value = &committed.value;
                out.str(&committed.topic).raw(&value.topic_id.0).i32(committed.partition.0);
                out.i64(value.offset.0).i32(value.leader_epoch.0).str(&value.metadata);
                out.i64(value.committed_at_ms).i64(value.expires_at_ms.unwrap_or(-1));
            }
            Self::OffsetDeleted { topic, partition, .. } => {
                out.str(topic).i32(partition.0);
            }
            Self::Metadata { metadata, .. } => encode_metadata(&mut out, metadata),
            Self::Deleted { .. } => {}
        }
        out.finish()
    }

    fn kind(&self) -> u8 {
        match self {
            Self::OffsetCommitted(_) => 1,
            Self::OffsetDeleted { .. } => 2,
            Self::Metadata { .. } => 3,
            Self::Deleted { .. } => 4,
        }
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// When the bytes are cut, left over, of an unknown version or kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        let mut input = FieldReader::new(bytes);
        if input.u8("group record version")? != VERSION {
            return Err(FieldError { what: "group record version", offset: 0 });
        }
        let kind = input.u8("group record kind")?;
        let group_id = input.str("group id")?.to_owned();
        let record = match kind {
            1 => Self::OffsetCommitted(decode_offset(&mut input, group_id)?),
            2 => Self::OffsetDeleted {
                group_id,
                topic: input.str("topic")?.to_owned(),
                partition: PartitionId(input.i32("partition")?),
            },
            3 => Self::Metadata { group_id, metadata: decode_metadata(&mut input)? },
            4 => Self::Deleted { group_id },
            _ => return Err(FieldError { what: "group record kind", offset: 1 }),
        };
        if !input.is_empty() {
            return Err(FieldError { what: "end of group record", offset: bytes.len() });
        }
        Ok(record)
    }
}

fn decode_offset(
    input: &mut FieldReader<'_>,
    group_id: String,
) -> Result<OffsetCommitted, FieldError> {
    let topic = input.str("topic")?.to_owned();
    let topic_id = TopicId(input.id16("topic id")?);
    let partition = PartitionId(input.i32("partition")?);
    let offset = Offset(input.i64("offset")?);
    let leader_epoch = LeaderEpoch(input.i32("leader epoch")?);
    let metadata = input.str("offset metadata")?.to_owned();
    let committed_at_ms = input.i64("commit time")?;
    let expires_at_ms = Some(input.i64("expiry time")?).filter(|&at| at >= 0);
    let value = CommittedOffset {
        topic_id,
        offset,
        leader_epoch,
        metadata,
        committed_at_ms,
        expires_at_ms,
    };
    Ok(OffsetCommitted { group_id, topic, partition, value })
}

fn encode_metadata(out: &mut FieldWriter, metadata: &GroupMetadata) {
    out.i32(metadata.generation);
    encode_option(out, metadata.protocol_type.as_deref());
    encode_option(out, metadata.protocol_name.as_deref());
    encode_option(out, metadata.leader.as_deref());
    out.i64(metadata.state_since_ms).count(metadata.members.len());
    for member in &metadata.members {
        out.str(&member.member_id);
        encode_option(out, member.instance_id.as_deref());
        out.str(&member.client_id).str(&member.client_host);
        out.i32(member.session_timeout_ms).i32(member.rebalance_timeout_ms);
        out.bytes(&member.subscription).bytes(&member.assignment);
    }
}

fn decode_metadata(input: &mut FieldReader<'_>) -> Result<GroupMetadata, FieldError> {
    let generation = input.i32("generation")?;
    let protocol_type = decode_option(input, "protocol type")?;
    let protocol_name = decode_option(input, "protocol name")?;
    let leader = decode_option(input, "leader")?;
    let state_since_ms = input.i64("state time")?;
    let count = input.count(MEMBER_BYTES_MIN, "members")?;
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(MemberMetadata {
            member_id: input.str("member id")?.to_owned(),
            instance_id: decode_option(input, "instance id")?,
            client_id: input.str("client id")?.to_owned(),
            client_host: input.str("client host")?.to_owned(),
            session_timeout_ms: input.i32("session timeout")?,
            rebalance_timeout_ms: input.i32("rebalance timeout")?,
            subscription: Bytes::copy_from_slice(input.bytes("subscription")?),
            assignment: Bytes::copy_from_slice(input.bytes("assignment")?),
        });
    }
    Ok(GroupMetadata { generation, protocol_type, protocol_name, leader, state_since_ms, members })
}

fn encode_option(out: &mut FieldWriter, value: Option<&str>) {
    match value {
        None => out.u8(0),
        Some(value) => out.u8(1).str(value),
    };
}

fn decode_option(
    input: &mut FieldReader<'_>,
    what: &'static str,
) -> Result<Option<String>, FieldError> {
    match input.u8(what)? {
        0 => Ok(None),
        1 => Ok(Some(input.str(what)?.to_owned())),
        _ => Err(FieldError { what, offset: 0 }),
    }
}
