//! Who is cut off: at the limit and one nanosecond above.

use broker_kafka_wire::ApiKey;

use super::{Progress, STALL_NS_MAX, WANTED_BYTES_PER_MS, WANTED_NS_MAX, Wanted};

const NOW_NS: u64 = 1 << 50;
const IDLE_NS_MAX: u64 = 600_000_000_000;
const NOTHING: Wanted = Wanted { answers: false, requests: false, elements: false };
const ANSWERS: Wanted = Wanted { answers: true, ..NOTHING };
const REQUESTS: Wanted = Wanted { requests: true, ..NOTHING };
const ELEMENTS: Wanted = Wanted { elements: true, ..NOTHING };

/// A connection that has been silent for so long, and has been writing for so long.
fn progress(silent_ns: u64, writing_ns: Option<u64>, large: usize) -> Progress {
    let progress = Progress::since(NOW_NS - silent_ns);
    progress.busy.set(writing_ns.is_some());
    progress.writing_since_ns.set(writing_ns.map(|writing_ns| NOW_NS - writing_ns));
    progress.large.set(large);
    progress
}

#[test]
fn idle_connections_and_those_that_do_not_read_are_cut_off() {
    let overdue = |progress: Progress| progress.is_overdue(NOW_NS, IDLE_NS_MAX, NOTHING);
    assert!(!overdue(progress(IDLE_NS_MAX, None, 0)));
    assert!(overdue(progress(IDLE_NS_MAX + 1, None, 0)));
    let busy = progress(IDLE_NS_MAX + 1, None, 0);
    busy.busy.set(true);
    assert!(!overdue(busy), "a fetch may wait for records for longer");
    assert!(!overdue(progress(STALL_NS_MAX, Some(2 * STALL_NS_MAX), 1)));
    assert!(overdue(progress(STALL_NS_MAX + 1, Some(2 * STALL_NS_MAX), 1)));
}

/// A client that takes a byte now and then, or nothing, must not keep others from their answers for as long as it likes.
#[test]
fn who_holds_what_others_wait_for_has_little_time() {
    let overdue = |writing_ns, large, wanted| {
        progress(0, Some(writing_ns), large).is_overdue(NOW_NS, IDLE_NS_MAX, wanted)
    };
    assert!(overdue(WANTED_NS_MAX + 1, 1, ANSWERS));
    assert!(!overdue(WANTED_NS_MAX, 1, ANSWERS), "not yet");
    assert!(!overdue(WANTED_NS_MAX + 1, 1, NOTHING), "nobody waits");
    assert!(!overdue(WANTED_NS_MAX + 1, 0, ANSWERS), "it holds nothing");
}

/// Consumers over slow links were cut off because others waited for descriptions.
#[test]
fn fetches_hold_nothing_that_others_wait_for() {
    let overdue = |api: ApiKey| {
        let progress = progress(0, Some(WANTED_NS_MAX + 1), 0);
        progress.began(api.key());
        let overdue = progress.is_overdue(NOW_NS, IDLE_NS_MAX, ANSWERS);
        progress.ended(api.key());
        assert!(!progress.is_overdue(NOW_NS, IDLE_NS_MAX, ANSWERS), "answered");
        overdue
    };
    assert!(!overdue(ApiKey::Fetch));
    assert!(overdue(ApiKey::Metadata));
}

/// The story: memory for a request was held from its first four bytes on, for as long as it took to arrive.
#[test]
fn who_has_memory_for_a_request_that_others_wait_for_must_send_it() {
    let overdue = |ms: u64, bytes: usize, wanted| {
        let progress = Progress::since(0);
        progress.receives(NOW_NS - ms * 1_000_000);
        progress.arrived(NOW_NS, bytes);
        let overdue = progress.is_overdue(NOW_NS, IDLE_NS_MAX, wanted);
        progress.received();
        assert!(!progress.is_overdue(NOW_NS, IDLE_NS_MAX, wanted), "it is here");
        overdue
    };
    let grace_ms = WANTED_NS_MAX / 1_000_000;
    let due = usize::try_from(WANTED_BYTES_PER_MS).unwrap();
    assert!(!overdue(grace_ms, 0, REQUESTS), "not yet");
    assert!(overdue(grace_ms + 1, due - 1, REQUESTS));
    assert!(!overdue(grace_ms + 1, due, REQUESTS), "it comes fast enough");
    assert!(overdue(grace_ms + 1000, 1000 * due - 1, REQUESTS));
    assert!(!overdue(grace_ms + 1000, 1000 * due, REQUESTS));
    for wanted in [ANSWERS, ELEMENTS] {
        assert!(!overdue(10 * grace_ms, 0, wanted), "nobody waits for that");
    }
}

/// Memory was held by requests behind a fetch for as long as that waited.
#[test]
fn who_lets_requests_with_memory_wait_has_little_time_while_others_wait_for_it() {
    let overdue = |count: usize, ns: u64, wanted| {
        let progress = Progress::since(NOW_NS);
        progress.held_back.set((count, NOW_NS - ns));
        progress.is_overdue(NOW_NS, IDLE_NS_MAX, wanted)
    };
    for wanted in [REQUESTS, ELEMENTS] {
        assert!(!overdue(1, WANTED_NS_MAX, wanted), "not yet");
        assert!(overdue(1, WANTED_NS_MAX + 1, wanted));
        assert!(!overdue(0, WANTED_NS_MAX + 1, wanted), "none does any more");
    }
    assert!(!overdue(1, WANTED_NS_MAX + 1, ANSWERS));
}
