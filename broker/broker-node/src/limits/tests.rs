//! The memory budget is granted in order, given back, and never exceeded.

use futures_util::FutureExt;

use broker_kafka::broker::Held as _;

use super::Memory;

#[test]
fn leases_stay_within_the_budget_and_come_first_come_first_served() {
    let memory = Memory::new(100);
    let first = memory.take(60).now_or_never().expect("fits");
    let mut large = Box::pin(memory.take(80));
    assert!((&mut large).now_or_never().is_none(), "60 + 80 exceed 100");
    let mut small = Box::pin(memory.take(10));
    assert!((&mut small).now_or_never().is_none(), "it fits, but others came first");
    drop(first);
    let large = large.now_or_never().expect("granted");
    let small = small.now_or_never().expect("granted");
    assert_eq!(memory.used(), 90);
    drop((large, small));
    assert_eq!(memory.used(), 0);
}

#[test]
fn one_request_larger_than_the_budget_gets_all_of_it() {
    let memory = Memory::new(100);
    let lease = memory.take(1_000_000).now_or_never().expect("alone it may");
    assert_eq!(memory.used(), 100);
    drop(lease);
}

#[test]
fn a_reader_that_gives_up_does_not_keep_its_place() {
    let memory = Memory::new(100);
    let first = memory.take(100).now_or_never().expect("fits");
    let mut gone = Box::pin(memory.take(100));
    assert!((&mut gone).now_or_never().is_none());
    let mut next = Box::pin(memory.take(100));
    assert!((&mut next).now_or_never().is_none());
    drop(gone);
    drop(first);
    assert!(next.now_or_never().is_some());
}

#[test]
fn it_is_wanted_while_somebody_waits() {
    let memory = Memory::new(100);
    let first = memory.take(100).now_or_never().expect("fits");
    assert!(!memory.is_wanted());
    let mut gone = Box::pin(memory.take(1));
    assert!((&mut gone).now_or_never().is_none());
    assert!(memory.is_wanted());
    drop(gone);
    assert!(!memory.is_wanted(), "nobody waits any more");
    drop(first);
}

#[test]
fn what_is_taken_as_far_as_there_is_some_shrinks_and_never_waits() {
    let memory = Memory::new(100);
    let mut first = memory.take_up_to(40, 5);
    assert_eq!(first.bytes(), 40);
    let second = memory.take_up_to(40, 5);
    assert_eq!(second.bytes(), 30, "half of what is left");
    let third = memory.take_up_to(40, 20);
    assert_eq!((third.bytes(), memory.used()), (20, 90), "half would be too little");
    first.resize(60);
    assert_eq!(memory.used(), 110, "a batch larger than was granted");
    assert_eq!(memory.take_up_to(40, 5).bytes(), 5, "nothing is left");
    first.resize(10);
    assert_eq!(memory.used(), 60);
    drop((first, second, third));
    assert_eq!(memory.used(), 0);
}
