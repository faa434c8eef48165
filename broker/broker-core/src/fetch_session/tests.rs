//! Session life cycle, epochs, news, order, eviction, limits.

use super::*;
use log_types::{LeaderEpoch, Offset, PartitionId, TopicId};

fn key(name: &str) -> FetchKey {
    FetchKey { topic: FetchTopic::Name(name.into()), partition: PartitionId(0) }
}

fn want(name: &str) -> FetchPartition {
    FetchPartition {
        key: key(name),
        fetch_offset: Offset(0),
        log_start: Offset(-1),
        bytes_max: 1 << 20,
        leader_epoch: LeaderEpoch(-1),
        last_fetched_epoch: LeaderEpoch(-1),
    }
}

fn result(name: &str, high_watermark: i64, records_bytes: usize) -> FetchResult {
    FetchResult {
        key: key(name),
        error: 0,
        high_watermark: Offset(high_watermark),
        log_start: Offset(0),
        records_bytes,
        redirected: false,
    }
}

struct World {
    cache: FetchSessions,
    now_ms: i64,
    random: u32,
}

impl World {
    fn new(slots_max: usize, partitions_max: usize) -> Self {
        let config = FetchSessionConfig {
            slots_max,
            eviction_ms: 1000,
            partitions_max,
            session_partitions_max: 1000,
        };
        Self { cache: FetchSessions::new(config), now_ms: 0, random: 0 }
    }

    fn open(&mut self, names: &[&str]) -> i32 {
        self.open_as(names, false)
    }

    fn open_as(&mut self, names: &[&str], privileged: bool) -> i32 {
        let wanted = names.iter().map(|name| want(name)).collect();
        let begun = self.cache.begin(self.now_ms, 0, 0, false, privileged, wanted, &[]).unwrap();
        let mut results: Vec<_> = names.iter().map(|name| result(name, 5, 0)).collect();
        self.random += 1;
        let id = self.cache.finish(self.now_ms, begun, &mut results, self.random).unwrap();
        assert_eq!(results.len(), names.len(), "a full response holds every partition");
        id
    }

    fn step(
        &mut self,
        session: (i32, i32),
        add: &[&str],
        forget: &[&str],
    ) -> Result<Begun, FetchSessionError> {
        let add = add.iter().map(|name| want(name)).collect();
        let forget: Vec<_> = forget.iter().map(|name| key(name)).collect();
        self.cache.begin(self.now_ms, session.0, session.1, false, false, add, &forget)
    }

    fn news(&mut self, begun: Begun, mut results: Vec<FetchResult>) -> Vec<String> {
        self.cache.finish(self.now_ms, begun, &mut results, 0).unwrap();
        results.iter().map(|result| name(&result.key)).collect()
    }
}

fn name(key: &FetchKey) -> String {
    match &key.topic {
        FetchTopic::Name(name) => name.to_string(),
        FetchTopic::Id(id) => id.to_string(),
    }
}

fn names(begun: &Begun) -> Vec<String> {
    begun.partitions.iter().map(|partition| name(&partition.key)).collect()
}

#[test]
fn kip_227_incremental_fetch_returns_only_partitions_with_news() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a", "b", "c"]);
    let begun = world.step((id, 1), &[], &[]).unwrap();
    assert_eq!(names(&begun), ["a", "b", "c"]);
    let quiet = vec![result("a", 5, 0), result("b", 6, 0), result("c", 5, 10)];
    assert_eq!(world.news(begun, quiet), ["b", "c"]);
    let begun = world.step((id, 2), &[], &[]).unwrap();
    let quiet = vec![result("a", 5, 0), result("b", 6, 0), result("c", 5, 0)];
    assert!(world.news(begun, quiet).is_empty());
    let begun = world.step((id, 3), &[], &[]).unwrap();
    let moved = FetchResult { log_start: Offset(2), ..result("a", 5, 0) };
    let redirected = FetchResult { redirected: true, ..result("b", 6, 0) };
    assert_eq!(world.news(begun, vec![moved, redirected]), ["a", "b"]);
}

