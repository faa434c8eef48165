//! The executor: order of timers, death of processes, livelocks.

use super::*;

fn run(world: &World) {
    while world.step() != Step::Stalled {}
}

#[test]
fn timers_fire_by_deadline_then_in_the_order_they_were_set() {
    let world = World::new(7);
    let fired: Rc<RefCell<Vec<(u64, u64)>>> = Rc::default();
    for (deadline_ns, name) in [(20, 0), (10, 1), (20, 2), (10, 3)] {
        let (fired, weak) = (Rc::clone(&fired), Rc::downgrade(&world));
        world.run_at(deadline_ns, move || {
            let now_ns = weak.upgrade().map_or(0, |world| world.now_ns());
            fired.borrow_mut().push((now_ns, name));
        });
    }
    run(&world);
    assert_eq!(*fired.borrow(), [(10, 1), (10, 3), (20, 0), (20, 2)]);
}

#[test]
fn time_waits_until_nothing_is_ready() {
    let world = World::new(7);
    let seen: Rc<Cell<u64>> = Rc::default();
    world.run_at(5, || {});
    let (inner, out) = (Rc::clone(&world), Rc::clone(&seen));
    world.spawn(SCENARIO, "busy", async move {
        for _ in 0..100 {
            yield_now().await;
        }
        out.set(inner.now_ns() + 1);
    });
    run(&world);
    assert_eq!(seen.get(), 1, "the task ended before the timer's instant");
}

#[test]
fn a_killed_process_runs_no_more_and_its_tasks_are_dropped() {
    let world = World::new(7);
    let process = world.new_process();
    let held: Rc<()> = Rc::default();
    let (inner, kept) = (Rc::clone(&world), Rc::clone(&held));
    world.spawn(process, "sleeper", async move {
        inner.sleep(Duration::from_secs(1)).await;
        drop(kept);
    });
    while world.polls() == 0 {
        world.step();
    }
    assert_eq!(world.task_names(process), ["sleeper"]);
    world.kill(process);
    assert_eq!(Rc::strong_count(&held), 1, "what the task held is dropped");
    assert_eq!(world.step(), Step::Stalled, "its timer is gone too");
}

#[test]
fn a_livelock_ends_the_run_and_names_the_seed() {
    let world = World::new(4711);
    world.spawn(SCENARIO, "spin", async {
        loop {
            yield_now().await;
        }
    });
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&world)));
    let message = ended.expect_err("the run ends").downcast::<String>().expect("a message");
    assert!(message.contains("seed 4711"), "{message}");
}
