//! Commits, deletes and expiry of offsets.

use super::harness::{check, check_with};
use crate::group::GroupConfig;

#[test]
fn commits_are_fenced_by_member_and_generation() {
    check(
        "
        > commit a gen=0 t:0=1
        commit a: GroupIdNotFound
        > join a
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > commit a#1 gen=1 t:0=1
        commit a#1: RebalanceInProgress
        > sync a#1
        log gen 1 members 1
        sync a#1: \"\"
        > commit a#1 gen=1 t:0=1
        log t:0=1
        commit a#1: ok
        > commit a#1 gen=0 t:0=2
        commit a#1: IllegalGeneration
        > commit b gen=1 t:0=2
        commit b: UnknownMemberId
        > commit - gen=-1 t:0=2
        commit -: UnknownMemberId
        > offset t:0
        1 epoch 3 \"\"
        > join b
        > commit a#1 gen=1 t:0=3
        log t:0=3
        commit a#1: ok
        ",
    );
}

#[test]
fn commit_while_preparing_counts_as_a_heartbeat() {
    check(
        "
        > join a
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1
        log gen 1 members 1
        sync a#1: \"\"
        > join b
        > at 12000
        > commit a#1 gen=1 t:0=3
        log t:0=3
        commit a#1: ok
        > at 21999
        > heartbeat a#1 gen=1
        RebalanceInProgress
        ",
    );
}

#[test]
fn simple_consumers_commit_into_an_empty_group() {
    check(
        "
        > commit - t:0=1/hello t:1=2
        log t:0=1
        log t:1=2
        commit -: ok ok
        > offset t:0
        1 epoch 3 \"hello\"
        > offset t:2
        none
        > list
        g  Empty
        ",
    );
}

#[test]
fn offset_metadata_is_limited_per_partition() {
    check(
        "
        > commit - t:0=1/*4096 t:1=2/*4097
        log t:0=1
        commit -: ok OffsetMetadataTooLarge
        > offset t:1
        none
        ",
    );
}

#[test]
fn delete_groups_takes_the_offsets_along() {
    check(
        "
        > commit - t:0=1
        log t:0=1
        commit -: ok
        > delete
        log group deleted
        delete: ok
        > offset t:0
        none
        > restart
        > list
        nothing
        ",
    );
}

#[test]
fn kip_496_offset_delete_spares_subscribed_topics() {
    check(
        "
        > join a sub=t,u
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1
        log gen 1 members 1
        sync a#1: \"\"
        > commit a#1 gen=1 t:0=1 v:0=2
        log t:0=1
        log v:0=2
        commit a#1: ok ok
        > delete-offsets t:0 v:0 v:1
        log v:0 deleted
        delete-offsets: GroupSubscribedToTopic ok ok
        > leave a#1
        log gen 2 members 0
        leave: ok
        > delete-offsets t:0
        log t:0 deleted
        delete-offsets: ok
        ",
    );
}

#[test]
fn offset_delete_in_an_active_group_that_is_no_consumer_group() {
    check(
        "
        > delete-offsets t:0
        delete-offsets: GroupIdNotFound
        > join a type=connect
        > delete-offsets t:0
        delete-offsets: NonEmptyGroup
        ",
    );
}

fn short_retention() -> GroupConfig {
    GroupConfig {
        offsets_retention_ms: 100_000,
        offsets_retention_check_ms: 1000,
        ..GroupConfig::default()
    }
}

#[test]
fn kip_211_retention_starts_when_the_group_becomes_empty() {
    check_with(
        short_retention(),
        "
        > join a session=300000
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1
        log gen 1 members 1
        sync a#1: \"\"
        > commit a#1 gen=1 t:0=1
        log t:0=1
        commit a#1: ok
        > at 200000
        > heartbeat a#1 gen=1
        ok
        > leave a#1
        log gen 2 members 0
        leave: ok
        > restart
        > at 299000
        > offset t:0
        1 epoch 3 \"\"
        > at 300000
        log t:0 deleted
        log group deleted
        > list
        nothing
        ",
    );
}

#[test]
fn kip_211_unsubscribed_topics_of_a_stable_group_expire_from_the_commit() {
    check_with(
        short_retention(),
        "
        > join a sub=t session=300000
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1
        log gen 1 members 1
        sync a#1: \"\"
        > commit a#1 gen=1 t:0=1 v:0=1
        log t:0=1
        log v:0=1
        commit a#1: ok ok
        > at 102999
        > at 104000
        log v:0 deleted
        ",
    );
}

#[test]
fn kip_211_simple_consumer_offsets_expire_from_the_commit() {
    check_with(
        short_retention(),
        "
        > at 5000
        > commit - t:0=1
        log t:0=1
        commit -: ok
        > at 50000
        > commit - t:1=1
        log t:1=1
        commit -: ok
        > at 105000
        log t:0 deleted
        > at 150000
        log t:1 deleted
        log group deleted
        ",
    );
}

#[test]
fn retention_asked_for_by_old_clients_is_honoured() {
    check_with(
        short_retention(),
        "
        > commit - retention=5000 t:0=1
        log t:0=1
        commit -: ok
        > at 4999
        > at 5999
        log t:0 deleted
        log group deleted
        ",
    );
}

#[test]
fn deleted_topic_loses_its_offsets() {
    check(
        "
        > commit - t:0=1 u:0=1
        log t:0=1
        log u:0=1
        commit -: ok ok
        > delete-topic t
        log t:0 deleted
        > restart
        > offset u:0
        1 epoch 3 \"\"
        ",
    );
}

/// docs/kafka-semantics.md, rule 16: the topic was deleted, made anew and committed to before the deletion reached this shard.
#[test]
fn semantics_16_a_late_deletion_spares_the_next_topic_of_the_name() {
    check(
        "
        > commit - topic-id=1 t:0=1 t:1=1
        log t:0=1
        log t:1=1
        commit -: ok ok
        > commit - topic-id=2 t:1=7
        log t:1=7
        commit -: ok
        > commit - t:2=3
        log t:2=3
        commit -: ok
        > delete-topic t topic-id=1
        log t:0 deleted
        log t:2 deleted
        > restart
        > offset t:0
        none
        > offset t:1
        7 epoch 3 \"\"
        ",
    );
}

#[test]
fn groups_end_at_the_limit() {
    let config = GroupConfig { groups_max: 2, ..GroupConfig::default() };
    check_with(
        config,
        "
        > commit - group=one t:0=1
        log t:0=1
        commit -: ok
        > join a
        > join b group=three
        join b: TooManyGroups -
        > commit - group=three t:0=1
        commit -: TooManyGroups
        > commit - group=one t:0=2
        log t:0=2
        commit -: ok
        > join c group=one id=nobody
        join c: UnknownMemberId nobody
        > delete group=one
        log group deleted
        delete: ok
        > commit - group=three t:0=1
        log t:0=1
        commit -: ok
        > list
        g consumer PreparingRebalance
        three  Empty
        ",
    );
}