#[test]
fn errors_are_always_news_and_so_is_the_answer_after_them() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a"]);
    for (epoch, error, expected) in [(1, 3, 1), (2, 3, 1), (3, 0, 1), (4, 0, 0)] {
        let begun = world.step((id, epoch), &[], &[]).unwrap();
        let answer = FetchResult { error, ..result("a", 5, 0) };
        assert_eq!(world.news(begun, vec![answer]).len(), expected, "epoch {epoch}");
    }
}

#[test]
fn partitions_are_added_changed_and_forgotten() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a", "b"]);
    assert_eq!(names(&world.step((id, 1), &["c", "a"], &["b"]).unwrap()), ["a", "c"]);
    assert_eq!(world.cache.partition_count(), 2);
    let begun = world.step((id, 2), &[], &["a", "c"]).unwrap();
    assert!(begun.partitions.is_empty());
    assert!(world.cache.is_empty(), "a session without partitions is closed");
    assert_eq!(world.cache.partition_count(), 0);
}

#[test]
fn partitions_with_records_go_to_the_end() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a", "b", "c"]);
    let begun = world.step((id, 1), &[], &[]).unwrap();
    world.news(begun, vec![result("a", 5, 1), result("b", 5, 0), result("c", 5, 0)]);
    assert_eq!(names(&world.step((id, 2), &[], &[]).unwrap()), ["b", "c", "a"]);
}

#[test]
fn wrong_ids_and_epochs_are_refused() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a"]);
    assert_eq!(world.step((id + 1, 1), &[], &[]).unwrap_err().code(), 70);
    assert_eq!(world.step((id, 2), &[], &[]).unwrap_err().code(), 71);
    let begun = world.step((id, 1), &[], &[]).unwrap();
    assert_eq!(world.step((id, 1), &[], &[]).unwrap_err().code(), 71);
    let later = world.step((id, 2), &[], &[]).unwrap();
    let answer = world.cache.finish(0, begun, &mut vec![result("a", 5, 0)], 0);
    assert_eq!(answer.unwrap_err().code(), 71, "the session went on during the long poll");
    assert!(world.news(later, vec![result("a", 5, 0)]).is_empty());
    let by_id = FetchPartition {
        key: FetchKey { topic: FetchTopic::Id(TopicId([1; 16])), partition: PartitionId(0) },
        ..want("")
    };
    let mixed = world.cache.begin(0, id, 3, true, false, vec![by_id], &[]);
    assert_eq!(mixed.unwrap_err().code(), 106);
}

#[test]
fn final_and_initial_epochs_close_the_old_session() {
    let mut world = World::new(10, 100);
    let id = world.open(&["a"]);
    let begun = world.step((id, -1), &["a"], &[]).unwrap();
    let mut results = vec![result("a", 5, 0)];
    assert_eq!(world.cache.finish(0, begun, &mut results, 9), Ok(0));
    assert_eq!(results.len(), 1);
    assert!(world.cache.is_empty());
    let id = world.open(&["a"]);
    let _ = world.step((id, 0), &["b"], &[]).unwrap();
    assert!(world.cache.is_empty());
}

#[test]
fn session_evicted_during_a_long_poll() {
    let mut world = World::new(1, 100);
    let id = world.open(&["a"]);
    let begun = world.step((id, 1), &[], &[]).unwrap();
    world.now_ms = 1001;
    assert_ne!(world.open(&["b"]), 0);
    let answer = world.cache.finish(1001, begun, &mut vec![result("a", 5, 0)], 0);
    assert_eq!(answer.unwrap_err().code(), 70);
}

