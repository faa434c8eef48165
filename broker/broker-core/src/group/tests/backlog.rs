//! What waits for a full disk: which record takes which one's place, and that very many of them are no matter.

use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

use crate::group::{Backlog, CommittedOffset, GroupMetadata, GroupRecord, OffsetCommitted};

fn deleted(group: &str) -> GroupRecord {
    GroupRecord::Deleted { group_id: group.to_owned() }
}

fn offset_deleted(group: &str, partition: i32) -> GroupRecord {
    let (group_id, topic) = (group.to_owned(), "t".to_owned());
    GroupRecord::OffsetDeleted { group_id, topic, partition: PartitionId(partition) }
}

fn committed(group: &str, partition: i32, offset: i64) -> GroupRecord {
    GroupRecord::OffsetCommitted(OffsetCommitted {
        group_id: group.to_owned(),
        topic: "t".to_owned(),
        partition: PartitionId(partition),
        value: CommittedOffset {
            topic_id: TopicId::default(),
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(-1),
            metadata: String::new(),
            committed_at_ms: 0,
            expires_at_ms: None,
        },
    })
}

fn metadata(group: &str, generation: i32) -> GroupRecord {
    let metadata = GroupMetadata {
        generation,
        protocol_type: None,
        protocol_name: None,
        leader: None,
        state_since_ms: 0,
        members: Vec::new(),
    };
    GroupRecord::Metadata { group_id: group.to_owned(), metadata }
}

/// What is left after records that came one by one.
fn left(records: &[GroupRecord]) -> Vec<GroupRecord> {
    let mut backlog = Backlog::default();
    for record in records {
        backlog.add(vec![record.clone()]);
    }
    backlog.iter().cloned().collect()
}

#[test]
fn a_record_takes_the_place_of_what_it_leaves_nothing_of() {
    let stay = |records: &[GroupRecord]| assert_eq!(left(records), records);
    assert_eq!(left(&[metadata("g", 1), metadata("g", 2)]), [metadata("g", 2)]);
    stay(&[metadata("h", 1), metadata("g", 2)]);
    stay(&[offset_deleted("g", 0), metadata("g", 2)]);
    // The offsets must go.
    stay(&[deleted("g"), metadata("g", 2)]);
    stay(&[deleted("g"), committed("g", 0, 1)]);
    for earlier in [metadata("g", 1), offset_deleted("g", 0), committed("g", 1, 1), deleted("g")] {
        assert_eq!(left(&[earlier.clone(), deleted("g")]), [deleted("g")]);
        stay(&[earlier.clone(), deleted("f")]);
        stay(&[earlier, deleted("h")]);
    }
    assert_eq!(left(&[committed("g", 0, 1), offset_deleted("g", 0)]), [offset_deleted("g", 0)]);
    assert_eq!(left(&[offset_deleted("g", 0), committed("g", 0, 1)]), [committed("g", 0, 1)]);
    stay(&[offset_deleted("g", 1), offset_deleted("g", 0), metadata("g", 1)]);
}

/// Twice the same offset in one commit: the first one must not outlive a deletion that is logged before the backlog.
#[test]
fn what_came_in_one_go_is_superseded_like_the_rest() {
    let mut backlog = Backlog::default();
    backlog.add(vec![committed("g", 0, 1), committed("h", 0, 1), committed("g", 0, 2)]);
    assert_eq!(backlog.iter().len(), 3, "logged as it came");
    let place = backlog.add(vec![deleted("g")]);
    assert!(backlog.iter().eq(&[committed("h", 0, 1), deleted("g")]));
    assert_eq!(backlog.first_from(place), Some((place, &deleted("g"))));
    assert_eq!(backlog.remove(place), Some(deleted("g")));
    backlog.logged(&committed("h", 0, 2));
    assert!(backlog.is_empty());
}

/// Each record was compared with all that waited: a few deleted topics held up their core for minutes.
#[test]
fn very_many_records_wait() {
    const MANY: i32 = 100_000;
    let mut backlog = Backlog::default();
    for round in 0..2 {
        for partition in 0..MANY {
            backlog.add(vec![committed("g", partition, round)]);
        }
    }
    assert!(
        backlog.iter().eq((0..MANY).map(|at| committed("g", at, 1)).collect::<Vec<_>>().iter())
    );
    for partition in 1..MANY {
        backlog.logged(&offset_deleted("g", partition));
    }
    assert!(backlog.iter().eq(&[committed("g", 0, 1)]));
}
