//! Joining, syncing, leaving, expiring.

use super::harness::{check, check_with};
use crate::group::GroupConfig;

#[test]
fn kip_134_initial_rebalance_waits_and_is_prolonged_by_new_members() {
    check(
        "
        > join a
        > at 2999
        > join b
        > at 3000
        > at 5999
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync b#2 gen=1
        > sync a#1 gen=1 assign=a#1:p0,b#2:p1
        log gen 1 members 2
        sync a#1: \"p0\"
        sync b#2: \"p1\"
        > describe
        Stable gen 1 \"range\"
        a#1 \"p0\"
        b#2 \"p1\"
        ",
    );
}

#[test]
fn kip_134_initial_rebalance_delay_is_bounded_by_the_rebalance_timeout() {
    check(
        "
        > join a rebalance=7000
        > at 2000
        > join b rebalance=7000
        > at 3000
        > join c rebalance=7000
        > at 6000
        > join d rebalance=7000
        > at 7000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2] [c#3] [d#4]
        join b: b#2 gen 1 range leader a#1
        join c: c#3 gen 1 range leader a#1
        join d: d#4 gen 1 range leader a#1
        ",
    );
}

#[test]
fn kip_394_new_member_must_join_again_with_its_id() {
    check(
        "
        > join a v4
        join a: MemberIdRequired a#1
        > join a id=a#1 v4
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > join b v4
        join b: MemberIdRequired b#2
        > at 13001
        log gen 2 members 0
        > join b id=b#2 v4
        join b: UnknownMemberId b#2
        ",
    );
}

#[test]
fn kip_394_pending_member_holds_the_rebalance_until_it_joins_or_expires() {
    check(
        "
        > join a session=30000
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1 assign=a#1:p0
        log gen 1 members 1
        sync a#1: \"p0\"
        > join b v4
        join b: MemberIdRequired b#2
        > join a id=a#1 session=30000
        > at 12999
        > at 13000
        join a: a#1 gen 2 range leader a#1 [a#1]
        ",
    );
}

#[test]
fn kip_345_static_member_rejoin_keeps_generation() {
    check(
        "
        > join a instance=i
        > join b
        > at 3000
        > at 6000
        join b: b#2 gen 1 range leader i#1
        join a: i#1 gen 1 range leader i#1 [b#2] [i#1]
        > sync i#1 gen=1 instance=i assign=i#1:p0,b#2:p1
        log gen 1 members 2
        sync i#1: \"p0\"
        > sync b#2 gen=1
        sync b#2: \"p1\"
        > join a instance=i
        log gen 1 members 2
        join a: i#3 gen 1 range leader i#1
        > sync i#3 gen=1 instance=i
        sync i#3: \"p0\"
        > heartbeat b#2 gen=1
        ok
        > heartbeat i#1 gen=1 instance=i
        FencedInstanceId
        > heartbeat i#1 gen=1
        UnknownMemberId
        ",
    );
}

#[test]
fn kip_814_rejoining_static_leader_skips_the_assignment() {
    check(
        "
        > join a instance=i
        > at 3000
        join a: i#1 gen 1 range leader i#1 [i#1]
        > sync i#1 instance=i assign=i#1:p0
        log gen 1 members 1
        sync i#1: \"p0\"
        > join a instance=i v9
        log gen 1 members 1
        join a: i#2 gen 1 range leader i#2 skip [i#2]
        ",
    );
}

#[test]
fn kip_345_static_member_that_changes_the_protocol_rebalances() {
    check(
        "
        > join a instance=i
        > at 3000
        join a: i#1 gen 1 range leader i#1 [i#1]
        > sync i#1 instance=i assign=i#1:p0
        log gen 1 members 1
        sync i#1: \"p0\"
        > join a instance=i protocols=sticky,range
        join a: i#2 gen 2 sticky leader i#2 [i#2]
        ",
    );
}

#[test]
fn kip_345_replacement_fences_the_waiting_old_member() {
    check(
        "
        > join a instance=i
        > join a2 instance=i
        join a: FencedInstanceId i#1
        > at 3000
        join a2: i#2 gen 1 range leader i#2 [i#2]
        > sync i#1 gen=1 instance=i
        sync i#1: FencedInstanceId
        > commit i#1 gen=1 instance=i t:0=5
        commit i#1: FencedInstanceId
        ",
    );
}

