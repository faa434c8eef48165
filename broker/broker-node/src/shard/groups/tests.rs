//! The groups of a shard whose disk is full: what goes on, what is refused, and what of it lasts.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use broker_core::catalog::{CatalogRecord, NewTopicSpec, TopicRef};
use broker_core::group::{
    CommitPartition, CommitRequest, GroupConfig, GroupError, HeartbeatRequest, JoinReply,
    JoinRequest, LeaveMember, LeaveRequest, Protocol, ReplyTo, SyncRequest, TopicPartition,
};
use broker_kafka::broker::{FetchOffsets, GroupAnswer, GroupCall, WantedOffsets};
use broker_rt::Runtime;
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::future::{Either, join, select};
use log_journal::JournalOptions;
use log_testkit::{CrashPolicy, SimDisk, SimDiskOptions};
use log_types::{ClusterId, LeaderEpoch, Offset, PartitionId, ShardId, StreamId, TopicId};

use super::super::tests::in_memory::InMemory;
use super::super::tests::item;
use super::super::{Shard, ShardOptions};

/// Runs `body` with a shard on `disk`, its journal and its group deadlines.
fn with_shard(disk: &SimDisk, body: impl AsyncFnOnce(Rc<Shard>)) {
    let runtime: Rc<dyn Runtime> = Rc::new(InMemory::new(disk));
    let options = ShardOptions {
        journal: JournalOptions {
            segment_bytes: 1 << 20,
            frame_bytes_max: 256 << 10,
            ..JournalOptions::new(ClusterId([7; 16]), ShardId(0))
        },
        epoch: LeaderEpoch(1),
        full_shards: std::sync::Arc::default(),
        groups: GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() },
    };
    block_on(async {
        let shard = Shard::open(&*runtime, Path::new("data"), options).await.expect("opens");
        let hooks = Rc::clone(&shard);
        let journal = shard.journal.run(hooks);
        let deadlines = Rc::clone(&shard).group_deadlines(Rc::clone(&runtime));
        let services = Box::pin(join(journal, deadlines));
        let body = Box::pin(body(shard));
        if let Either::Left((ended, _)) = select(services, body).await {
            panic!("the journal ended: {:?}", ended.0);
        }
    });
}

async fn call(shard: &Rc<Shard>, call: GroupCall) -> GroupAnswer {
    Rc::clone(shard).group_call(call).await.expect("the journal works")
}

fn commit(group: &str, partitions: std::ops::Range<i32>, offset: i64, metadata: &str) -> GroupCall {
    let partitions = partitions.map(|partition| CommitPartition {
        topic: "t".to_owned(),
        topic_id: TopicId([1; 16]),
        partition: PartitionId(partition),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(-1),
        metadata: metadata.to_owned(),
    });
    GroupCall::Commit(CommitRequest {
        reply_to: ReplyTo(0),
        group_id: group.to_owned(),
        member_id: String::new(),
        instance_id: None,
        generation: -1,
        retention_ms: None,
        partitions: partitions.collect(),
    })
}

/// The group's committed offsets, by partition.
async fn committed(shard: &Rc<Shard>, group: &str) -> Vec<(i32, i64)> {
    let wanted = WantedOffsets::After(None);
    let request = FetchOffsets { group_id: group.to_owned(), member_id: None, wanted };
    let answer = call(shard, GroupCall::FetchOffsets(request)).await;
    let GroupAnswer::Offsets(Ok(offsets)) = answer else { panic!("{answer:?}") };
    let offset = |value: Option<broker_core::group::CommittedOffset>| value.expect("some").offset.0;
    offsets.into_iter().map(|one| (one.partition.0, offset(one.committed))).collect()
}

/// `None` when it is refused for lack of space.
async fn join_group(shard: &Rc<Shard>, group: &str) -> Option<JoinReply> {
    let protocol = Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"\0\0") };
    let answer = call(
        shard,
        GroupCall::Join(JoinRequest {
            reply_to: ReplyTo(0),
            group_id: group.to_owned(),
            member_id: String::new(),
            instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            require_known_member_id: false,
            skip_assignment_supported: false,
            random: 0,
        }),
    );
    match answer.await {
        GroupAnswer::Join(reply) => Some(reply),
        GroupAnswer::Unavailable => None,
        other => panic!("{other:?}"),
    }
}

