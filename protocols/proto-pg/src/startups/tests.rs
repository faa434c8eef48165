//! Who has to make room, and that everybody leaves.

use super::*;

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn gone(startup: &mut Startup) -> bool {
    startup.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
}

#[test]
fn the_oldest_of_an_address_makes_room_for_the_next_of_it() {
    let startups = Startups::new(2, 100);
    let (mut first, none) = startups.enter(address(1));
    assert_eq!(none, None);
    let (mut second, none) = startups.enter(address(1));
    assert_eq!(none, None);
    let (mut other, none) = startups.enter(address(2));
    assert_eq!(none, None);
    let (mut third, evicted) = startups.enter(address(1));
    assert_eq!(evicted, Some(address(1)));
    assert!(gone(&mut first) && !gone(&mut second) && !gone(&mut third) && !gone(&mut other));
    // One that left has made room: nobody else has to.
    drop(second);
    let (_fourth, evicted) = startups.enter(address(1));
    assert_eq!(evicted, None);
    assert!(!gone(&mut third));
}

#[test]
fn the_busiest_address_makes_room_for_everybody() {
    let startups = Startups::new(3, 4);
    let mut busy: Vec<_> = (0..3).map(|_| startups.enter(address(1)).0).collect();
    let (mut quiet, _) = startups.enter(address(2));
    let (mut new, evicted) = startups.enter(address(3));
    assert_eq!(evicted, Some(address(1)));
    assert!(gone(&mut busy[0]) && !gone(&mut busy[1]) && !gone(&mut quiet) && !gone(&mut new));
}

#[test]
fn nothing_is_kept_of_those_that_left() {
    let startups = Startups::new(2, 3);
    for last in 0..200 {
        let (first, _) = startups.enter(address(last));
        let (second, _) = startups.enter(address(last));
        let (third, _) = startups.enter(address(last));
        drop((second, first, third));
    }
    let waiting = startups.lock();
    assert_eq!((waiting.total, waiting.by_address.len()), (0, 0));
}
