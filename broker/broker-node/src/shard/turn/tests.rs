//! Turns are taken in order, also when one in the queue gives up.

use std::rc::Rc;

use futures_util::FutureExt;

use super::Turn;

#[test]
fn turns_come_in_order_and_skip_who_gave_up() {
    let turn = Rc::new(Turn::default());
    let first = turn.take().now_or_never().expect("free");
    let mut second = Box::pin(turn.take());
    let mut third = Box::pin(turn.take());
    let mut fourth = Box::pin(turn.take());
    for waiting in [&mut second, &mut third, &mut fourth] {
        assert!(waiting.now_or_never().is_none());
    }
    drop(third);
    drop(first);
    assert!((&mut fourth).now_or_never().is_none(), "the second comes first");
    drop(second.now_or_never().expect("its turn"));
    drop(fourth.now_or_never().expect("its turn"));
    assert!(turn.take().now_or_never().is_some(), "free again");
}

#[test]
fn a_turn_given_to_a_waiter_that_is_dropped_unread_is_passed_on() {
    let turn = Rc::new(Turn::default());
    let first = turn.take().now_or_never().expect("free");
    let mut second = Box::pin(turn.take());
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    drop(second);
    assert!(turn.take().now_or_never().is_some(), "not lost with the waiter");
}