/// Joins and syncs alone: the generation and the member's id.
async fn enter(shard: &Rc<Shard>, group: &str) -> (i32, String) {
    let JoinReply { error, generation, member_id, .. } =
        join_group(shard, group).await.expect("the disk has space");
    assert_eq!(error, None);
    let synced = call(
        shard,
        GroupCall::Sync(SyncRequest {
            reply_to: ReplyTo(0),
            group_id: group.to_owned(),
            member_id: member_id.clone(),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(member_id.clone(), Bytes::from_static(b"all"))],
        }),
    );
    let GroupAnswer::Sync(synced) = synced.await else { panic!("not a sync") };
    assert_eq!((synced.error, &synced.assignment[..]), (None, &b"all"[..]));
    (generation, member_id)
}

async fn beat(shard: &Rc<Shard>, group: &str, (generation, member_id): &(i32, String)) {
    let beat = GroupCall::Heartbeat(HeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member_id.clone(),
        instance_id: None,
        generation: *generation,
    });
    assert!(matches!(call(shard, beat).await, GroupAnswer::Heartbeat(None)));
}

async fn leave(shard: &Rc<Shard>, group: &str, (_, member_id): (i32, String)) {
    let members = vec![LeaveMember { member_id, instance_id: None }];
    let group_id = group.to_owned();
    let leave = GroupCall::Leave(LeaveRequest { reply_to: ReplyTo(0), group_id, members });
    let GroupAnswer::Leave(left) = call(shard, leave).await else { panic!("not a leave") };
    assert!(matches!(left[..], [(_, None)]), "{left:?}");
}

async fn delete(shard: &Rc<Shard>, group: &str) -> Option<GroupError> {
    match call(shard, GroupCall::Delete { group_id: group.to_owned() }).await {
        GroupAnswer::Deleted(error) => error,
        other => panic!("{other:?}"),
    }
}

async fn delete_offset(shard: &Rc<Shard>, group: &str, partition: i32) {
    let one = TopicPartition { topic: "t".to_owned(), partition: PartitionId(partition) };
    let delete = GroupCall::DeleteOffsets { group_id: group.to_owned(), partitions: vec![one] };
    let GroupAnswer::OffsetsDeleted(Ok(results)) = call(shard, delete).await else {
        panic!("refused")
    };
    assert_eq!(results[0].error, None);
}

/// Commits to a group of its own until the disk takes no more.
async fn fill(shard: &Rc<Shard>) {
    let metadata = "m".repeat(4000);
    for round in 0..1000 {
        let answer = call(shard, commit("filler", 0..50, round, &metadata)).await;
        if matches!(answer, GroupAnswer::Unavailable) {
            return;
        }
    }
    panic!("the disk never gets full");
}

/// The story: ten thousand of them were copied in one go of some milliseconds.
#[test]
fn what_groups_have_committed_is_told_in_slices() {
    let disk = SimDisk::new(SimDiskOptions::default());
    with_shard(&disk, async |shard| {
        // None, one, as many as are read at a time, one more, and many.
        let counts = [("a", 1), ("b", 200), ("c", 201), ("d", 1000)];
        for (group, count) in counts {
            call(&shard, commit(group, 0..count, 7, "")).await;
        }
        let expect = counts.into_iter().flat_map(|(group, count)| {
            (0..count).map(move |partition| (group.to_owned(), PartitionId(partition)))
        });
        let expect: Vec<_> = expect.collect();
        for count_max in [0, 1, 200, 201, 402, 403, 1401, 1402, 10_000] {
            let mut asking = pin!(Rc::clone(&shard).commits(count_max));
            let (mut polls, mut context) = (1, Context::from_waker(Waker::noop()));
            let told = loop {
                match asking.as_mut().poll(&mut context) {
                    Poll::Ready(told) => break told,
                    Poll::Pending => polls += 1,
                }
            };
            let told: Vec<_> = told.into_iter().map(|one| (one.group, one.partition)).collect();
            let upto = count_max.min(expect.len());
            assert_eq!(told, expect[..upto], "at most {count_max}");
            assert!(polls > upto / 500, "at most {count_max}: {polls} polls");
        }
    });
}

