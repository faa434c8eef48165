//! Turns are taken in order, also when one in the line gives up.

use futures_util::FutureExt;

use super::Turns;

#[test]
fn turns_come_in_order_and_skip_who_gave_up() {
    let turns = Turns::new(1);
    let first = turns.take().now_or_never().expect("free");
    let mut second = Box::pin(turns.take());
    let mut third = Box::pin(turns.take());
    let mut fourth = Box::pin(turns.take());
    for waiting in [&mut second, &mut third, &mut fourth] {
        assert!(waiting.now_or_never().is_none());
    }
    drop(third);
    drop(first);
    assert!(turns.take().now_or_never().is_none(), "a newcomer is not let in between");
    assert!((&mut fourth).now_or_never().is_none(), "the second comes first");
    drop(second.now_or_never().expect("its turn"));
    drop(fourth.now_or_never().expect("its turn"));
    assert!(turns.take().now_or_never().is_some(), "free again");
}

/// The story: places of those who gave up stayed until a turn was given, so clients that came and went while one had it
/// left memory behind with each time.
#[test]
fn whoever_gives_up_leaves_the_line() {
    let turns = Turns::new(1);
    let first = turns.take().now_or_never().expect("free");
    let mut stays = Box::pin(turns.take());
    assert!((&mut stays).now_or_never().is_none());
    for _ in 0..1000 {
        assert!(turns.take().now_or_never().is_none(), "and it is dropped");
    }
    assert_eq!(turns.0.waiting.borrow().len(), 1);
    drop(first);
    assert!(stays.now_or_never().is_some());
    assert!(turns.0.waiting.borrow().is_empty());
}

#[test]
fn a_turn_given_to_a_waiter_that_is_dropped_unread_is_passed_on() {
    let turns = Turns::new(1);
    let first = turns.take().now_or_never().expect("free");
    let mut second = Box::pin(turns.take());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    drop(second);
    assert!(turns.take().now_or_never().is_some(), "not lost with the waiter");
}

#[test]
fn as_many_as_there_are_may_have_one() {
    let turns = Turns::new(2);
    let held: Vec<_> = (0..2).map(|_| turns.take().now_or_never().expect("free")).collect();
    let mut third = Box::pin(turns.take());
    assert!((&mut third).now_or_never().is_none());
    drop(held);
    let third = third.now_or_never().expect("given back");
    let fourth = turns.take().now_or_never().expect("the other one");
    assert!(turns.take().now_or_never().is_none());
    drop((third, fourth));
}