#[test]
fn eviction_prefers_the_stale_then_the_small_and_spares_the_young() {
    let mut world = World::new(2, 100);
    let small = world.open(&["a"]);
    let large = world.open(&["a", "b", "c"]);
    assert_eq!(world.open(&["a", "b"]), 0, "both are young");
    world.now_ms = 900;
    let _ = world.step((small, 1), &[], &[]).unwrap();
    let _ = world.step((large, 1), &[], &[]).unwrap();
    world.now_ms = 1500;
    let middle = world.open(&["a", "b"]);
    assert_ne!(middle, 0, "small is old enough and worth less");
    assert_eq!(world.step((small, 2), &[], &[]).unwrap_err().code(), 70);
    world.now_ms = 1501;
    assert!(world.step((large, 2), &[], &[]).is_ok());
    world.now_ms = 2501;
    assert_ne!(world.open(&["z"]), 0, "a stale one goes whatever it is worth");
    assert_eq!(world.step((middle, 1), &[], &[]).unwrap_err().code(), 70);
}

#[test]
fn replicas_evict_young_consumers() {
    let mut world = World::new(1, 100);
    let consumer = world.open(&["a", "b"]);
    let replica = world.open_as(&["a"], true);
    assert_ne!(replica, 0);
    assert_eq!(world.step((consumer, 1), &[], &[]).unwrap_err().code(), 70);
    assert_eq!(world.open(&["a", "b", "c"]), 0);
}

#[test]
fn partitions_are_bounded_over_all_sessions() {
    let mut world = World::new(10, 3);
    let id = world.open(&["a", "b"]);
    assert_eq!(world.open(&["a", "b"]), 0);
    assert_ne!(world.open(&["a"]), 0);
    assert!(world.step((id, 1), &["a", "b"], &[]).is_ok(), "nothing is added");
    assert_eq!(world.step((id, 2), &["c"], &[]).unwrap_err().code(), 70);
    assert_eq!(world.cache.partition_count(), 1);
}

#[test]
fn colliding_session_ids_take_the_next() {
    let mut world = World::new(10, 100);
    let first = world.open(&["a"]);
    world.random = 0;
    let second = world.open(&["a"]);
    assert_eq!((first, second), (1, 2));
    assert_eq!(session::next_epoch(i32::MAX), 1);
}

#[test]
fn kip_227_a_session_has_a_bounded_number_of_partitions() {
    let mut cache = FetchSessions::new(FetchSessionConfig {
        session_partitions_max: 2,
        ..FetchSessionConfig::default()
    });
    let open = |cache: &mut FetchSessions, names: &[&str]| {
        let wanted = names.iter().map(|name| want(name)).collect();
        let begun = cache.begin(0, 0, 0, false, false, wanted, &[]).unwrap();
        assert_eq!(begun.partitions.len(), names.len(), "they are read all the same");
        cache.finish(0, begun, &mut Vec::new(), 7).unwrap()
    };
    assert_eq!(open(&mut cache, &["a", "b", "c"]), 0, "one too many: no session");
    let id = open(&mut cache, &["a", "b"]);
    assert_eq!((id, cache.partition_count()), (7, 2));
    let grown = cache.begin(0, id, 1, false, false, vec![want("c")], &[]);
    assert_eq!(grown, Err(FetchSessionError::SessionIdNotFound));
    assert_eq!(cache.partition_count(), 0, "it is gone: the client asks for everything again");
}

/// However many a request names: each would be looked up before it is refused.
#[test]
fn kip_227_a_session_forgets_no_more_than_it_can_have() {
    let mut cache = FetchSessions::new(FetchSessionConfig {
        session_partitions_max: 2,
        ..FetchSessionConfig::default()
    });
    let begun = cache.begin(0, 0, 0, false, false, vec![want("a")], &[]).unwrap();
    let id = cache.finish(0, begun, &mut Vec::new(), 7).unwrap();
    let forgotten = vec![key("b"); 3];
    let stepped = cache.begin(0, id, 1, false, false, Vec::new(), &forgotten[..2]);
    assert!(stepped.is_ok(), "as many as it may have");
    let stepped = cache.begin(0, id, 2, false, false, Vec::new(), &forgotten);
    assert_eq!(stepped, Err(FetchSessionError::SessionIdNotFound));
}