#[test]
fn a_full_disk_takes_reads_leaves_and_deletions_and_refuses_joins_and_commits() {
    let disk = SimDisk::new(SimDiskOptions::default());
    with_shard(&disk, async |shard| {
        for group in ["keeps", "goes"] {
            let done = call(&shard, commit(group, 0..2, 5, "")).await;
            assert!(matches!(done, GroupAnswer::Commit(_)), "{done:?}");
        }
        let member = enter(&shard, "left").await;
        disk.set_capacity_bytes(0);
        fill(&shard).await;
        // Refused before anything has changed, again and again.
        for _ in 0..2 {
            let refused = call(&shard, commit("keeps", 0..2, 6, "")).await;
            assert!(matches!(refused, GroupAnswer::Unavailable), "{refused:?}");
        }
        assert_eq!(committed(&shard, "keeps").await, [(0, 5), (1, 5)]);
        let listed = call(&shard, GroupCall::List { states: Vec::new(), after: None }).await;
        assert!(matches!(listed, GroupAnswer::Listed(page) if page.groups.len() == 4));
        // No generation that the log does not know: after a crash another would have its number.
        assert_eq!(join_group(&shard, "new").await.map(|reply| reply.generation), None);
        beat(&shard, "left", &member).await;
        leave(&shard, "left", member).await;
        delete_offset(&shard, "keeps", 1).await;
        assert_eq!(delete(&shard, "goes").await, None);
        // Its member has gone since the disk is full: what waits to be logged of it goes with it.
        assert_eq!(delete(&shard, "left").await, None);
        assert_eq!(delete(&shard, "no-such").await, Some(GroupError::GroupIdNotFound));
    });
    let after = disk.crash_image(CrashPolicy::DropAll);
    after.set_capacity_bytes(u64::MAX);
    with_shard(&after, async |shard| {
        assert_eq!(committed(&shard, "keeps").await, [(0, 5)], "what was answered lasts");
        assert_eq!(delete(&shard, "goes").await, Some(GroupError::GroupIdNotFound));
        assert_eq!(delete(&shard, "left").await, Some(GroupError::GroupIdNotFound));
        enter(&shard, "new").await;
        let done = call(&shard, commit("keeps", 0..2, 7, "")).await;
        assert!(matches!(done, GroupAnswer::Commit(_)), "{done:?}");
        assert_eq!(committed(&shard, "keeps").await, [(0, 7), (1, 7)]);
    });
}

#[test]
fn what_waited_for_space_is_logged_once_there_is_some() {
    let disk = SimDisk::new(SimDiskOptions::default());
    with_shard(&disk, async |shard| {
        let member = enter(&shard, "new").await;
        disk.set_capacity_bytes(0);
        fill(&shard).await;
        leave(&shard, "new", member).await;
        let of_new = shard.groups.backlog().iter().filter(|one| one.group_id() == "new").count();
        assert_eq!(of_new, 1, "that it is empty waits");
        disk.set_capacity_bytes(u64::MAX);
        shard.journal.retry_space();
        let mut tries = 0;
        while matches!(call(&shard, commit("keeps", 0..1, 1, "")).await, GroupAnswer::Unavailable) {
            tries += 1;
            assert!(tries < 1000, "space is back");
            log_io::yield_once().await;
        }
        assert!(shard.groups.backlog().is_empty());
    });
    let after = disk.crash_image(CrashPolicy::DropAll);
    with_shard(&after, async |shard| {
        assert_eq!(committed(&shard, "keeps").await, [(0, 1)]);
        assert_eq!(delete(&shard, "new").await, None, "it is known");
    });
}

