//! Tasks, time, wake-ups between threads, and how a core ends.

use std::cell::{Cell, RefCell};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker_rt::{Backend, CoreId, Options, Queue, Reactor, RtError, Runtime, choose, run_cores};
use futures_channel::{mpsc, oneshot};
use futures_util::{SinkExt, StreamExt};

use crate::harness::{backends, on_cores, on_each};

#[test]
fn sleeps_end_in_order_and_not_early() {
    on_each(|runtime| async move {
        let clock = runtime.clock();
        let order = Rc::new(RefCell::new(Vec::new()));
        let (tx, rx) = mpsc::unbounded::<()>();
        for ms in [60, 20, 40, 0] {
            let (order, tx, clock) = (Rc::clone(&order), tx.clone(), Rc::clone(&clock));
            let from = clock.mono_ns();
            let sleep = runtime.sleep(Duration::from_millis(ms));
            runtime.spawn(
                Queue::Background,
                "sleeper",
                Box::pin(async move {
                    sleep.await;
                    assert!(clock.mono_ns() - from >= ms * 1_000_000, "slept at least {ms} ms");
                    order.borrow_mut().push(ms);
                    drop(tx);
                }),
            );
        }
        drop(tx);
        assert!(rx.collect::<Vec<()>>().await.is_empty());
        assert_eq!(*order.borrow(), [0, 20, 40, 60]);
    });
}

#[test]
fn clocks_and_random_numbers_are_plausible() {
    on_each(|runtime| async move {
        let clock = runtime.clock();
        let first = clock.mono_ns();
        assert!(clock.mono_ns() >= first);
        // 2020-01-01 and 2100-01-01.
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&clock.wall_ms()));
        let random = runtime.random();
        let mut drawn: Vec<u64> = (0..1000).map(|_| random.next_u64()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
    });
}

#[test]
fn both_queues_run_and_yielding_shares_the_core() {
    on_each(|runtime| async move {
        let counts = [Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0))];
        let stop = Rc::new(Cell::new(false));
        for (queue, count) in [Queue::Latency, Queue::Background].into_iter().zip(&counts) {
            let (rt, count, stop) = (Rc::clone(&runtime), Rc::clone(count), Rc::clone(&stop));
            runtime.spawn(
                queue,
                "busy",
                Box::pin(async move {
                    while !stop.get() {
                        count.set(count.get() + 1);
                        rt.yield_now().await;
                    }
                }),
            );
        }
        while counts.iter().any(|count| count.get() < 1000) {
            runtime.yield_now().await;
        }
        stop.set(true);
    });
}

#[test]
fn a_long_task_is_told_to_yield() {
    on_each(|runtime| async move {
        let slices = Rc::new(Cell::new(0));
        let (tx, rx) = oneshot::channel::<()>();
        let (rt, seen) = (Rc::clone(&runtime), Rc::clone(&slices));
        runtime.spawn(
            Queue::Background,
            "long",
            Box::pin(async move {
                for _ in 0..5 {
                    while !rt.need_preempt() {
                        std::hint::spin_loop();
                    }
                    seen.set(seen.get() + 1);
                    rt.yield_now().await;
                }
                tx.send(()).unwrap();
            }),
        );
        rx.await.unwrap();
        assert_eq!(slices.get(), 5);
    });
}

/// A background task that yields when told to must not hold up messages from other threads: a wake-up is seen
/// within a bounded number of its slices, however long real time takes.
#[test]
fn a_foreign_wake_reaches_a_busy_core_within_a_few_slices() {
    const ROUNDS: u64 = 200;
    on_each(|runtime| async move {
        let slices = Rc::new(Cell::new(0_u64));
        let stop = Rc::new(Cell::new(false));
        let (rt, count, end) = (Rc::clone(&runtime), Rc::clone(&slices), Rc::clone(&stop));
        runtime.spawn(
            Queue::Background,
            "busy",
            Box::pin(async move {
                while !end.get() {
                    while !rt.need_preempt() {
                        std::hint::spin_loop();
                    }
                    count.set(count.get() + 1);
                    rt.yield_now().await;
                }
            }),
        );
        let (ping_tx, mut ping_rx) = mpsc::unbounded::<()>();
        let (pong_tx, pong_rx) = mpsc::unbounded::<()>();
        let thread = std::thread::spawn(move || tokio_answers(ping_tx, pong_rx));
        let (done_tx, done_rx) = oneshot::channel();
        let seen = Rc::clone(&slices);
        runtime.spawn(
            Queue::Latency,
            "receiver",
            Box::pin(async move {
                let mut rounds = 0;
                let from = seen.get();
                while ping_rx.next().await.is_some() {
                    rounds += 1;
                    pong_tx.unbounded_send(()).unwrap();
                    if rounds == ROUNDS {
                        break;
                    }
                }
                done_tx.send((rounds, seen.get() - from)).unwrap();
            }),
        );
        let (rounds, slices) = done_rx.await.unwrap();
        stop.set(true);
        assert_eq!(rounds, ROUNDS);
        // A loaded machine may take the other thread off its processor for a while, hence the wide margin.
        assert!(slices < ROUNDS * 100, "{ROUNDS} wake-ups took {slices} slices");
        thread.join().unwrap();
    });
}

fn tokio_answers(mut ping: mpsc::UnboundedSender<()>, mut pong: mpsc::UnboundedReceiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a plain executor");
    runtime.block_on(async {
        while ping.send(()).await.is_ok() {
            if pong.next().await.is_none() {
                break;
            }
        }
    });
}

