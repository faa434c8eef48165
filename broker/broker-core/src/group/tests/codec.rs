//! Bytes of the records, and of subscriptions.

use super::harness::subscription;
use crate::group::record::{GroupMetadata, GroupRecord, MemberMetadata, OffsetCommitted};
use crate::group::subscription::subscribed_topics;
use crate::group::types::CommittedOffset;
use bytes::Bytes;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};
use std::collections::BTreeSet;

fn offset() -> GroupRecord {
    GroupRecord::OffsetCommitted(OffsetCommitted {
        group_id: "g".into(),
        topic: "t".into(),
        partition: PartitionId(2),
        value: CommittedOffset {
            topic_id: TopicId([7; 16]),
            offset: Offset(9),
            leader_epoch: LeaderEpoch(-1),
            metadata: "m".into(),
            committed_at_ms: 1000,
            expires_at_ms: None,
        },
    })
}

fn metadata() -> GroupRecord {
    let member = MemberMetadata {
        member_id: "a".into(),
        instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "h".into(),
        session_timeout_ms: 1,
        rebalance_timeout_ms: 2,
        subscription: Bytes::from_static(b"s"),
        assignment: Bytes::from_static(b"x"),
    };
    GroupRecord::Metadata {
        group_id: "g".into(),
        metadata: GroupMetadata {
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol_name: None,
            leader: Some("a".into()),
            state_since_ms: 4,
            members: vec![member],
        },
    }
}

fn samples() -> Vec<GroupRecord> {
    let deleted = GroupRecord::OffsetDeleted {
        group_id: "g".into(),
        topic: "t".into(),
        partition: PartitionId(2),
    };
    vec![offset(), deleted, metadata(), GroupRecord::Deleted { group_id: "g".into() }]
}

#[test]
fn golden_bytes() {
    let mut expected = vec![1, 1, 1, 0, 0, 0, b'g', 1, 0, 0, 0, b't'];
    expected.extend([7; 16]);
    expected.extend([2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, b'm']);
    expected.extend([0xe8, 3, 0, 0, 0, 0, 0, 0]);
    expected.extend([255; 8]);
    assert_eq!(offset().encode(), expected);
    let mut expected = vec![1, 3, 1, 0, 0, 0, b'g', 3, 0, 0, 0, 1, 8, 0, 0, 0];
    expected.extend(b"consumer");
    expected.extend([0, 1, 1, 0, 0, 0, b'a', 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([1, 0, 0, 0, b'a', 1, 1, 0, 0, 0, b'i', 1, 0, 0, 0, b'c', 1, 0, 0, 0, b'h']);
    expected.extend([1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b's', 1, 0, 0, 0, b'x']);
    assert_eq!(metadata().encode(), expected);
}

#[test]
fn round_trip_and_every_truncation() {
    for record in samples() {
        let bytes = record.encode();
        assert_eq!(GroupRecord::decode(&bytes).unwrap(), record);
        for len in 0..bytes.len() {
            assert!(GroupRecord::decode(&bytes[..len]).is_err(), "{record:?} cut to {len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(GroupRecord::decode(&longer).is_err());
        let mut newer = bytes;
        newer[0] = 2;
        assert!(GroupRecord::decode(&newer).is_err());
    }
}

#[test]
fn hostile_counts_allocate_nothing() {
    let mut bytes = metadata().encode();
    let count_at = bytes.len() - 39 - 4 + 1;
    for at in 0..bytes.len().saturating_sub(4) {
        let mut hostile = bytes.clone();
        hostile[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let _ = GroupRecord::decode(&hostile);
    }
    bytes[count_at..count_at + 4].copy_from_slice(&[255; 4]);
    assert!(GroupRecord::decode(&bytes).is_err());
}

#[test]
fn subscriptions_are_read_and_bounded() {
    let mut topics = BTreeSet::new();
    let bytes = subscription("t,orders");
    assert!(subscribed_topics(&bytes, &mut topics));
    assert_eq!(topics, BTreeSet::from(["orders".into(), "t".into()]));
    for len in 0..bytes.len() - 4 {
        assert!(!subscribed_topics(&bytes[..len], &mut BTreeSet::new()), "cut to {len}");
    }
    assert!(!subscribed_topics(&[0, 0, 0x7f, 255, 255, 255], &mut BTreeSet::new()));
    assert!(!subscribed_topics(&[255, 255, 0, 0, 0, 0], &mut BTreeSet::new()));
}