#[test]
fn kip_345_absent_static_member_stays_until_its_session_ends() {
    check(
        "
        > join a instance=i session=120000
        > join b
        > at 3000
        > at 6000
        join b: b#2 gen 1 range leader i#1
        join a: i#1 gen 1 range leader i#1 [b#2] [i#1]
        > sync i#1 gen=1 instance=i assign=i#1:p0,b#2:p1
        log gen 1 members 2
        sync i#1: \"p0\"
        > sync b#2 gen=1
        sync b#2: \"p1\"
        > join b id=b#2 protocols=range,x
        > at 66000
        join b: b#2 gen 2 range leader b#2 [b#2] [i#1]
        > sync b#2 gen=2 assign=b#2:p1,i#1:p0
        log gen 2 members 2
        sync b#2: \"p1\"
        > at 75999
        > heartbeat b#2 gen=2
        ok
        ",
    );
}

#[test]
fn kip_345_administrator_removes_by_instance_id() {
    check(
        "
        > join a instance=i
        > at 3000
        join a: i#1 gen 1 range leader i#1 [i#1]
        > leave -/i -/j
        log gen 2 members 0
        leave: ok UnknownMemberId
        > list
        g consumer Empty
        ",
    );
}

#[test]
fn follower_with_unchanged_metadata_gets_the_current_generation() {
    check(
        "
        > join a
        > join b
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > join b id=b#2
        join b: b#2 gen 1 range leader a#1
        > sync a#1 gen=1 assign=b#2:p1
        log gen 1 members 2
        sync a#1: \"\"
        > join b id=b#2
        join b: b#2 gen 1 range leader a#1
        > sync b#2 gen=1
        sync b#2: \"p1\"
        > join a id=a#1
        > heartbeat b#2 gen=1
        RebalanceInProgress
        > join b id=b#2
        join a: a#1 gen 2 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 2 range leader a#1
        ",
    );
}

#[test]
fn sync_waits_for_the_leader_and_is_aborted_by_a_new_rebalance() {
    check(
        "
        > join a
        > join b
        > at 6000
        > at 9000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync b#2 gen=1
        > join c
        sync b#2: RebalanceInProgress
        > sync a#1 gen=1
        sync a#1: RebalanceInProgress
        > sync b#2 gen=0
        sync b#2: IllegalGeneration
        > sync nobody gen=1
        sync nobody: UnknownMemberId
        ",
    );
}

#[test]
fn sync_barrier_removes_members_that_do_not_sync() {
    check(
        "
        > join a rebalance=20000 session=30000
        > join b rebalance=20000 session=30000
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync a#1 gen=1 assign=a#1:p0
        log gen 1 members 2
        sync a#1: \"p0\"
        > at 25999
        > heartbeat a#1 gen=1
        ok
        > at 26000
        > heartbeat a#1 gen=1
        RebalanceInProgress
        > heartbeat b#2 gen=1
        UnknownMemberId
        > join a id=a#1 rebalance=20000 session=30000
        join a: a#1 gen 2 range leader a#1 [a#1]
        ",
    );
}

#[test]
fn sync_with_another_protocol_is_refused() {
    check(
        "
        > join a
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1 protocol=sticky
        sync a#1: InconsistentGroupProtocol
        > sync a#1 type=connect
        sync a#1: InconsistentGroupProtocol
        > sync a#1 type=consumer protocol=range
        log gen 1 members 1
        sync a#1: \"\"
        ",
    );
}

#[test]
fn session_expiry_removes_a_silent_member() {
    check(
        "
        > join a
        > join b
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync a#1 gen=1 assign=a#1:p0,b#2:p1
        log gen 1 members 2
        sync a#1: \"p0\"
        > at 15999
        > heartbeat a#1 gen=1
        ok
        > at 16000
        > heartbeat a#1 gen=1
        RebalanceInProgress
        > heartbeat b#2 gen=1
        UnknownMemberId
        ",
    );
}

#[test]
fn members_waiting_for_a_rebalance_do_not_expire() {
    check(
        "
        > join a
        > join b session=60000
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > join a id=a#1 protocols=range,x
        > at 60000
        > at 66000
        join a: a#1 gen 2 range leader a#1 [a#1]
        ",
    );
}

#[test]
fn rebalance_timeout_drops_members_that_do_not_rejoin() {
    check(
        "
        > join a rebalance=15000
        > join b rebalance=5000 session=60000
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > join a id=a#1 protocols=range,x rebalance=15000
        > at 20999
        > heartbeat b#2 gen=1
        RebalanceInProgress
        > at 21000
        join a: a#1 gen 2 range leader a#1 [a#1]
        > heartbeat b#2 gen=1
        UnknownMemberId
        ",
    );
}

#[test]
fn repeated_join_answers_the_earlier_one() {
    check(
        "
        > join a
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > join b
        > join a1 id=a#1
        join a1: a#1 gen 2 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 2 range leader a#1
        > join c
        > join a2 id=a#1
        > join a3 id=a#1
        join a2: RebalanceInProgress a#1
        ",
    );
}