/// A bounded channel in each direction between two cores, both of which sleep in between.
#[test]
fn cores_exchange_messages() {
    const ROUNDS: u64 = 5_000;
    for backend in backends() {
        let (to_1, at_1) = mpsc::channel::<u64>(4);
        let (to_0, at_0) = mpsc::channel::<u64>(4);
        let ends = Arc::new(Mutex::new([Some((to_1, at_0)), Some((to_0, at_1))]));
        on_cores(backend, 2, move |core, _| {
            let (mut tx, mut rx) = ends.lock().unwrap()[core.0].take().unwrap();
            async move {
                if core == CoreId(0) {
                    for round in 0..ROUNDS {
                        tx.send(round).await.unwrap();
                        assert_eq!(rx.next().await, Some(round + 1));
                    }
                } else {
                    while let Some(value) = rx.next().await {
                        tx.send(value + 1).await.unwrap();
                    }
                }
            }
        });
    }
}

/// Whatever is still alive when main ends is dropped or leaked, and never panics.
#[test]
fn live_tasks_do_not_hinder_the_end() {
    on_each(|runtime| async move {
        let listener = runtime.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr();
        let rt = Rc::clone(&runtime);
        runtime.spawn(
            Queue::Latency,
            "accept",
            Box::pin(async move {
                let mut held = Vec::new();
                loop {
                    held.push(listener.accept().await.unwrap());
                    let (tx, rx) = oneshot::channel::<()>();
                    rt.spawn(
                        Queue::Background,
                        "stuck",
                        Box::pin(async move {
                            rx.await.unwrap_err();
                        }),
                    );
                    std::mem::forget(tx);
                }
            }),
        );
        let sleep = runtime.sleep(Duration::from_secs(3600));
        runtime.spawn(Queue::Background, "sleeper", sleep);
        let connection = runtime.connect(addr).await.unwrap();
        let reader = Rc::clone(&connection);
        runtime.spawn(
            Queue::Latency,
            "reader",
            Box::pin(async move {
                let mut buf = [0; 10];
                let _ = broker_rt::read(&*reader, &mut buf).await;
            }),
        );
        for _ in 0..10 {
            runtime.yield_now().await;
        }
    });
}

/// Main may listen and spawn before it returns its future.
#[test]
fn main_is_called_inside_the_executor() {
    for backend in backends() {
        let running = run_cores(
            &Options::new(backend, 1),
            Arc::new(|_, runtime: Rc<dyn Runtime>| {
                let listener = runtime.listen("127.0.0.1:0".parse().unwrap()).unwrap();
                let (tx, rx) = oneshot::channel();
                runtime.spawn(
                    Queue::Latency,
                    "early",
                    Box::pin(async move {
                        tx.send(listener.local_addr()).unwrap();
                    }),
                );
                Box::pin(async move { assert_ne!(rx.await.unwrap().port(), 0) })
            }),
        );
        running.unwrap().join().unwrap();
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for backend in backends() {
        let mut options = Options::new(backend, 0);
        let nothing: broker_rt::CoreMain = Arc::new(|_, _| Box::pin(async {}));
        assert!(run_cores(&options, Arc::clone(&nothing)).is_err());
        options.cores = Options::CORES_MAX + 1;
        assert!(run_cores(&options, Arc::clone(&nothing)).is_err());
        options.cores = 1;
        options.disk_threads = 0;
        assert!(run_cores(&options, nothing).is_err());
    }
}

#[test]
fn pinned_cores_run() {
    for backend in backends() {
        let mut options = Options::new(backend, 1);
        options.pin = true;
        run_cores(&options, Arc::new(|_, rt: Rc<dyn Runtime>| rt.yield_now()))
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn reactors_have_names() {
    for (name, reactor) in
        [("auto", Reactor::Auto), ("io_uring", Reactor::IoUring), ("epoll", Reactor::Epoll)]
    {
        assert_eq!(name.parse(), Ok(reactor));
    }
    let error = "kqueue".parse::<Reactor>().unwrap_err();
    assert_eq!(error, RtError::UnknownReactor("kqueue".to_owned()));
    assert_eq!(error.to_string(), "unknown reactor \"kqueue\": expected auto, io_uring or epoll");
    assert_eq!(choose(Reactor::Epoll).unwrap().backend, Backend::Epoll);
    assert!(choose(Reactor::Auto).is_ok(), "auto always finds one");
}

const PANIC_ON: &str = "BROKER_RT_TEST_PANIC_ON";

/// Only acts when [`a_panic_on_a_core_aborts_the_process`] runs this binary again.
#[test]
fn child_that_panics_on_a_core() {
    let Ok(name) = std::env::var(PANIC_ON) else { return };
    for backend in backends() {
        if format!("{backend:?}") == name {
            on_cores(backend, 1, |_, runtime| async move {
                let (tx, rx) = oneshot::channel::<()>();
                runtime.spawn(
                    Queue::Latency,
                    "bad",
                    Box::pin(async move {
                        let _held = tx;
                        panic!("reached the core");
                    }),
                );
                // Without the abort this would end the core, and the child, in peace.
                let _ = rx.await;
            });
        }
    }
}

#[test]
fn a_panic_on_a_core_aborts_the_process() {
    use std::os::unix::process::ExitStatusExt;
    for backend in backends() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tasks::child_that_panics_on_a_core", "--nocapture"])
            .env(PANIC_ON, format!("{backend:?}"))
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{backend:?}: {output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("reached the core"), "{stderr}");
    }
}