/// They took all of the reserve, and what would have freed space was refused from then on. Those that were refused for lack of
/// it were gone all the same, until a crash.
#[test]
fn deletions_of_groups_leave_room_for_what_frees_a_full_disk() {
    const DELETED_MAX: usize = 300;
    let disk = SimDisk::new(SimDiskOptions::default());
    let mut left = 0;
    with_shard(&disk, async |shard| {
        let create = |shard: &Shard| {
            let (name, configs) = ("t".to_owned(), BTreeMap::new());
            let spec = NewTopicSpec { name, partition_count: 1, configs };
            shard.catalog.borrow().plan_topic(spec, 1, 1).map(|planned| planned.record)
        };
        let created = shard.log_catalog_change(create).await.expect("the disk has space");
        assert!(matches!(created.record, CatalogRecord::TopicCreated(_)));
        let stream = StreamId(16);
        shard.add_stream(stream);
        let appended = Rc::clone(&shard).append_all(vec![item(stream)]).await.expect("works");
        assert!(appended[0].is_ok());
        let group = |index: usize| format!("group-{index}");
        for index in 0..DELETED_MAX {
            let done = call(&shard, commit(&group(index), 0..1, 5, "")).await;
            assert!(matches!(done, GroupAnswer::Commit(_)), "{done:?}");
        }
        disk.set_capacity_bytes(0);
        fill(&shard).await;
        let mut deleted = 0;
        for index in 0..DELETED_MAX {
            match call(&shard, GroupCall::Delete { group_id: group(index) }).await {
                GroupAnswer::Deleted(None) => deleted += 1,
                GroupAnswer::Unavailable => {}
                other => panic!("{other:?}"),
            }
        }
        assert!((2..100).contains(&deleted), "they have a share of it: {deleted}");
        let refused = DELETED_MAX - 1;
        assert_eq!(committed(&shard, &group(refused)).await, [(0, 5)], "it is refused, and stays");
        let one = TopicPartition { topic: "t".to_owned(), partition: PartitionId(0) };
        let group_id = group(refused);
        let delete = GroupCall::DeleteOffsets { group_id, partitions: vec![one] };
        assert!(matches!(call(&shard, delete).await, GroupAnswer::Unavailable));
        assert_eq!(committed(&shard, &group(refused)).await, [(0, 5)], "the same for offsets");
        // Those, the filler and nothing else.
        assert_eq!(shard.group_count(), DELETED_MAX - deleted + 1);
        left = shard.group_count();
        let delete =
            |shard: &Shard| shard.catalog.borrow().plan_deletion(&TopicRef::Name("t".to_owned()));
        let change = shard.log_catalog_change(delete).await.expect("the rest is there");
        assert!(matches!(change.record, CatalogRecord::TopicDeleted { .. }));
        let start = Rc::clone(&shard).delete_records(stream, None).await.expect("works");
        assert_eq!(start, Ok(Offset(1)), "and for another");
    });
    let after = disk.crash_image(CrashPolicy::DropAll);
    after.set_capacity_bytes(u64::MAX);
    with_shard(&after, async |shard| {
        assert_eq!(shard.group_count(), left, "what was refused lasts")
    });
}

/// The commit that meets the full disk itself was refused, and read by others until a crash took it back.
#[test]
fn a_commit_that_is_refused_is_not_read() {
    let disk = SimDisk::new(SimDiskOptions::default());
    let read = with_shard_until_full(&disk);
    assert!(read.iter().any(|(_, offset)| *offset > 0), "there were commits: {read:?}");
    let after = disk.crash_image(CrashPolicy::DropAll);
    after.set_capacity_bytes(u64::MAX);
    with_shard(&after, async |shard| assert_eq!(committed(&shard, "filler").await, read));
}

/// Fills the disk with commits; what is read of them then.
fn with_shard_until_full(disk: &SimDisk) -> Vec<(i32, i64)> {
    let mut read = Vec::new();
    with_shard(disk, async |shard| {
        disk.set_capacity_bytes(0);
        fill(&shard).await;
        assert!(shard.groups.backlog().is_empty(), "nothing of it waits to be logged later");
        read = committed(&shard, "filler").await;
    });
    read
}