#[test]
fn protocol_is_selected_by_vote_among_the_common_ones() {
    check(
        "
        > join a protocols=x,y,z
        > join b protocols=y,x
        > join c protocols=y,x,w
        > at 3000
        > at 6000
        join a: a#1 gen 1 y leader a#1 [a#1] [b#2] [c#3]
        join b: b#2 gen 1 y leader a#1
        join c: c#3 gen 1 y leader a#1
        ",
    );
}

#[test]
fn inconsistent_protocols_are_refused() {
    check(
        "
        > join a protocols=x
        > join b protocols=y
        join b: InconsistentGroupProtocol -
        > join c protocols=x type=connect
        join c: InconsistentGroupProtocol -
        > join d protocols=
        join d: InconsistentGroupProtocol -
        ",
    );
}

#[test]
fn session_timeout_outside_the_range_is_refused() {
    check(
        "
        > join a session=5999
        join a: InvalidSessionTimeout -
        > join a session=1800001
        join a: InvalidSessionTimeout -
        > list
        nothing
        > join a session=6000
        > list
        g consumer PreparingRebalance
        ",
    );
}

#[test]
fn kip_389_group_max_size() {
    let config = GroupConfig { group_size_max: 2, ..GroupConfig::default() };
    check_with(
        config,
        "
        > join a
        > join b
        > join c
        join c: GroupMaxSizeReached -
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > join d
        join d: GroupMaxSizeReached -
        > join b id=b#2
        join b: b#2 gen 1 range leader a#1
        ",
    );
}

#[test]
fn leave_batch_answers_each_member_and_rebalances_once() {
    check(
        "
        > join a
        > join b
        > join c
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2] [c#3]
        join b: b#2 gen 1 range leader a#1
        join c: c#3 gen 1 range leader a#1
        > leave b#2 nobody a#1
        leave: ok UnknownMemberId ok
        > heartbeat c#3 gen=1
        RebalanceInProgress
        > join c id=c#3
        join c: c#3 gen 2 range leader c#3 [c#3]
        > leave c#3
        log gen 3 members 0
        leave: ok
        > heartbeat c#3 gen=2
        UnknownMemberId
        ",
    );
}

#[test]
fn restart_keeps_a_stable_group_and_its_generation() {
    check(
        "
        > join a
        > join b instance=i
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [i#2]
        join b: i#2 gen 1 range leader a#1
        > sync a#1 gen=1 assign=a#1:p0,i#2:p1
        log gen 1 members 2
        sync a#1: \"p0\"
        > commit a#1 gen=1 t:0=7/note
        log t:0=7
        commit a#1: ok
        > restart
        > heartbeat a#1 gen=1
        ok
        > sync i#2 gen=1 instance=i
        sync i#2: \"p1\"
        > offset t:0
        7 epoch 3 \"note\"
        > at 16000
        log gen 2 members 0
        > heartbeat a#1 gen=1
        UnknownMemberId
        > describe
        Empty gen 2 \"\"
        ",
    );
}

#[test]
fn restart_in_the_middle_of_a_rebalance_goes_back_to_the_logged_generation() {
    check(
        "
        > join a
        > at 3000
        join a: a#1 gen 1 range leader a#1 [a#1]
        > sync a#1 gen=1 assign=a#1:p0
        log gen 1 members 1
        sync a#1: \"p0\"
        > join b
        > restart
        > heartbeat a#1 gen=1
        ok
        > describe
        Stable gen 1 \"range\"
        a#1 \"p0\"
        ",
    );
}

#[test]
fn describe_and_unknown_groups() {
    check(
        "
        > describe
        Dead gen -1 \"\"
        > heartbeat a gen=1
        UnknownMemberId
        > sync a gen=1
        sync a: UnknownMemberId
        > join a id=a
        join a: UnknownMemberId a
        > leave a
        leave: UnknownMemberId
        > delete
        delete: GroupIdNotFound
        > join a
        > delete
        delete: NonEmptyGroup
        > describe
        PreparingRebalance gen 0 \"\"
        a#1 \"\"
        ",
    );
}

/// docs/kafka-semantics.md, failure 7: a member that takes too long between polls leaves and comes back. That is one rebalance each: neither what it
/// had still on its way nor the time that the first one was given makes another.
#[test]
fn findings_7_a_member_over_its_poll_interval_costs_two_rebalances_and_no_more() {
    check(
        "
        > join a session=300000 rebalance=60000
        > join b session=300000 rebalance=60000
        > at 3000
        > at 6000
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync b#2 gen=1
        > sync a#1 gen=1 assign=a#1:p0,b#2:p1
        log gen 1 members 2
        sync a#1: \"p0\"
        sync b#2: \"p1\"
        > leave a#1
        leave: ok
        > heartbeat b#2 gen=1
        RebalanceInProgress
        > join b id=b#2 session=300000 rebalance=60000
        join b: b#2 gen 2 range leader b#2 [b#2]
        > sync b#2 gen=2 assign=b#2:p0p1
        log gen 2 members 1
        sync b#2: \"p0p1\"
        > heartbeat a#1 gen=1
        UnknownMemberId
        > commit a#1 gen=1 t:0=7
        commit a#1: UnknownMemberId
        > sync a#1 gen=1
        sync a#1: UnknownMemberId
        > leave a#1
        leave: UnknownMemberId
        > heartbeat b#2 gen=2
        ok
        > at 70000
        > heartbeat b#2 gen=2
        ok
        > join a session=300000 rebalance=60000
        > heartbeat b#2 gen=2
        RebalanceInProgress
        > join b id=b#2 session=300000 rebalance=60000
        join a: a#3 gen 3 range leader b#2
        join b: b#2 gen 3 range leader b#2 [a#3] [b#2]
        > sync a#3 gen=3
        > sync b#2 gen=3 assign=b#2:p1,a#3:p0
        log gen 3 members 2
        sync a#3: \"p0\"
        sync b#2: \"p1\"
        > at 140000
        > heartbeat a#3 gen=3
        ok
        > heartbeat b#2 gen=3
        ok
        > describe
        Stable gen 3 \"range\"
        a#3 \"p0\"
        b#2 \"p1\"
        ",
    );
}

/// Two members with thousands of protocols each, none in common, would keep the coordinator comparing for seconds.
#[test]
fn a_member_offers_a_bounded_number_of_protocols() {
    let named = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("p{index:02}")).collect();
        names.join(",")
    };
    let (most, above, many) = (named(32), named(33), named(20_000));
    check(&format!(
        "
        > join a protocols={most}
        > at 3000
        join a: a#1 gen 1 p00 leader a#1 [a#1]
        > join b protocols={above}
        join b: InconsistentGroupProtocol -
        > join c protocols={many}
        join c: InconsistentGroupProtocol -
        "
    ));
}

/// ListGroups of very many groups is answered page by page; a page may be of groups that were not asked for.
#[test]
fn groups_are_listed_in_pages() {
    use crate::group::{CommitRequest, GroupConfig, Groups, ReplyTo};
    let mut groups = Groups::new(GroupConfig::default());
    for index in 0..7 {
        let commit = CommitRequest {
            reply_to: ReplyTo(index),
            group_id: format!("g{index}"),
            member_id: String::new(),
            instance_id: None,
            generation: -1,
            retention_ms: None,
            partitions: Vec::new(),
        };
        assert_eq!(groups.handle_commit(0, commit).replies.len(), 1);
    }
    let pages = |states: &[String]| {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = groups.list(states, after.as_deref(), 3);
            pages.push(page.groups.iter().map(|group| group.group_id.clone()).collect::<Vec<_>>());
            let Some(upto) = page.upto else { return pages };
            after = Some(upto);
        }
    };
    assert_eq!(pages(&[]), [vec!["g0", "g1", "g2"], vec!["g3", "g4", "g5"], vec!["g6"]]);
    assert_eq!(pages(&["Stable".to_owned()]), [vec![""; 0], vec![], vec![]]);
    assert_eq!(groups.list(&[], Some("g3"), 3).upto, None, "nothing is behind them");
}

/// The story: what members said of themselves was bounded for each request only, by 100 MiB, so a few hundred joins took all
/// of the node's memory. Then four groups that took what one may kept all consumers of the shard from joining, for good: a
/// client ends after GROUP_MAX_SIZE_REACHED, which is for the group that is full. A member of these takes 603 bytes, and so many more as its assignment has.
#[test]
fn members_take_so_many_bytes_at_most() {
    let config = GroupConfig {
        group_bytes_max: 1300,
        member_bytes_max: 1910,
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    };
    check_with(
        config,
        "
        > join a
        > join b
        > join c
        join c: GroupMaxSizeReached -
        > join c group=two
        > join d group=three
        join d: CoordinatorLoadInProgress -
        > at 10
        join c: c#4 gen 1 range leader c#4 [c#4]
        > at 11
        join a: a#1 gen 1 range leader a#1 [a#1] [b#2]
        join b: b#2 gen 1 range leader a#1
        > sync c#4 group=two gen=1 assign=c#4:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        sync c#4: CoordinatorNotAvailable
        > sync a#1 gen=1 assign=a#1:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,b#2:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        sync a#1: GroupMaxSizeReached
        > sync a#1 gen=1 assign=a#1:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,b#2:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        log gen 1 members 2
        sync a#1: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"
        > sync b#2 gen=1
        sync b#2: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"
        > restart
        > join c
        join c: GroupMaxSizeReached -
        > leave a#1
        leave: ok
        > at 20
        > join c
        ",
    );
}
